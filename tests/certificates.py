"""Certificates of all kinds, good and broken, made for a test."""

import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
SERVER_URI = "urn:test:server"


@cache
def key(name: str, bits: int = 2048) -> rsa.RSAPrivateKey:
    """One for each name in the whole run: making them takes time."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


@dataclass(frozen=True)
class Made:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

    @property
    def thumbprint(self) -> str:
        return self.certificate.fingerprint(hashes.SHA1()).hex().upper()

    def write(self, folder: Path) -> tuple[Path, Path]:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "certificate.pem").write_bytes(self.pem)
        (folder / "key.pem").write_bytes(self.key_pem)
        return folder / "certificate.pem", folder / "key.pem"


def make(
    common: str = "server", *, by: Made | None = None,
    uris: tuple[str, ...] = (SERVER_URI,), dns: tuple[str, ...] = ("localhost",),
    ips: tuple[str, ...] = ("127.0.0.1",), begins: datetime = NOW - DAY, ends: datetime = NOW + 100 * DAY, bits: int = 2048,
    ca: bool = False, path_length: int | None = None, client: bool = False, encipher: bool = True, purpose: bool = True,
    hash_: hashes.HashAlgorithm | None = None, signer: rsa.RSAPrivateKey | None = None,
) -> Made:  # fmt: skip
    """A good server's certificate, but for what is said otherwise. `signer`: another key than that of `by`."""
    own = key(common, bits)
    issuer = by.certificate.subject if by is not None else name(common)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names += [x509.DNSName(one) for one in dns] + [x509.IPAddress(ipaddress.ip_address(one)) for one in ips]
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(common))
        .issuer_name(issuer)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
        .add_extension(
            x509.KeyUsage(
                digital_signature=True, content_commitment=True, key_encipherment=encipher, data_encipherment=encipher,
                key_agreement=False, key_cert_sign=ca or by is None, crl_sign=ca, encipher_only=False, decipher_only=False,
            ),
            critical=True,
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
    )  # fmt: skip
    if names and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if purpose and not ca:
        for_what = ExtendedKeyUsageOID.CLIENT_AUTH if client else ExtendedKeyUsageOID.SERVER_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([for_what]), critical=False)
    issuing = by.certificate if by is not None else None
    if issuing is not None:
        public = issuing.public_key()
        assert isinstance(public, rsa.RSAPublicKey)
        builder = builder.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    signing = signer or (by.key if by is not None else own)
    return Made(builder.sign(signing, hash_ or hashes.SHA256()), own)


def make_ca(common: str = "plant CA", *, by: Made | None = None, **more: object) -> Made:
    return make(common, by=by, ca=True, **more)  # type: ignore[arg-type]


def revocation_list(ca: Made, *revoked: Made, ends: datetime = NOW + 30 * DAY, signer: rsa.RSAPrivateKey | None = None) -> bytes:
    """DER."""
    builder = x509.CertificateRevocationListBuilder().issuer_name(ca.certificate.subject)
    builder = builder.last_update(min(NOW, ends) - 2 * DAY).next_update(ends).add_extension(x509.CRLNumber(1), critical=False)
    for one in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(one.certificate.serial_number).revocation_date(NOW - DAY).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(signer or ca.key, hashes.SHA256()).public_bytes(Encoding.DER)
