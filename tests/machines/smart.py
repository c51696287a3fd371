"""A machine of the Smart Machine Interface, by the OpenSMI framework: `python -m tests.machines.smart --log calls.jsonl`.

`Press` has a lock, a skill `Stamp` (0.05 s for each of `count` pieces; it can be suspended) and `Polish`, which runs until it
is halted.
Who connects without a name is its user `operator`; `--other` takes the lock for somebody else at the start.
"""
# ruff: noqa: E402

import argparse
import asyncio
import contextlib
import logging
import sys
import typing
from inspect import currentframe
from pathlib import Path
from typing import Any, Final, TextIO

import typing_extensions
from asyncua import ua

# opensmi-server 0.2 says that it runs on Python 3.11, and imports a name that came with 3.12
typing.override = getattr(typing, "override", typing_extensions.override)

from opensmi.server import (
    BaseMachine,
    BaseSkillContinuous,
    BaseSkillFinalResultData,
    BaseSkillFinite,
    ParameterSet,
    Server,
    UaVariable,
)
from opensmi.server.config import AccessControlConfiguration, LoggingConfiguration, ServerConfiguration, UserConfiguration
from opensmi.server.mixins import FinalResultDataMixin, ParameterSetMixin, ParentMixin

from dtios_packml.lifecycle import CallLog, announce, ended
from tests.machines.overlapping import overlapping_requests

__all__: list[str] = []

PIECE: Final = 0.05
LOCK_TIME: Final = 1500
"""Milliseconds that a lock lasts without being renewed; the framework looks once a second."""


class _Parameters(ParameterSet):
    count = UaVariable(1)


class _Results(BaseSkillFinalResultData):
    Stamped = UaVariable(0)


class Stamp(ParentMixin["Press"], ParameterSetMixin[_Parameters], FinalResultDataMixin[_Results], BaseSkillFinite):
    def __init__(self, log: CallLog) -> None:
        super().__init__(name="Stamp", suspendable=True)
        self._log = log

    async def _handle_running(self) -> None:
        count = int(await self.parameter_set.count.read())
        self._log.add("Start", [count], locked_by=str(getattr(self.lock.locking_user, "name", "")))
        for _ in range(count):
            await self._suspend_point()
            await asyncio.sleep(PIECE)
        await self.final_result_data.Stamped.write(count)
        self._log.add("stamped", [count], locked=self.lock.locked)

    async def _handle_halting(self) -> None:
        self._log.add("Halt", [])

    async def _handle_suspending(self) -> None:
        self._log.add("Suspend", [])


class Polish(ParentMixin["Press"], BaseSkillContinuous):
    async def _handle_running(self) -> None:
        await asyncio.Event().wait()


class Press(BaseMachine):
    def __init__(self, log: CallLog) -> None:
        super().__init__(name="Press")
        self._log = log

    async def _init(self) -> None:
        await super()._init()
        await self.add_skill(Stamp(self._log))
        await self.add_skill(Polish(name="Polish"))

    async def _write_identification(self) -> None:
        await self.identification.SerialNumber.write("press-1")
        await self.identification.ProductInstanceUri.write("urn:dtios:smart:press-1")
        await self.identification.Manufacturer.write(ua.LocalizedText("DTI-OS", "en"))


def _configuration(port: int) -> ServerConfiguration:
    users = [
        UserConfiguration(name=name, password=name, priority=1, maximum_access_level=20, allow_multiple=True)
        for name in ("operator", "watchdog")
    ]
    made = ServerConfiguration(
        logging=LoggingConfiguration(minimum_levels={"opensmi": "ERROR", "opensmi.Server": "ERROR", "asyncua": "ERROR"}),
        access_control=AccessControlConfiguration(users=users, max_inactive_lock_time_milliseconds=LOCK_TIME),
    )
    made.ua_server.endpoint_address = f"opc.tcp://127.0.0.1:{port}/smart"
    return made


def _nameless_is_operator(server: Server) -> None:
    """The session is found by the framework in the frame that calls it, under the name `self`."""
    known = server.access_control.get_user

    def get_user(iserver: Any, username: str | None = None, password: Any = None, certificate: Any = None) -> Any:
        frame = currentframe()
        assert frame is not None
        assert frame.f_back is not None
        self = frame.f_back.f_locals["self"]  # noqa: F841  # read by the framework
        name = username or "operator"
        return known(iserver, name, password if username else name, certificate)

    server.access_control.get_user = get_user
    server.ua_server.set_identity_tokens([ua.AnonymousIdentityToken, ua.UserNameIdentityToken])


async def _run(options: argparse.Namespace, ready: TextIO) -> None:
    server = Server()
    server._config = _configuration(options.port)
    with CallLog(options.log) as log, overlapping_requests():
        async with server:
            _nameless_is_operator(server)
            press = await server.add_machine(Press(log))
            for skill in press.skill_set:
                await skill.reset()
            if options.other:
                await press.lock.init_lock(server.access_control.users["watchdog"])
            await server.start(blocking=False)
            assert server.ua_server.bserver is not None
            with contextlib.redirect_stdout(ready):
                announce(endpoint=f"opc.tcp://127.0.0.1:{server.ua_server.bserver.port}/smart")
            await ended(options.with_parent)


if __name__ == "__main__":
    logging.getLogger("asyncua").setLevel(logging.ERROR)
    parser = argparse.ArgumentParser(prog="python -m tests.machines.smart")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--other", action="store_true")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--with-parent", action="store_true")
    stdout = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # the framework's log goes there
        asyncio.run(_run(parser.parse_args(), stdout))
