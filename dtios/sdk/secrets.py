"""Passwords and private keys in settings: where they come from is written down, what they are is not.

    password: {env: PRESS_PASSWORD}         a variable of the runtime's environment
    password: {file: /run/secrets/press}    a file's text, without the line's end
    password: {keyring: dtios/anna}         the system's keyring: SERVICE/USER (needs `pip install dtios[keyring]`)

The value is fetched when it is needed and kept nowhere. A plain value is taken only from code and from who typed it just now.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

from pydantic import GetCoreSchemaHandler, SecretStr, ValidationInfo
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from dtios.sdk.errors import ConfigurationError

__all__ = ["PLAIN", "TYPED", "Secret", "is_plain_secret", "with_folder"]

Source = Literal["env", "file", "keyring", "typed"]

TYPED: Final = {"typed": True}
"""The pydantic validation context for settings that a person typed just now: a plain value is taken then."""

PLAIN: Final = (
    "a secret does not stand in a file or a message in clear: put it into a file of its own and write `{file: PATH}`,"
    " or `{env: NAME}`, or `{keyring: SERVICE/USER}`"
)
_LARGEST: Final = 64 * 1024


class Secret:
    """A secret by its source. Neither `str` nor `repr`, nor any form of pydantic's shows its value."""

    __slots__ = ("_name", "_source")

    def __init__(self, source: Source, name: str) -> None:
        self._source: Source = source
        self._name = name

    @classmethod
    def typed(cls, value: str) -> "Secret":
        """One that a person gave just now; it lives as long as this object."""
        return cls("typed", value)

    @property
    def origin(self) -> str:
        """Where it comes from, for a person."""
        return "typed" if self._source == "typed" else f"{self._source} {self._name}"

    def __repr__(self) -> str:
        return f"Secret({self.origin})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and (self._source, self._name) == (other._source, other._name)

    def __hash__(self) -> int:
        return hash((self._source, self._name))

    def __reduce__(self) -> Any:
        """Pickled and copied only as long as that spreads no value."""
        if self._source == "typed":
            raise TypeError("a secret that was typed is not copied")
        return Secret, (self._source, self._name)

    def __copy__(self) -> "Secret":
        return self

    def __deepcopy__(self, memo: object) -> "Secret":
        return self

    def resolve(self) -> str:
        """The value, now. May block (a file, a keyring): call it in a thread. Raises ConfigurationError."""
        if self._source != "file":
            return self.resolve_bytes().decode("utf-8")
        try:
            return self.resolve_bytes().decode("utf-8").removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise ConfigurationError("this is no text in UTF-8", where=self._name, mend="save the secret as UTF-8") from None

    def resolve_bytes(self) -> bytes:
        """As `resolve`; of a file every byte of it (a key in DER)."""
        match self._source:
            case "file":
                return _from_file(self._name)
            case "env":
                return _from_environment(self._name).encode("utf-8")
            case "keyring":
                return _from_keyring(self._name).encode("utf-8")
        return self._name.encode("utf-8")

    def to_json(self) -> dict[str, str]:
        """As it is written in a configuration; of one that was typed only that."""
        return {"typed": "***"} if self._source == "typed" else {self._source: self._name}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_plain_validator_function(
            cls._validated, serialization=core_schema.plain_serializer_function_ser_schema(cls.to_json)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        text = {"type": "string", "minLength": 1}
        return {
            "description": "where a secret comes from", "type": "object", "minProperties": 1, "maxProperties": 1,
            "properties": {"env": text, "file": text, "keyring": text}, "additionalProperties": False,
        }  # fmt: skip

    @classmethod
    def _validated(cls, value: Any, info: ValidationInfo) -> "Secret":
        if isinstance(value, Secret):
            return value
        if isinstance(value, SecretStr):
            return cls.typed(value.get_secret_value())
        if isinstance(value, str) and (info.context or {}).get("typed"):
            return cls.typed(value)
        if isinstance(value, Mapping):
            return cls._from_mapping(value)
        raise PydanticCustomError("secret", PLAIN)  # the value must not be in the message

    @classmethod
    def _from_mapping(cls, value: Mapping[Any, Any]) -> "Secret":
        items = list(value.items())
        if len(items) != 1 or items[0][0] not in ("env", "file", "keyring") or not (isinstance(items[0][1], str) and items[0][1]):
            raise PydanticCustomError("secret", "a secret has one of the keys `env`, `file`, `keyring`, and a text")
        source, name = items[0]
        if source == "keyring" and not all(name.partition("/")):
            raise PydanticCustomError("secret", "a keyring's entry is written SERVICE/USER")
        return cls(cast(Source, source), name)


def is_plain_secret(key: str, value: Any) -> bool:
    """True for a key that is a secret by its name, whose value stands there in clear."""
    named = key == "password" or key.endswith(("_password", "_secret", "_token", "_key"))
    return named and isinstance(value, str | int | float)


def with_folder(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings with each `{file: PATH}` counted from `folder`."""
    return {
        key: {"file": str(folder / Path(value["file"]).expanduser())}
        if isinstance(value, Mapping) and value.keys() == {"file"} and isinstance(value["file"], str)
        else value
        for key, value in settings.items()
    }


def _from_environment(name: str) -> str:
    value = os.environ.get(name)
    if value is None:
        raise ConfigurationError(
            "this variable is not set where the runtime runs", where=f"${name}", mend="set it, or name another source"
        )
    return value


def _from_file(name: str) -> bytes:
    path = Path(name).expanduser()
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(
            f"the secret cannot be read: {reason}", where=name, mend="check the file and its owner"
        ) from None
    if len(data) > _LARGEST:
        raise ConfigurationError("this is too large for a secret", where=name, mend="name the right file")
    return data


def _from_keyring(name: str) -> str:
    service, _, user = name.partition("/")
    try:
        import keyring
    except ImportError:
        raise ConfigurationError(
            "the keyring's library is not installed", where=f"keyring {name}", mend="pip install 'dtios[keyring]'"
        ) from None
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.KeyringError as error:
        reason = type(error).__name__
        raise ConfigurationError(
            f"the keyring cannot be asked ({reason})", where=f"keyring {name}", mend="unlock it, or name another source"
        ) from None
    if value is None:
        raise ConfigurationError(
            "the keyring has no such entry", where=f"keyring {name}", mend=f"keyring set '{service}' '{user}'"
        )
    return str(value)
