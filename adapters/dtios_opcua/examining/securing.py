"""What can be examined of security before a session: which endpoint is taken, and whether its server is trusted."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import anyio.to_thread

from dtios.sdk.errors import ConfigurationError, DtiosError
from dtios.sdk.pki import Fault, FaultKind, TrustList, Verification, common_name, is_loopback, thumbprint, trust_command
from dtios.sdk.pki.faults import ACCEPTABLE
from dtios_opcua.examining.reaching import Reached
from dtios_opcua.examining.report import Report
from dtios_opcua.security.choosing import Choice, choose_endpoint, offered
from dtios_opcua.security.policies import wanted_security
from dtios_opcua.security.server import examined_server
from dtios_opcua.security.settings import OpcUaSettings
from dtios_opcua.security.tokens import load_user, usable_token
from dtios_opcua.session.channel import host_and_port

__all__ = ["secure"]

_SOON: Final = timedelta(days=30)
_BY_CLOCK: Final = frozenset({FaultKind.EXPIRED, FaultKind.NOT_YET_VALID})


async def secure(report: Report, reached: Reached, settings: OpcUaSettings, home: Path) -> bool:
    """False where no session can follow; then the reason is a problem in the report."""
    try:
        wanted = wanted_security(settings.security, report.url)
        user = await anyio.to_thread.run_sync(load_user, settings, report.url)
    except DtiosError as error:
        report.problem("settings", error.message, error.mend)
        return False
    if wanted.none and user.kind == "anonymous":
        report.good("security", "none, as asked for: anyone on the network can read and change what is sent")
        return True
    host, _ = host_and_port(report.url)
    try:
        choice = choose_endpoint(reached.endpoints, wanted, user.kind, loopback=is_loopback(host), where=report.url)
    except DtiosError as error:
        report.problem("security" if isinstance(error, ConfigurationError) else "user", error.message, error.mend)
        return False
    names = offered(reached.endpoints)
    alone = "no encryption: the server offers none" if names == ["None"] else f"{choice}: the server offers nothing else"
    report.good("security", alone if len(names) == 1 else f"{choice} is taken of {', '.join(names)}")
    token = usable_token(choice.endpoint, user.kind, choice.mode)
    if choice.policy is None and (token is None or token.policy is None):
        return True
    return await anyio.to_thread.run_sync(_trusts, report, reached, choice, home)


def _trusts(report: Report, reached: Reached, choice: Choice, home: Path) -> bool:
    """Whether we trust the server. Blocks."""
    try:
        found = examined_server(choice.endpoint, report.url, home)
    except DtiosError as error:
        report.problem("server", error.message, error.mend)
        return False
    if not found.trustworthy:
        TrustList(home).refuse(found.certificate, found.faults, report.url)  # so that the command of the mend finds it
        for fault in found.faults:
            report.problem("server", f"its certificate ({_shown(found)}) {fault.message}", _mend(fault, found, reached, home))
        return False
    name, until = common_name(found.certificate), found.certificate.not_valid_after_utc
    if found.accepted:
        faults = ", ".join(fault.kind.value for fault in found.accepted)
        report.warning(
            "server", f"its certificate ({name}) is accepted though it is {faults}", "have a new one made at the server"
        )
    elif until - datetime.now(UTC) < _SOON:
        message = f"its certificate ({name}) is trusted, and ends on {until:%Y-%m-%d}"
        report.warning("server", message, "have it renewed at the server before that day")
    else:
        report.good("server", f"its certificate ({name}) is trusted, until {until:%Y-%m-%d}")
    return True


def _shown(found: Verification) -> str:
    return f"{common_name(found.certificate)}, {thumbprint(found.certificate)}"


def _mend(fault: Fault, found: Verification, reached: Reached, home: Path) -> str:
    mend = fault.mended(home)
    if fault.kind in _BY_CLOCK and reached.clock_is_off:
        return f"set the clocks first; then: {mend}"
    if fault.kind not in ACCEPTABLE or {other.kind for other in found.faults} - ACCEPTABLE - {FaultKind.UNTRUSTED}:
        return mend
    return (
        f"{mend}, or accept it as it is, knowingly: `{trust_command(home, 'accept', thumbprint(found.certificate), '--broken')}`"
    )
