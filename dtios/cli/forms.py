"""JSON Schemas (draft 2020-12) of what commands print, put together by each command from these parts."""

from typing import Any, Final

from dtios.model.gap import GapCause
from dtios.model.job import JobIdentity, JobState, JobSubstate, JobVerb
from dtios.model.machine import Access

__all__ = [
    "CLOCK",
    "COUNT",
    "ERROR",
    "ERROR_BODY",
    "GAP",
    "JOB_STATE",
    "MACHINE",
    "READING",
    "STATUS",
    "SUBSTATE",
    "TEXT",
    "TEXT_OR_NULL",
    "TIME",
    "VALUE",
    "Schema",
    "array",
    "choice",
    "line_schema",
    "record",
]  # fmt: skip

Schema = dict[str, Any]

TEXT: Final[Schema] = {"type": "string"}
TEXT_OR_NULL: Final[Schema] = {"type": ["string", "null"]}
COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
TIME: Final[Schema] = {
    "description": "RFC 3339 in UTC, nanoseconds as far as known; null where nobody gave one",
    "type": ["string", "null"],
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$",
}
STATUS: Final[Schema] = {"description": "the OPC UA name of a StatusCode", "type": "string", "pattern": "^(Good|Uncertain|Bad)"}
VALUE: Final[Schema] = {"description": "any JSON; Int64, UInt64, NaN and the infinities are strings"}


def record(properties: dict[str, Schema], optional: tuple[str, ...] = ()) -> Schema:
    """An object with exactly these keys."""
    return {
        "type": "object",
        "properties": properties,
        "required": [name for name in properties if name not in optional],
        "additionalProperties": False,
    }


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def choice(*values: str) -> Schema:
    return {"enum": list(values)}


def line_schema(command: str, *forms: Schema) -> Schema:
    """The schema of each line that a command prints with --json, an error included."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"dtios {command}",
        "description": "each line of the output",
        "anyOf": [*forms, ERROR],
    }


ERROR_BODY: Final = record(
    {
        "kind": choice("temporary", "credentials", "configuration", "refused"),
        "message": TEXT,
        "where": TEXT,
        "mend": TEXT,
    }
)
ERROR: Final = record({"error": ERROR_BODY})

READING: Final = record(
    {
        "machine": TEXT, "signal": TEXT, "value": VALUE, "status": STATUS,
        "source_time": TIME, "server_time": TIME, "receive_time": TIME,
    }
)  # fmt: skip
GAP: Final = record(
    {
        "machine": TEXT,
        "signal": TEXT,
        "gap": record(
            {
                "from": TIME,
                "to": TIME,
                "cause": choice(*(cause.value for cause in GapCause)),
                "count": {"type": ["integer", "null"], "minimum": 0},
            }
        ),
    }
)

JOB_STATE: Final = choice(*(state.value for state in JobState))
SUBSTATE: Final = {"enum": [None, *(state.value for state in JobSubstate)]}

_UNIT: Final = {"anyOf": [record({"code": TEXT_OR_NULL, "symbol": TEXT}), {"type": "null"}]}
_RANGE: Final = {"anyOf": [{"type": "array", "minItems": 2, "maxItems": 2}, {"type": "null"}]}
CLOCK: Final = {
    "oneOf": [
        record({"offset": {"type": "number"}, "error": {"type": "number"}, "rate": {"type": ["number", "null"]}}),
        {"type": "null"},
    ]
}
_SIGNAL: Final = record(
    {
        "path": TEXT, "address": TEXT, "data_type": TEXT, "unit": _UNIT, "range": _RANGE,
        "access": choice(*(access.value for access in Access)), "value": VALUE, "status": STATUS, "gone": {"const": True},
    },
    optional=("gone",),
)  # fmt: skip
_CONSTRAINT: Final = record(
    {
        "name": TEXT, "low": {"type": ["number", "null"]}, "high": {"type": ["number", "null"]},
        "values": {"type": ["array", "null"]}, "unit": TEXT_OR_NULL,
    }
)  # fmt: skip
_SKILL: Final = record(
    {
        "path": TEXT,
        "capability": {"anyOf": [record({"iri": TEXT, "properties": array(_CONSTRAINT)}), {"type": "null"}]},
        "parameters": {"type": "object"},
        "results": {"type": "object"},
        "verbs": array(choice(*(verb.value for verb in JobVerb))),
        "binding": TEXT,
        "identity": choice(*(identity.value for identity in JobIdentity)),
        "on_owner_lost": choice("hold", "stop", "finish"),
    }
)
MACHINE: Final = record(
    {
        "name": TEXT,
        "endpoint": TEXT,
        "profiles": array(TEXT),
        "identification": {"type": "object", "additionalProperties": {"type": ["string", "integer", "null"]}},
        "state": {"anyOf": [record({"packml": TEXT_OR_NULL, "unit_mode": TEXT_OR_NULL}), {"type": "null"}]},
        "signals": array(_SIGNAL),
        "skills": array(_SKILL),
        "notes": array(TEXT),
        "clock": CLOCK,
    },
    optional=("clock",),
)
