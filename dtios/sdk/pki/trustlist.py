"""The trust list below `home/pki`, laid out as the OPC Foundation does it (Part 12, annex F.1), so that its tools, a GDS and
a person with a file manager can work on it. It is read anew for each connect.

    own/certs  own/private             ours
    trusted/certs  trusted/crl         whom we trust: servers, and CAs for all that they signed
    issuers/certs  issuers/crl         CAs that complete a chain and are not trusted by themselves
    rejected/certs                     who was refused, newest kept
    faults.json                        why, and what a person has accepted nevertheless
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dtios.sdk.errors import ConfigurationError
from dtios.sdk.pki.certificates import (
    as_der,
    common_name,
    file_name,
    read_certificates,
    read_revocation_list,
    spelled_thumbprint,
    thumbprint,
)
from dtios.sdk.pki.faults import ACCEPTABLE, Fault, FaultKind
from dtios.sdk.pki.files import files_in, locked, read_small, unusable, write_new
from dtios.sdk.pki.remembered import Refused, Remembered

__all__ = ["Entry", "Store", "Trust", "TrustList"]

Store = Literal["own", "trusted", "issuers", "rejected"]
_STORES: Final[tuple[Store, ...]] = ("own", "trusted", "issuers", "rejected")
_MOST_REJECTED: Final = 50
_LIST = "see `dtios trust list`"


@dataclass(frozen=True, slots=True)
class Trust:
    """What the trust list held when it was read."""

    trusted: tuple[x509.Certificate, ...] = ()
    issuers: tuple[x509.Certificate, ...] = ()
    revocations: tuple[x509.CertificateRevocationList, ...] = ()
    accepted: Mapping[str, frozenset[FaultKind]] = field(default_factory=dict)
    """thumbprint -> faults that a person has accepted of it"""

    def accepted_faults(self, certificate: x509.Certificate) -> frozenset[FaultKind]:
        """Only of a certificate that is itself in the trust list, byte by byte."""
        if as_der(certificate) not in {as_der(one) for one in self.trusted}:
            return frozenset()
        return self.accepted.get(thumbprint(certificate), frozenset()) & ACCEPTABLE


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of the trust list: a certificate or a revocation list; neither where it cannot be read."""

    store: Store
    path: Path
    certificate: x509.Certificate | None = None
    revocations: x509.CertificateRevocationList | None = None
    accepted: tuple[FaultKind, ...] = ()
    refused: Refused | None = None


