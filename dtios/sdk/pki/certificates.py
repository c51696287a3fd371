"""Certificates as bytes, files and names. What cannot be read is a ValueError."""

import re
from typing import Final, TypeVar

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

__all__ = [
    "application_uri",
    "as_der",
    "common_name",
    "extension",
    "file_name",
    "is_self_signed",
    "names_of",
    "read_certificates",
    "read_revocation_list",
    "spelled_thumbprint",
    "thumbprint",
]

_LONGEST_CHAIN: Final = 10
_SEQUENCE: Final = 0x30
_UNREADABLE: Final = (
    UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, TypeError,
)  # fmt: skip
_T = TypeVar("_T", bound=x509.ExtensionType)


def read_certificates(data: bytes) -> list[x509.Certificate]:
    """PEM, DER, or DER one after the other (a chain, the leaf first, as endpoints carry it). At least one."""
    try:
        found = _load(data)
        for one in found:
            _look_through(one)
    except _UNREADABLE as error:
        raise ValueError(str(error)) from error
    if not found or len(found) > _LONGEST_CHAIN:
        raise ValueError(f"{len(found)} certificates in one")
    return found


def _load(data: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN" in data:
        return x509.load_pem_x509_certificates(data)
    return [x509.load_der_x509_certificate(part) for part in _sequences(data)]


def _look_through(certificate: x509.Certificate) -> None:
    """The library reads a certificate's parts when they are asked for: ask now, so that what is damaged shows here."""
    _ = certificate.public_key(), certificate.signature_hash_algorithm, certificate.extensions
    _ = certificate.subject.rfc4514_string(), certificate.issuer.rfc4514_string()
    _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc


def _sequences(data: bytes) -> list[bytes]:
    """The DER sequences that `data` is made of (X.690, 8.1.3)."""
    parts: list[bytes] = []
    while data:
        if len(data) < 4 or data[0] != _SEQUENCE or len(parts) == _LONGEST_CHAIN:
            raise ValueError("not a certificate")
        size, head = data[1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[2:head], "big")
        if head + size > len(data):
            raise ValueError("a certificate that is cut off")
        parts.append(data[: head + size])
        data = data[head + size :]
    return parts


def read_revocation_list(data: bytes) -> x509.CertificateRevocationList:
    """PEM or DER."""
    try:
        found = x509.load_pem_x509_crl(data) if b"-----BEGIN" in data else x509.load_der_x509_crl(data)
        _ = found.issuer.rfc4514_string(), found.signature_hash_algorithm, found.next_update_utc, found.last_update_utc
    except _UNREADABLE as error:
        raise ValueError(str(error)) from error
    return found


def as_der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the DER form in upper case, which is what OPC UA tools call a certificate by. Trust is never decided by it:
    trusted is who lies in the trust list byte by byte."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()


def spelled_thumbprint(text: str) -> str | None:
    """As a person types or pastes it (colons, spaces, lower case, the beginning alone); None if it is no such thing."""
    plain = re.sub(r"[\s:]", "", text).upper()
    return plain if re.fullmatch(r"[0-9A-F]{6,40}", plain) else None


def common_name(certificate: x509.Certificate) -> str:
    """What a person calls it."""
    found = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else certificate.subject.rfc4514_string() or "without a name"


def file_name(certificate: x509.Certificate) -> str:
    """As the OPC Foundation's stacks call it (Part 12, annex F.1): `Name [THUMBPRINT].der`."""
    plain = re.sub(r"[^\w.@ -]", "_", common_name(certificate))[:80].strip(" .")
    return f"{plain or 'certificate'} [{thumbprint(certificate)}].der"


def extension(certificate: x509.Certificate, kind: type[_T]) -> _T | None:
    """None where it has none. Raises ValueError where it is damaged."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError(str(error)) from error


def names_of(certificate: x509.Certificate) -> tuple[list[str], list[str]]:
    """(application URIs, host names and addresses) of the subjectAltName. Raises ValueError where it is damaged."""
    names = extension(certificate, x509.SubjectAlternativeName)
    if names is None:
        return [], []
    hosts = [name.lower() for name in names.get_values_for_type(x509.DNSName)]
    hosts += [str(address) for address in names.get_values_for_type(x509.IPAddress)]
    return names.get_values_for_type(x509.UniformResourceIdentifier), hosts


def application_uri(certificate: x509.Certificate) -> str:
    """Empty where it has none, or none that can be read."""
    try:
        uris, _ = names_of(certificate)
    except ValueError:
        return ""
    return uris[0] if uris else ""


def is_self_signed(certificate: x509.Certificate) -> bool:
    """By its names; whether the signature is right is another question."""
    return certificate.subject == certificate.issuer
