"""Control packets out of a stream: messages of QoS 0 at once, all others to paho, and each in its place."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dtios_mqtt.session.messages import Incoming
from dtios_mqtt.session.packets import PacketSocket


def packet(head: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while size > 0x7F:
        length.append(size & 0x7F | 0x80)
        size >>= 7
    return bytes([head, *length, size]) + body


def publish(topic: str, payload: bytes, *, qos: int = 0, retain: bool = False, properties: bytes | None = None) -> bytes:
    name = topic.encode()
    middle = (b"\0\7" if qos else b"") + (b"" if properties is None else bytes([len(properties)]) + properties)
    return packet(0x30 | qos << 1 | retain, len(name).to_bytes(2, "big") + name + middle + payload)


@contextmanager
def wire(*, five: bool = False) -> Iterator[tuple[socket.socket, PacketSocket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    packets = PacketSocket(ours, five=five)
    try:
        yield theirs, packets
    finally:
        packets.close()
        theirs.close()


def drain(packets: PacketSocket) -> list[Incoming | bytes]:
    """What comes now: messages, and the packets that paho reads, byte by byte as it does."""
    found: list[Incoming | bytes] = []
    while True:
        messages = packets.messages(100)
        found += messages
        if messages:
            continue
        if packets.for_paho:
            read = b""
            try:
                while part := packets.recv(1):
                    read += part
            except BlockingIOError:
                pass
            found.append(read)
            if not read:
                return found
        elif not packets.fill():
            return found


def plain(found: list[Incoming | bytes]) -> list[tuple[str, bytes, bool] | bytes]:
    return [one if isinstance(one, bytes) else (one.topic, one.payload, one.retain) for one in found]


PUBACK = packet(0x40, b"\0\1")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=12))
def test_the_order_is_kept_however_the_bytes_come(cuts: list[int]) -> None:
    one = publish("a/b", b"1", qos=1)
    sent = publish("a", b"x") + publish("b", b"", retain=True) + PUBACK + one + publish("ü", b"y" * 200) + packet(0xD0, b"")
    with wire() as (theirs, packets):
        found: list[Incoming | bytes] = []
        for cut in [*cuts, len(sent)]:
            if part := sent[:cut]:
                theirs.sendall(part)
                sent = sent[cut:]
                found += drain(packets)
        assert plain(found) == [
            ("a", b"x", False), ("b", b"", True), PUBACK, one, ("ü", b"y" * 200, False), packet(0xD0, b""),
        ]  # fmt: skip


def test_at_most_so_many_are_given() -> None:
    with wire() as (theirs, packets):
        theirs.sendall(publish("a", b"1") * 5)
        assert packets.fill()
        assert [len(packets.messages(most)) for most in (2, 0, 2, 2, 2)] == [2, 0, 2, 1, 0]


def test_what_was_read_at_once_was_received_at_one_time() -> None:
    with wire() as (theirs, packets):
        theirs.sendall(publish("a", b"1") * 3 + publish("a", b"2")[:-1])
        assert packets.fill()
        times = {message.received for message in packets.messages(10) if isinstance(message, Incoming)}
        assert times == {packets.received}
        theirs.sendall(b"2")
        assert packets.fill()
        (late,) = packets.messages(10)
        assert (late.payload, late.received) == (b"2", packets.received)
        assert late.received > times.pop()


def test_a_large_message_comes_in_many_parts() -> None:
    payload = bytes(range(256)) * 4_000
    with wire() as (theirs, packets):
        found: list[Incoming | bytes] = []
        data = publish("big", payload) + publish("next", b"")
        for at in range(0, len(data), 50_000):
            theirs.sendall(data[at : at + 50_000])
            found += drain(packets)
        assert plain(found) == [("big", payload, False), ("next", b"", False)]
        assert packets.read == len(data)


def test_properties_are_read_by_paho() -> None:
    correlated = publish("a", b"x", properties=b"\x09\0\1c")
    with wire(five=True) as (theirs, packets):
        theirs.sendall(publish("a", b"1", properties=b"") + correlated + publish("b", b"2", properties=b""))
        assert plain(drain(packets)) == [("a", b"1", False), correlated, ("b", b"2", False)]


@pytest.mark.parametrize(
    "wrong", [b"\x30\xff\xff\xff\xff", packet(0x30, b""), packet(0x30, b"\0\5a"), packet(0x30, b"\0\0x"), packet(0x36, b"\0\1ax")]
)
def test_what_is_malformed_is_for_paho(wrong: bytes) -> None:
    with wire() as (theirs, packets):
        theirs.sendall(publish("a", b"1") + wrong)
        assert plain(drain(packets)) == [("a", b"1", False), wrong]


def test_the_end_comes_after_all_that_was_sent() -> None:
    with wire() as (theirs, packets):
        theirs.sendall(publish("a", b"1"))
        theirs.close()
        assert plain(drain(packets)) == [("a", b"1", False), b""]
        assert packets.for_paho
