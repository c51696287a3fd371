"""From what paho, the socket and the broker say to the one error tree."""

import socket
import ssl
from typing import Any

from dtios.sdk.errors import ConfigurationError, CredentialsError, DtiosError, TemporaryError
from dtios_mqtt.settings import Address

__all__ = ["LostError", "connect_error"]

_CREDENTIALS = frozenset({0x86, 0x87, 0x8C})
"""Bad user name or password, not authorized, bad authentication method (MQTT 5, 2.4)."""
_VERSION = 0x84


class LostError(Exception):
    """The session is over; never leaves the adapter. `refused`: the broker's ReasonCode, where it gave one."""

    def __init__(self, message: str, *, refused: Any = None) -> None:
        super().__init__(message)
        self.refused = refused

    @property
    def wants_another_version(self) -> bool:
        return self.refused is not None and self.refused.value == _VERSION


def connect_error(error: BaseException, address: Address) -> DtiosError | None:
    """What the attempt to connect ended with, for a person; None for a defect of our own."""
    where = address.url
    match error:
        case DtiosError():
            return error
        case LostError() if error.refused is not None and error.refused.value in _CREDENTIALS:
            return CredentialsError(
                f"the broker refused us ({error.refused})", where=where, mend="check user, password and the broker's access list"
            )
        case LostError() if error.wants_another_version:
            return ConfigurationError(
                "the broker does not speak this MQTT version", where=where, mend="give `version: 3.1.1` or `5` as a setting"
            )
        case LostError():
            return TemporaryError(f"the broker did not take the session, {error}", where=where, mend="look at the broker's log")
        case TimeoutError():
            return TemporaryError(
                "the broker did not answer in time",
                where=where,
                mend=f"is a broker running at {address.host}, port {address.port}?",
            )
        case ConnectionRefusedError():
            return TemporaryError(
                "nobody listens there", where=where, mend=f"is the broker running, and is {address.port} its port?"
            )
        case ssl.SSLCertVerificationError():
            return CredentialsError(
                f"the broker's certificate is not trusted ({error.verify_message})", where=where,
                mend="give the broker's CA as the setting `ca`",
            )  # fmt: skip
        case ssl.SSLError():
            return TemporaryError(f"no encrypted connection ({error.reason})", where=where, mend="is this the TLS port?")
        case socket.gaierror():
            return TemporaryError("the host name cannot be resolved", where=where, mend="check the name, or give the address")
        case OSError():
            why = error.strerror or str(error)
            return TemporaryError(f"the broker cannot be reached ({why})", where=where, mend="check the address and the network")
    return None
