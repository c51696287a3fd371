"""Results: what was measured or inspected on one part (OPC 40001-101)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from dtios.model.gap import Gap

__all__ = ["Result", "ResultEvaluation"]


class ResultEvaluation(IntEnum):
    """OPC 40001-101 ResultEvaluationEnum."""

    Undefined = 0
    OK = 1
    NotOK = 2
    NotDecidable = 3


@dataclass(frozen=True, slots=True)
class Result:
    """ResultMetaData with its content; `created` is int nanoseconds UTC.

    `gap` says that results may be missing between this one and the one before it, for whoever follows them.
    """

    machine: str
    result: str
    part: str | None = None
    job: str | None = None
    step: str | None = None
    evaluation: ResultEvaluation = ResultEvaluation.Undefined
    partial: bool = False
    created: int | None = None
    content: Mapping[str, Any] = field(default_factory=dict)
    gap: Gap | None = None
