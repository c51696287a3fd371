"""JSON documents of machines: parsed strictly, and asked by a small part of JSONPath (RFC 9535).

    temperature     $.motor.speed     $['odd name']     $.axes[0]     $.axes[-1]     $.axes[*]     $.rows[?@.id=='T1'].value

and one thing more: `json($.payload).temperature` looks into a JSON document that lies as a text in another one.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

__all__ = ["MISSING", "JsonPath", "parse_json"]

MISSING: Final = object()
"""What is not in the document; null is None."""

_LONGEST: Final = 200
_HALF: Final = re.compile(r"\\u[dD][89a-fA-F]")
"""The escape of a surrogate: alone it is no character, and can be written nowhere."""
_STEP: Final = re.compile(
    r"""\.?(?P<name>[^.\[\]()'"\s$?@]+) | \[\s*(?P<index>-?\d+)\s*\] | \[\s*(?P<quote>['"])(?P<quoted>.*?)(?P=quote)\s*\]
      | (?P<each>\.\*|\[\s*\*\s*\])
      | \[\s*\?\s*@\.(?P<key>\w+)\s*==\s*(?:'(?P<text>[^']*)'|(?P<number>-?\d+(?:\.\d+)?|true|false))\s*\]""",
    re.VERBOSE,
)


def parse_json(text: str | bytes) -> Any:
    """Raises ValueError with a short cause, the same for the same kind of flaw: not UTF-8, truncated, a key twice, NaN or
    Infinity, nested too deeply, half a character, a number of thousands of digits."""
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError:
            raise ValueError("not UTF-8") from None
    try:
        document = _DECODER.decode(text)
        if _HALF.search(text):
            json.dumps(document, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError:
        raise ValueError("not JSON") from None
    except UnicodeEncodeError:
        raise ValueError("half a character") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except ValueError as error:  # int() takes no more than some thousand digits, and says how many there were
        raise ValueError("a number that is too long" if "digits" in str(error) else str(error)) from None
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key twice")
    return made


def _no_number(name: str) -> Any:
    raise ValueError(f"{name.removeprefix('-')} is no JSON")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_number)


class JsonPath:
    """One path, parsed once."""

    def __init__(self, text: str) -> None:
        """Raises ValueError for what is no path of this kind."""
        self.text = text.strip()
        self._steps = tuple(_parse(self.text))
        self._plain = all(kind == "name" for kind, *_ in self._steps)

    def find(self, document: Any) -> Any:
        """The first value there, or MISSING."""
        if self._plain:
            for _, name in self._steps:
                if not isinstance(document, dict) or name not in document:
                    return MISSING
                document = document[name]
            return document
        return next(self.all(document), MISSING)

    def all(self, document: Any) -> Iterator[Any]:
        """Every value there, in the document's order."""
        found: list[Any] = [document]
        for step in self._steps:
            found = [below for one in found for below in _below(one, step)]
        return iter(found)

    @property
    def last_name(self) -> str:
        """The last name in it, as `speed` of `$.motor.speed`; empty for none."""
        return next((str(rest[0]) for kind, *rest in reversed(self._steps) if kind == "name"), "")

    @property
    def first_name(self) -> str | None:
        """The field of the outermost object that it begins with; None where it takes all or any."""
        return str(self._steps[0][1]) if self._steps and self._steps[0][0] == "name" else None


def _parse(text: str) -> Iterator[tuple[Any, ...]]:
    rest = text
    if len(text) > _LONGEST:
        raise ValueError("this path is too long")
    if text.startswith("json("):
        inner, end = _balanced(text)
        yield from _parse(inner)
        yield ("json",)
        rest = text[end:]
    elif text.startswith("$"):
        rest = text[1:]
    while rest:
        match = _STEP.match(rest)
        if match is None or not match.group():
            raise ValueError(f"{rest!r} of the path {text!r} is not understood; write as $.name, $['a name'], $[0] or $[*]")
        yield _step(match)
        rest = rest[match.end() :]


def _balanced(text: str) -> tuple[str, int]:
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if sign == ")" and not depth:
            return text[len("json(") : at], at + 1
    raise ValueError(f"a bracket of the path {text!r} is not closed")


def _step(match: re.Match[str]) -> tuple[Any, ...]:
    if match["name"] is not None or match["quoted"] is not None:
        return ("name", match["name"] if match["name"] is not None else match["quoted"])
    if match["index"] is not None:
        return ("index", int(match["index"]))
    if match["each"] is not None:
        return ("each",)
    return ("where", match["key"], match["text"] if match["text"] is not None else json.loads(match["number"]))


def _below(value: Any, step: tuple[Any, ...]) -> list[Any]:
    match step:
        case ("name", name) if isinstance(value, dict):
            return [value[name]] if name in value else []
        case ("index", index) if isinstance(value, list):
            return [value[index]] if -len(value) <= index < len(value) else []
        case ("each",):
            return list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        case ("where", key, wanted) if isinstance(value, list):
            return [one for one in value if isinstance(one, dict) and key in one and one[key] == wanted]
        case ("json",) if isinstance(value, str):
            return [parse_json(value)]
    return []
