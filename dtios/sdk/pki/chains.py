"""From a certificate to the root that signed it, each signature checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from dtios.sdk.pki.certificates import extension, is_self_signed
from dtios.sdk.pki.faults import Fault, FaultKind

__all__ = ["Chain", "build_chain", "may_sign_certificates"]

_DEEPEST: Final = 8


@dataclass(frozen=True, slots=True)
class Chain:
    """The leaf first, as far as it could be built; it ends in a root unless there are faults."""

    certificates: tuple[x509.Certificate, ...]
    faults: tuple[Fault, ...]


def build_chain(leaf: x509.Certificate, candidates: Sequence[x509.Certificate]) -> Chain:
    """Signed by whom, and that one by whom. `candidates` may be anybody's: only signatures count here, and trust later."""
    certificates = [leaf]
    faults: list[Fault] = []
    while not (is_self_signed(certificates[-1]) and _signed_by(certificates[-1], certificates[-1])):
        last = certificates[-1]
        named = [one for one in candidates if one.subject == last.issuer and one not in certificates]
        able = [one for one in named if may_sign_certificates(one, len(certificates) - 1) and _signed_by(last, one)]
        if not able or len(certificates) == _DEEPEST:
            faults.append(_no_issuer(last, bool(named) or is_self_signed(last)))
            break
        certificates.append(able[0])
    return Chain(tuple(certificates), tuple(faults))


def _no_issuer(certificate: x509.Certificate, known: bool) -> Fault:
    issuer = certificate.issuer.rfc4514_string()
    if known:
        message = f"bears the name of {issuer} as its signer, who did not sign it or may not"
        return Fault(FaultKind.FORGED, message, "ask the machine's maker: somebody may stand between you and the machine")
    message = f"is signed by {issuer}, whose certificate is not here"
    return Fault(FaultKind.INCOMPLETE_CHAIN, message, "add the CA's certificate", ("accept", "FILE", "--issuer"))


def may_sign_certificates(certificate: x509.Certificate, below: int) -> bool:
    """True for a CA; `below` is how many CAs stand between it and the leaf (RFC 5280, 4.2.1.9)."""
    constraints = extension(certificate, x509.BasicConstraints)
    if constraints is None or not constraints.ca:
        return False
    if constraints.path_length is not None and constraints.path_length < below:
        return False
    usage = extension(certificate, x509.KeyUsage)
    return usage is None or usage.key_cert_sign


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True
