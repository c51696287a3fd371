"""Where a publisher's broker is and how it wants to be spoken to: the settings that every publisher over MQTT has."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from dtios.sdk import AppConfig
from dtios.sdk.secrets import Secret

__all__ = ["BrokerConfig", "StoreConfig"]


class BrokerConfig(AppConfig):
    """As the settings of an MQTT connection. A publisher's configuration is derived from it."""

    url: str = Field(description="mqtt://, mqtts://, ws:// or wss://; mqtt:embedded is the embedded broker")
    version: Literal["auto", "3.1.1", "5"] = Field("auto", description="MQTT version; auto asks for 5 and takes 3.1.1")
    client_id: str | None = Field(None, max_length=64, description="made up where left out")
    user: str | None = Field(None, description="user name; without one the session is anonymous")
    password: Secret | None = Field(None, description="where it comes from: {env: NAME}, {file: PATH} or {keyring: SERVICE/USER}")
    ca: Path | None = Field(None, description="file with the CA (PEM) that the broker's certificate is from; else the system's")
    certificate: Path | None = Field(None, description="file with our own certificate (PEM), where the broker asks for one")
    key: Path | None = Field(None, description="file with its key (PEM, without password); else it is in the same file")
    timeout: float = Field(4.0, gt=0, description="seconds until the broker must have answered a connect")
    keep_alive: float = Field(
        5.0, ge=1, le=600, description="seconds of silence after which the broker is asked for a sign of life"
    )

    @model_validator(mode="after")
    def _together(self) -> Self:
        if self.key is not None and self.certificate is None:
            raise ValueError("a key without a certificate says nothing; give `certificate` too")
        return self


class StoreConfig(AppConfig):
    """How much is kept while the broker is away."""

    size: int = Field(256, ge=1, le=1_000_000, description="MiB; of more the oldest values are dropped, with a Gap")
    age: float = Field(7.0, gt=0, le=3650, description="days; older values are dropped, with a Gap")
