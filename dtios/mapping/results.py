"""From events to Results (OPC 40001-101), by what a profile says of an event type. Pure: an adapter brings the events."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dtios.model.event import Event, EventPath
from dtios.model.result import Result, ResultEvaluation
from dtios.model.values import LocalizedText, QualifiedName, Record

__all__ = ["ResultSource", "ValuePath", "result_of"]

_NUMBERS: Final = frozenset(int(known) for known in ResultEvaluation)


@dataclass(frozen=True, slots=True)
class ValuePath:
    """A field of an event, and the way into its value by the names of structure fields."""

    field: EventPath
    inside: tuple[str, ...] = ()

    def of(self, event: Event) -> Any:
        """None where the event lacks it, an optional structure field is absent, or the value is no structure."""
        value = event.fields.get(self.field)
        for name in self.inside:
            value = value.get(name) if isinstance(value, Record) else None
        return value


@dataclass(frozen=True, slots=True)
class ResultSource:
    """Events of `type` that are Results. `fields` are what the machine is to be asked for (`EventFields` of the seam)."""

    type: QualifiedName
    fields: tuple[EventPath, ...]
    paths: Mapping[str, ValuePath] = field(default_factory=dict)
    """By the name of the Result's field: result, part, job, step, evaluation, partial, created."""
    evaluations: Mapping[bool | int | str, ResultEvaluation] = field(default_factory=dict)
    """The machine's values; empty where they are those of ResultEvaluationEnum."""
    content: Mapping[str, ValuePath] = field(default_factory=dict)

    def result(self, machine: str, event: Event) -> Result | None:
        """None for an event of another type. A result without an id has that of its event, one without a time its event's."""
        if self.type not in event.types:
            return None
        said = {name: path.of(event) for name, path in self.paths.items()}
        content = {name: path.of(event) for name, path in self.content.items()}
        return Result(
            machine,
            _text(said.get("result")) or event.event,
            _text(said.get("part")),
            _text(said.get("job")),
            _text(said.get("step")),
            self._evaluation(said.get("evaluation")),
            said.get("partial") is True,
            _time(said.get("created"), event.time),
            {name: value for name, value in content.items() if value is not None},
        )

    def _evaluation(self, value: Any) -> ResultEvaluation:
        """Undefined for a value that nobody named."""
        value = value.text if isinstance(value, LocalizedText) else value
        if not isinstance(value, bool | int | str):
            return ResultEvaluation.Undefined
        if self.evaluations:
            return self.evaluations.get(value, ResultEvaluation.Undefined)
        if isinstance(value, str):
            return ResultEvaluation.__members__.get(value, ResultEvaluation.Undefined)
        known = not isinstance(value, bool) and value in _NUMBERS
        return ResultEvaluation(value) if known else ResultEvaluation.Undefined


def result_of(sources: Sequence[ResultSource], machine: str, event: Event) -> Result | None:
    """The Result by the source whose type is the most derived of the event's; None where none is one."""
    by_type = {source.type: source for source in sources}
    source = next((by_type[name] for name in event.types if name in by_type), None)
    return None if source is None else source.result(machine, event)


def _text(value: Any) -> str | None:
    """An id as a text; an empty one is none."""
    if isinstance(value, LocalizedText):
        value = value.text
    elif isinstance(value, QualifiedName):
        value = value.name
    elif isinstance(value, bytes):
        value = value.hex()
    if value is None or isinstance(value, Record | list):
        return None
    return str(value).strip() or None


def _time(value: Any, other: int | None) -> int | None:
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else other
