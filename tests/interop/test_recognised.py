"""Machines of companion types of a third party's stack are recognised as what they are; judged by what recognised.mjs sets."""

from pathlib import Path
from typing import Any

import pytest

from dtios.model.machine import Signal
from tests.interop.reach import machines_of, reached
from tests.machines.process import MachineProcess
from tests.system.cli.conftest import Ended, runner

pytestmark = pytest.mark.interop

ROB, MT = "http://opcfoundation.org/UA/Robotics/", "http://opcfoundation.org/UA/MachineTool/"
TASK = "Controllers/Controller/TaskControls/Task"
MACHINE = f"{TASK}/TaskControlOperation/TaskControlStateMachine"
AUTOMATIC = "VisionStateMachine/AutomaticModeStateMachine"
JOINING = "JoiningProcessManagement"
BLOCKS = "MachineryBuildingBlocks"


def enum(value: int, name: str) -> dict[str, Any]:
    return {"value": value, "name": name}


PROFILES = {
    "Robot": ["robotics", "di"],
    "Mill": ["machinetool"],
    "Camera": ["machinevision"],
    "Nutrunner": ["joining", "machinery-result"],
    "Gauge": ["machinery", "machinery-counters", "machinery-result", "process-values", "di-lock"],
}
WORKS = {"manufacturer": "Interop Works"}
IDENTIFIED = {
    "Robot": WORKS | {"model": "Arm 6", "product_code": "A6", "serial_number": "SN-1001"},
    "Mill": WORKS | {"serial_number": "SN-2001", "product_instance_uri": "urn:interop:mill:SN-2001"},
    "Camera": {},
    "Nutrunner": WORKS
    | {"model": "Nut 3", "component_name": "Nutrunner 1", "product_instance_uri": "urn:interop:nutrunner:SN-4001"},
    "Gauge": WORKS
    | {"model": "gauge 7", "serial_number": "SN-5001", "location": "Hall 2", "product_instance_uri": "urn:interop:gauge:SN-5001"},
}
STATES = {
    "Robot": {"packml": None, "unit_mode": "Produce"},  # OperationalMode AUTOMATIC
    "Mill": {"packml": "Execute", "unit_mode": "Produce"},  # the active program is Running, OperationMode Automatic
    "Camera": {"packml": "Idle", "unit_mode": None},  # Operational, Ready
    "Nutrunner": None,  # the standard gives it none
    "Gauge": {"packml": "Execute", "unit_mode": "Produce"},  # Executing, Processing
}
SIGNALS: dict[str, dict[str, tuple[Any, str | None]]] = {
    "Robot": {
        "MotionDevices/Arm/MotionDeviceCategory": (enum(1, "ARTICULATED_ROBOT"), None),
        "MotionDevices/Arm/ParameterSet/SpeedOverride": (75, "P1"),
        "MotionDevices/Arm/ParameterSet/OnPath": (True, None),
        "MotionDevices/Arm/Axes/Axis1/ParameterSet/ActualPosition": (10.5, "DD"),
        "MotionDevices/Arm/Axes/Axis2/ParameterSet/ActualPosition": (21, "DD"),
        "MotionDevices/Arm/Axes/Axis2/ParameterSet/ActualSpeed": (2, None),
        "Controllers/Controller/ParameterSet/TotalEnergyConsumption": (12.5, "KWH"),
        f"{TASK}/ParameterSet/TaskProgramName": ("weld", None),
        f"{TASK}/ParameterSet/ExecutionMode": (enum(2, "STEP"), None),
        "SafetyStates/Safety/ParameterSet/OperationalMode": (enum(3, "AUTOMATIC"), None),
        "SafetyStates/Safety/ParameterSet/ProtectiveStop": (True, None),
    },
    "Mill": {
        "Monitoring/MachineTool/FeedOverride": (90, "P1"),
        "Monitoring/Channel1/ChannelState": (enum(1, "Interrupted"), None),
        "Monitoring/Channel1/FeedOverride": (80, "P1"),
        "Monitoring/Spindle1/IsRotating": (True, None),
        "Monitoring/Spindle1/Override": (110, "P1"),
        "Production/ActiveProgram/Name": ("housing.nc", None),
        "Production/ActiveProgram/JobIdentifier": ("J-9", None),
    },
    "Camera": {
        "DiagnosticLevel": (3, None),
        f"{AUTOMATIC}/CurrentState": ({"text": "Ready", "locale": ""}, None),
    },
    "Nutrunner": {"Identification/Name": ("Nutrunner 1", None)},
    "Gauge": {
        f"{BLOCKS}/OperationCounters/PowerOnDuration": (7200, "SEC"),  # milliseconds on the wire
        f"{BLOCKS}/OperationCounters/OperationDuration": (1800, "SEC"),
        "Width/AnalogSignal": (12.25, "MMT"),
        "Width/AnalogSignal/HighLimit": (13, None),
        "Width/ProcessValueSetpoint": (12, None),
        "Lock/Locked": (True, None),
        "Lock/LockingUser": ("anna", None),
        "Lock/RemainingLockTime": (1.5, "SEC"),
    },
}
CAPABILITIES = {
    "Robot": {f"{MACHINE}/Start": "start-program", f"{MACHINE}/Stop": "stop-program", f"{MACHINE}/LoadByName": "load-program"},
    "Mill": {},
    "Camera": {
        f"{AUTOMATIC}/StartSingleJob": "inspect",
        f"{AUTOMATIC}/StartContinuous": "inspect-continuously",
        f"{AUTOMATIC}/Stop": "stop-inspection",
        f"{AUTOMATIC}/Abort": "abort-inspection",
    },
    "Nutrunner": {f"{JOINING}/SelectJoiningProcess": "load-program", f"{JOINING}/StartJoiningProcess": "join"},
    "Gauge": {},
}
MEANINGS = {
    "Robot": {
        f"MotionDevices/Arm/Axes/{axis}/ParameterSet/ActualPosition": f"{ROB}AxisType#ParameterSet/ActualPosition"
        for axis in ("Axis1", "Axis2")
    },
    "Mill": {"Monitoring/Spindle1/Override": f"{MT}SpindleMonitoringType#Override"},
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, companion_server: MachineProcess) -> Ended:
    folder = tmp_path_factory.mktemp("recognised")
    return runner(folder, folder / "state")("describe", companion_server.endpoint, "--json")


