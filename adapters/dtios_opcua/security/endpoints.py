"""Did anybody change the list of endpoints on the way? (Part 4, 5.7.2: CreateSession's serverEndpoints)

GetEndpoints is answered over a channel without security. Who can change its answer can take the strong endpoints away, and a
client then chooses a weak one by itself. The same list comes again in CreateSession's answer.
"""

from collections import Counter
from collections.abc import Sequence

from asyncua import ua

from dtios_opcua.security.choosing import is_binary
from dtios_opcua.security.policies import NONE_URI, mode_name, policy_name

__all__ = ["differences"]

_Fields = tuple[str, str, int, str, tuple[tuple[str, int, str, str, str], ...], int]


def differences(discovered: Sequence[ua.EndpointDescription], created: Sequence[ua.EndpointDescription]) -> list[str]:
    """For a person; empty where both lists agree in the fields that Part 4 has clients verify, in whatever order. Endpoints of
    other transports are left out: some servers leave them out, too."""
    before, after = Counter(map(_fields, filter(is_binary, discovered))), Counter(map(_fields, filter(is_binary, created)))
    found = [f"{_shown(one)} was not there before" for one in after - before]
    return found + [f"{_shown(one)} is not there any more" for one in before - after]


def _fields(one: ua.EndpointDescription) -> _Fields:
    tokens = tuple(
        sorted(
            (
                str(token.PolicyId or ""), int(token.TokenType), str(token.IssuedTokenType or ""),
                str(token.IssuerEndpointUrl or ""), str(token.SecurityPolicyUri or ""),
            )
            for token in one.UserIdentityTokens or []
        )
    )  # fmt: skip
    return (
        str(one.EndpointUrl or ""), str(one.Server.ApplicationUri or ""), int(one.SecurityMode),
        str(one.SecurityPolicyUri or NONE_URI), tokens, int(one.SecurityLevel),
    )  # fmt: skip


def _shown(fields: _Fields) -> str:
    mode = ua.MessageSecurityMode(fields[2])
    return f"{policy_name(fields[3])}:{mode_name(mode)} at {fields[0]}"
