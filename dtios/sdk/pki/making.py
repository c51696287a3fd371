"""A new application instance certificate of our own (Part 6, 6.2.2)."""

import ipaddress
import socket
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import psutil
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["key_bytes", "make_certificate", "make_key", "own_addresses", "own_host"]

VALID_FOR: Final = timedelta(days=5 * 365)
_KEY_BITS: Final = 2048  # the least of all policies offered here, and what every PLC takes
_MOST_ADDRESSES: Final = 16
_EARLY: Final = timedelta(hours=1)  # a server's clock may be a little behind ours


def own_host() -> str:
    return socket.gethostname().lower() or "localhost"


def own_addresses() -> list[str]:
    """The addresses of this computer that others may know it by."""
    kinds = (socket.AF_INET, socket.AF_INET6)
    texts = [one.address for addresses in psutil.net_if_addrs().values() for one in addresses if one.family in kinds]
    found = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
    usable = [str(one) for one in found if not one.is_loopback and not one.is_link_local]
    return sorted(set(usable))[:_MOST_ADDRESSES]


def make_key() -> rsa.RSAPrivateKey:
    """Takes some tenths of a second."""
    return rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)


def key_bytes(key: rsa.RSAPrivateKey) -> bytes:
    """PEM, not encrypted: who may read the file may be us."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def make_certificate(key: rsa.RSAPrivateKey, uri: str, host: str, addresses: Sequence[str], now: datetime) -> x509.Certificate:
    """Self-signed, with SHA-256."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"dtios@{host}"[:64])])
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri), x509.DNSName(host)]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in addresses]
    public = key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLY)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _usage() -> x509.KeyUsage:
    """keyCertSign, because it signs itself."""
    return x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=True, data_encipherment=True, key_agreement=False,
        key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