class TrustList:
    """Reading and changing it. Blocks, for some milliseconds: call it in a thread. Raises ConfigurationError."""

    def __init__(self, home: Path) -> None:
        self.path = home / "pki"
        self._remembered = Remembered(self.path / "faults.json")

    def read(self) -> Trust:
        """What holds now. Makes nothing; a file that cannot be read trusts nobody."""
        entries = list(self._entries("trusted", "issuers"))
        return Trust(
            tuple(e.certificate for e in entries if e.store == "trusted" and e.certificate is not None),
            tuple(e.certificate for e in entries if e.store == "issuers" and e.certificate is not None),
            tuple(e.revocations for e in entries if e.revocations is not None),
            self._remembered.accepted(),
        )

    def entries(self) -> list[Entry]:
        """Everything in it, store by store."""
        return list(self._entries(*_STORES))

    def _entries(self, *stores: Store) -> Iterator[Entry]:
        accepted, refused = self._remembered.accepted(), self._remembered.refused()
        for store in stores:
            for path in files_in(self.path / store / "certs"):
                certificates = _certificates(path)
                if not certificates:
                    yield Entry(store, path)
                for one in certificates:
                    name = thumbprint(one)
                    kinds = tuple(sorted(accepted.get(name, ()))) if store == "trusted" else ()
                    yield Entry(store, path, one, accepted=kinds, refused=refused.get(name))
            for path in files_in(self.path / store / "crl"):
                yield Entry(store, path, revocations=_revocations(path))

    def refuse(self, certificate: x509.Certificate, faults: Sequence[Fault], url: str) -> None:
        """Remember who was refused and why; who is not known yet comes into `rejected`, where a person finds it."""
        with locked(self.path):
            self._remembered.refuse(certificate, [fault.kind for fault in faults], url)
            if any(fault.kind is FaultKind.UNTRUSTED for fault in faults):
                self._put(certificate, "rejected")
                self._forget_oldest()

    def _forget_oldest(self) -> None:
        files = files_in(self.path / "rejected" / "certs")
        for path in sorted(files, key=lambda path: path.stat().st_mtime_ns)[:-_MOST_REJECTED]:
            path.unlink(missing_ok=True)

    def accept(self, wanted: str, *, broken: bool = False) -> tuple[x509.Certificate, list[FaultKind], list[FaultKind]]:
        """Trust a certificate that was seen, by its thumbprint. -> it, the faults that are accepted of it from now on, and
        those it was refused for that were not accepted."""
        with locked(self.path):
            entry = self._find(wanted, "rejected", "trusted", "issuers")
            certificate = entry.certificate
            assert certificate is not None
            refused = () if entry.refused is None else entry.refused.faults
            seen: list[FaultKind] = [kind for kind in refused if kind is not FaultKind.UNTRUSTED]
            never = [kind for kind in seen if kind not in ACCEPTABLE]
            if broken and never:
                raise ConfigurationError(
                    f"it was refused as {', '.join(never)}, which cannot be accepted", where=thumbprint(certificate),
                    mend="the server needs another certificate",
                )  # fmt: skip
            self._put(certificate, "trusted")
            if entry.store == "rejected":
                entry.path.unlink(missing_ok=True)
            if broken:
                self._remembered.accept(certificate, seen)
        return certificate, seen if broken else [], [] if broken else seen

    def add(self, file: Path, *, issuer: bool = False) -> list[str]:
        """Put certificates or a revocation list from a file into it. -> the names of what was added."""
        store: Store = "issuers" if issuer else "trusted"
        try:
            data = file.read_bytes()
        except OSError as error:
            raise unusable(file, error) from error
        with locked(self.path):
            return self._add(data, file, store)

    def _add(self, data: bytes, file: Path, store: Store) -> list[str]:
        try:
            certificates = read_certificates(data)
        except ValueError:
            try:
                revocations = read_revocation_list(data)
            except ValueError:
                raise ConfigurationError(
                    "this is neither a certificate nor a revocation list", where=str(file), mend="give a DER or PEM file"
                ) from None
            name = f"{file.stem}.crl"
            write_new(self.path / store / "crl" / name, revocations.public_bytes(Encoding.DER))
            return [f"revocation list of {revocations.issuer.rfc4514_string()}"]
        for one in certificates:
            self._put(one, store)
        return [f"{common_name(one)}, {thumbprint(one)}" for one in certificates]

    def reject(self, wanted: str) -> x509.Certificate:
        """Trust it no more; what was accepted of it is forgotten."""
        with locked(self.path):
            entry = self._find(wanted, "trusted", "issuers")
            certificate = entry.certificate
            assert certificate is not None
            self._put(certificate, "rejected")
            for other in self._entries("trusted", "issuers"):
                if other.certificate == certificate:
                    _take_out(other.path, certificate)
            self._remembered.forget(certificate)
            self._forget_oldest()
        return certificate

    def _put(self, certificate: x509.Certificate, store: Store) -> None:
        write_new(self.path / store / "certs" / file_name(certificate), as_der(certificate))

    def _find(self, wanted: str, *stores: Store) -> Entry:
        """The one with this thumbprint, or this beginning of one; where it lies in several stores, the first counts."""
        begin = spelled_thumbprint(wanted)
        if begin is None:
            raise ConfigurationError(f"{wanted!r} is no thumbprint", where=str(self.path), mend=_LIST)
        found: dict[str, Entry] = {}
        for entry in self._entries(*stores):
            if entry.certificate is not None and thumbprint(entry.certificate).startswith(begin):
                found.setdefault(thumbprint(entry.certificate), entry)
        if not found:
            where = " or ".join(stores)
            raise ConfigurationError(f"there is no certificate {begin} in {where}", where=str(self.path), mend=_LIST)
        if len(found) > 1:
            raise ConfigurationError(
                f"{len(found)} certificates begin with {begin}", where=str(self.path), mend="give more of it"
            )
        return next(iter(found.values()))


def _take_out(path: Path, certificate: x509.Certificate) -> None:
    """One certificate of a file that may hold several."""
    rest = [one for one in _certificates(path) if one != certificate]
    if rest:
        write_new(path, b"".join(one.public_bytes(Encoding.PEM) for one in rest))
    else:
        path.unlink(missing_ok=True)


def _certificates(path: Path) -> list[x509.Certificate]:
    data = read_small(path)
    try:
        return [] if data is None else read_certificates(data)
    except ValueError:
        return []


def _revocations(path: Path) -> x509.CertificateRevocationList | None:
    data = read_small(path)
    try:
        return None if data is None else read_revocation_list(data)
    except ValueError:
        return None
