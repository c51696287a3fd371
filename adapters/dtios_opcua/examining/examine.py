"""Everything a connection needs, tried step by step: the adapter's part of `dtios doctor`."""

from pathlib import Path
from typing import Final

import anyio
from anyio.abc import TaskStatus
from asyncua.ua.uaerrors import UaStatusCodeError

from dtios.mapping.facts import BrowseFacts
from dtios.model.status import status_name
from dtios.sdk.adapter import Finding
from dtios.sdk.errors import ConfigurationError, CredentialsError, DtiosError
from dtios_opcua.connection import OpcUaConnection
from dtios_opcua.errors import BadStatus
from dtios_opcua.examining.reaching import Reached, reach
from dtios_opcua.examining.report import Report
from dtios_opcua.examining.securing import secure
from dtios_opcua.examining.standing import Ear, stand
from dtios_opcua.security.refusals import OurCertificateRefused
from dtios_opcua.security.settings import OpcUaSettings

__all__ = ["examine"]

_FULL: Final = {"BadTooManySessions", "BadTcpServerTooBusy", "BadTcpNotEnoughResources", "BadMaxConnectionsReached"}


async def examine(connection: OpcUaConnection, settings: OpcUaSettings, home: Path, known: BrowseFacts | None) -> list[Finding]:
    """One session at most, closed at the end whatever happens."""
    report = Report(connection.url)
    reached = await reach(report, settings.timeout)
    if reached is not None and await secure(report, reached, settings, home):
        try:
            await _session(report, connection, settings, known)
        except DtiosError as error:
            _refused(report, error, reached)
    return report.findings


async def _session(report: Report, connection: OpcUaConnection, settings: OpcUaSettings, known: BrowseFacts | None) -> None:
    """Raises why there was no session, or why it ended."""
    ear = Ear()
    ended: list[DtiosError] = []

    async def run(*, task_status: TaskStatus[None]) -> None:
        started = _Started(task_status)
        try:
            await connection.run(ear, task_status=started)
        except DtiosError as error:
            if not started.told:
                raise
            ended.append(error)
            tasks.cancel_scope.cancel()

    refused: DtiosError | None = None
    async with anyio.create_task_group() as tasks:
        try:
            await tasks.start(run, name=f"examine {connection.url}")
            report.good("session", _as_whom(settings))
        except DtiosError as error:
            refused = error
        else:
            try:
                await stand(report, connection, ear, connection.limits, settings.publishing_interval, known)
            except DtiosError as error:
                ended.append(error)
        tasks.cancel_scope.cancel()
    if refused is not None:
        raise refused
    if ended:
        report.problem("session", f"it ended during the examination, {ended[0].message}", ended[0].mend)


class _Started(TaskStatus[None]):
    """Notes that the session stood."""

    def __init__(self, inner: TaskStatus[None]) -> None:
        self._inner = inner
        self.told = False

    def started(self, value: None = None) -> None:
        self.told = True
        self._inner.started(value)


def _as_whom(settings: OpcUaSettings) -> str:
    anonymous = "the user of the certificate" if settings.user_certificate is not None else "an anonymous user"
    return f"a session can be opened by {settings.user or anonymous}"


def _refused(report: Report, error: DtiosError, reached: Reached) -> None:
    """Why there is no session, sorted by what a person has to go and look at."""
    name = _status(error)
    if name in _FULL:
        mend = "end another client (an engineering tool often keeps a session open), or raise the limit at the server"
        report.problem("sessions", f"the server has no session left ({name})", mend)
    elif name == "BadCertificateTimeInvalid" or (reached.clock_is_off and isinstance(error, CredentialsError)):
        report.problem("session", error.message, f"set the clocks first; then: {error.mend}")
    else:
        report.problem(_check(error, name), error.message, error.mend)


def _check(error: DtiosError, name: str) -> str:
    if isinstance(error, ConfigurationError):
        return "security"
    if not isinstance(error, CredentialsError):
        return "session"
    if isinstance(error, OurCertificateRefused):
        return "certificate"
    return "user" if "User" in name or "Identity" in name else "server"


def _status(error: BaseException) -> str:
    """The StatusCode that it came from, by name; empty where there was none."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BadStatus):
            return cause.name
        if isinstance(cause, UaStatusCodeError):
            return status_name(int(cause.code))
        cause = cause.__cause__
    return ""
