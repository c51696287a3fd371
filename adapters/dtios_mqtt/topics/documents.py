"""From payloads to documents: JSON as it is, each row of CSV as an object, text and bytes as one value."""

import csv
import io
from typing import Any, Final

from dtios.mapping.json_paths import parse_json
from dtios.mapping.profiles.topics import MessageRule

__all__ = ["documents", "text_of"]

_LARGEST: Final = 4 * 2**20
"""Bytes that are parsed; larger ones would hold up all the others."""
_ROWS: Final = 10_000


def documents(rule: MessageRule, payload: bytes) -> list[Any]:
    """Raises ValueError with a short cause, the same for all messages with this flaw."""
    if len(payload) > _LARGEST:
        raise ValueError("larger than 4 MiB")
    match rule.format:
        case "json":
            return [parse_json(payload if rule.encoding == "utf-8" else text_of(rule, payload))]
        case "csv":
            return _rows(rule, text_of(rule, payload))
        case "text":
            return [text_of(rule, payload).strip()]
    return [payload]


def text_of(rule: MessageRule, payload: bytes) -> str:
    """Raises ValueError."""
    try:
        return payload.decode(rule.encoding)
    except UnicodeDecodeError:
        raise ValueError(f"not {rule.encoding.upper()}") from None


def _rows(rule: MessageRule, text: str) -> list[Any]:
    """Without `columns` the first row names them; a row with more or fewer fields is no row of this table."""
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=rule.separator, strict=True) if row]
    except csv.Error:
        raise ValueError("not CSV") from None
    columns = list(rule.columns) or [name.strip() for name in rows[0]] if rows else []
    body = rows if rule.columns else rows[1:]
    if not body:
        raise ValueError("no row")
    if len(body) > _ROWS:
        raise ValueError("too many rows")
    if any(len(row) != len(columns) for row in body):
        raise ValueError("a row with another number of fields")
    return [{name: field.strip() for name, field in zip(columns, row, strict=True)} for row in body]
