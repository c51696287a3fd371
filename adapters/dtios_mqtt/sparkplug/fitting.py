"""Whether values are of the data types that their metrics have."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from dtios_mqtt.sparkplug.datatypes import ARRAYS, DATASET, DATETIME, INTEGERS, TEMPLATE
from dtios_mqtt.sparkplug.metric import DataSet, Metric, Template

__all__ = ["fits", "misfits"]

_YEAR_10000: Final = 253_402_300_800_000
"""In ms."""
_TYPES: Final[dict[int, frozenset[type]]] = {
    **{datatype: frozenset({int}) for datatype in (*INTEGERS, DATETIME)},
    **{datatype: frozenset({list}) for datatype in ARRAYS},
    9: frozenset({float, int}), 10: frozenset({float, int}), 11: frozenset({bool}), 12: frozenset({str}), 14: frozenset({str}),
    15: frozenset({str}), DATASET: frozenset({DataSet}), 17: frozenset({bytes}), 18: frozenset({bytes}),
    TEMPLATE: frozenset({Template}),
}  # fmt: skip
"""Data type -> the types of its values; of others nothing is known."""


def fits(value: Any, datatype: int) -> bool:
    """Whether this can be a value of the data type; None can be of each."""
    types = _TYPES.get(datatype)
    if value is None or types is None:
        return True
    return type(value) in types and (datatype != DATETIME or value < _YEAR_10000)


def misfits(metrics: Iterable[Metric]) -> Iterator[Metric]:
    """Those of them, and of the members of templates, whose value is not of their data type."""
    for metric in metrics:
        if not fits(metric.value, metric.datatype):
            yield metric
        elif isinstance(metric.value, Template):
            yield from misfits(metric.value.metrics)
