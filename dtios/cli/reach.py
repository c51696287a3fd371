"""From what a person typed to a described machine: by configured name, or by URL."""

import os
import sys
from typing import Any

import anyio
import click

from dtios.cli.group import did_you_mean
from dtios.cli.options import Target
from dtios.cli.place import Place, configured_machine, machines_at
from dtios.cli.unknown import unknown_machine
from dtios.mapping.profiles.file import read_profile
from dtios.model.errors import ConfigurationError, CredentialsError, TemporaryError
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.sdk.client import Client, OnProgress
from dtios.sdk.protocol import MachineView

__all__ = ["machine_wanted", "reach", "reach_all", "target_settings", "url_settings", "wanted_config"]


def target_settings(target: Target) -> dict[str, Any]:
    """The connection settings of a URL. The password comes from $DTIOS_PASSWORD or is asked for; it is never an argument.

    Raises ConfigurationError if settings are given for a configured machine, CredentialsError if there is no password."""
    given = {"security": target.security, "user": target.user}
    settings: dict[str, Any] = {k: v for k, v in given.items() if v is not None}
    if not target.is_url:
        if settings:
            raise ConfigurationError(
                f"--{next(iter(settings))} is for URLs",
                where=target.machine,
                mend="set it in dtios.yaml, under the machine's settings",
            )
        return {}
    if target.user is not None:
        settings["password"] = _password(target.user)
    return settings


def _password(user: str) -> str:
    password = os.environ.get("DTIOS_PASSWORD")
    if password is not None:
        return password
    if not sys.stdin.isatty():
        raise CredentialsError(
            f"there is no password for {user} and no terminal to ask at", where="--user", mend="set DTIOS_PASSWORD"
        )
    return str(click.prompt(f"Password of {user}", hide_input=True, err=True))


def url_settings(place: Place, target: Target) -> dict[str, Any]:
    """Those given for a URL, else those of a machine that is configured there. Raises as `target_settings`."""
    known = (dict(machine.settings) for machine in machines_at(place, target.machine).machines.values())
    return target_settings(target) or next((settings for settings in known if settings), {})


def wanted_config(place: Place, target: Target) -> RuntimeConfig:
    """What a runtime hosted for this command has to have. A name that nobody configured may be known to a running runtime."""
    if target.is_url:
        return machines_at(place, target.machine)
    if target.named is not None:
        raise ConfigurationError(
            "--machine picks one of those behind a URL", where=target.machine, mend="give the configured name alone"
        )
    if target.machine in place.config.machines:
        return configured_machine(place, target.machine)
    return RuntimeConfig()


async def reach(client: Client, place: Place, target: Target, settings: dict[str, Any], progress: OnProgress) -> MachineView:
    """The one machine that is meant, described and online. Raises TemporaryError, CredentialsError, ConfigurationError."""
    views = await reach_all(client, place, target, settings, progress)
    if len(views) == 1:
        return views[0]
    names = ", ".join(view.machine.name for view in views)
    raise ConfigurationError(
        f"there are {len(views)} machines behind it: {names}", where=target.machine, mend="say which one with --machine NAME"
    )


async def reach_all(
    client: Client, place: Place, target: Target, settings: dict[str, Any], progress: OnProgress
) -> list[MachineView]:
    """All machines that are meant: with a URL and no --machine there may be several."""
    url = target.machine if target.is_url else await _endpoint(client, place, target)
    progress(f"connecting to {url}", 0, None)
    with anyio.move_on_after(target.timeout) as limit:

        def on_progress(what: str, done: int, total: int | None) -> None:
            limit.deadline = anyio.current_time() + target.timeout  # it is slow, and not silent
            progress(what, done, total)

        names = await client.open(url, settings, on_progress, _profiles(target))
    if limit.cancelled_caught:
        raise TemporaryError(
            f"no answer within {target.timeout:g} s",
            where=target.machine if target.is_url else f"{target.machine} ({url})",
            mend="check that it is switched on and the address is right, or wait longer with --timeout",
        )
    if target.is_url:
        views = [await client.describe(name) for name in names]
        return [machine_wanted(views, target)] if target.named is not None else _some(views, target)
    if target.machine not in names:
        raise TemporaryError(
            f"the running runtime knows no machine {target.machine!r} at {url}",
            where=str(place.state.path),
            mend="add it to the dtios.yaml that it runs, or name another state directory with --state DIR",
        )
    return [await client.describe(target.machine)]


def _profiles(target: Target) -> list[tuple[str, str]]:
    """The profile files by name and text: the runtime that reads them may stand in another directory."""
    if target.profiles and not target.is_url:
        raise ConfigurationError(
            "--profile is for URLs", where=target.machine, mend="set it in dtios.yaml, under the machine's profiles"
        )
    texts = []
    for file in target.profiles:
        read_profile(file)
        texts.append((str(file), file.read_text("utf-8")))
    return texts


async def _endpoint(client: Client, place: Place, target: Target) -> str:
    """The URL of a machine by name: as the runtime has it, else as our configuration says."""
    live = {view.machine.name: view.machine.endpoint for view in await client.machines()}
    configured = {name: machine.endpoint for name, machine in place.config.machines.items()}
    known = configured | live
    if target.machine not in known:
        raise unknown_machine(target.machine, list(known), place.file)
    return known[target.machine]


def _some(views: list[MachineView], target: Target) -> list[MachineView]:
    if not views:
        raise ConfigurationError("there is no machine behind it", where=target.machine, mend="check that the server is set up")
    return views


def machine_wanted(views: list[MachineView], target: Target) -> MachineView:
    """The one that --machine names: by name, path or identity. Raises ConfigurationError."""
    for view in views:
        if target.named in (view.machine.name, view.machine.path, view.machine.identity):
            return view
    names = [view.machine.name for view in views]
    mend = did_you_mean(target.named or "", names) or f"there are {', '.join(names) or 'none'}"
    raise ConfigurationError(f"no machine behind it is called {target.named!r}", where=target.machine, mend=mend)
