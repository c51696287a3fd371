"""From two setups to the plan that makes one of the other and touches nothing else. Pure: no I/O, no clock, no order of calls."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from dtios.model.errors import ConfigurationError
from dtios.runtime.configuration.config import MachineSettings
from dtios.runtime.configuration.plan import Change, Effect, LinkChange, Plan
from dtios.runtime.configuration.setup import HostedSetup, Key, LinkSetup, Setup

__all__ = ["difference"]

_IN_PLACE = frozenset({"envelope", "interlocks", "on_owner_lost"})
_ADJUSTED = frozenset({"grants", "memory", "unresponsive_after"})
"""What of an app takes effect while it goes on; anything else restarts it."""


def difference(old: Setup, new: Setup) -> Plan:
    """Raises ConfigurationError for what cannot change while it runs."""
    if old.config.state != new.config.state:
        raise ConfigurationError(
            f"the state directory cannot change while the runtime runs (it is {old.config.state or 'the default'})",
            where="state",
            mend="put the old one back, or end the runtime and start it again",
        )
    if old.config.broker != new.config.broker:
        raise ConfigurationError(
            "the embedded broker cannot change while the runtime runs",
            where="broker",
            mend="put the old one back, or end the runtime and start it again",
        )
    moved = _same_links(old.links, new.links)
    changed = tuple(_link_changes(old.links, new.links, moved))
    renamed = _renamed(old.links, new.links, moved)
    hosted = _hosted(old.hosted, new.hosted)
    return Plan(
        opened={key: link for key, link in new.links.items() if key not in moved.values()},
        closed=tuple(key for key in old.links if key not in moved),
        changed=changed,
        renamed=renamed,
        started={name: new.hosted[name] for name in new.hosted if name not in old.hosted},
        stopped=tuple(name for name in old.hosted if name not in new.hosted),
        restarted={name: new.hosted[name] for name, keys in hosted.items() if keys - _ADJUSTED},
        adjusted={name: new.hosted[name] for name, keys in hosted.items() if keys and not keys - _ADJUSTED},
        changes=(*_machine_changes(old, new, renamed, changed, moved), *_hosted_changes(old, new, hosted)),
    )


# --- links -------------------------------------------------------------------------------------------------------------------


def _same_links(old: Mapping[Key, LinkSetup], new: Mapping[Key, LinkSetup]) -> dict[Key, Key]:
    """Old key -> new key of the links that go on. Another user at the same URL is the same link under other credentials, where
    a machine of it says so; what another adapter found means nothing to this one."""
    same = {key: key for key in old if key in new and old[key].adapter == new[key].adapter}
    for key, link in old.items():
        for other, wanted in new.items():
            free = key not in same and other not in same.values() and link.adapter == wanted.adapter
            if free and key[0] == other[0] and not link.machines.keys().isdisjoint(wanted.machines):
                same[key] = other
    return same


def _link_changes(old: Mapping[Key, LinkSetup], new: Mapping[Key, LinkSetup], same: Mapping[Key, Key]) -> Iterator[LinkChange]:
    for key, other in same.items():
        before, after = old[key], new[other]
        keys = _keys(before.settings, after.settings)
        secrets = before.secrets != after.secrets
        reconnects = secrets or not after.live.issuperset(keys)
        profiles = not _say_the_same(before, after)
        if keys or reconnects or profiles or dict(before.machines) != dict(after.machines):
            yield LinkChange(key, after, bool(keys) and not reconnects, reconnects, profiles, secrets)


def _say_the_same(before: LinkSetup, after: LinkSetup) -> bool:
    return before.profiles is after.profiles or list(before.profiles) == list(after.profiles)


# --- machines ----------------------------------------------------------------------------------------------------------------


def _renamed(old: Mapping[Key, LinkSetup], new: Mapping[Key, LinkSetup], same: Mapping[Key, Key]) -> dict[str, str]:
    """A name that went and one that came, for the same machine behind a link: the one that `machine` selects, or the only one."""
    renamed: dict[str, str] = {}
    for key, other in same.items():
        before, after = old[key].machines, new[other].machines
        gone = {name: settings for name, settings in before.items() if name not in after}
        come = {name: settings for name, settings in after.items() if name not in before}
        for name, settings in gone.items():
            alone = settings.machine is None and len(before) == len(after) == 1
            fitting = [n for n, s in come.items() if s.machine == settings.machine and (alone or settings.machine is not None)]
            if len(fitting) == 1:
                renamed[name] = fitting[0]
    return renamed


def _machine_changes(
    old: Setup, new: Setup, renamed: Mapping[str, str], changed: tuple[LinkChange, ...], same: Mapping[Key, Key]
) -> Iterator[Change]:
    before, after = _by_machine(old), _by_machine(new)
    links = {change.setup.key: change for change in changed}
    for name, (key, _) in before.items():
        if name not in after and name not in renamed:
            yield Change("machine", name, "removed", (), ("at once",) if key in same else ("disconnected",))
    former = {new_name: name for name, new_name in renamed.items()}
    for name, (key, settings) in after.items():
        earlier = former.get(name, name)
        if earlier not in before:
            yield Change("machine", name, "added", (), ("at once",) if key in same.values() else ("connected",))
            continue
        was, had = before[earlier]
        yield from _changed_machine(name, earlier, _keys(had, settings), links.get(key), moved=same.get(was) != key)


def _changed_machine(name: str, earlier: str, keys: tuple[str, ...], link: LinkChange | None, *, moved: bool) -> Iterator[Change]:
    effects: tuple[Effect, ...] = ("disconnected", "connected") if moved else _effects(keys, link)
    why = f"it was {earlier}" if name != earlier else ""
    if link is not None and not keys and effects and not why:
        why = "what its profile files say" if link.profiles and not link.reconnects else "what it shares with others"
        why = "what the file of a secret says" if link.secrets else why
    if name != earlier or keys or effects:
        yield Change("machine", name, "changed" if name == earlier else "renamed", keys, effects or ("at once",), why)


def _effects(keys: tuple[str, ...], link: LinkChange | None) -> tuple[Effect, ...]:
    if link is None:
        return ()
    effects: list[Effect] = []
    if link.reconnects:
        effects.append("connection made anew")
    if link.profiles or "machine" in keys:
        effects.append("described anew")
    if "signals" in keys:
        effects.append("signals subscribed anew")
    if _IN_PLACE & set(keys) or link.told:
        effects.append("at once")
    return tuple(effects)


def _by_machine(setup: Setup) -> dict[str, tuple[Key, MachineSettings]]:
    """In the configuration's order."""
    found = {name: (key, settings) for key, link in setup.links.items() for name, settings in link.machines.items()}
    return {name: found[name] for name in (*setup.config.machines, *found) if name in found}


