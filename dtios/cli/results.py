"""`dtios results`: what was measured or inspected, as it is told."""

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from dtios.cli.options import Target, json_option, target_options

if TYPE_CHECKING:
    from dtios.sdk.client import Client
    from dtios.sdk.protocol import MachineView

__all__ = ["command", "output_schema"]


def output_schema() -> dict[str, Any]:
    from dtios.cli.condition_forms import RESULT, RESULT_GAP
    from dtios.cli.forms import line_schema

    return line_schema("results", RESULT, RESULT_GAP)


@click.command("results")
@target_options
@click.option("--count", type=click.IntRange(min=1), help="End after this many results.")
@click.option("--seconds", type=click.FloatRange(min=0, min_open=True), help="End after this time.")
@json_option
def command(target: Target, count: int | None, seconds: float | None, as_json: bool) -> int:
    """Follow the results (inspections, measurements) of MACHINE (a configured name, or a URL), from now on.

    Where some may be missing a line says so. Ctrl-C ends it; the exit status is 0 then.

    \b
    Examples:
      dtios results gauge
      dtios results opc.tcp://localhost:4840 --count 10 --json
    """
    import anyio

    from dtios.cli.machine_command import on_machine
    from dtios.model.errors import TemporaryError
    from dtios.sdk.observing import follow_results

    show = _Results(as_json, count)

    async def follow(client: "Client", view: "MachineView") -> int:
        machine = view.machine.name
        with anyio.move_on_after(seconds) if seconds is not None else nullcontext():
            async with follow_results(client, machine) as told:
                await show.resumed(machine)
                async for _, result, gap in told:
                    if await show.take(machine, result, gap):
                        return 0
            raise TemporaryError("the runtime ended the stream", where=machine, mend="follow it again")
        return 0

    return on_machine(target, follow, interrupted=lambda: 0)


class _Results:
    """It goes on when the runtime that was used ends and another one takes over; what came between is missing."""

    def __init__(self, as_json: bool, count: int | None) -> None:
        from dtios.cli.output import Output

        self._output = Output(as_json)
        self._left = count
        self._begun = False

    async def resumed(self, machine: str) -> None:
        from dtios.model.gap import Gap, GapCause

        if self._begun:
            await self.take(machine, None, Gap(GapCause.RUNTIME_RESTART))
        self._begun = True

    async def take(self, machine: str, result: Any, gap: Any) -> bool:
        """Show it; True when as many as wanted were shown."""
        from dtios.cli.condition_forms import gap_line, gap_text, result_text
        from dtios.model.wire import result_to_json

        if gap is not None:
            await self._output.put(gap_line(machine, gap), gap_text(gap))
        if result is not None:
            await self._output.put(result_to_json(result), result_text(result))
            self._left = None if self._left is None else self._left - 1
        return self._left == 0
