"""Reading one profile from YAML, with errors that name the file and the line."""

from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from dtios.mapping.profile import Profile
from dtios.model.errors import ConfigurationError

__all__ = ["parse_profile", "read_profile"]

_MEND: Final = "correct the profile and try again"
_DISCRIMINATORS: Final = frozenset({"method", "job_order", "packml"})


def read_profile(path: Path) -> Profile:
    """Raises ConfigurationError with `where` = `file:line`."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8"
        raise ConfigurationError(
            f"the profile cannot be read: {reason}", where=str(path), mend="check the name of the file"
        ) from None
    return parse_profile(text, str(path))


def parse_profile(text: str, name: str) -> Profile:
    """`name` stands for the file in errors."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = name if mark is None else f"{name}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or "the text is not YAML"
        raise ConfigurationError(str(problem), where=where, mend=_MEND) from None
    except (RecursionError, ValueError) as error:
        raise ConfigurationError(f"the text is not YAML: {error}", where=name, mend=_MEND) from None
    if not isinstance(data, dict):
        raise ConfigurationError("a profile is a mapping of keys to values", where=f"{name}:1", mend="begin with `profile: NAME`")
    try:
        return Profile.model_validate(data)
    except ValidationError as error:
        raise _as_configuration_error(error.errors(include_url=False), node, name) from None


def _as_configuration_error(details: list[ErrorDetails], node: yaml.Node | None, name: str) -> ConfigurationError:
    first = details[0]
    loc = tuple(part for part in first["loc"] if part not in _DISCRIMINATORS)
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    message = first["msg"].removeprefix("Value error, ")
    if first["type"] == "extra_forbidden":
        message = "a profile has no such key"
    elif first["type"] == "missing":
        message = "this key is missing"
    where = ".".join(str(part) for part in loc) or "profile"
    return ConfigurationError(f"{where}: {message}{more}", where=f"{name}:{_line(node, loc)}", mend=_MEND)


def _line(node: yaml.Node | None, loc: tuple[Any, ...]) -> int:
    """The line of the deepest part of `loc` that the file has."""
    line = node.start_mark.line if node is not None else 0
    for part in loc:
        below = _below(node, part)
        if below is None:
            break
        key, node = below
        line = key.start_mark.line
    return line + 1


def _below(node: yaml.Node | None, part: Any) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        return next(((key, value) for key, value in node.value if key.value == str(part)), None)
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None
