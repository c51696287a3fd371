"""Where in the namespace things are."""

import re
from typing import Final

from dtios.model.errors import ConfigurationError
from dtios_mqtt.north.namespace.settings import JsonConfig

__all__ = ["Namespace"]

_NAMES: Final = ("enterprise", "site", "area", "line")
_UNFIT: Final = re.compile(r"[/+#%\x00-\x1f\x7f]|^\$")
"""A level is one level and no wildcard; a topic that begins with $ is the broker's own (MQTT 5, 4.7.2)."""
_LONGEST: Final = 65_535

PRESENCE: Final = "_publisher"


def _level(name: str) -> str:
    """As a level of a topic: what does not fit is percent-encoded."""
    return _UNFIT.sub(lambda found: f"%{ord(found[0]):02X}", name)


class Namespace:
    """Topics of one publisher."""

    def __init__(self, config: JsonConfig) -> None:
        self._config = config

    @property
    def presence(self) -> str:
        """Whether the publisher is there."""
        return "/".join([*self._common(), PRESENCE])

    def machine(self, name: str) -> str:
        """What a machine's topics begin with. Raises ConfigurationError where that is longer than a topic may be."""
        own = self._config.machines.get(name)
        levels = [getattr(own, level, None) or getattr(self._config, level) for level in _NAMES]
        machine = (None if own is None else own.machine) or name
        topic = "/".join([*(_level(level) for level in levels if level), _level(machine)])
        if len(topic.encode()) > _LONGEST - 20:
            raise ConfigurationError("the topic is too long", where=f"machine {name}", mend="give shorter levels")
        return topic

    def _common(self) -> list[str]:
        levels = (getattr(self._config, level) for level in _NAMES)
        return [_level(level) for level in levels if level]