def _keys(before: BaseModel, after: BaseModel) -> tuple[str, ...]:
    names = {**type(before).model_fields, **type(after).model_fields}
    return tuple(key for key in names if getattr(before, key, None) != getattr(after, key, None))


# --- apps and publishers -----------------------------------------------------------------------------------------------------


def _hosted(old: Mapping[str, HostedSetup], new: Mapping[str, HostedSetup]) -> dict[str, frozenset[str]]:
    """name -> the keys that changed, of those that are in both."""
    found: dict[str, frozenset[str]] = {}
    for name in new:
        if name in old:
            before, after = old[name], new[name]
            keys = set(_keys(before.settings, after.settings)) - {"app"}
            if (before.kind, before.plugin) != (after.kind, after.plugin):
                keys.add(after.kind)
            found[name] = frozenset(keys)
    return found


def _hosted_changes(old: Setup, new: Setup, changed: Mapping[str, frozenset[str]]) -> Iterator[Change]:
    for name, gone in old.hosted.items():
        if name not in new.hosted:
            yield Change(gone.kind, name, "removed", (), ("stopped",))
    for name, setup in new.hosted.items():
        if name not in old.hosted:
            yield Change(setup.kind, name, "added", (), ("started",))
        elif keys := changed[name]:
            named = tuple(sorted("machines" if setup.kind == "publisher" and key == "grants" else key for key in keys))
            yield Change(setup.kind, name, "changed", named, ("restarted",) if keys - _ADJUSTED else ("at once",))
