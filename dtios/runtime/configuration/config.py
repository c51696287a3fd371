"""`dtios.yaml`: what runs here. Checked whole before anything starts."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from dtios.mapping.observing import ObserveRule
from dtios.mapping.yamlfile import load_yaml_model, parse_yaml_model
from dtios.model.condition import ConditionVerb
from dtios.model.machine import OnOwnerLost, Range
from dtios.sdk.secrets import PLAIN, is_plain_secret, with_folder

__all__ = [
    "AppSettings",
    "BrokerSettings",
    "Envelope",
    "Grant",
    "Interlock",
    "MachineSettings",
    "PublisherSettings",
    "RuntimeConfig",
    "load_config",
    "parse_config",
    "rooted",
]

Name = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\s/:][^\s/:]*$")]
Limits = tuple[float, float]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Envelope(_Strict):
    """The integrator's limits, in canonical units, narrower than the machine's own: path -> [low, high].

    `signals` limits what is written to a signal, also by a skill that writes that very point. A method that sets the same
    quantity on the machine (PackML's SetMachSpeed beside Status/MachSpeed) is another way in: limit its parameter in `skills`.
    """

    signals: dict[str, Limits] = {}
    skills: dict[str, dict[str, Limits]] = {}

    @model_validator(mode="after")
    def _ordered(self) -> "Envelope":
        every = [*self.signals.items(), *((f"{s}.{p}", r) for s, ps in self.skills.items() for p, r in ps.items())]
        for path, (low, high) in every:
            if not low <= high:
                raise ValueError(f"the envelope of {path} is [{low}, {high}]: the lower limit comes first")
        return self

    def signal(self, path: str) -> Range | None:
        limits = self.signals.get(path)
        return None if limits is None else Range(*limits)


class Interlock(_Strict):
    """A condition over a signal that must hold for a command. Not Good, or older than `max_age` seconds, refuses.

    It guards the named `skills` and `writes` (signal paths), or everything on the machine where neither is named.
    """

    signal: str
    equals: bool | int | float | str | None = None
    not_equals: bool | int | float | str | None = None
    above: float | None = None
    below: float | None = None
    one_of: list[bool | int | float | str] | None = Field(None, alias="in")
    max_age: float = Field(5.0, gt=0)
    skills: list[str] = []
    writes: list[str] = []
    message: str = ""

    @model_validator(mode="after")
    def _says_something(self) -> "Interlock":
        if all(v is None for v in (self.equals, self.not_equals, self.above, self.below, self.one_of)):
            raise ValueError("an interlock needs one of equals, not_equals, above, below, in")
        return self


class MachineSettings(_Strict):
    """One machine: where it is, what it is called here, and what may be done to it."""

    endpoint: str
    machine: str | None = Field(None, description="which one, where several stand behind the endpoint: name, path or identity")
    adapter: str | None = None
    settings: dict[str, Any] = {}
    profiles: list[Path] = []
    envelope: Envelope = Envelope()
    interlocks: list[Interlock] = []
    signals: dict[str, ObserveRule] = {}
    on_owner_lost: dict[str, OnOwnerLost] = {}

    @field_validator("settings")
    @classmethod
    def _no_plain_secret(cls, settings: dict[str, Any]) -> dict[str, Any]:
        """Whichever adapter they are for: what stands here is shown, compared and written back."""
        for key, value in settings.items():
            if is_plain_secret(key, value):
                raise ValueError(f"{key}: {PLAIN}")
        return settings


class Grant(_Strict):
    """What a principal may do on one machine, or on any that offers a capability. Patterns: `Status/*`, `**`."""

    machine: str | None = None
    capability: str | None = None
    read: list[str] = ["**"]
    write: list[str] = []
    run: list[str] = []
    stop: bool = False
    conditions: list[ConditionVerb] = []

    @model_validator(mode="after")
    def _names_one(self) -> "Grant":
        if (self.machine is None) == (self.capability is None):
            raise ValueError("a grant names either a machine or a capability")
        return self


class AppSettings(_Strict):
    """One app: which plug-in, how it runs, what it is granted."""

    app: str | None = Field(None, description="the plug-in's name; the key itself where left out")
    isolation: Literal["process", "inline"] = "process"
    config: dict[str, Any] = {}
    machines: dict[str, str | list[str]] = Field({}, description="role -> machine name or names")
    grants: list[Grant | Literal["commission"]] = []
    memory: int = Field(512, gt=0, description="MiB; above it the app is stopped and restarted")
    unresponsive_after: float = Field(2.0, gt=0.1, description="seconds without a heartbeat")


class PublisherSettings(_Strict):
    """One publisher: the standard interface given to the world above. It may read everything and command nothing."""

    publisher: str | None = None
    isolation: Literal["process", "inline"] = "process"
    config: dict[str, Any] = {}
    machines: list[str] = []


class LedgerSettings(_Strict):
    """How promise 1's account is kept."""

    checkpoint: float = Field(
        1.0, ge=0.1, le=60, description="seconds between two notes on disk of how far each consumer has come"
    )


class BrokerSettings(_Strict):
    """A broker that runs with the runtime, on 127.0.0.1. Machines name it by the endpoint `mqtt:embedded`. The word `embedded`
    alone takes all that is said here."""

    embedded: Literal[True] = True
    port: int = Field(0, ge=0, le=65535, description="0: a free one, at each start another")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        return {} if value == "embedded" else value


class RuntimeConfig(_Strict):
    """dtios.yaml."""

    state: Path | None = None
    profiles: list[Path] = []
    broker: BrokerSettings | None = None
    machines: dict[Name, MachineSettings] = {}
    apps: dict[Name, AppSettings] = {}
    publishers: dict[Name, PublisherSettings] = {}
    ledger: LedgerSettings = LedgerSettings()

    @model_validator(mode="after")
    def _consistent(self) -> "RuntimeConfig":
        for app, settings in self.apps.items():
            named = [g.machine for g in settings.grants if isinstance(g, Grant) and g.machine is not None]
            for role, bound in settings.machines.items():
                named += [bound] if isinstance(bound, str) else bound
                if not role:
                    raise ValueError(f"app {app}: a role needs a name")
            for machine in named:
                if machine not in self.machines and machine != "*":
                    raise ValueError(f"app {app} names the machine {machine!r}, and no such machine is configured")
        for name in self.publishers:
            if name in self.apps:
                raise ValueError(f"{name!r} is both an app and a publisher: give them two names")
        return self


def load_config(path: Path) -> RuntimeConfig:
    """Read and check a dtios.yaml; relative paths in it count from its folder. Raises ConfigurationError with the line."""
    return rooted(load_yaml_model(path, RuntimeConfig), path.resolve().parent)


def parse_config(text: str, path: Path) -> RuntimeConfig:
    """The same for a file that was read already."""
    return rooted(parse_yaml_model(text, RuntimeConfig, str(path)), path.resolve().parent)


def rooted(config: RuntimeConfig, folder: Path) -> RuntimeConfig:
    """The configuration with its relative paths counted from `folder`."""

    def absolute(found: Path) -> Path:
        return found if found.is_absolute() else folder / found

    machines = {
        name: m.model_copy(update={"profiles": [absolute(p) for p in m.profiles], "settings": with_folder(m.settings, folder)})
        for name, m in config.machines.items()
    }
    publishers = {
        name: one.model_copy(update={"config": with_folder(one.config, folder)}) for name, one in config.publishers.items()
    }
    return config.model_copy(
        update={
            "state": None if config.state is None else absolute(config.state),
            "profiles": [absolute(p) for p in config.profiles],
            "machines": machines,
            "publishers": publishers,
        }
    )
