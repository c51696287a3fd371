"""The server's certificate against our trust list, as it is at this moment."""

from datetime import UTC, datetime
from pathlib import Path

import structlog
from asyncua import ua
from cryptography import x509

from dtios.sdk.errors import CredentialsError
from dtios.sdk.pki import Expected, TrustList, Verification, read_certificates, thumbprint, verify
from dtios_opcua.session.address import host_and_port

__all__ = ["examined_server", "verified_server"]

log = structlog.get_logger("dtios.opcua")


def examined_server(endpoint: ua.EndpointDescription, url: str, home: Path) -> Verification:
    """All that is wrong with the certificate an endpoint shows; nothing is written. Blocks. Raises CredentialsError where it
    shows none, or rubbish."""
    shown = bytes(endpoint.ServerCertificate or b"")
    mend = "have the server's administrator make it a certificate"
    if not shown:
        raise CredentialsError("the server shows no certificate", where=url, mend=mend)
    try:
        chain = read_certificates(shown)
    except ValueError as error:
        raise CredentialsError(f"the server's certificate cannot be read ({error})", where=url, mend=mend) from None
    host, _ = host_and_port(url)
    expected = Expected(host, str(endpoint.Server.ApplicationUri or ""), datetime.now(UTC))
    return verify(chain, TrustList(home).read(), expected)


def verified_server(endpoint: ua.EndpointDescription, url: str, home: Path) -> x509.Certificate:
    """Its certificate, if it is trusted. Blocks. Who is refused is remembered, so that a person can accept it. Raises
    CredentialsError, ConfigurationError."""
    found = examined_server(endpoint, url, home)
    if not found.trustworthy:
        TrustList(home).refuse(found.certificate, found.faults, url)
        raise found.refusal(home, url)
    if found.accepted:
        faults = [fault.kind.value for fault in found.accepted]
        log.warning("certificate accepted with its faults", endpoint=url, thumbprint=thumbprint(found.certificate), faults=faults)
    return found.certificate
