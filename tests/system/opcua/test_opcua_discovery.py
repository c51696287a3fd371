"""Discovery over real sockets: what was asked, what that knows of, and what announces itself (on loopback)."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from asyncua import ua
from zeroconf import IPVersion
from zeroconf.asyncio import AsyncServiceInfo, AsyncZeroconf

from dtios.sdk.adapter import Endpoint
from dtios.sdk.errors import ConfigurationError, TemporaryError
from dtios_opcua import adapter
from dtios_opcua.discovery.addresses import Names, url_of
from dtios_opcua.discovery.search import discover
from tests.runtimes import client_of
from tests.system.opcua.opcua_server import free_port, plain, serving

NOBODY = "plc-that-no-dns-knows.invalid"


def by_url(found: list[Endpoint]) -> dict[str, Endpoint]:
    return {one.url: one for one in found}


def application(uri: str, *urls: str) -> ua.ApplicationDescription:
    return ua.ApplicationDescription(
        uri, "urn:product", ua.LocalizedText(uri), ua.ApplicationType.Server, DiscoveryUrls=list(urls)
    )


@contextlib.asynccontextmanager
async def knowing(*others: ua.ApplicationDescription) -> AsyncIterator[str]:
    """The host and port of a server that tells of others when it is asked for servers."""
    async with serving(plain) as (url, server):
        own = server.iserver.find_servers

        def find_servers(*args, **kwargs):
            return [*own(*args, **kwargs), *others]

        server.iserver.find_servers = find_servers
        yield url.removeprefix("opc.tcp://").partition("/")[0]


@contextlib.asynccontextmanager
async def announcing(name: str, port: int, path: str = "") -> AsyncIterator[None]:
    multicast = AsyncZeroconf(interfaces=["127.0.0.1"], ip_version=IPVersion.V4Only)
    service = "_opcua-tcp._tcp.local."
    info = AsyncServiceInfo(
        service, f"{name}.{service}", port=port, addresses=[socket.inet_aton("127.0.0.1")], server=f"{name.lower()}.local.",
        properties={"path": path, "caps": "DA"},
    )  # fmt: skip
    try:
        await (await multicast.async_register_service(info))
        yield
    finally:
        await multicast.async_unregister_all_services()
        await multicast.async_close()


async def test_a_host_that_calls_itself_by_a_name_nobody_knows():
    async with serving(plain) as (url, server):
        # asyncua itself puts in the address that was asked
        server.iserver._mangle_endpoint_url = lambda url, **_: f"opc.tcp://{NOBODY}:4840/plc"
        (found,) = await adapter.discover(url)
    assert found.url == url
    (note,) = found.details["notes"]
    assert NOBODY in note
    assert url in note


async def test_what_a_server_knows_of_is_asked_too():
    async with serving(plain) as (other, _):
        port = other.rpartition(":")[2].partition("/")[0]
        silent = f"opc.tcp://127.0.0.1:{free_port()}"
        known = [
            application("urn:other", f"opc.tcp://{NOBODY}:{port}/dtios"),
            application("urn:other", f"opc.tcp://localhost:{port}/dtios"),  # the same once more
            application("urn:silent", silent),
            application("urn:https", "https://127.0.0.1/ua"),
        ]
        async with knowing(*known) as lds:
            everything = await adapter.discover(lds)
    found = by_url([one for one in everything if one.name != "urn:https"])
    assert [one.error for one in everything if one.name == "urn:https"] == ["it gives no address of this protocol"]
    asked, named = found[f"opc.tcp://{lds}"], found[f"opc.tcp://127.0.0.1:{port}/dtios"]
    assert asked.details["found"] == ["asked"]
    assert named.details["found"] == [f"LDS opc.tcp://{lds}"]
    assert any(NOBODY in note for note in named.details["notes"])
    assert not named.error
    assert "nobody listens" in found[silent].error
    assert sorted(url for url, one in found.items() if not one.error) == sorted([asked.url, named.url])


async def test_servers_that_name_each_other_end_the_search():
    one, two = free_port(), free_port()
    async with serving(plain, one) as (first, server), serving(plain, two) as (second, other):
        for who, known in ((server, second), (other, first)):
            tells = application(f"urn:known:{known}", known)
            own = who.iserver.find_servers

            def find_servers(*args, own=own, tells=tells, **kwargs):
                return [*own(*args, **kwargs), tells]

            who.iserver.find_servers = find_servers
        found = await discover(first)
    assert sorted(one.url for one in found) == sorted([first, second])


async def test_more_than_can_be_asked_is_said(monkeypatch):
    many = [application(f"urn:{n}", f"opc.tcp://127.0.0.1:{free_port()}") for n in range(4)]
    async with knowing(*many) as lds:
        monkeypatch.setattr("dtios_opcua.discovery.search._MOST", 2)
        found = await adapter.discover(lds)
    assert len([one for one in found if "not asked" in one.error]) == 2
    assert len([one for one in found if "nobody listens" in one.error]) == 2


async def test_announced_servers_are_found_on_the_interface_that_was_named():
    async with serving(plain) as (url, _), announcing("Press 7", int(url.rpartition(":")[2].partition("/")[0]), "/dtios"):
        nobody = free_port()
        async with announcing("Ghost", nobody):
            found = by_url(await adapter.discover("@127.0.0.1"))
    assert found[url].details["found"] == ["mDNS"]
    assert found[url].details["notes"] == ["announced as press 7.local"]
    assert "nobody listens" in found[f"opc.tcp://127.0.0.1:{nobody}"].error
    assert found[f"opc.tcp://127.0.0.1:{nobody}"].name == "Ghost"


async def test_an_interface_that_is_not_ours():
    with pytest.raises(ConfigurationError, match="no interface of this computer"):
        await adapter.discover("@192.0.2.1")


async def test_a_server_that_hangs_holds_nobody_up(monkeypatch):
    monkeypatch.setattr("dtios_opcua.discovery.search._TIMEOUT", 0.3)

    async def swallow(reader, writer):
        with contextlib.suppress(asyncio.CancelledError):
            await reader.read()
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        async with knowing(application("urn:hangs", f"opc.tcp://127.0.0.1:{port}")) as lds:
            async with asyncio.timeout(10):
                found = by_url(await adapter.discover(lds))
    finally:
        server.close()
        await server.wait_closed()
    assert found[f"opc.tcp://127.0.0.1:{port}"].error == "the server did not answer in time"
    assert not found[f"opc.tcp://{lds}"].error


async def test_addresses_that_cannot_be():
    for hint in ("host:port", "opc.tcp://:4840", "opc.tcp://host:0"):
        with pytest.raises(ConfigurationError):
            await adapter.discover(hint)
    with pytest.raises(TemporaryError, match="nobody here can resolve"):
        await adapter.discover(NOBODY)


async def test_two_names_of_one_place():
    names = Names()
    try:
        places = {await names.place(url_of(host)) for host in ("localhost", "127.0.0.1", socket.gethostname())}
        assert len(places) == 1
        assert await names.place(url_of("localhost:4841")) not in places
        assert url_of("::1") == "opc.tcp://[::1]:4840"
        assert url_of("[::1]:4841") == "opc.tcp://[::1]:4841"
        assert url_of("plc/path/") == "opc.tcp://plc:4840/path"
    finally:
        await names.aclose()


async def test_through_the_runtime(tmp_path: Path):
    from dtios.runtime.configuration.config import RuntimeConfig
    from dtios.runtime.core import Runtime
    from dtios.runtime.registry import Registry
    from dtios.runtime.state import StateDirectory

    async with (
        serving(plain) as (url, _),
        Runtime(RuntimeConfig(), StateDirectory(tmp_path), Registry()) as runtime,
        client_of(runtime) as client,
    ):
        said: list[str] = []
        host = url.removeprefix("opc.tcp://").partition("/")[0]
        (found,) = await client.discover(host, lambda what, done, total: said.append(what))
        assert (found["adapter"], found["url"], found["error"]) == ("opcua", f"opc.tcp://{host}", "")
        assert said == [f"asking {host}"]
        with pytest.raises(ConfigurationError, match="no adapter answers"):
            await client.discover("gopher://x")
        with pytest.raises(TemporaryError, match="nobody listens"):
            await client.discover(f"127.0.0.1:{free_port()}")
