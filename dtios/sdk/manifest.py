"""What a plug-in says about itself: read at registration, before anything of it runs."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from dtios.model.errors import ConfigurationError
from dtios.model.machine import Machine
from dtios.sdk.patterns import is_pattern

__all__ = ["NAME_PATTERN", "AppConfig", "Manifest", "Need"]

NAME_PATTERN = r"^[a-z][a-z0-9_-]{0,62}$"


class AppConfig(BaseModel):
    """Base of an app's configuration: the `config:` object in dtios.yaml. What it does not know is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Need(BaseModel):
    """A role that a machine plays for an app. `machines:` in dtios.yaml binds it; unbound, every granted machine that fits
    plays it.

    `capability` is an IRI and `properties` the values it must admit; `signals` are paths or patterns (`Status/*`, `**`), of
    which the plain paths must be there; `skills` are paths.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    role: str = Field(pattern=NAME_PATTERN)
    capability: str | None = Field(None, min_length=1)
    properties: dict[str, Any] = Field(default_factory=dict)
    signals: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()

    def __hash__(self) -> int:
        return hash(self.role)

    def missing(self, machine: Machine) -> str | None:
        """What this machine lacks, as the end of a sentence; None if it can play the role."""
        if self.capability is not None and not any(
            s.capability is not None and s.capability.satisfies(self.capability, self.properties) for s in machine.skills
        ):
            return f"has no skill with the capability {self.capability}" + (f" and {self.properties}" if self.properties else "")
        skills = {skill.path for skill in machine.skills}
        if lacking := [path for path in self.skills if path not in skills]:
            return f"has no skill {lacking[0]}"
        signals = {signal.path for signal in machine.signals}
        if lacking := [path for path in self.signals if not is_pattern(path) and path not in signals]:
            return f"has no signal {lacking[0]}"
        return None


class Manifest(BaseModel):
    """A validated plug-in. `config_schema` is the JSON Schema of its configuration object."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=NAME_PATTERN)
    kind: Literal["app", "publisher"]
    version: str = ""
    summary: str = ""
    needs: tuple[Need, ...] = ()
    config_schema: dict[str, Any] = Field(default_factory=dict)

    def check_bindings(self, roles: dict[str, list[str]]) -> None:
        """Raises ConfigurationError if the configuration binds a role that the app does not have."""
        known = [need.role for need in self.needs]
        for role in roles:
            if role not in known:
                raise ConfigurationError(
                    f"the app {self.name} has no role {role}",
                    where=f"machines: {role}",
                    mend=f"it has: {', '.join(known) or 'none'}",
                )
