"""What a changed configuration touches, and how: made by `difference`, shown to a person, and followed to the letter."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dtios.runtime.configuration.setup import HostedSetup, Key, LinkSetup

__all__ = ["Change", "Effect", "LinkChange", "Plan"]

Effect = Literal[
    "at once",
    "connected",
    "disconnected",
    "connection made anew",
    "described anew",
    "signals subscribed anew",
    "started",
    "stopped",
    "restarted",
]
"""`described anew`: from the facts that are held, with nothing asked of the machine."""


@dataclass(frozen=True, slots=True)
class Change:
    """One line for a person. `keys` are those that changed; none: it is touched by what another shares with it (`why`)."""

    kind: Literal["machine", "app", "publisher"]
    name: str
    change: Literal["added", "removed", "renamed", "changed"]
    keys: tuple[str, ...] = ()
    effects: tuple[Effect, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class LinkChange:
    """A connection that goes on. `key` is what it is known by so far, `setup` what it shall be.

    `told`: other settings that the connection takes as it stands; `reconnects`: such that it has to be made anew. `profiles`: its
    machines are mapped anew. `secrets`: the file of a secret says something else.
    """

    key: Key
    setup: LinkSetup
    told: bool = False
    reconnects: bool = False
    profiles: bool = False
    secrets: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """`renamed` are machines, old name -> new; `restarted`, `stopped` and `started` are apps and publishers."""

    opened: Mapping[Key, LinkSetup] = field(default_factory=dict)
    closed: tuple[Key, ...] = ()
    changed: tuple[LinkChange, ...] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    started: Mapping[str, HostedSetup] = field(default_factory=dict)
    stopped: tuple[str, ...] = ()
    restarted: Mapping[str, HostedSetup] = field(default_factory=dict)
    adjusted: Mapping[str, HostedSetup] = field(default_factory=dict)
    """Apps that go on under other grants or limits."""
    changes: tuple[Change, ...] = ()

    @property
    def empty(self) -> bool:
        return not self.changes
