"""Sampling and dead bands as dtios.yaml wants them, except where a change that is not told could do harm."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from dtios.mapping.mapped import MappedMachine, MappedSignal
from dtios.mapping.observing import ObserveRule
from dtios.runtime.configuration.config import MachineSettings
from dtios.sdk.patterns import is_pattern, path_matches

__all__ = ["observed"]


def observed(mapped: MappedMachine, settings: MachineSettings) -> MappedMachine:
    """The machine with its signals observed as configured: a path goes before patterns, of those the first that fits.

    The signal of an interlock, and one that tells the machine's state, is always told whole and as fast as it is published:
    a command must not pass on a value that changed unnoticed. What is left out so, and what fits no signal, is a note.
    """
    rules = settings.signals
    signals = {path: _by_rules(path, wiring, rules) for path, wiring in mapped.signals.items()} if rules else mapped.signals
    whole = [path for path in _guarding(mapped, settings) if path in signals]
    notes = [
        f"{path} guards commands or tells the state: all of it is told, its {' and '.join(_coarse(signals[path]))} left out"
        for path in whole
        if _coarse(signals[path])
    ]
    signals = {**signals, **{path: replace(signals[path], sampling=None, dead_band=None) for path in whole}}
    notes += [_unknown(path, signals) for path in rules if not any(path_matches(one, [path]) for one in signals)]
    machine = replace(mapped.machine, notes=(*mapped.machine.notes, *notes)) if notes else mapped.machine
    return replace(mapped, machine=machine, signals=signals)


def _by_rules(path: str, wiring: MappedSignal, rules: Mapping[str, ObserveRule]) -> MappedSignal:
    rule = rules.get(path) or next(
        (rule for name, rule in rules.items() if is_pattern(name) and path_matches(path, [name])), None
    )
    return wiring if rule is None else wiring.observed(rule)


def _guarding(mapped: MappedMachine, settings: MachineSettings) -> list[str]:
    states = (point for point in (mapped.state, mapped.unit_mode) if point is not None)
    return list(dict.fromkeys([*(lock.signal for lock in settings.interlocks), *(p for point in states for p in point.signals)]))


def _coarse(wiring: MappedSignal) -> list[str]:
    named = {"sampling": wiring.sampling, "dead band": wiring.dead_band}
    return [name for name, value in named.items() if value is not None]


def _unknown(path: str, signals: Mapping[str, MappedSignal]) -> str:
    close = [] if is_pattern(path) else get_close_matches(path, list(signals), n=1, cutoff=0.5)
    meant = f", did you mean {close[0]}?" if close else ""
    return f"dtios.yaml observes {path}, and no signal here fits{meant}"
