"""`dtios discover`: which machines there are, at an address or around."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from dtios.cli.options import json_option, place_options

if TYPE_CHECKING:
    from dtios.cli.output import Output
    from dtios.sdk.client import Client, OnProgress

__all__ = ["command", "output_schema"]

_AT_ONCE: Final = 16


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import TEXT, line_schema, record

    return line_schema("discover", record({"url": TEXT, "name": TEXT, "adapter": TEXT, "details": {"type": "object"}}))


@click.command("discover")
@click.argument("hosts", metavar="[HOST]...", nargs=-1)
@click.option("--interface", metavar="ADDRESS", help="Without HOST: ask on the interface with this address alone.")
@click.option(
    "--timeout", type=click.FloatRange(min=0, min_open=True), default=30.0, show_default=True, help="Seconds for each HOST."
)
@click.option("--user", help="User name at a broker's URL; the password comes from $DTIOS_PASSWORD or is asked for.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600, min_open=True),
    default=10.0,
    show_default=True,
    help="How long to listen at a broker's URL.",
)
@place_options
@json_option
def command(
    hosts: tuple[str, ...], interface: str | None, timeout: float, user: str | None, seconds: float, config: Path | None,
    state: Path | None, as_json: bool,
) -> int:  # fmt: skip
    """Find machines at each HOST: a name or address, with a port or not, or a URL.

    What answers at HOST is found, and what that knows of, as a discovery server does. Without HOST the whole network is asked
    (multicast DNS), and the discovery server of this computer. At a broker, named by its URL, machines are found by what they
    say; nothing is sent to them. The exit status is 1 if nothing was found.

    \b
    Examples:
      dtios discover 192.168.0.10
      dtios discover plc-1 plc-2:48010 opc.tcp://press.example:4840 --json
      dtios discover mqtt://broker.example --seconds 30
      dtios discover
    """
    from dtios.cli.options import Target
    from dtios.cli.output import Output
    from dtios.cli.place import find_place, through_runtime
    from dtios.cli.progress import shown_progress
    from dtios.cli.reach import url_settings
    from dtios.cli.running import quiet_logging, run_async
    from dtios.model.errors import ConfigurationError
    from dtios.runtime.configuration.config import RuntimeConfig
    from dtios.sdk.client import Client

    if hosts and interface:
        raise ConfigurationError("--interface is for asking the whole network", where="--interface", mend="leave HOST out")
    quiet_logging()
    place = find_place(config, state)
    urls = [host for host in hosts if "://" in host]
    if user is not None and not urls:
        raise ConfigurationError("--user is for URLs", where="--user", mend="name a broker's URL, as mqtt://HOST")
    settings = {url: url_settings(place, Target(url, None, config, state, None, user, timeout)) for url in urls}
    hints = list(dict.fromkeys(hosts)) or [f"@{interface}" if interface else ""]

    async def main() -> int:
        with shown_progress("starting") as (progress, closing):
            finder = _Finder(hints, timeout, seconds, settings, Output(as_json), progress, closing)

            async def body(client: Client, hosting: bool) -> int:
                return await finder.run(client)

            return await through_runtime(place, RuntimeConfig(), body)

    return run_async(main)


class _Finder:
    """Asks several addresses at once, and says each endpoint once."""

    def __init__(
        self,
        hints: Sequence[str],
        timeout: float,
        seconds: float,
        settings: dict[str, dict[str, Any]],
        output: "Output",
        progress: "OnProgress",
        closing: Any,
    ) -> None:
        self._hints = hints
        self._timeout = timeout
        self._seconds = seconds
        self._settings = settings
        self._output = output
        self._progress = progress
        self._closing = closing
        self._found: dict[tuple[str, str], dict[str, Any]] = {}
        self._errors: list[dict[str, str]] = []
        self._done = 0

    async def run(self, client: "Client") -> int:
        import anyio

        at_once = anyio.CapacityLimiter(_AT_ONCE)
        async with anyio.create_task_group() as tasks:
            for hint in self._hints:
                tasks.start_soon(self._ask, client, hint, at_once, name=f"discover {hint}")
        self._closing()
        return await self._tell()

    async def _ask(self, client: "Client", hint: str, at_once: Any) -> None:
        from dtios.cli.failure import error_to_json
        from dtios.model.errors import DtiosError

        async with at_once:
            self._progress(f"asking {hint}" if hint else "asking the network", self._done, len(self._hints))
            try:
                self._sort_in(await self._discover(client, hint))
            except DtiosError as error:
                if client.stopping.is_set():
                    raise
                self._errors.append(error_to_json(error)["error"])
            self._done += 1
            self._progress("asked", self._done, len(self._hints))

    async def _discover(self, client: "Client", hint: str) -> list[dict[str, Any]]:
        settings = self._settings.get(hint)
        return await client.discover(hint, limit=self._timeout, listen=self._seconds, settings=settings)

    def _sort_in(self, found: Iterable[dict[str, Any]]) -> None:
        for one in found:
            if one["error"]:
                known = ", ".join(one["details"].get("found", ()))
                named = f"{one['name']} " if one["name"] else ""
                message = f"{named}does not answer, {one['error']}" + (f" (known by {known})" if known else "")
                self._errors.append({"kind": "temporary", "message": message, "where": one["url"], "mend": ""})
                continue
            form = {key: one[key] for key in ("url", "name", "adapter", "details")}
            key = (one["url"], one["details"].get("application_uri") or one["details"].get("machine", one["name"]))
            self._found[key] = _merged(self._found[key], form) if key in self._found else form

    async def _tell(self) -> int:
        from dtios.cli.output import say

        errors = [e for e in _unique(self._errors) if all(e["where"] != url for url, _ in self._found)]
        texts = [(form, _text(form)) for form in self._found.values()]
        if self._output.as_json:
            texts += [({"error": error}, "") for error in errors]
        await self._output.put_all(texts)
        for error in errors:
            say(f"dtios: {error['where']}: {error['message']}" + (f"; {error['mend']}" if error["mend"] else ""))
        if not texts and not errors:
            say("dtios: nothing was found; name a HOST, because many machines do not announce themselves")
        if self._found:
            return 0
        return 2 if any(error["kind"] == "configuration" for error in errors) else 1


def _merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """Found from two addresses."""
    both = {
        key: list(dict.fromkeys([*one["details"].get(key, ()), *other["details"].get(key, ())])) for key in ("found", "notes")
    }
    return {**one, "details": {**one["details"], **both}}


def _unique(errors: list[dict[str, str]]) -> list[dict[str, str]]:
    return list({(e["where"], e["message"]): e for e in errors}.values())


def _text(form: dict[str, Any]) -> str:
    lines = [f"{form['url']}  {form['name']}".rstrip()]
    details = {"by": form["adapter"], **form["details"]}
    notes = list(details.pop("notes", ()))
    if details.pop("profile", ""):
        notes.append(f"a profile is proposed by `dtios profile {form['url']} --seconds 10`")
    for key, value in details.items():
        if key == "evidence":
            lines += [f"  {'evidence' if not at else '':<18}{one}" for at, one in enumerate(value)]
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        if shown:
            lines.append(f"  {key.replace('_', ' '):<18}{shown}")
    return "\n".join([*lines, *(f"  note: {note}" for note in notes)])
