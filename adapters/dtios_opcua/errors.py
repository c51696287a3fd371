"""From StatusCodes to the error tree: what a person can do about it."""

from dtios.model.status import status_name
from dtios.sdk.errors import (
    ConfigurationError,
    CredentialsError,
    DtiosError,
    RefusedError,
    TemporaryError,
)

__all__ = ["BadStatus", "LostError", "command_error", "service_error"]


class BadStatus(Exception):
    """A service or operation answered with a Bad StatusCode."""

    def __init__(self, status: int) -> None:
        super().__init__(status_name(status))
        self.status = status

    @property
    def name(self) -> str:
        return status_name(self.status)


class LostError(Exception):
    """The channel broke, or an answer did not come in time, while a request was under way."""


_CREDENTIALS = {
    "BadIdentityTokenInvalid",
    "BadIdentityTokenRejected",
    "BadUserSignatureInvalid",
    "BadCertificateUntrusted",
    "BadSecurityChecksFailed",
    "BadCertificateInvalid",
    "BadCertificateTimeInvalid",
    "BadNoValidCertificates",
}
_CONFIGURATION = {
    "BadNodeIdUnknown",
    "BadNodeIdInvalid",
    "BadAttributeIdInvalid",
    "BadMethodInvalid",
    "BadDataTypeIdUnknown",
    "BadIndexRangeInvalid",
    "BadArgumentsMissing",
    "BadTooManyArguments",
    "BadServiceUnsupported",
    "BadTcpEndpointUrlInvalid",
    "BadSecurityPolicyRejected",
    "BadSecurityModeRejected",
    "BadTcpMessageTypeInvalid",
}
_TEMPORARY = {
    "BadTimeout",
    "BadRequestTimeout",
    "BadShutdown",
    "BadServerHalted",
    "BadServerNotConnected",
    "BadNotConnected",
    "BadNoCommunication",
    "BadCommunicationError",
    "BadSessionIdInvalid",
    "BadSessionClosed",
    "BadSessionNotActivated",
    "BadSecureChannelIdInvalid",
    "BadSecureChannelClosed",
    "BadConnectionClosed",
    "BadConnectionRejected",
    "BadDisconnect",
    "BadTooManySessions",
    "BadTooManyOperations",
    "BadTooManySubscriptions",
    "BadTcpServerTooBusy",
    "BadTcpNotEnoughResources",
    "BadResourceUnavailable",
    "BadOutOfMemory",
    "BadSubscriptionIdInvalid",
}


def service_error(status: int, where: str, doing: str) -> DtiosError:
    """For connecting, browsing, reading, subscribing: no command was asked for."""
    name = status_name(status)
    if name in _CREDENTIALS or name == "BadUserAccessDenied":
        return CredentialsError(f"the server does not accept who asks while {doing} ({name})", where=where, mend="check the user")
    if name in _CONFIGURATION:
        return ConfigurationError(f"{doing} is not possible ({name})", where=where, mend="describe the machine again")
    return TemporaryError(f"{doing} failed ({name})", where=where, mend="try again; the server's own log may say more")


def command_error(status: int, where: str, doing: str) -> DtiosError:
    """For write and call: what is neither temporary nor a wrong name is the machine's refusal."""
    name = status_name(status)
    if name in _CREDENTIALS:
        return CredentialsError(f"the server does not accept who asks while {doing} ({name})", where=where, mend="check the user")
    if name in _CONFIGURATION:
        return ConfigurationError(f"{doing} is not possible ({name})", where=where, mend="describe the machine again")
    if name in _TEMPORARY:
        return TemporaryError(f"{doing} failed ({name})", where=where, mend="try again later")
    return RefusedError(f"the machine refused {doing} ({name})", where=where, mend=_WHY.get(name, "see the machine's state"))


_WHY = {
    "BadUserAccessDenied": "this user may not do it: ask the machine's owner",
    "BadNotExecutable": "the machine does not allow the method now",
    "BadUserNotExecutable": "this user may not call it",
    "BadNotWritable": "the value cannot be written",
    "BadTypeMismatch": "the type is another one: describe the machine again",
    "BadOutOfRange": "give a value in the machine's range",
    "BadInvalidArgument": "check the arguments",
    "BadInvalidState": "bring the machine into another state first",
}
