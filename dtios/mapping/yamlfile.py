"""YAML files as pydantic models, with errors that name the file and the line."""

import difflib
import types
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dtios.model.errors import ConfigurationError

__all__ = ["line_of", "load_yaml_model", "parse_yaml_model", "read_text"]

_Model = TypeVar("_Model", bound=BaseModel)
_Loc = tuple[int | str, ...]
_SHOWN: Final = 5
_MEND: Final = "correct the file and try again"


def load_yaml_model(path: Path | str, model: type[_Model]) -> _Model:
    """The file as a `model`. Raises ConfigurationError with `where` = `file:line`."""
    return parse_yaml_model(read_text(path), model, str(path))


def read_text(path: Path | str) -> str:
    """A file for people, as text. Raises ConfigurationError."""
    file = Path(path)
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise ConfigurationError("there is no such file", where=str(file), mend="check the name or the directory") from None
    except IsADirectoryError:
        raise ConfigurationError("this is a directory, not a file", where=str(file), mend="name the file in it") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"byte {error.start} is not UTF-8", where=str(file), mend="save the file as UTF-8") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"the file cannot be read: {reason}", where=str(file), mend="check its permissions") from error


def line_of(text: str, place: Sequence[int | str]) -> int:
    """The line of a key in YAML that parses: of the deepest part of `place` that stands there."""
    return _line(_compose(text, ""), tuple(place))


def parse_yaml_model(text: str, model: type[_Model], name: str) -> _Model:
    """`text` as a `model`; `name` stands for the file in errors. An empty file is an empty mapping."""
    node = _compose(text, name)
    data = _construct(node, name) if node is not None else {}
    if not isinstance(data, dict):
        raise ConfigurationError("the file is not a mapping of keys to values", where=f"{name}:1", mend=_MEND)
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise _as_configuration_error(error, model, node, name) from None


class _Loader(yaml.SafeLoader):
    """Safe, and a key that is given twice is an error: the first one would be lost silently."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        if key_node.tag == "tag:yaml.org,2002:merge":
            continue
        key, line = key_node.value, key_node.start_mark.line + 1
        if isinstance(key, str) and key in seen:
            problem = f"`{key}` is given twice, first in line {seen[key]}"
            raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
        if isinstance(key, str):
            seen[key] = line
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


def _compose(text: str, name: str) -> yaml.Node | None:
    loader = _Loader(text) if _printable(text, name) else _Loader("")
    try:
        return loader.get_single_node()
    except yaml.YAMLError as error:
        raise _yaml_error(error, name) from None
    except RecursionError:
        raise ConfigurationError("the file is nested too deeply", where=name, mend=_MEND) from None
    finally:
        loader.dispose()


def _printable(text: str, name: str) -> bool:
    """The reader refuses control characters before it knows lines, so they are looked for here. Raises ConfigurationError."""
    bad = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if bad is None:
        return True
    line = text.count("\n", 0, bad.start()) + 1
    code = f"U+{ord(bad.group()):04X}"
    raise ConfigurationError(f"the character {code} may not stand in YAML", where=f"{name}:{line}", mend="remove it")


def _construct(node: yaml.Node, name: str) -> Any:
    loader = _Loader("")
    try:
        return loader.construct_document(node)
    except yaml.YAMLError as error:
        raise _yaml_error(error, name) from None
    except RecursionError:
        raise ConfigurationError("the file is nested too deeply", where=name, mend=_MEND) from None
    except ValueError as error:  # a scalar that looks like a date or number and is none, as 2024-13-45
        raise ConfigurationError(str(error), where=name, mend="put the value in quotes") from None
    finally:
        loader.dispose()


def _yaml_error(error: yaml.YAMLError, name: str) -> ConfigurationError:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    where = f"{name}:{mark.line + 1}" if mark is not None else name
    problem = getattr(error, "problem", None) or "the file is not YAML"
    context = getattr(error, "context", None)
    message = f"{problem} ({context})" if context else problem
    message = message.replace("character '\\t' that", "a tab, which")
    return ConfigurationError(" ".join(message.split()), where=where, mend="check indentation, colons, quotes and tabs")


def _as_configuration_error(
    error: ValidationError, model: type[BaseModel], node: yaml.Node | None, name: str
) -> ConfigurationError:
    """All mistakes in one sentence, the first with its line in `where`."""
    # Unknown keys first: a misspelt key is the reason why the right one is missing.
    details = sorted(error.errors(include_url=False), key=lambda d: d["type"] != "extra_forbidden")
    lines = [_line(node, d["loc"]) for d in details]
    sentences = [_sentence(d, model) for d in details]
    more = [f"line {line}: {s}" for line, s in zip(lines[1:_SHOWN], sentences[1:_SHOWN], strict=True)]
    if len(details) > _SHOWN:
        more.append(f"and {len(details) - _SHOWN} more")
    message = sentences[0] + (f" (also {', '.join(more)})" if more else "")
    return ConfigurationError(message, where=f"{name}:{lines[0]}", mend=_MEND)


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    loc, kind = detail["loc"], detail["type"]
    path = ".".join(str(part) for part in loc) or "the file"
    if kind == "extra_forbidden":
        known = _keys(model, loc[:-1])
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f", did you mean `{near[0]}`?" if near else f", known are {', '.join(sorted(known))}" if known else ""
        return f"`{path}` is not a known key{hint}"
    if kind == "missing":
        return f"`{path}` is missing"
    reason = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    given = detail["input"]
    shown = f" (it is {given!r})" if isinstance(given, str | int | float | bool | None) and kind != "value_error" else ""
    return f"`{path}`: {reason[:1].lower() + reason[1:]}{shown}"


def _line(node: yaml.Node | None, loc: _Loc) -> int:
    """The line of the deepest part of `loc` that stands in the file (a missing key: that of the mapping it belongs to)."""
    line = node.start_mark.line + 1 if node is not None else 1
    for part in loc:
        found = _below(node, part)
        if found is None:
            continue  # a part that pydantic added: the name of a union's member
        line, node = found
    return line


def _below(node: yaml.Node | None, part: int | str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(part):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        item = node.value[part]
        return item.start_mark.line + 1, item
    return None


def _keys(model: type[BaseModel], loc: _Loc) -> list[str]:
    """The keys that may stand at `loc`, for a suggestion; empty where that cannot be told."""
    kinds: list[Any] = [model]
    for part in loc:
        kinds = [below for kind in kinds for below in _step(kind, part)] or kinds
    models = [k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel)]
    return sorted({field.alias or name for m in models for name, field in m.model_fields.items()})


def _step(kind: Any, part: int | str) -> list[Any]:
    """The types that a value at `part` of a `kind` may have, unions opened."""
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        found = [f.annotation for name, f in kind.model_fields.items() if part in (name, f.alias)]
        return _open(found[0]) if found else []
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is not None and isinstance(origin, type) and arguments:
        return _open(arguments[-1] if issubclass(origin, typing.Mapping) else arguments[0])
    return []


def _open(kind: Any) -> list[Any]:
    if get_origin(kind) is typing.Annotated:
        return _open(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [below for member in get_args(kind) for below in _open(member)]
    return [kind]
