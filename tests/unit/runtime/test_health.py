"""What a runtime says of itself to `dtios doctor`."""

from pathlib import Path

import anyio
import pytest

from dtios.model.errors import ConfigurationError
from dtios.runtime.links.examining import health
from dtios.runtime.registry import Registry
from dtios.sdk import App, Context
from dtios.sdk.adapter import Finding
from dtios.testing import MemoryAdapter, method_machine
from tests.runtimes import client_of, running


def levels(findings: list[Finding], check: str) -> dict[str, str]:
    return {finding.where: finding.level for finding in findings if finding.check == check}


async def test_machines_online_silent_and_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dtios.runtime.links.examining._SILENT", 0.05)
    machines = {"here": {"endpoint": "memory:here"}, "gone": {"endpoint": "memory:gone"}}
    async with method_machine("here") as server, method_machine("gone") as gone:
        async with running(tmp_path, server, gone, machines=machines) as runtime, client_of(runtime) as client:
            gone.freeze()
            gone.drop("switched off")
            server.freeze()
            with anyio.fail_after(10):
                while levels(await client.health(), "machine") != {"here": "warning", "gone": "problem"}:
                    await anyio.sleep(0.02)
            findings = await client.health()
            server.thaw()
            gone.thaw()
    said = {finding.where: finding for finding in findings}
    assert "silent" in said["here"].message
    assert "gone is" in said["gone"].message
    assert all(finding.mend for finding in findings)


async def test_dropped_values_are_told_with_who_lost_them(tmp_path: Path) -> None:
    async with (
        method_machine("m") as server,
        running(tmp_path, server, machines={"m": {"endpoint": "memory:m"}}) as runtime,
        client_of(runtime) as client,
        client.subscribe("m", ["Speed"], policy="drop-oldest", capacity=1),
    ):
        speed = server.find("Machines/m/Speed").address
        with anyio.fail_after(10):
            while "values" not in {finding.check for finding in await client.health()}:
                for value in range(50):
                    server.set(speed, float(value))
                await anyio.sleep(0.01)
        (finding,) = [finding for finding in health(runtime.kernel) if finding.check == "values"]
    assert (finding.level, finding.where) == ("warning", "m")
    assert "dropped" in finding.message


async def test_an_app_that_failed(tmp_path: Path) -> None:
    app = App("wrong")

    @app.main
    async def fail(ctx: Context) -> None:
        raise ValueError("a part of nothing")

    registry = Registry(adapters=[MemoryAdapter()], apps=[app], installed=False)
    apps = {"wrong": {"isolation": "inline"}}
    async with running(tmp_path, apps=apps, registry=registry) as runtime, client_of(runtime) as client:
        with anyio.fail_after(10):
            while levels(await client.health(), "app").get("wrong") not in ("problem", "warning"):
                await anyio.sleep(0.02)
        (finding,) = [finding for finding in await client.health() if finding.check == "app"]
    assert "a part of nothing" in finding.message
    assert "log" in finding.mend


async def test_an_adapter_that_cannot_examine_and_one_that_takes_too_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with method_machine("m") as server, running(tmp_path, server) as runtime, client_of(runtime) as client:
        (finding,) = await client.examine("memory:m", {})
        assert (finding.check, finding.level) == ("examination", "warning")

        async def never(*_args: object) -> list[Finding]:
            await anyio.sleep_forever()
            return []

        monkeypatch.setattr(MemoryAdapter, "examine", never)
        (finding,) = await client.examine("memory:m", {}, 0.05)
        assert (finding.check, finding.level) == ("time", "problem")
        with pytest.raises(ConfigurationError, match="no adapter"):
            await client.examine("gopher://x", {})
        with pytest.raises(ConfigurationError, match="colour"):
            await client.examine("memory:m", {"colour": "red"})
