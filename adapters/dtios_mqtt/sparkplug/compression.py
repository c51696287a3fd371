"""Compressed payloads, as the Eclipse Tahu family sends them: a payload whose body is another payload, by DEFLATE or GZIP."""

import zlib
from typing import Any, Final

from dtios_mqtt.sparkplug.metric import Malformed

__all__ = ["COMPRESSED", "inflated"]

COMPRESSED: Final = "SPBV1.0_COMPRESSED"
"""The uuid of a payload that holds another one."""
_WINDOWS: Final = {"DEFLATE": zlib.MAX_WBITS, "GZIP": 16 + zlib.MAX_WBITS}


def inflated(message: Any, most: int) -> bytes:
    """The payload inside, of no more than `most` bytes: a few kilobytes could fill the memory. Raises Malformed."""
    said = next((metric.string_value for metric in message.metrics if metric.name == "algorithm"), "DEFLATE")
    window = _WINDOWS.get(said.upper())
    if window is None:
        raise Malformed("compressed in a way that is not known")
    inflater = zlib.decompressobj(window)
    try:
        data = inflater.decompress(message.body, most)
    except zlib.error as error:
        raise Malformed("compressed data that is damaged") from error
    if not inflater.eof:
        raise Malformed("compressed data that is cut off or grows too large")
    return data
