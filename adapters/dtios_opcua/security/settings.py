"""What an OPC UA connection can be told beyond what every connection can."""

from typing import Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dtios.sdk.adapter import ConnectionSettings
from dtios.sdk.secrets import Secret

__all__ = ["OpcUaSettings", "opcua_settings"]


class OpcUaSettings(ConnectionSettings):
    """Beside the common ones: a user who is known by a certificate."""

    user_certificate: Secret | None = Field(None, description="the user's certificate (DER or PEM): {file: PATH}")
    user_key: Secret | None = Field(None, description="its private key (DER or PEM, without a passphrase): {file: PATH}")

    @model_validator(mode="after")
    def _one_user(self) -> Self:
        if (self.user_certificate is None) != (self.user_key is None):
            raise PydanticCustomError("user", "user_certificate and user_key belong together: give both")
        if self.user_certificate is not None and self.user is not None:
            raise PydanticCustomError("user", "a session has one user: give either user or user_certificate")
        if self.password is not None and self.user is None:
            raise PydanticCustomError("user", "a password belongs to a user: give user as well")
        return self


def opcua_settings(settings: ConnectionSettings) -> OpcUaSettings:
    return settings if isinstance(settings, OpcUaSettings) else OpcUaSettings.model_validate(dict(settings))
