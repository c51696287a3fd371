"""What a machine had and has no longer stays described, as gone: who knows its path hears that, and hears when it is back."""

from dataclasses import replace
from typing import Final

from dtios.mapping.mapped import MappedMachine

__all__ = ["MOST_GONE", "all_gone", "with_gone"]

MOST_GONE: Final = 1000
"""Signals of one machine; of a machine that makes nodes and drops them all day the older ones are forgotten."""


def with_gone(before: MappedMachine, now: MappedMachine) -> MappedMachine:
    """`now` with the signals of `before` that are missing in it. One that has another path now is not missing."""
    described = {wiring.address for wiring in now.signals.values()}
    missing = [s for s in before.machine.signals if s.path not in now.signals and s.address not in described]
    if not missing:
        return now
    newest_first = missing[:MOST_GONE]  # those that went now stand before those that went earlier
    gone = tuple(signal if signal.gone else replace(signal, gone=True) for signal in newest_first)
    note = (f"and {len(missing) - MOST_GONE} signals that are gone",) if len(missing) > MOST_GONE else ()
    machine = replace(now.machine, signals=(*now.machine.signals, *gone), notes=(*now.machine.notes, *note))
    return replace(now, machine=machine, signals={**now.signals, **{one.path: before.signals[one.path] for one in gone}})


def all_gone(before: MappedMachine) -> MappedMachine:
    """The machine itself is not there any more."""
    return with_gone(before, replace(before, machine=replace(before.machine, signals=()), signals={}))
