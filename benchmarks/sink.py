"""The app that is measured: it counts what it is given. In a process of its own the runtime's process is counted with it."""

import json
import os
import statistics
import time
from pathlib import Path

from benchmarks.meter import Meter
from dtios.sdk import App, AppConfig, Change, Context, Delivery

__all__ = ["Config", "batches", "changes", "looper", "ticker"]


class Config(AppConfig):
    """`runtime` is the process id of the runtime, 0 where it is this process; `output` is where the figures go."""

    count: int
    runtime: int
    output: Path


def _report(config: Config, result: dict[str, object]) -> None:
    config.output.write_text(json.dumps(result))


class _Values:
    """Made at the first value: before that there is no context."""

    meter: Meter | None = None
    gaps = 0

    def take(self, config: Config, values: int) -> None:
        if self.meter is None:
            self.meter = Meter(config.count, *((config.runtime,) if config.runtime != os.getpid() else ()))
        if self.meter.done.is_set():
            return
        self.meter.take(values)
        if self.meter.done.is_set():
            _report(config, {**self.meter.outcome, "gaps": self.gaps})


batches = App("bench-batches", config=Config)
_batch_machine = batches.needs("machine")
_batch_values = _Values()


@batches.on_batch(_batch_machine, "**")
async def _on_batch(ctx: Context[Config], delivery: Delivery) -> None:
    _batch_values.gaps += len(delivery.gaps)
    _batch_values.take(ctx.config, len(delivery))


changes = App("bench-changes", config=Config)
_change_machine = changes.needs("machine")
_change_values = _Values()


@changes.on_change(_change_machine, "**")
async def _on_change(ctx: Context[Config], change: Change) -> None:
    if change.gap is not None:
        _change_values.gaps += 1
    _change_values.take(ctx.config, 1)


ticker = App("bench-ticker", config=Config)
_tick_machine = ticker.needs("machine")
_ticks: list[float] = []


@ticker.on_change(_tick_machine, "Tick")
async def _on_tick(ctx: Context[Config], change: Change) -> None:
    _ticks.append((time.time_ns() - _whole(change)) / 1e9)
    if len(_ticks) == ctx.config.count:
        _report(ctx.config, {"seconds": statistics.median(_ticks[1:])})


def _whole(change: Change) -> int:
    assert isinstance(change.value, int)
    return change.value


looper = App("bench-looper", config=Config)
_loop_machine = looper.needs("machine")


_first: list[int] = []


@looper.on_change(_loop_machine, "Ping")
async def _on_ping(ctx: Context[Config], change: Change) -> None:
    machine, number, count = ctx.handle(change.machine), _whole(change), ctx.config.count
    if not _first:
        _first.append(number)
    if number < _first[0] + count:
        await machine.write("Pong", number)
    elif not ctx.config.output.exists():
        trips = (await machine.read("Trips")).value
        _report(ctx.config, {"seconds": statistics.median(trips[10 - count :])})
