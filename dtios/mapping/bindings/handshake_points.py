"""What a handshake touches: the bits of a PLC's function, what they say together, and in which order ours are given."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from dtios.mapping.bindings.flags import Flag, Readings, Switch
from dtios.mapping.bindings.variables import ResultPoint, WritePoint, Written
from dtios.mapping.points import Points
from dtios.model.job import JobVerb
from dtios.model.values import DataValue

__all__ = ["Handshake", "Seen"]

VERBS: Final = (JobVerb.STOP, JobVerb.ABORT, JobVerb.PAUSE)


@dataclass(frozen=True, slots=True)
class Handshake:
    """`trigger_until`: what lets us take the trigger back; `machine`: it does so itself. `start_within`: seconds from the trigger
    to the first answer, from the fall of busy to done, and from our last bit to the fall of done. `done_within`: seconds of work,
    None for as long as it takes.
    """

    trigger: Switch
    busy: Flag | None = None
    done: Flag | None = None
    error: Flag | None = None
    paused: Flag | None = None
    ready: Flag | None = None
    error_code: WritePoint | None = None
    error_texts: Mapping[int | str, str] = field(default_factory=dict)
    acknowledge: Switch | None = None
    reset: Switch | None = None
    verbs: Mapping[JobVerb, Switch] = field(default_factory=dict)
    trigger_until: Literal["busy", "done", "machine"] = "done"
    start_within: float = 5.0
    done_within: float | None = None
    reset_before_start: bool = False
    parameters: Sequence[Written] = ()
    results: Sequence[ResultPoint] = ()

    @property
    def flags(self) -> dict[str, Flag]:
        """All that is watched, by its role."""
        read = {"busy": self.busy, "done": self.done, "error": self.error, "paused": self.paused, "ready": self.ready}
        written = {"trigger": self.trigger, "acknowledge": self.acknowledge}
        written |= {verb.value: switch for verb, switch in self.verbs.items()}
        flags = {name: flag for name, flag in read.items() if flag is not None}
        return flags | {name: switch.flag for name, switch in written.items() if switch is not None}

    @property
    def addresses(self) -> list[str]:
        return list(dict.fromkeys(flag.address for flag in self.flags.values()))


class Seen:
    """The latest readings of all bits, and what they say."""

    def __init__(self, plan: Handshake, readings: Readings = {}) -> None:  # noqa: B006  # it is only read
        self._plan = plan
        self._readings: dict[str, DataValue] = dict(readings)

    @classmethod
    async def now(cls, plan: Handshake, points: Points) -> "Seen":
        addresses = plan.addresses
        return cls(plan, dict(zip(addresses, await points.read(addresses), strict=True)))

    def take(self, address: str, reading: DataValue) -> None:
        self._readings[address] = reading

    @property
    def silent(self) -> list[str]:
        """Roles of the bits that do not tell. One that is only written may keep silent."""
        written = {"acknowledge", *(v.value for v in VERBS)}
        return [name for name, flag in self._plan.flags.items() if name not in written and flag.value(self._readings) is None]

    def status(self, role: str) -> str:
        reading = self._readings.get(self._plan.flags[role].address)
        return "nothing" if reading is None else reading.status_name

    @property
    def count(self) -> Any:
        """What done counts, where it is a counter."""
        done = self._plan.done
        return done.value(self._readings) if done is not None and done.counts else None

    def up(self, role: str) -> bool:
        """A bit that is not there or does not tell is not up."""
        plan = self._plan
        if role == "trigger":
            return plan.trigger.up(self._readings) is True
        if role in (v.value for v in VERBS):
            switch = plan.verbs.get(JobVerb(role))
            return switch is not None and switch.up(self._readings) is True
        if role == "acknowledge":
            return plan.acknowledge is not None and plan.acknowledge.up(self._readings) is True
        flag = plan.flags.get(role)
        return flag is not None and flag.up(self._readings) is True

    @property
    def standing(self) -> bool:
        """Whether it is paused: as it says, else as it was asked."""
        return self.up("paused") if self._plan.paused is not None else self.up("pause")

    def obstacles(self) -> Iterator[tuple[str, str]]:
        """(what keeps a start back, what mends it)."""
        plan = self._plan
        for role in self.silent:
            yield f"{role} does not tell ({self.status(role)})", "wait until the machine tells it, or look at it"
        if self.up("busy"):
            yield "it is busy", "wait for its end"
        if self.up("trigger"):
            yield "its trigger is up already, so somebody has started it or an end was not seen", "look at it, and take it back"
        if self.up("done") and plan.done is not None and not (plan.done.counts or plan.done.stays):
            yield "done is still up from the last time", "it must fall first; look at the machine, or acknowledge it there"
        if self.up("error"):
            yield "error is up", "look at the machine, and reset it"
        if plan.ready is not None and not self.up("ready"):
            yield "it is not ready", "make it ready"
        for verb in plan.verbs:
            if self.up(verb.value):
                yield f"{verb.value} is still up", "take it back"
