"""A server whose clock is wrong: how far is measured from its answers."""

import datetime as real
import time

import pytest
from asyncua.ua import uaprotocol_auto
from opcua_server import Sink, connected, plain, serving


class Clocks(Sink):
    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int]] = []

    def clock(self, offset: int, error: int) -> None:
        self.told.append((offset, error))
        self._news.set()


@pytest.mark.parametrize("seconds", [0.0, 90.0, -3600.0])
async def test_the_offset_is_told_with_its_error(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    class Wrong(real.datetime):
        @classmethod
        def now(cls, tz: real.tzinfo | None = None) -> real.datetime:
            return real.datetime.fromtimestamp(time.time() + seconds, tz)

    monkeypatch.setattr(uaprotocol_auto, "datetime", Wrong)
    async with serving(plain) as (url, _), connected(url, sink=Clocks()) as (_, sink):
        assert isinstance(sink, Clocks)
        await sink.until(lambda s: bool(s.told), 10)
    offset, error = sink.told[0]
    assert 0 < error < 1e9
    assert abs(offset - seconds * 1e9) <= error + 2e6
