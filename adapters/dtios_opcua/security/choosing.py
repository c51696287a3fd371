"""Which of the endpoints that a server offers is taken. A pure function of the list."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from asyncua import ua

from dtios.sdk.errors import ConfigurationError, CredentialsError, DtiosError
from dtios_opcua.security.policies import DEPRECATED, NONE_URI, POLICIES, Mode, Policy, Wanted, mode_name, policy_name
from dtios_opcua.security.tokens import UserKind, tokens_offered, usable_token

__all__ = ["Choice", "choose_endpoint", "is_binary", "offered"]

_BINARY: Final = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"


@dataclass(frozen=True, slots=True)
class Choice:
    """An endpoint, and how it is spoken to. `policy` None: without security."""

    endpoint: ua.EndpointDescription
    policy: Policy | None
    mode: Mode

    def __str__(self) -> str:
        return "None" if self.policy is None else f"{self.policy.name}:{mode_name(self.mode)}"


def is_binary(endpoint: ua.EndpointDescription) -> bool:
    """Over opc.tcp; servers of old leave the profile empty."""
    return str(endpoint.TransportProfileUri or _BINARY) == _BINARY


def offered(endpoints: Sequence[ua.EndpointDescription]) -> list[str]:
    """`POLICY:MODE` of each, for a person."""
    found = {
        "None" if one.SecurityMode == Mode.None_ else f"{policy_name(one.SecurityPolicyUri)}:{mode_name(one.SecurityMode)}"
        for one in endpoints
    }
    return sorted(found)


def choose_endpoint(
    endpoints: Sequence[ua.EndpointDescription], wanted: Wanted, user: UserKind, *, loopback: bool, where: str
) -> Choice:
    """The strongest that fits what is wanted and takes such a user. The server's own SecurityLevel is not asked: it comes over
    a channel that anybody may have changed. Raises ConfigurationError or CredentialsError with the reason."""
    choices = sorted(_choices(endpoints), key=_weakness)
    fitting = [one for one in choices if _fits(one, wanted, loopback)]
    if not fitting:
        raise _nothing_fits(endpoints, choices, wanted, where)
    for choice in fitting:
        if usable_token(choice.endpoint, user, choice.mode) is not None:
            return choice
    raise _no_token(fitting, user, where)


def _choices(endpoints: Sequence[ua.EndpointDescription]) -> Iterator[Choice]:
    by_uri = {policy.uri: policy for policy in POLICIES}
    for one in endpoints:
        uri = str(one.SecurityPolicyUri or NONE_URI)
        if not is_binary(one):
            continue
        if one.SecurityMode == Mode.None_ and uri == NONE_URI:
            yield Choice(one, None, Mode.None_)
        elif one.SecurityMode in (Mode.Sign, Mode.SignAndEncrypt) and uri in by_uri:
            yield Choice(one, by_uri[uri], one.SecurityMode)


def _weakness(choice: Choice) -> tuple[bool, bool, int]:
    if choice.policy is None:
        return True, True, 0
    return False, choice.mode != Mode.SignAndEncrypt, POLICIES.index(choice.policy)


def _fits(choice: Choice, wanted: Wanted, loopback: bool) -> bool:
    if choice.policy is None:
        return wanted.none or (wanted.auto and loopback)
    if wanted.none or (wanted.policy is not None and wanted.policy != choice.policy):
        return False
    return wanted.mode is None or wanted.mode == choice.mode


def _nothing_fits(
    endpoints: Sequence[ua.EndpointDescription], choices: Sequence[Choice], wanted: Wanted, where: str
) -> DtiosError:
    names = ", ".join(offered(endpoints)) or "no endpoint at all"
    trusting = "ask for `--security none` (`security: none` in dtios.yaml) if you trust this network"
    if wanted.none or wanted.policy is not None:
        message = f"the server does not offer {_asked(wanted)}, but {names}"
        return ConfigurationError(message, where=where, mend="ask for what it offers, or for `--security auto`")
    old = sorted({policy_name(one.SecurityPolicyUri) for one in endpoints} & DEPRECATED)
    if old:
        message = f"the server offers only {', '.join(old)}, which can be broken"
        return ConfigurationError(message, where=where, mend=f"have the server updated, or {trusting}")
    if choices:
        message = "the server offers no encryption, so anyone on the network can read and change what is sent"
        return ConfigurationError(message, where=where, mend=trusting)
    message = f"the server offers nothing that is spoken here, but {names}"
    return ConfigurationError(message, where=where, mend="have the server set up")


def _asked(wanted: Wanted) -> str:
    if wanted.policy is None:
        return "a connection without security"
    return wanted.policy.name + (f":{mode_name(wanted.mode)}" if wanted.mode is not None else "")


def _no_token(fitting: Sequence[Choice], user: UserKind, where: str) -> CredentialsError:
    kinds = sorted({kind for choice in fitting for kind in tokens_offered(choice.endpoint)})
    shown = ", ".join(kinds) or "nobody"
    if user == "user name" and user in kinds:
        message = "the server would have the password sent in clear text over this connection"
        mend = "have encryption set up at the server (SignAndEncrypt, or a security policy for the user token)"
        return CredentialsError(message, where=where, mend=mend)
    asked = {"anonymous": "an anonymous user", "user name": "a user by name and password", "certificate": "a user by certificate"}
    mend = (
        "give `--user NAME`, or `user` and `password` in its settings in dtios.yaml"
        if user == "anonymous" and "user name" in kinds
        else "ask the server's administrator for an account"
    )
    return CredentialsError(f"the server does not take {asked[user]} here, but: {shown}", where=where, mend=mend)
