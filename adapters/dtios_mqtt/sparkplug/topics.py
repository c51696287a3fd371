"""Sparkplug's topic namespace: `spBv1.0/GROUP/TYPE/NODE[/DEVICE]` and `spBv1.0/STATE/HOST` (chapter 4)."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

__all__ = ["EVERYTHING", "Topic", "parse_topic", "state_topic"]

EVERYTHING: Final = "spBv1.0/#"
_NODE: Final = frozenset({"NBIRTH", "NDEATH", "NDATA", "NCMD"})
_DEVICE: Final = frozenset({"DBIRTH", "DDEATH", "DDATA", "DCMD"})


@dataclass(frozen=True, slots=True)
class Topic:
    """`device` is empty for messages of the edge node itself; for STATE `node` is the host's id and `group` is empty."""

    kind: str
    group: str
    node: str
    device: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The edge node's descriptor: group and node."""
        return self.group, self.node

    @property
    def text(self) -> str:
        return f"spBv1.0/{self.group}/{self.kind}/{self.node}" + (f"/{self.device}" if self.device else "")


def state_topic(host: str) -> str:
    return f"spBv1.0/STATE/{host}"


_LONGEST: Final = 1_000
"""Characters of a topic that is remembered."""


def parse_topic(text: str) -> Topic | None:
    """None for a topic that is not Sparkplug's."""
    return _known(text) if len(text) <= _LONGEST else _parsed(text)


def _parsed(text: str) -> Topic | None:
    parts = text.split("/")
    if parts[0] != "spBv1.0" or not all(parts):
        return None
    match parts[1:]:
        case ["STATE", host]:
            return Topic("STATE", "", host)
        case [group, kind, node] if kind in _NODE:
            return Topic(kind, group, node)
        case [group, kind, node, device] if kind in _DEVICE:
            return Topic(kind, group, node, device)
    return None


_known: Final = lru_cache(maxsize=20_000)(_parsed)
