"""The one error tree. Four meanings an operator can act on; foreign exceptions stop at an adapter's edge.

DtiosError
├── TemporaryError        try again later: unreachable, offline, busy
│   └── OutcomeUnknown    a command reached the wire and its answer never came
├── CredentialsError      who you are was not accepted
├── ConfigurationError    what was asked for cannot be: wrong name, wrong type, wrong file
└── RefusedError          a command that may not be given: grant, envelope, interlock, state of the machine
"""

from typing import ClassVar, Literal

__all__ = [
    "ConfigurationError",
    "CredentialsError",
    "DtiosError",
    "ErrorKind",
    "OutcomeUnknown",
    "RefusedError",
    "TemporaryError",
    "error_of_kind",
]

ErrorKind = Literal["temporary", "credentials", "configuration", "refused"]


class DtiosError(Exception):
    """What went wrong (`message`), at which machine, signal, file or address (`where`), and what mends it (`mend`)."""

    kind: ClassVar[ErrorKind]

    def __init__(self, message: str, *, where: str = "", mend: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.mend = mend

    def __str__(self) -> str:
        sentence = f"{self.where}: {self.message}" if self.where else self.message
        return f"{sentence}; {self.mend}" if self.mend else sentence


class TemporaryError(DtiosError):
    """It may work later, with nothing changed."""

    kind = "temporary"


class OutcomeUnknown(TemporaryError):
    """A command was handed to the wire and nobody can tell what became of it. Never repeat it by itself."""


class CredentialsError(DtiosError):
    """The other end did not accept who we are, or we did not accept who it is."""

    kind = "credentials"


class ConfigurationError(DtiosError):
    """What was asked for does not exist or does not fit; asking again changes nothing."""

    kind = "configuration"


class RefusedError(DtiosError):
    """The command may not be given, by our own rules or by the machine's."""

    kind = "refused"


_BY_KIND: dict[str, type[DtiosError]] = {c.kind: c for c in (TemporaryError, CredentialsError, ConfigurationError, RefusedError)}


def error_of_kind(kind: str, message: str, where: str, mend: str) -> DtiosError:
    """Rebuild an error that crossed a process boundary."""
    return _BY_KIND.get(kind, TemporaryError)(message, where=where, mend=mend)
