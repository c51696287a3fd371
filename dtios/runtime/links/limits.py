"""Whether envelope and interlocks of a configuration fit a described machine: what guards nothing must not pass silently."""

from collections.abc import Iterator

from dtios.model.errors import ConfigurationError, DtiosError
from dtios.model.machine import Machine
from dtios.runtime.configuration.config import MachineSettings
from dtios.runtime.links.machines import skill_among, unknown

__all__ = ["Fault", "limit_faults"]

Fault = tuple[tuple[int | str, ...], DtiosError]
"""Keys in dtios.yaml, and what is wrong there; what is only wrong for now is a TemporaryError."""


def limit_faults(machine: Machine, settings: MachineSettings) -> Iterator[Fault]:
    """What is named and not there. Keys are those below the machine's."""
    signals = {signal.path: signal for signal in machine.signals}
    skills = {skill.path: skill for skill in machine.skills}

    def signal(path: str, *place: int | str) -> Iterator[Fault]:
        if path not in signals:
            yield place, unknown("signal", path, signals, machine.name)

    def skill(path: str, parameters: list[str], *place: int | str) -> Iterator[Fault]:
        try:
            known = skill_among(skills, path, machine.name).parameters
        except ConfigurationError as error:
            yield place, error
            return
        properties = known.get("properties", {})
        for name in parameters:
            if name not in properties and not known.get("additionalProperties"):
                yield (*place, name), unknown("parameter", name, properties, f"{machine.name} {path}")

    for path in settings.envelope.signals:
        yield from signal(path, "envelope", "signals", path)
    for path, limits in settings.envelope.skills.items():
        yield from skill(path, list(limits), "envelope", "skills", path)
    for index, interlock in enumerate(settings.interlocks):
        yield from signal(interlock.signal, "interlocks", index, "signal")
        for path in interlock.skills:
            yield from skill(path, [], "interlocks", index, "skills")
        for path in interlock.writes:
            yield from signal(path, "interlocks", index, "writes")
