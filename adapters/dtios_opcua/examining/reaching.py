"""What can be examined without a session: name, port, protocol, endpoints, clock."""

import asyncio
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from asyncua import ua
from asyncua.ua.ua_binary import struct_from_binary

from dtios.sdk.errors import DtiosError
from dtios_opcua.discovery.addresses import Names
from dtios_opcua.examining.report import Report, listed
from dtios_opcua.session.channel import Channel, foreign, host_and_port
from dtios_opcua.session.opening import opening_error

__all__ = ["Reached", "reach"]

_TOLERATED: Final = 5.0
"""Seconds between two clocks that disturb nobody."""
_SERIOUS: Final = 60.0
"""Seconds from which on certificates and the order of times suffer."""
_EPOCH: Final = 946_684_800  # 2000-01-01: a time before that is none


@dataclass(frozen=True, slots=True)
class Reached:
    """`ahead`: seconds that the server's clock is ahead of ours, give or take `error`; None where it tells no time."""

    endpoints: list[ua.EndpointDescription]
    ahead: float | None
    error: float

    @property
    def clock_is_off(self) -> bool:
        return self.ahead is not None and abs(self.ahead) - self.error > _SERIOUS


async def reach(report: Report, timeout: float) -> Reached | None:
    """None where it goes no further; then the reason is a problem in the report."""
    host, port = host_and_port(report.url)
    if not await _resolves(report, host) or not await _listens(report, host, port, timeout):
        return None
    try:
        reached = await _asked(report.url, timeout)
    except DtiosError as error:
        report.problem("protocol", error.message, f"{error.mend}: something else may listen on port {port}")
        return None
    report.good("protocol", "it speaks OPC UA")
    await _endpoints(report, host, reached)
    _clock(report, reached)
    return reached


async def _resolves(report: Report, host: str) -> bool:
    names = Names()
    try:
        addresses = sorted(await names.addresses(host))
    finally:
        await names.aclose()
    if not addresses:
        report.problem(
            "name", f"nobody here can resolve {host}", "give the machine's address instead, or enter it in DNS or /etc/hosts"
        )
        return False
    report.good("name", f"{host} is {listed(addresses)}" if addresses != [host] else f"{host} is an address")
    return True


async def _listens(report: Report, host: str, port: int, timeout: float) -> bool:
    try:
        async with asyncio.timeout(timeout):
            _, writer = await asyncio.open_connection(host, port)
    except ConnectionRefusedError:
        mend = f"is the server running, and is {port} its port? `dtios discover {host}` asks for others"
        report.problem("port", f"{host} is there, and nobody listens on port {port}", mend)
    except TimeoutError:
        message = f"nothing comes back from {host}, port {port}, within {timeout:g} s"
        report.problem("port", message, "is it switched on and in this network? A firewall between may swallow what is sent")
    except OSError as error:
        why = error.strerror or str(error)
        report.problem(
            "port", f"{host} cannot be reached ({why})", "check cable, address and network of this computer and the machine"
        )
    else:
        writer.close()
        report.good("port", f"port {port} answers")
        return True
    return False


async def _asked(url: str, timeout: float) -> Reached:
    """GetEndpoints, with the time in the head of its answer. Raises DtiosError."""
    channel = Channel(url, timeout)
    try:
        async with asyncio.timeout(2 * timeout):
            await channel.open()
            return await foreign(_answer(channel))
    except Exception as error:
        known = opening_error(error, url, channel.complaint)
        if known is None:
            raise
        raise known from error
    finally:
        await channel.close(0.2, None)


async def _answer(channel: Channel) -> Reached:
    request = ua.GetEndpointsRequest()
    request.Parameters.EndpointUrl = channel.client.server_url.geturl()
    before = time.time()
    data = await channel.protocol.send_request(request)
    after = time.time()
    answer = struct_from_binary(ua.GetEndpointsResponse, data)
    answer.ResponseHeader.ServiceResult.check()
    said = answer.ResponseHeader.Timestamp.timestamp()
    ahead = said - (before + after) / 2 if said > _EPOCH else None
    return Reached(list(answer.Endpoints or []), ahead, (after - before) / 2)


async def _endpoints(report: Report, host: str, reached: Reached) -> None:
    if not reached.endpoints:
        report.problem("endpoints", "it tells no endpoint that could be connected to", "have the server set up")
        return
    names = Names()
    try:
        own = {urlsplit(str(one.EndpointUrl or "")).hostname for one in reached.endpoints} - {host, None}
        unknown = sorted([name for name in own if name and not await names.addresses(name)])
    finally:
        await names.aclose()
    server = reached.endpoints[0].Server
    name = str(server.ApplicationName.Text or server.ApplicationUri or "a server without a name")
    calls = f"; it calls itself {listed(unknown)}, which nobody here resolves, so {host} is used" if unknown else ""
    report.good("endpoints", f"{name} offers {_counted(len(reached.endpoints))}{calls}")


def _counted(endpoints: int) -> str:
    return "1 endpoint" if endpoints == 1 else f"{endpoints} endpoints"


def _clock(report: Report, reached: Reached) -> None:
    if reached.ahead is None:
        report.warning("clock", "the server tells no time", "have its clock set: its times cannot be trusted")
        return
    off = f"the server's clock is {_span(abs(reached.ahead))} {'ahead of' if reached.ahead > 0 else 'behind'} ours"
    if reached.clock_is_off:
        report.problem("clock", f"{off}; certificates fail by it, and times cannot be compared", "set both clocks, best by NTP")
    elif abs(reached.ahead) - reached.error > _TOLERATED:
        report.warning("clock", off, "set both clocks, best by NTP")
    else:
        report.good("clock", f"the server's clock and ours agree within {_span(abs(reached.ahead) + reached.error)}")


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{max(seconds, 0.001) * 1000:.0f} ms"
