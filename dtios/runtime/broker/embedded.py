"""The broker that comes with the runtime (`broker: embedded`): iotcore, in a process of its own, on 127.0.0.1.

It listens before the first connection is made and until the last one is closed, always at the same port. When it dies it is
started again; retained messages are gone then, and clients connect anew.
"""

import json
import socket
import sys
from contextlib import suppress
from typing import Final, Literal

import anyio
import structlog
from anyio.abc import Process

from dtios.model.errors import TemporaryError
from dtios.runtime.links.backoff import Backoff
from dtios.sdk.clock import Clock
from dtios.sdk.protocol import BrokerView

__all__ = ["EmbeddedBroker"]

log = structlog.get_logger("dtios.broker")

HOST: Final = "127.0.0.1"
LARGEST: Final = 16 * 2**20
"""Bytes of one message. iotcore's own limit is 20 KiB, and it drops who sends more."""
STARTS_WITHIN: Final = 10.0
HEALTHY: Final = 30.0
"""Seconds after which an end is not held against it any more."""
_GRACE: Final = 2.0


class EmbeddedBroker:
    """`port` 0: a free one is taken at the start."""

    def __init__(self, port: int, clock: Clock) -> None:
        self._port = port or _free_port()
        self._clock = clock
        self._process: Process | None = None
        self._health: Literal["starting", "listening", "backing-off"] = "starting"
        self._detail = ""
        self._restarts = 0

    @property
    def url(self) -> str:
        return f"mqtt://{HOST}:{self._port}"

    def view(self) -> BrokerView:
        pid = None if self._process is None else self._process.pid
        return BrokerView(self.url, self._health, self._detail, self._restarts, pid)

    async def start(self) -> None:
        """Returns when it listens. Raises TemporaryError when it does not."""
        if _is_taken(self._port):
            raise TemporaryError(
                f"something else listens at port {self._port} of {HOST} already", where="broker",
                mend="give another port, or none: then a free one is taken",
            )  # fmt: skip
        options = {"listen": HOST, "port": self._port, "max_payload_size": LARGEST}
        # a session of its own: Ctrl-C at the terminal ends the runtime, and the broker only after that
        self._process = await anyio.open_process(
            [sys.executable, "-P", "-m", "dtios.runtime.broker.child", json.dumps(options)], start_new_session=True, stderr=None
        )
        heard = b""
        with anyio.move_on_after(STARTS_WITHIN), suppress(anyio.EndOfStream):
            assert self._process.stdout is not None
            heard = await self._process.stdout.receive()
        if not heard:
            await self.stop()
            raise TemporaryError(
                "the embedded broker did not start", where=self.url, mend="what it said stands above; is iotcore installed?"
            )
        self._health, self._detail = "listening", ""
        log.info("embedded broker listens", url=self.url, pid=self._process.pid)

    async def run(self) -> None:
        """Start it again whenever it dies, until cancelled."""
        backoff = Backoff()
        while True:
            begun = self._clock.monotonic()
            if self._process is not None:
                status = await self._process.wait()
                await self._close()
                self._detail = f"it ended with status {status}"
                log.error("embedded broker ended", url=self.url, status=status)
            if self._clock.monotonic() - begun > HEALTHY:
                backoff.reset()
            self._health = "backing-off"
            await self._clock.sleep(backoff.next())
            self._restarts += 1
            try:
                await self.start()
            except TemporaryError as error:
                self._detail = error.message
                log.warning("embedded broker not started", reason=str(error))

    async def stop(self) -> None:
        """It is gone when this returns."""
        with anyio.CancelScope(shield=True):
            if self._process is not None:
                with suppress(ProcessLookupError):
                    self._process.terminate()
                with anyio.move_on_after(_GRACE):
                    await self._process.wait()
            await self._close()

    async def _close(self) -> None:
        """Kills it if it lives."""
        process, self._process = self._process, None
        if process is not None:
            with anyio.CancelScope(shield=True):
                await process.aclose()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((HOST, 0))
        port: int = one.getsockname()[1]
        return port


def _is_taken(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind((HOST, port))
        except OSError:
            return True
        return False
