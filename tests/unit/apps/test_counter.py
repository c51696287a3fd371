"""The demo app on machines in memory."""

import pytest

from dtios.model.datatypes import BuiltinType
from dtios.model.machine import Access
from dtios.testing import METHOD_PROFILE, MemoryServer, VirtualClock, app_under_test, method_machine, packml_machine
from dtios_counter import app


def machine(kind: str) -> MemoryServer:
    clock = VirtualClock()
    if kind == "packml":
        return packml_machine("press", clock=clock, execute=5.0)
    return method_machine("press", clock=clock)


@pytest.mark.parametrize("kind", ["packml", "method"])
async def test_it_runs_its_job_on_whatever_can_produce(kind: str) -> None:
    async with app_under_test(app, [machine(kind)], profiles=[METHOD_PROFILE]) as t:
        await t.until(lambda: "job over" in t.said)
        over = next(fields for _, event, fields in t.log if event == "job over")
        assert over["state"] == "Ended"
        assert [f["state"] for _, event, f in t.log if event == "job state"][-2:] == ["Running", "Ended"]


async def test_it_holds_while_too_hot_and_resumes_what_it_held() -> None:
    press = packml_machine("press", clock=VirtualClock(), execute=5.0)
    process = press.object("Process", parent=press.find("Machines/press"))
    temperature = press.variable("Temperature", 20.0, BuiltinType.Double, parent=process, access=Access.READ)
    async with app_under_test(app, [press]) as t:
        await t.until(lambda: press.state.name == "Execute")
        press.set(temperature, 65.0)
        await t.until(lambda: "temperature is warm" in t.said)
        press.set(temperature, 90.0)
        await t.until(lambda: press.state.name == "Held")
        press.set(temperature, None, status="BadSensorFailure")
        await t.clock.advance(1.0)
        assert press.state.name == "Held"
        press.set(temperature, 70.0)
        await t.clock.advance(1.0)
        assert press.state.name == "Held"
        press.set(temperature, 50.0)
        await t.until(lambda: "job over" in t.said)
        assert press.parts == 1
        assert [e for e in t.said if "hot:" in e or "cool" in e] == ["too hot: holding", "cool again: resuming"]
