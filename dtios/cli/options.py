"""Options that several commands share, and what they say together."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from dtios.runtime.broker.names import is_embedded

__all__ = ["Target", "json_option", "optional_target_options", "place_options", "target_options"]

_F = TypeVar("_F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Target:
    """Which machine, reached how. `machine` is a configured name or a URL, `named` picks one behind the URL."""

    machine: str
    named: str | None
    config: Path | None
    state: Path | None
    security: str | None
    user: str | None
    timeout: float
    profiles: tuple[Path, ...] = ()

    @property
    def is_url(self) -> bool:
        return "://" in self.machine or is_embedded(self.machine)


def json_option(command: _F) -> _F:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line (errors too).")(command)


def place_options(command: _F) -> _F:
    """--config and --state: which configuration, whose runtime."""
    for option in (
        click.option("--state", type=click.Path(path_type=Path), help="State directory (default: $DTIOS_STATE)."),
        click.option("--config", type=click.Path(path_type=Path), help="Configuration (default: ./dtios.yaml)."),
    ):
        command = option(command)
    return command


def target_options(command: _F) -> _F:
    """MACHINE and how to reach it; the command gets them as one `target`."""
    # Arguments are taken in the order of their decorators from below: MACHINE has to be outermost.
    return click.argument("machine", metavar="MACHINE")(_with_target(command))


def optional_target_options(command: _F) -> _F:
    """The same, with an empty `machine` where none is named."""
    return click.argument("machine", metavar="[MACHINE]", default="")(_with_target(command))


def _with_target(command: _F) -> _F:
    def gathered(
        machine: str, named: str | None, config: Path | None, state: Path | None, security: str | None,
        user: str | None, timeout: float, profiles: tuple[Path, ...], **others: Any,
    ) -> Any:  # fmt: skip
        return command(target=Target(machine, named, config, state, security, user, timeout, profiles), **others)

    gathered.__name__, gathered.__doc__ = command.__name__, command.__doc__
    gathered.__dict__.update(command.__dict__)
    result: Any = gathered
    for option in (
        click.option(
            "--timeout", type=click.FloatRange(min=0, min_open=True), default=10.0, show_default=True,
            help="Seconds to wait for the machine.",
        ),
        click.option(
            "--profile", "profiles", multiple=True, type=click.Path(path_type=Path), metavar="FILE",
            help="A profile for a URL; may be given again.",
        ),
        click.option("--user", help="User name at a URL; the password comes from $DTIOS_PASSWORD or is asked for."),
        click.option("--security", help="auto, none or POLICY[:MODE], at a URL (default: auto)."),
        click.option("--machine", "named", metavar="NAME", help="Which machine behind the URL."),
    ):  # fmt: skip
        result = option(result)
    return place_options(result)  # type: ignore[no-any-return]  # click keeps the type
