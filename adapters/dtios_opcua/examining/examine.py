"""Everything a connection needs, tried step by step: the adapter's part of `dtios doctor`."""

from pathlib import Path
from typing import Final

import anyio.to_thread
from anyio.abc import TaskStatus
from asyncua.ua.uaerrors import UaStatusCodeError

from dtios.mapping.facts import BrowseFacts
from dtios.model.status import status_name
from dtios.sdk.adapter import Finding
from dtios.sdk.errors import ConfigurationError, CredentialsError, DtiosError
from dtios.sdk.pki import is_loopback
from dtios_opcua.connection import OpcUaConnection
from dtios_opcua.errors import BadStatus
from dtios_opcua.examining.reaching import Reached, reach
from dtios_opcua.examining.report import Report
from dtios_opcua.examining.standing import Ear, stand
from dtios_opcua.security.choosing import choose_endpoint
from dtios_opcua.security.policies import wanted_security
from dtios_opcua.security.refusals import OurCertificateRefused
from dtios_opcua.security.server import examined_server
from dtios_opcua.security.settings import OpcUaSettings
from dtios_opcua.security.tokens import UserKind
from dtios_opcua.session.address import host_and_port

__all__ = ["examine"]

_FULL: Final = {"BadTooManySessions", "BadTcpServerTooBusy", "BadTcpNotEnoughResources", "BadMaxConnectionsReached"}


async def examine(connection: OpcUaConnection, settings: OpcUaSettings, home: Path, known: BrowseFacts | None) -> list[Finding]:
    """One session at most, closed at the end whatever happens."""
    report = Report(connection.url)
    reached = await reach(report, settings.timeout)
    if reached is not None and await _secure(report, reached, settings, home):
        try:
            await _session(report, connection, settings, known)
        except DtiosError as error:
            _refused(report, error, reached)
    return report.findings


async def _secure(report: Report, reached: Reached, settings: OpcUaSettings, home: Path) -> bool:
    """Which endpoint would be taken, and everything that is wrong with the server's certificate. False: no session can be."""
    host, _ = host_and_port(report.url)
    kind: UserKind = "anonymous" if settings.user is None else "user name"
    kind = kind if settings.user_certificate is None else "certificate"
    try:
        wanted = wanted_security(settings.security, report.url)
        choice = choose_endpoint(reached.endpoints, wanted, kind, loopback=is_loopback(host), where=report.url)
        if choice.policy is None:
            report.good("security", "the connection has no encryption")
            return True
        found = await anyio.to_thread.run_sync(examined_server, choice.endpoint, report.url, home)
    except DtiosError as error:
        report.problem("security" if isinstance(error, ConfigurationError) else "user", error.message, error.mend)
        return False
    report.good("security", f"{choice} is taken")
    for fault in found.faults:
        report.problem("certificate", f"the server's certificate {fault.message}", fault.mended(home))
    for fault in found.accepted:
        report.warning("certificate", f"the server's certificate {fault.message}", "a person has accepted that")
    if found.trustworthy:
        report.good("certificate", "the server's certificate is trusted")
    return found.trustworthy


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
    return f"a session can be opened by {settings.user or 'an anonymous user'}"


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
    return "user" if "User" in name or "Identity" in name or not name else "certificate"


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
