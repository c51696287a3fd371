"""An app that keeps what it gets: a line of JSON for each delivery, written before it is acknowledged.

`[machine, epoch, receive time, [[signal, gap]...], [signal...], [value...], [status...], [sequence...]]`, in a file for each of
its lives whose name begins with the time.
"""

import os
import time
from pathlib import Path

import msgspec

from dtios.sdk import App, AppConfig, Context, Delivery

__all__ = ["app"]


class Config(AppConfig):
    folder: Path


app = App("recorder", config=Config, summary="keeps what it gets")
machine = app.needs("machine", signals=["Counter*"])
_open: dict[Path, int] = {}


def _file(folder: Path) -> int:
    if folder not in _open:
        path = folder / f"{time.time_ns()}-{os.getpid()}.jsonl"
        _open[folder] = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    return _open[folder]


@app.on_batch(machine, "Counter*")
async def record(ctx: Context[Config], delivery: Delivery) -> None:
    batch = delivery.batch
    told: list[object] = [delivery.machine, 0, 0, delivery.gaps, [], [], [], []]
    if batch is not None:
        paths = [delivery.paths[handle] for handle in batch.handles]
        told[1:] = [batch.epoch, batch.receive_time, delivery.gaps, paths, batch.values, batch.statuses, batch.sequences]
    os.write(_file(ctx.config.folder), msgspec.json.encode(told) + b"\n")
