"""What a machine answers to the messages of a job: found by the job's mark, and what it says of the job."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from dtios.mapping.json_paths import MISSING, JsonPath, parse_json
from dtios.model.datatypes import BuiltinType, Field, ValueType
from dtios.model.values import DataValue, Record

__all__ = ["MESSAGE", "Answer", "AnswerReader"]

MESSAGE: Final = ValueType(
    BuiltinType.ExtensionObject,
    "Message",
    "urn:dtios:mqtt:topics",
    fields=tuple(Field(name, ValueType(BuiltinType.String, "String")) for name in ("Topic", "Payload", "Correlation")),
)
"""A point whose readings are whole messages. `Correlation` is the correlation data of MQTT 5, empty without any."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`role` is None for a state that nobody gave a meaning; `said` is the state as the machine says it."""

    role: str | None
    said: str = ""
    reason: str = ""
    results: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AnswerReader:
    """Paths into the answer, as `AnswerRule` explains them; of each the first that is there holds."""

    job: Sequence[JsonPath] = ()
    state: Sequence[JsonPath] = ()
    states: Mapping[Any, str] = field(default_factory=dict)
    error: Sequence[JsonPath] = ()
    reason: Sequence[JsonPath] = ()
    results: Mapping[str, JsonPath] = field(default_factory=dict)

    def read(self, job: str, reading: DataValue) -> Answer | None:
        """None for what is no answer to this job. A retained one is one, too: the mark tells."""
        message = reading.value
        if reading.is_bad or not isinstance(message, Record):
            return None
        try:
            document = parse_json(str(message.get("Payload")))
            mark = _first(self.job, document) if self.job else message.get("Correlation")
            if str(mark) != job:
                return None
            return self._answer(document)
        except ValueError:  # counted by the adapter; it may be of any job
            return None

    def _answer(self, document: Any) -> Answer:
        reason = _text(_first(self.reason, document))
        results = {name: value for name, path in self.results.items() if (value := path.find(document)) is not MISSING}
        error = _first(self.error, document)
        if error is not MISSING and error not in (None, False, 0, ""):
            return Answer("failed", _text(error), reason or _text(error), results)
        if not self.state:
            return Answer("done", "", reason, results)
        said = _first(self.state, document)
        role = None if said is MISSING or isinstance(said, list | dict) else self._role(said)
        return Answer(role, _text(said), reason, results)

    def _role(self, said: Any) -> str | None:
        """`True` is not 1, and a number that came as a text is that number."""
        for value, role in self.states.items():
            if (value == said and isinstance(value, bool) == isinstance(said, bool)) or str(value) == said:
                return role
        return None


def _first(paths: Sequence[JsonPath], document: Any) -> Any:
    return next((value for path in paths if (value := path.find(document)) is not MISSING), MISSING)


def _text(value: Any) -> str:
    return "" if value is MISSING or value is None else str(value)[:200]
