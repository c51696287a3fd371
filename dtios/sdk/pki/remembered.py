"""`faults.json`: what certificates were refused for, and which faults a person has accepted of which."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from dtios.sdk.pki.certificates import common_name, thumbprint
from dtios.sdk.pki.faults import FaultKind
from dtios.sdk.pki.files import read_small, write_new

__all__ = ["Refused", "Remembered"]

_MOST: Final = 200


@dataclass(frozen=True, slots=True)
class Refused:
    """When and where it was last seen, and what for it was refused."""

    time: str
    url: str
    faults: tuple[FaultKind, ...]


class Remembered:
    """A file that cannot be read accepts nothing. Writers hold the lock of the trust list."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def accepted(self) -> dict[str, frozenset[FaultKind]]:
        return {name: frozenset(_kinds(found)) for name, found in self._section("accepted").items()}

    def refused(self) -> dict[str, Refused]:
        return {
            name: Refused(str(found.get("time", "")), str(found.get("url", "")), _kinds(found))
            for name, found in self._section("refused").items()
        }

    def refuse(self, certificate: x509.Certificate, kinds: Sequence[FaultKind], url: str) -> None:
        refused = self._section("refused")
        refused.pop(thumbprint(certificate), None)
        refused[thumbprint(certificate)] = _record(certificate, kinds) | {"url": url}
        self._write(refused=dict(list(refused.items())[-_MOST:]))

    def accept(self, certificate: x509.Certificate, kinds: Sequence[FaultKind]) -> None:
        """Beside what was accepted of it before."""
        accepted = self._section("accepted")
        before = _kinds(accepted.get(thumbprint(certificate), {}))
        accepted[thumbprint(certificate)] = _record(certificate, sorted({*before, *kinds}))
        self._write(accepted=accepted)

    def forget(self, certificate: x509.Certificate) -> None:
        accepted = self._section("accepted")
        if accepted.pop(thumbprint(certificate), None) is not None:
            self._write(accepted=accepted)

    def _section(self, name: str) -> dict[str, dict[str, Any]]:
        found = self._read().get(name)
        entries = found.items() if isinstance(found, dict) else ()
        return {key: value for key, value in entries if isinstance(value, dict)}

    def _read(self) -> dict[str, Any]:
        try:
            whole = json.loads(read_small(self._path) or b"{}")
        except ValueError:
            return {}
        return whole if isinstance(whole, dict) else {}

    def _write(self, **sections: Mapping[str, Any]) -> None:
        write_new(self._path, json.dumps(self._read() | sections, indent=2).encode() + b"\n", 0o600)


def _record(certificate: x509.Certificate, kinds: Sequence[FaultKind]) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return {"name": common_name(certificate), "faults": [kind.value for kind in kinds], "time": now}


def _kinds(found: Mapping[str, Any]) -> tuple[FaultKind, ...]:
    named = found.get("faults")
    known = set(FaultKind)
    return tuple(FaultKind(one) for one in named if one in known) if isinstance(named, list) else ()
