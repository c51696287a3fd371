"""Result events of node-opcua, of two specifications: Results by a profile, on the command line and in an app."""

import json
from pathlib import Path
from typing import Any

import anyio
import jsonschema
import pytest

from dtios.cli.schema import schemas
from dtios.model.result import Result, ResultEvaluation
from dtios.model.values import DateTime
from dtios.runtime.configuration.config import RuntimeConfig
from dtios.runtime.core import Runtime
from dtios.runtime.registry import Registry
from dtios.runtime.state import StateDirectory
from dtios.sdk import App, AppConfig, Context
from dtios.sdk.client import Client
from dtios.sdk.observing import results
from tests.interop.node_server import node_server, running_node_server
from tests.interop.reach import runtime_of
from tests.machines.process import MachineProcess
from tests.runtimes import client_of
from tests.system.cli.conftest import Background, Dtios

pytestmark = pytest.mark.interop

GAUGE = """
profile: interop-gauge
namespaces: {res: "http://opcfoundation.org/UA/Machinery/Result/", own: "urn:interop:results"}
match: {path: own:Gauge}
role: machine
results:
  - event: res:ResultReadyEventType
    result: res:Result/ResultMetaData/ResultId
    part: res:Result/ResultMetaData/PartId
    job: res:Result/ResultMetaData/JobId
    evaluation: res:Result/ResultMetaData/ResultEvaluation
    created: res:Result/ResultMetaData/CreationTime
    content: {Values: res:Result/ResultContent}
"""
CAMERA = """
profile: interop-camera
namespaces: {mv: "http://opcfoundation.org/UA/MachineVision", own: "urn:interop:results"}
match: {path: own:Camera}
role: machine
results:
  - event: mv:ResultReadyEventType
    result: mv:ResultId/Id
    part: mv:PartId/Id
    job: mv:JobId/Id
    partial: mv:IsPartial
    evaluation: {path: mv:ResultState, values: {0: OK, 1: NotOK}}
"""
CREATED = 1_795_464_724_556_000_000


def config(folder: Path, server: MachineProcess) -> dict[str, Any]:
    profiles = []
    for name, text in (("gauge", GAUGE), ("camera", CAMERA)):
        profiles.append(str(folder / f"{name}.yaml"))
        Path(profiles[-1]).write_text(text)
    machines = {name: {"endpoint": server.endpoint, "machine": name.title()} for name in ("gauge", "camera")}
    return {"profiles": profiles, "machines": machines}


async def inspect(client: Client, machine: str, part: str, good: bool) -> None:
    job = await client.start(machine, "Inspect", {"part": part, "good": good})
    assert (await job.outcome()).state.value == "Ended"


async def test_results_of_two_specifications(tmp_path: Path) -> None:
    async with (
        running_node_server(tmp_path / "calls.jsonl", script="results") as server,
        runtime_of(tmp_path, config(tmp_path, server)) as client,
        results(client, "gauge") as measured,
        results(client, "camera") as pictures,
    ):
        await inspect(client, "gauge", "p1", good=True)
        await inspect(client, "camera", "p2", good=False)
        with anyio.fail_after(20):
            assert await anext(measured) == Result(
                "gauge", "r-p1", part="p1", job="order-17", evaluation=ResultEvaluation.OK, created=CREATED,
                content={"Values": [12.5, "mm"]},
            )  # fmt: skip
            seen = await anext(pictures)
        assert (seen.result, seen.part, seen.job, seen.partial) == ("v-p2", "p2", "job-3", True)
        assert seen.evaluation is ResultEvaluation.NotOK
        assert [(c["node"], c["args"]) for c in server.calls("result")] == [("Gauge", ["p1", True]), ("Camera", ["p2", False])]
        assert DateTime(CREATED) == CREATED


app = App("sorting", config=AppConfig)
gauge = app.needs("gauge", skills=["Inspect"], signals=["Length"])


@app.on_result(gauge)
async def measured(ctx: Context[AppConfig], result: Result) -> None:
    await ctx.store.put(result.result, [result.part, result.evaluation.name])


async def test_a_result_arrives_in_an_app(tmp_path: Path) -> None:
    async with running_node_server(tmp_path / "calls.jsonl", script="results") as server:
        grants = [{"machine": "gauge", "run": ["**"]}]
        apps = {"sorting": {"isolation": "inline", "machines": {"gauge": "gauge"}, "grants": grants}}
        checked = RuntimeConfig.model_validate({**config(tmp_path, server), "apps": apps})
        async with (
            Runtime(checked, StateDirectory(tmp_path / "state"), Registry(apps=[app])) as runtime,
            client_of(runtime) as client,
        ):
            for number in range(3):
                await inspect(client, "gauge", f"p{number}", good=number != 1)
            with anyio.fail_after(20):
                while len(await runtime.kernel.journal.keys("sorting", "")) < 3:
                    await anyio.sleep(0.02)
            stored = [await runtime.kernel.journal.get("sorting", f"r-p{number}") for number in range(3)]
            assert stored == [["p0", "OK"], ["p1", "NotOK"], ["p2", "OK"]]


def test_on_the_command_line(dtios: Dtios, tmp_path: Path) -> None:
    with node_server(tmp_path / "calls.jsonl", script="results") as server:
        (tmp_path / "dtios.yaml").write_text(json.dumps(config(tmp_path, server)))
        follow = ("results", "gauge", "--count", "2", "--json")
        with (
            Background(tmp_path, tmp_path / "state", "run", "--json") as runtime,
            Background(tmp_path, tmp_path / "state", *follow) as told,
        ):
            runtime.line()
            for number in range(20):  # the first may come before anybody follows
                assert dtios("start", "gauge", "Inspect", f"part=p{number}", "good=true").status == 0
                if told.process.poll() is not None:
                    break
            printed = [told.line(), told.line()]
        for line in printed:
            jsonschema.validate(line, schemas()["results"])
            assert line["evaluation"] == {"value": 1, "name": "OK"}
