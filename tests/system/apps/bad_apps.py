"""Apps that do what an app must not, each an entry point of its own for a process."""

import asyncio
import os
import sys

from dtios.sdk import App, AppConfig, Change, Context


class WhenConfig(AppConfig):
    after: float = 0.3


def _app(name: str) -> App[WhenConfig]:
    return App(name, config=WhenConfig)


blocking = _app("blocking")


@blocking.every(3600)
async def spin(ctx: Context[WhenConfig]) -> None:
    await asyncio.sleep(ctx.config.after)
    while True:
        pass


leaking = _app("leaking")


@leaking.main
async def leak(ctx: Context[WhenConfig]) -> None:
    await asyncio.sleep(ctx.config.after)
    kept = []
    for _ in range(64):
        kept.append(bytearray(os.urandom(1 << 20)) * 16)  # 1 GiB in the end
        await asyncio.sleep(0.01)
    await asyncio.sleep(3600)


crashing = _app("crashing")


@crashing.main
async def crash(ctx: Context[WhenConfig]) -> None:
    await asyncio.sleep(ctx.config.after)
    raise ZeroDivisionError("a part of nothing")


exiting = _app("exiting")


@exiting.main
async def leave(ctx: Context[WhenConfig]) -> None:
    print("these are my last words", file=sys.stderr)
    os._exit(7)


finishing = _app("finishing")


@finishing.main
async def finish(ctx: Context[WhenConfig]) -> None:
    print("hello from a process")
    ctx.log.info("finishing", pid=os.getpid())


stubborn = _app("stubborn")


@stubborn.main
async def stay(ctx: Context[WhenConfig]) -> None:
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ctx.log.info("no, I stay")


watching = _app("watching")
filler = watching.needs("filler", capability="urn:dtios:capability:produce", signals=["Speed"])


@watching.on_change(filler, "Speed")
async def speed(ctx: Context[WhenConfig], change: Change) -> None:
    ctx.log.info("speed", value=change.value, late=ctx.clock.now() - (change.source_time or 0))
