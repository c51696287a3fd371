"""Where a URL points."""

from urllib.parse import urlsplit

__all__ = ["host_and_port"]

_DEFAULT_PORT = 4840


def host_and_port(url: str) -> tuple[str, int]:
    """Raises ValueError for a port that is no number."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or _DEFAULT_PORT
