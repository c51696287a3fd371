"""What a connection to a broker can be told, and what its URL says."""

from pathlib import Path
from typing import Literal, Protocol, Self
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from dtios.sdk.adapter import ConnectionSettings
from dtios.sdk.errors import ConfigurationError
from dtios.sdk.secrets import Secret

__all__ = ["Access", "Address", "MqttSettings", "parse_url"]

_PORTS = {"mqtt": 1883, "mqtts": 8883, "ws": 80, "wss": 443}
_MEND = "a broker's URL looks like mqtt://192.168.0.10:1883, mqtts://..., ws://.../mqtt or wss://.../mqtt"


class MqttSettings(ConnectionSettings):
    """See `ConnectionSettings`; `security` says nothing here: the URL's scheme does."""

    version: Literal["auto", "3.1.1", "5"] = Field("auto", description="MQTT version; auto asks for 5 and takes 3.1.1")
    client_id: str | None = Field(None, max_length=64, description="of the session for plain topics; made up where left out")
    persistent: bool = Field(False, description="the broker keeps the session for plain topics while we are away (QoS 1)")
    ca: Path | None = Field(None, description="file with the CA (PEM) that the broker's certificate is from; else the system's")
    certificate: Path | None = Field(None, description="file with our own certificate (PEM), where the broker asks for one")
    key: Path | None = Field(None, description="file with its key (PEM, without password); else it is in the same file")
    listen: float = Field(2.0, ge=0, description="seconds for which a new session hears who is there before it is described")
    reorder_timeout: float = Field(2.0, ge=0, description="Sparkplug: seconds for which a message that is missing is waited for")
    vda_interfaces: tuple[str, ...] = Field(
        ("uagv",), max_length=20, description="VDA 5050: first levels of the vehicles' topics"
    )
    host_id: str = Field("dtios", pattern=r"^[^/+#]+$", description="Sparkplug: the id of this host application")

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("a key without a certificate says nothing; give `certificate` too")
        if self.persistent and self.client_id is None:
            raise ValueError("a session is only found again by its name; give `client_id` with `persistent`")
        return self

    @field_validator("vda_interfaces")
    @classmethod
    def _levels(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not one or one.startswith("/") or one.endswith("/") or set(one) & set("+#") for one in value):
            raise ValueError("give names of topic levels, without + and #")
        return value


class Access(Protocol):
    """What a session needs of whatever settings it is given."""

    @property
    def version(self) -> Literal["auto", "3.1.1", "5"]: ...
    @property
    def user(self) -> str | None: ...
    @property
    def password(self) -> Secret | None: ...
    @property
    def ca(self) -> Path | None: ...
    @property
    def certificate(self) -> Path | None: ...
    @property
    def key(self) -> Path | None: ...
    @property
    def timeout(self) -> float: ...
    @property
    def keep_alive(self) -> float: ...


class Address:
    """Where a broker is: from its URL."""

    def __init__(self, url: str) -> None:
        """Raises ConfigurationError."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ConfigurationError(f"this is not a URL ({error})", where=url, mend=_MEND) from None
        if parts.scheme not in _PORTS or not parts.hostname or port == 0:
            raise ConfigurationError("this is not a broker's URL", where=url, mend=_MEND)
        if parts.username or parts.password:
            shown = url.replace(parts.netloc, parts.netloc.rpartition("@")[2])
            raise ConfigurationError("user and password do not belong into the URL", where=shown, mend="give them as settings")
        self.url = url
        self.host: str = parts.hostname
        self.port: int = port or _PORTS[parts.scheme]
        self.tls = parts.scheme in ("mqtts", "wss")
        self.websocket = parts.scheme in ("ws", "wss")
        self.path = parts.path or "/mqtt"


def parse_url(url: str) -> Address:
    """Raises ConfigurationError for what is no broker's URL."""
    return Address(url)
