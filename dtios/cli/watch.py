"""`dtios watch`: signals as they change, and what is missing between."""

import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.options import Target, json_option, target_options

if TYPE_CHECKING:
    from dtios.sdk.delivery import Delivery
    from dtios.sdk.protocol import MachineView

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.forms import GAP, READING, line_schema

    return line_schema("watch", READING, GAP)


@click.command("watch")
@target_options
@click.argument("signals", metavar="[SIGNAL]...", nargs=-1)
@click.option("--count", type=click.IntRange(min=1), help="End after this many values.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after this time.")
@click.option("--lines", is_flag=True, help="Print a line for each value on a terminal, too.")
@json_option
def command(
    target: Target, signals: tuple[str, ...], count: int | None, seconds: float | None, lines: bool, as_json: bool
) -> int:
    """Follow signals of MACHINE (a configured name, or a URL): paths or patterns, all without any.

    Ctrl-C ends it; that is its way to end, so the exit status is 0.

    \b
    Examples:
      dtios watch opc.tcp://localhost:4840 --seconds 10
      dtios watch press 'Status/*' --count 100 --json
    """
    import anyio

    from dtios.cli.machine_command import on_machine
    from dtios.model.errors import TemporaryError
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import MachineView

    live = not as_json and not lines and sys.stdout.isatty()
    show = _Watch(as_json, live, count)

    async def watch(client: Client, view: MachineView) -> int:
        machine = view.machine
        show.begin(view)
        with anyio.move_on_after(seconds) if seconds is not None else nullcontext():
            async with client.subscribe(machine.name, signals or ("**",)) as subscription:
                with show.table():
                    await show.resumed(list(subscription.paths.values()))
                    async for delivery in subscription:
                        if await show.take(delivery):
                            return 0
            raise TemporaryError("the runtime ended the stream", where=machine.name, mend="watch it again")
        return 0

    return on_machine(target, watch, interrupted=lambda: 0)


class _Watch:
    """What was shown so far. It goes on when the runtime that was used ends and another one takes over."""

    def __init__(self, as_json: bool, live: bool, count: int | None) -> None:
        from dtios.cli.output import Output

        self._output = Output(as_json)
        self._live = live
        self._left = count
        self._last: int | None = None
        self._updates: Any = None
        self._rows: dict[str, tuple[str, str, str]] = {}

    def begin(self, view: "MachineView") -> None:
        self._machine = view.machine.name
        self._signals = {signal.path: signal for signal in view.machine.signals}

    def table(self) -> AbstractContextManager[Any]:
        if not self._live:
            return nullcontext()
        from rich.live import Live

        self._updates = Live(auto_refresh=False, transient=False)
        return self._updates  # type: ignore[no-any-return]  # Live is its own context manager

    async def resumed(self, paths: list[str]) -> None:
        """After a change of the runtime: what came between is missing, and is said to be."""
        if self._last is None:
            return
        from dtios.model.gap import Gap, GapCause

        gap = Gap(GapCause.RUNTIME_RESTART, receive_from=self._last)
        await self._output.put_all(self._gap(path, gap) for path in paths)

    async def take(self, delivery: "Delivery") -> bool:
        """Show it; True when as many values as wanted were shown."""
        from dtios.model.wire_machine import reading_to_json

        items = [self._gap(path, gap) for path, gap in delivery.gaps]
        for handle, reading in delivery.batch.rows() if delivery.batch is not None else ():
            if self._left is not None:
                if self._left == 0:
                    break
                self._left -= 1
            self._last = reading.receive_time
            signal = self._signals[delivery.paths[handle]]
            items.append((reading_to_json(self._machine, signal, reading), self._line(signal, reading)))
        if self._updates is not None:
            self._updates.update(self._table(), refresh=True)
        else:
            await self._output.put_all(items)
        return self._left == 0

    def _line(self, signal: Any, reading: Any) -> str:
        from dtios.cli.text import clock_text, reading_text

        time = reading.source_time if reading.source_time is not None else reading.receive_time
        shown, status, at = reading_text(signal, reading), reading.status_name, clock_text(time)
        if self._live:
            self._rows[signal.path] = (shown, status, at)
        return f"{at}  {signal.path}  {shown}  {status}"

    def _gap(self, path: str, gap: Any) -> tuple[Any, str]:
        from dtios.cli.text import clock_text
        from dtios.model.wire_machine import gap_to_json

        count = "values" if gap.count is None else f"{gap.count} values"
        if self._live:
            self._rows[path] = (self._rows.get(path, ("-",))[0], f"gap: {gap.cause.value}", clock_text(gap.receive_to))
        return gap_to_json(self._machine, path, gap), f"{clock_text(gap.receive_to)}  {path}  {count} missing: {gap.cause.value}"

    def _table(self) -> Any:
        from rich import box
        from rich.table import Table

        table = Table("Signal", "Value", "Status", "Time", box=box.SIMPLE, title=f"{self._machine} (Ctrl-C ends)")
        for path, row in self._rows.items():
            table.add_row(path, *row)
        return table
