"""Was a certificate taken back? Each CA of a chain needs a revocation list that is signed by it and not outdated."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from dtios.sdk.pki.certificates import common_name, extension
from dtios.sdk.pki.faults import Fault, FaultKind

__all__ = ["revocation_faults"]

_MEND = "add the CA's present revocation list"
_COMMAND = ("accept", "FILE")


def revocation_faults(
    chain: Sequence[x509.Certificate], lists: Sequence[x509.CertificateRevocationList], now: datetime
) -> Iterator[Fault]:
    """For each certificate of a chain and the CA after it. A self-signed certificate has none: it is trusted by itself."""
    for certificate, issuer in pairwise(chain):
        own = [one for one in lists if _is_of(one, issuer)]
        if any(one.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None for one in own):
            whose = "was" if certificate is chain[0] else f"is signed by {common_name(certificate)}, whose own was"
            message = f"{whose} revoked by {common_name(issuer)}"
            yield Fault(FaultKind.REVOKED, message, "the server needs a new one from its CA")
        elif not own:
            message = f"may be revoked, for there is no revocation list of {common_name(issuer)}"
            yield Fault(FaultKind.NO_REVOCATION_LIST, message, _MEND, _COMMAND)
        elif not any(_is_current(one, now) for one in own):
            message = f"may be revoked, for the revocation list of {common_name(issuer)} is outdated"
            yield Fault(FaultKind.NO_REVOCATION_LIST, message, _MEND, _COMMAND)


def _is_of(one: x509.CertificateRevocationList, issuer: x509.Certificate) -> bool:
    """Issued and signed by this CA, which may do so."""
    usage = extension(issuer, x509.KeyUsage)
    if one.issuer != issuer.subject or (usage is not None and not usage.crl_sign):
        return False
    try:
        return one.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # other keys are a TypeError
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False


def _is_current(one: x509.CertificateRevocationList, now: datetime) -> bool:
    return one.next_update_utc is None or now <= one.next_update_utc
