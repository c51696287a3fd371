"""Between an app and its session: takes out what is for the supervisor, and knows when the app was last heard."""

from collections.abc import Callable
from typing import Final

import msgspec

from dtios.sdk.protocol import CLIENT_DECODER, AppFailed, Heartbeat, LogLine, Ready
from dtios.sdk.transport import Transport

__all__ = ["Tap"]

_TAGS: Final = tuple(bytes([0xA0 | len(name)]) + name.encode() for name in ("Heartbeat", "Ready", "AppFailed", "LogLine"))
"""How these messages begin: an array of few elements, then the tag as a short string (msgpack)."""


class Tap:
    """A Transport. `heard` counts frames; `listening` is False while the session does not ask for the next one, so that an
    app's silence can be told from ours."""

    def __init__(
        self,
        transport: Transport,
        on_ready: Callable[[], None],
        on_failed: Callable[[AppFailed], None],
        on_log: Callable[[LogLine], None],
    ) -> None:
        self._transport = transport
        self._on_ready = on_ready
        self._on_failed = on_failed
        self._on_log = on_log
        self.heard = 0
        self.listening = False
        self.ready = False
        self.handler = ""

    async def send(self, frame: bytes) -> None:
        await self._transport.send(frame)

    async def receive(self) -> bytes:
        while True:
            self.listening = True
            try:
                frame = await self._transport.receive()
            finally:
                self.listening = False
            self.heard += 1
            if not frame.startswith(_TAGS, 1) or not self._took(frame):
                return frame

    def _took(self, frame: bytes) -> bool:
        try:
            message = CLIENT_DECODER.decode(frame)
        except msgspec.MsgspecError:
            return False
        match message:
            case Heartbeat(handler):
                self.handler = handler
            case Ready():
                self.ready = True
                self._on_ready()
            case AppFailed():
                self._on_failed(message)
            case LogLine():
                self._on_log(message)
            case _:
                return False
        return True

    async def aclose(self) -> None:
        await self._transport.aclose()
