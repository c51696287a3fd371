"""Who we are: the application instance certificate and its private key below `home/pki/own`.

Made at first use, renewed before it ends. The old one stays beside the new until it has ended, so that a server whose
administrator has not trusted the new one yet can still be reached. A pair that somebody else put there (a GDS, an
administrator with a CA) is used as it is: the newest that is valid comes first.
"""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from dtios.sdk.errors import ConfigurationError
from dtios.sdk.pki.certificates import application_uri, as_der, file_name, is_self_signed, read_certificates, thumbprint
from dtios.sdk.pki.files import files_in, locked, read_small, write_new
from dtios.sdk.pki.making import key_bytes, make_certificate, make_key, own_addresses, own_host

__all__ = ["Identity", "OwnCertificates"]

RENEW_BEFORE: Final = timedelta(days=90)
"""Long, because a person has to trust the new one at each server meanwhile."""

log = structlog.get_logger("dtios.pki")


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate with its private key, which is never shown."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey = field(repr=False, compare=False)

    @property
    def application_uri(self) -> str:
        return application_uri(self.certificate)


def _now() -> datetime:
    return datetime.now(UTC)


class OwnCertificates:
    """Blocks (a new key takes tenths of a second): call it in a thread. Raises ConfigurationError."""

    def __init__(self, home: Path, now: Callable[[], datetime] = _now) -> None:
        self.path = home / "pki" / "own"
        self._now = now

    def identities(self) -> list[Identity]:
        """Those that are valid now, the newest first; made or renewed where it is time. At least one."""
        found = self._valid()
        if found and not self._ends_soon(found[0]):
            return found
        with locked(self.path.parent):
            found = self._valid()  # another process may have been quicker
            if not found or self._ends_soon(found[0]):
                found.insert(0, self._make(found[0] if found else None))
                self._remove_ended()
        return found

    def _valid(self) -> list[Identity]:
        now = self._now()
        valid = [i for i in self._pairs() if i.certificate.not_valid_before_utc <= now <= i.certificate.not_valid_after_utc]
        return sorted(valid, key=lambda i: i.certificate.not_valid_before_utc, reverse=True)

    def _ends_soon(self, identity: Identity) -> bool:
        """What a CA signed is not ours to renew: its own end is the CA's business."""
        own = is_self_signed(identity.certificate)
        return own and identity.certificate.not_valid_after_utc - self._now() < RENEW_BEFORE

    def _pairs(self) -> list[Identity]:
        keys = {_public(key): key for _, key in self._keys()}
        certificates = (one for path in files_in(self.path / "certs") for one in _read(path)[:1])
        return [Identity(one, keys[found]) for one in certificates if (found := _public(one)) in keys]

    def _keys(self) -> Iterator[tuple[Path, rsa.RSAPrivateKey]]:
        for path in files_in(self.path / "private"):
            if path.stat().st_mode & 0o077:
                raise ConfigurationError(
                    "other users may read or change this private key", where=str(path), mend=f"chmod 600 '{path}'"
                )
            key = _load_key(path)
            if key is not None:
                yield path, key

    def _make(self, before: Identity | None) -> Identity:
        """The application URI stays over renewals: servers know an application by it."""
        host = own_host()
        uri = before.application_uri if before is not None else ""
        uri = uri or f"urn:{host}:dtios:{secrets.token_hex(4)}"
        key = make_key()
        certificate = make_certificate(key, uri, host, own_addresses(), self._now())
        name = file_name(certificate)
        # the key first: a certificate without its key would be found, and be of no use
        write_new(self.path / "private" / f"{name.removesuffix('.der')}.pem", key_bytes(key), 0o600)
        write_new(self.path / "certs" / name, as_der(certificate))
        event = "own certificate made" if before is None else "own certificate renewed"
        log.info(event, thumbprint=thumbprint(certificate), ends=certificate.not_valid_after_utc.isoformat(), uri=uri)
        return Identity(certificate, key)

    def _remove_ended(self) -> None:
        """Our own self-signed ones, with their keys."""
        ended = [
            (path, one)
            for path in files_in(self.path / "certs")
            for one in _read(path)[:1]
            if is_self_signed(one) and one.not_valid_after_utc < self._now()
        ]
        gone = {_public(one) for _, one in ended}
        for path in [path for path, _ in ended] + [path for path, key in self._keys() if _public(key) in gone]:
            path.unlink(missing_ok=True)


def _read(path: Path) -> list[x509.Certificate]:
    data = read_small(path)
    try:
        return [] if data is None else read_certificates(data)
    except ValueError:
        return []


def _load_key(path: Path) -> rsa.RSAPrivateKey | None:
    data = read_small(path)
    if data is None:
        raise ConfigurationError("this private key cannot be read", where=str(path), mend="check its owner and its permissions")
    load = load_pem_private_key if data.lstrip().startswith(b"-----") else load_der_private_key
    try:
        key = load(data, None)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, rsa.RSAPrivateKey) else None


def _public(one: x509.Certificate | rsa.RSAPrivateKey) -> tuple[int, int] | None:
    key = one.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return None
    numbers = key.public_numbers()
    return numbers.n, numbers.e
