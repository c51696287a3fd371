"""The error tree, as plug-ins import it."""

from dtios.model.errors import (
    ConfigurationError,
    CredentialsError,
    DtiosError,
    OutcomeUnknown,
    RefusedError,
    TemporaryError,
)

__all__ = [
    "ConfigurationError",
    "CredentialsError",
    "DtiosError",
    "OutcomeUnknown",
    "RefusedError",
    "TemporaryError",
]
