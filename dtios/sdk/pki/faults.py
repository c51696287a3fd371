"""What can be wrong with a certificate, and what mends it (Part 4, 6.1.3)."""

import os
import shlex
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

__all__ = ["ACCEPTABLE", "Fault", "FaultKind", "trust_command"]


class FaultKind(StrEnum):
    """In the order of their weight: what is said first."""

    DAMAGED = "damaged"
    FORGED = "forged"
    REVOKED = "revoked"
    UNTRUSTED = "untrusted"
    INCOMPLETE_CHAIN = "incomplete-chain"
    NO_REVOCATION_LIST = "no-revocation-list"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    HOST = "host"
    APPLICATION_URI = "application-uri"
    KEY_USAGE = "key-usage"
    WEAK = "weak"


ACCEPTABLE: Final = frozenset(FaultKind) - {FaultKind.DAMAGED, FaultKind.FORGED, FaultKind.REVOKED, FaultKind.UNTRUSTED}
"""What a person may accept knowingly, certificate by certificate. Trust itself is given by the trust list and not by this; a
signature that is wrong and a revocation are never overlooked."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: `message` continues the words `the certificate`, `command` are words for `dtios trust` that mend it."""

    kind: FaultKind
    message: str
    mend: str
    command: tuple[str, ...] = ()

    def mended(self, home: Path) -> str:
        """The mend as a person reads it, with its command."""
        return f"{self.mend}: `{trust_command(home, *self.command)}`" if self.command else self.mend


def trust_command(home: Path, *words: str) -> str:
    """The very command a person has to type. The state directory is named unless it is the one that is taken by itself."""
    usual = Path(os.environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()) / "dtios"
    place = [] if home == usual else ["--state", str(home)]
    return shlex.join(["dtios", "trust", *words, *place])
