"""TLS: whom we trust, and who we are."""

import ssl
from pathlib import Path

from dtios.sdk.errors import ConfigurationError
from dtios_mqtt.settings import Access

__all__ = ["tls_context"]


def tls_context(access: Access) -> ssl.SSLContext:
    """The broker must have a certificate for its host name from the `ca` (else from one the system trusts). Blocks: it reads
    files. Raises ConfigurationError for files that are not there or are no certificates."""
    try:
        context = ssl.create_default_context(cafile=None if access.ca is None else str(access.ca))
    except (OSError, ssl.SSLError) as error:
        raise _unusable("CA", access.ca, error) from error
    if access.certificate is not None:
        key = access.key or access.certificate
        try:
            context.load_cert_chain(access.certificate, key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise _unusable("client certificate or its key", access.certificate, error) from error
    return context


def _no_password() -> str:
    """A key with a password would have OpenSSL ask at the terminal."""
    raise ValueError("the key has a password")


def _unusable(what: str, file: Path | None, error: Exception) -> ConfigurationError:
    why = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
    return ConfigurationError(f"the {what} cannot be used ({why})", where=str(file), mend="give a file in PEM form")
