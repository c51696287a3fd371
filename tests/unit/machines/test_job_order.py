"""The job order station does what the system tests rely on; its moves are those of the model."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Node, ua

from dtios.model.job import JobState, JobVerb, allowed_verbs, next_states
from tests.machines.job_order import ISA95_URI, URI, job_order_machine
from tests.machines.job_shop import MOVES, STATES, JobShop, Return
from tests.machines.process import python_machine, running_machine


def shop_in(state: str) -> JobShop:
    shop = JobShop()
    shop.store("j", None, {"Duration": 1000.0}, start=False)
    for method in {"NotAllowedToStart": [], "AllowedToStart": ["Start"], "Running": ["Start", 1],
                   "Interrupted": ["Start", 1, "Pause"], "Ended": ["Start", 1, "Stop"], "Aborted": ["Abort"]}[state]:  # fmt: skip
        if isinstance(method, str):
            assert shop.command(method, "j") is Return.NO_ERROR
        else:
            shop.advance(method)
    assert shop.jobs["j"].state[0] == state
    return shop


@pytest.mark.parametrize("state", list(STATES))
@pytest.mark.parametrize("method", ["Start", "Pause", "Resume", "Stop", "Abort", "Cancel"])
def test_moves_are_those_of_the_model(state: str, method: str) -> None:
    shop, verb = shop_in(state), JobVerb(method.lower())
    returned = shop.command(method, "j")
    if verb in allowed_verbs(JobState(state)):
        assert returned is Return.NO_ERROR
        if method != "Cancel":
            assert JobState(shop.jobs["j"].state[0]) in next_states(JobState(state), verb)
        else:
            assert "j" not in shop.jobs
    else:
        assert returned is Return.INVALID_STATUS
        assert shop.jobs["j"].state[0] == state


def test_ids_and_limits() -> None:
    shop = JobShop(limit=2)
    assert shop.store("", None, {}, True) is Return.INVALID_REQUEST
    assert [shop.store(i, None, {}, True) for i in ("a", "a", "b", "c")] == [
        Return.NO_ERROR, Return.NOT_ACCEPTED, Return.NO_ERROR, Return.NOT_ACCEPTED,
    ]  # fmt: skip
    assert all(shop.command(m, "nobody") is Return.UNKNOWN_JOB_ORDER for m in (*MOVES, "Clear"))


class Operator:
    def __init__(self, client: Client, own: int, types: int) -> None:
        self.client, self.own, self.types = client, own, types

    async def node(self, *path: str) -> Node:
        return await self.client.nodes.objects.get_child([f"{self.own}:{n}" for n in ("Station", *path)])

    async def call(self, part: str, method: str, *arguments: Any) -> list[Any]:
        """asyncua's own call drops the outputs of an Uncertain answer."""
        owner = await self.node(part)
        node = await owner.get_child(f"{self.types}:{method}")
        given = [a if isinstance(a, ua.Variant) else ua.Variant(a) for a in arguments]
        request = ua.CallMethodRequest(ObjectId=owner.nodeid, MethodId=node.nodeid, InputArguments=given)
        [answer] = await self.client.uaclient.call([request])
        assert not answer.StatusCode.is_bad()
        return [v.Value for v in answer.OutputArguments]

    def make(self, name: str, **fields: Any) -> Any:
        """By the type's NodeId: asyncua keeps one class for a name, whichever server came first."""
        return ua.get_type(ua.NodeId(name, self.types))(**fields)

    def order(self, id: str, **parameters: Any) -> Any:
        given = [self.make("ISA95ParameterDataType", ID=k, Value=ua.Variant(v)) for k, v in parameters.items()]
        return self.make("ISA95JobOrderDataType", JobOrderID=id, JobOrderParameters=given)

    async def states(self) -> dict[str, list[str]]:
        listed = await (await (await self.node("Orders")).get_child(f"{self.types}:JobOrderList")).read_value()
        return {o.JobOrder.JobOrderID: [s.StateText.Text for s in o.State] for o in listed or []}

    async def until(self, job: str, *state: str) -> None:
        async with asyncio.timeout(10):
            while (await self.states()).get(job) != list(state):
                await asyncio.sleep(0.02)


async def operator(client: Client, uri: str) -> Operator:
    await client.load_data_type_definitions()
    return Operator(client, await client.get_namespace_index(URI), await client.get_namespace_index(uri))


NO_COMMENT = ua.Variant([], ua.VariantType.LocalizedText, is_array=True)


async def test_an_order_over_the_wire() -> None:
    async with job_order_machine() as machine, Client(machine.endpoint) as client:
        by = await operator(client, ISA95_URI)
        assert await by.call("Orders", "StoreAndStart", by.order("one", Count=4, Duration=0.4), NO_COMMENT) == [1]
        assert await by.call("Orders", "StoreAndStart", by.order("one"), NO_COMMENT) == [1 << 4]
        await by.until("one", "Running")
        assert await by.call("Orders", "Pause", "one", NO_COMMENT) == [1]
        assert await by.states() == {"one": ["Interrupted", "Held"]}
        assert await by.call("Orders", "Resume", "one", NO_COMMENT) == [1]
        await by.until("one", "Ended", "Completed")
        response, returned = await by.call("Answers", "RequestJobResponseByJobOrderID", "one")
        assert returned == 1
        assert [(p.ID, p.Value.Value) for p in response.JobResponseData] == [("Made", 4)]
        assert [s.StateNumber for s in response.JobState] == [5, 1]
        assert (await by.call("Answers", "RequestJobResponseByJobOrderID", "two"))[1] == 1 << 1
        assert await by.call("Orders", "StoreAndStart", by.order("bad", Fail=True, Duration=0.05), NO_COMMENT) == [1]
        await by.until("bad", "Aborted")
        state = by.make("ISA95StateDataType", StateNumber=6)
        found, _ = await by.call("Answers", "RequestJobResponseByJobOrderState", ua.Variant([state]))
        assert [r.JobOrderID for r in found] == ["bad"]
        assert [e["args"][0]["id"] for e in machine.log.entries if e["method"] == "StoreAndStart"] == ["one", "one", "bad"]


async def test_in_a_process_with_a_namespace_of_its_own(tmp_path: Path) -> None:
    command = python_machine("tests.machines.job_order", "--namespace", "urn:other:jobs")
    async with running_machine(command, tmp_path / "calls.jsonl") as machine:
        async with Client(machine.endpoint) as client:
            by = await operator(client, "urn:other:jobs")
            assert await by.call("Orders", "Store", by.order("one", Count=1), NO_COMMENT) == [1]
            assert await by.states() == {"one": ["NotAllowedToStart", "Ready"]}
        machine.kill()
        assert [e["args"][0]["id"] for e in machine.calls("Store")] == ["one"]
