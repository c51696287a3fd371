"""How the embedded broker is called in a configuration, and what that name stands for while a runtime runs.

Machines, profiles' facts and jobs are kept under the name: the port may be another one at each start.
"""

from collections.abc import Mapping
from typing import Any, Final

from dtios.model.errors import ConfigurationError

__all__ = ["EMBEDDED", "is_embedded", "resolve", "resolved", "stand_in"]

EMBEDDED: Final = "mqtt:embedded"


def is_embedded(url: str) -> bool:
    return url.rstrip("/").lower() == EMBEDDED


def resolve(url: str, broker: str | None) -> str:
    """The address to connect to. `broker`: where the embedded broker is, None if there is none. Raises ConfigurationError."""
    if not is_embedded(url):
        return url
    if broker is None:
        raise ConfigurationError("there is no embedded broker here", where=url, mend="write `broker: embedded` into dtios.yaml")
    return broker


def stand_in(url: str, *, embedded: bool) -> str:
    """An address to check, where nothing is connected to yet and the embedded broker is nowhere. Raises ConfigurationError."""
    return resolve(url, "mqtt://127.0.0.1" if embedded else None)


def resolved(config: Any, broker: str | None) -> Any:
    """An app's or publisher's configuration with the address wherever its name stands. Raises ConfigurationError."""
    match config:
        case str():
            return resolve(config, broker)
        case Mapping():
            return {key: resolved(value, broker) for key, value in config.items()}
        case list():
            return [resolved(value, broker) for value in config]
    return config