@pytest.mark.parametrize("name", PROFILES)
def test_what_it_is(shown: Ended, name: str) -> None:
    machine = machines_of(shown)[name]
    assert machine["profiles"] == PROFILES[name]
    assert {k: v for k, v in machine["identification"].items() if v is not None} == IDENTIFIED[name]
    assert machine["state"] == STATES[name]
    assert machine["notes"] == []  # what the standard calls optional is not missed
    told = {path: machine["signals"][path] for path in SIGNALS[name]}
    assert {p: (s["value"], s["unit"] and s["unit"]["code"]) for p, s in told.items()} == SIGNALS[name]
    assert {s["status"] for s in told.values()} == {"Good"}
    able = {path: skill["capability"]["iri"] for path, skill in machine["skills"].items() if skill["capability"]}
    assert able == {path: f"urn:dtios:capability:{last}" for path, last in CAPABILITIES[name].items()}


async def test_what_signals_mean(tmp_path: Path, companion_server: MachineProcess) -> None:
    async with reached(tmp_path, companion_server.endpoint) as client:
        for name, meanings in MEANINGS.items():
            signals: tuple[Signal, ...] = (await client.describe(name)).machine.signals
            assert {s.path: s.semantic_id for s in signals if s.path in meanings} == meanings


def test_a_standard_method_runs_as_a_job(tmp_path: Path, companion_server: MachineProcess) -> None:
    dtios = runner(tmp_path, tmp_path / "state")
    ended = dtios("start", companion_server.endpoint, "--machine", "Robot", f"{MACHINE}/LoadByName", "Name=weld-7", "--json")
    assert (ended.status, ended.lines[-1]["state"]) == (0, "Ended"), ended
    assert ended.lines[-1]["result"] == {"Status": 0}
    assert [call["args"] for call in companion_server.calls("LoadByName")] == [["weld-7"]]
