"""Is this certificate that of the server that was meant? All that is wrong with it, not only the first thing.

Part 4, 6.1.3: structure, chain and signatures, trust list, validity, host name, application URI, usage, revocation. A pure
function of what it is given; nothing is read from disk or network here.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from dtios.sdk.errors import CredentialsError
from dtios.sdk.pki.certificates import as_der, common_name, extension, is_self_signed, names_of, thumbprint
from dtios.sdk.pki.chains import Chain, build_chain
from dtios.sdk.pki.faults import ACCEPTABLE, Fault, FaultKind, trust_command
from dtios.sdk.pki.hosts import names_meant
from dtios.sdk.pki.revocation import revocation_faults
from dtios.sdk.pki.trustlist import Trust

__all__ = ["Expected", "Verification", "verify"]

_SHORTEST_KEY: Final = 2048
_WEAK_HASHES: Final = {"md5", "sha1"}
_USAGES: Final = {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}


@dataclass(frozen=True, slots=True)
class Expected:
    """Who should be at the other end. `host` is that of the URL asked, `application_uri` that of the endpoint."""

    host: str
    application_uri: str
    now: datetime


@dataclass(frozen=True, slots=True)
class Verification:
    """`faults` stand against it; `accepted` are there as well, and a person has accepted them for this very certificate."""

    certificate: x509.Certificate
    faults: tuple[Fault, ...]
    accepted: tuple[Fault, ...] = ()

    @property
    def trustworthy(self) -> bool:
        return not self.faults

    def refusal(self, home: Path, where: str) -> CredentialsError:
        """One sentence with all faults, and the command that would mend it where there is one."""
        name = f"{common_name(self.certificate)}, {thumbprint(self.certificate)}"
        said = ", and it ".join(fault.message for fault in self.faults)
        return CredentialsError(f"the server's certificate ({name}) {said}", where=where, mend=self._mend(home))

    def _mend(self, home: Path) -> str:
        first = self.faults[0]
        kinds = {fault.kind for fault in self.faults}
        if kinds == {FaultKind.UNTRUSTED} or not kinds - {FaultKind.UNTRUSTED} <= ACCEPTABLE:
            return first.mended(home)
        other = next(fault for fault in self.faults if fault.kind is not FaultKind.UNTRUSTED)
        command = trust_command(home, "accept", thumbprint(self.certificate), "--broken")
        return f"{other.mended(home)}, or accept it as it is, knowingly: `{command}`"


def verify(sent: Sequence[x509.Certificate], trust: Trust, expected: Expected) -> Verification:
    """`sent` is what the server shows: its own certificate, and those of CAs it may add."""
    leaf = sent[0]
    try:
        faults = list(_faults(sent, trust, expected))
    except ValueError as error:
        faults = [Fault(FaultKind.DAMAGED, f"is damaged ({error})", "have the server's administrator make a new one")]
    order = list(FaultKind)
    faults.sort(key=lambda fault: order.index(fault.kind))
    waived = trust.accepted_faults(leaf)
    return Verification(
        leaf,
        tuple(fault for fault in faults if fault.kind not in waived),
        tuple(fault for fault in faults if fault.kind in waived),
    )


def _faults(sent: Sequence[x509.Certificate], trust: Trust, expected: Expected) -> Iterator[Fault]:
    leaf = sent[0]
    chain = build_chain(leaf, (*trust.trusted, *trust.issuers, *sent[1:]))
    yield from chain.faults
    if not _is_trusted(chain, trust):
        command = ("accept", thumbprint(leaf))
        yield Fault(
            FaultKind.UNTRUSTED, "is not trusted yet", "compare its thumbprint with the machine's, then trust it", command
        )
    yield from revocation_faults(chain.certificates, trust.revocations, expected.now)
    for certificate in chain.certificates:
        yield from _validity(certificate, certificate is leaf, expected.now)
        yield from _strength(certificate)
    yield from _host(leaf, expected.host)
    yield from _application(leaf, expected.application_uri)
    yield from _usage(leaf)


def _is_trusted(chain: Chain, trust: Trust) -> bool:
    trusted = {as_der(certificate) for certificate in trust.trusted}
    return any(as_der(certificate) in trusted for certificate in chain.certificates)


def _validity(certificate: x509.Certificate, own: bool, now: datetime) -> Iterator[Fault]:
    whose = "" if own else f"is signed by the CA {common_name(certificate)}, whose certificate "
    clock = f"is this computer's clock right (it says {now:%Y-%m-%d %H:%M} UTC)?"
    if now > certificate.not_valid_after_utc:
        ended = f"{whose}{'' if whose else 'has '}expired on {certificate.not_valid_after_utc:%Y-%m-%d}"
        yield Fault(FaultKind.EXPIRED, ended, f"{clock} If so, have it renewed at the server")
    elif now < certificate.not_valid_before_utc:
        begins = f"{whose}is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
        yield Fault(FaultKind.NOT_YET_VALID, begins, f"{clock} If so, set the server's clock and have it made anew")


def _strength(certificate: x509.Certificate) -> Iterator[Fault]:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("its key is no RSA key")  # noqa: TRY004
    if key.key_size < _SHORTEST_KEY:
        message = f"has a key of {key.key_size} bits, and less than {_SHORTEST_KEY} can be broken"
        yield Fault(FaultKind.WEAK, message, "have a new one made at the server")
    signed = certificate.signature_hash_algorithm
    if signed is not None and signed.name in _WEAK_HASHES:
        yield Fault(
            FaultKind.WEAK, f"is signed with {signed.name.upper()}, which can be forged", "have a new one made at the server"
        )


def _host(leaf: x509.Certificate, host: str) -> Iterator[Fault]:
    _, names = names_of(leaf)
    if not names_meant(host) & set(names):
        shown = ", ".join(names[:5]) or "no host at all"
        mend = f"connect to one of its names ({shown})" if names else "have a new one made at the server"
        yield Fault(FaultKind.HOST, f"is for {shown} and not for {host}", mend)


def _application(leaf: x509.Certificate, wanted: str) -> Iterator[Fault]:
    uris, _ = names_of(leaf)
    if wanted not in uris:
        shown = ", ".join(uris[:3]) or "no application"
        message = f"is for {shown}, and the server calls itself {wanted or 'nothing'}"
        yield Fault(FaultKind.APPLICATION_URI, message, "have a new one made at the server")


def _usage(leaf: x509.Certificate) -> Iterator[Fault]:
    """Part 6, 6.2.2. An extension that is not there forbids nothing (RFC 5280, 4.2.1.3)."""
    mend = "have a new one made at the server"
    usage = extension(leaf, x509.KeyUsage)
    if usage is not None and not (usage.digital_signature and (usage.key_encipherment or usage.data_encipherment)):
        yield Fault(FaultKind.KEY_USAGE, "may not be used to sign and encrypt (its keyUsage)", mend)
    extended = extension(leaf, x509.ExtendedKeyUsage)
    if extended is not None and not _USAGES & set(extended):
        yield Fault(FaultKind.KEY_USAGE, "may not be used by a server (its extendedKeyUsage)", mend)
    constraints = extension(leaf, x509.BasicConstraints)
    if constraints is not None and constraints.ca and not is_self_signed(leaf):
        yield Fault(FaultKind.KEY_USAGE, "is that of a CA, and not of an application", mend)
