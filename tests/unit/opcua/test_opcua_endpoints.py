"""Which endpoint is taken and which token, and which lists of endpoints agree. Pure functions."""

import copy

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from dtios.model.errors import ConfigurationError, CredentialsError
from dtios_opcua.security.choosing import choose_endpoint
from dtios_opcua.security.endpoints import differences
from dtios_opcua.security.policies import NONE_URI, POLICIES, Mode, Wanted, wanted_security
from dtios_opcua.security.refusals import OurCertificateRefused, refusal
from dtios_opcua.security.tokens import usable_token

PREFIX = NONE_URI.removesuffix("None")
ANONYMOUS, NAMED, CERTIFIED = ua.UserTokenType.Anonymous, ua.UserTokenType.UserName, ua.UserTokenType.Certificate
URL = "opc.tcp://plc:4840"


def token(kind: ua.UserTokenType, policy: str | None = None) -> ua.UserTokenPolicy:
    found = ua.UserTokenPolicy()
    found.PolicyId, found.TokenType = f"{kind.name}-{policy}", kind
    found.SecurityPolicyUri = None if policy is None else PREFIX + policy
    return found


def endpoint(policy: str, mode: Mode, *tokens: ua.UserTokenPolicy, level: int = 0) -> ua.EndpointDescription:
    found = ua.EndpointDescription()
    found.EndpointUrl, found.SecurityPolicyUri, found.SecurityMode, found.SecurityLevel = URL, PREFIX + policy, mode, level
    found.UserIdentityTokens = list(tokens) or [token(ANONYMOUS)]
    found.TransportProfileUri = "http://opcfoundation.org/UA-Profile/Transport/uatcp-uasc-uabinary"
    return found


EVERY = [
    endpoint("None", Mode.None_, level=255),
    *(endpoint(policy.name, mode) for policy in reversed(POLICIES) for mode in (Mode.Sign, Mode.SignAndEncrypt)),
    endpoint("Basic256", Mode.SignAndEncrypt, level=200),
    endpoint("Basic128Rsa15", Mode.Sign),
]


@pytest.mark.parametrize(
    ("asked", "taken"),
    [
        ("auto", "Aes256_Sha256_RsaPss:SignAndEncrypt"),
        ("AUTO", "Aes256_Sha256_RsaPss:SignAndEncrypt"),
        ("none", "None"),
        ("Basic256Sha256", "Basic256Sha256:SignAndEncrypt"),
        ("Basic256Sha256:Sign", "Basic256Sha256:Sign"),
        (f"{PREFIX}Aes128_Sha256_RsaOaep", "Aes128_Sha256_RsaOaep:SignAndEncrypt"),
        ("aes256sha256rsapss:signandencrypt", "Aes256_Sha256_RsaPss:SignAndEncrypt"),
    ],
)
def test_asked_and_taken(asked: str, taken: str) -> None:
    assert str(choose_endpoint(EVERY, wanted_security(asked, URL), "anonymous", loopback=False, where=URL)) == taken


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("Basic256", "deprecated"),
        ("basic128rsa15:Sign", "deprecated"),
        ("Basic256Sha265", "no security policy"),
        ("Basic256Sha256:Encrypt", "no security mode"),
        ("auto:Sign", "no security policy"),
        ("none:Sign", "no security policy"),
        ("", "no security policy"),
    ],
)
def test_what_cannot_be_asked(asked: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        wanted_security(asked, URL)


def test_none_is_taken_by_itself_on_loopback_alone() -> None:
    only = [endpoint("None", Mode.None_)]
    assert choose_endpoint(only, Wanted(), "anonymous", loopback=True, where=URL).policy is None
    with pytest.raises(ConfigurationError, match="no encryption") as caught:
        choose_endpoint(only, Wanted(), "anonymous", loopback=False, where=URL)
    assert "--security none" in caught.value.mend
    with pytest.raises(ConfigurationError, match="which can be broken"):
        choose_endpoint([*only, endpoint("Basic256", Mode.Sign)], Wanted(), "anonymous", loopback=False, where=URL)
    assert choose_endpoint(EVERY, Wanted(), "anonymous", loopback=True, where=URL).policy is not None


def test_an_endpoint_that_takes_the_user_goes_before_a_stronger_one_that_does_not() -> None:
    offered = [
        endpoint("Aes256_Sha256_RsaPss", Mode.SignAndEncrypt, token(CERTIFIED)),
        endpoint("Basic256Sha256", Mode.Sign, token(NAMED)),
    ]
    assert str(choose_endpoint(offered, Wanted(), "user name", loopback=False, where=URL)) == "Basic256Sha256:Sign"
    with pytest.raises(CredentialsError, match="does not take an anonymous user here, but: certificate, user name") as caught:
        choose_endpoint(offered, Wanted(), "anonymous", loopback=False, where=URL)
    assert "--user" in caught.value.mend


@pytest.mark.parametrize(
    ("channel", "mode", "policies", "taken"),
    [
        ("None", Mode.None_, [None], False),
        ("None", Mode.None_, ["None"], False),
        ("None", Mode.None_, ["Basic256"], False),
        ("None", Mode.None_, ["None", "Basic256Sha256"], "UserName-Basic256Sha256"),
        ("Basic256Sha256", Mode.Sign, ["None"], False),
        ("Basic256Sha256", Mode.Sign, [None], "UserName-None"),
        ("Basic256Sha256", Mode.SignAndEncrypt, ["None"], "UserName-None"),
        ("Basic256Sha256", Mode.SignAndEncrypt, ["None", "Aes128_Sha256_RsaOaep"], "UserName-Aes128_Sha256_RsaOaep"),
        ("Basic256Sha256", Mode.SignAndEncrypt, ["Basic256"], False),
    ],
)
def test_a_password_is_encrypted_or_not_sent(channel: str, mode: Mode, policies: list[str | None], taken: str | bool) -> None:
    one = endpoint(channel, mode, *(token(NAMED, policy) for policy in policies))
    found = usable_token(one, "user name", mode)
    assert (found.id if found is not None else False) == taken


def test_who_lists_no_tokens_has_not_said_no() -> None:
    one = endpoint("None", Mode.None_)
    one.UserIdentityTokens = []
    found = usable_token(one, "anonymous", Mode.None_)
    assert found is not None
    assert found.id is None
    assert usable_token(one, "user name", Mode.None_) is None


# --- agreeing lists ---


def test_the_order_does_not_count_and_neither_do_other_transports() -> None:
    web = endpoint("None", Mode.None_)
    web.TransportProfileUri = "http://opcfoundation.org/UA-Profile/Transport/https-uabinary"
    assert differences(EVERY, list(reversed(EVERY))) == []
    assert differences([*EVERY, web], EVERY) == []


_CHANGES = {
    "EndpointUrl": "opc.tcp://other:4840",
    "SecurityPolicyUri": PREFIX + "None",
    "SecurityMode": Mode.Sign,
    "SecurityLevel": 3,
    "UserIdentityTokens": [token(ANONYMOUS), token(NAMED, "None")],
    "TransportProfileUri": "http://opcfoundation.org/UA-Profile/Transport/https-uabinary",
}


@pytest.mark.parametrize("field", _CHANGES)
def test_each_field_counts(field: str) -> None:
    changed = copy.deepcopy(EVERY)
    strongest = next(one for one in changed if "Aes256" in one.SecurityPolicyUri and one.SecurityMode == Mode.SignAndEncrypt)
    setattr(strongest, field, _CHANGES[field])
    assert differences(changed, EVERY)
    assert differences(EVERY, changed)


def test_the_application_counts() -> None:
    changed = copy.deepcopy(EVERY)
    changed[3].Server.ApplicationUri = "urn:another"
    assert differences(changed, EVERY)


@given(st.sets(st.integers(0, len(EVERY) - 1)), st.sets(st.integers(0, len(EVERY) - 1)))
def test_lists_agree_when_they_are_the_same(first: set[int], second: set[int]) -> None:
    assert (differences([EVERY[i] for i in first], [EVERY[i] for i in second]) == []) == (first == second)


# --- what a server's codes mean ---


@pytest.mark.parametrize(
    ("name", "stage", "kind", "words"),
    [
        ("BadSecurityChecksFailed", "channel", OurCertificateRefused, "does not trust our certificate yet"),
        ("BadCertificateUntrusted", "session", OurCertificateRefused, "does not trust our certificate yet"),
        ("BadCertificateTimeInvalid", "channel", OurCertificateRefused, "clock"),
        ("BadCertificateUriInvalid", "session", OurCertificateRefused, "application URI"),
        ("BadIdentityTokenRejected", "user", CredentialsError, "anna"),
        ("BadUserAccessDenied", "user", CredentialsError, "password is wrong"),
        ("BadSecurityPolicyRejected", "channel", ConfigurationError, "rejects this kind"),
    ],
)
def test_each_code_has_its_sentence(name: str, stage: str, kind: type, words: str, tmp_path) -> None:
    error = refusal(name, stage, tmp_path, "anna", URL, secured=True)  # type: ignore[arg-type]
    assert isinstance(error, kind)
    assert words in error.message
    assert name in error.message
    assert error.mend
    assert refusal("BadTooManySessions", "session", tmp_path, "", URL, secured=True) is None


def test_the_same_code_without_security_is_about_something_else(tmp_path) -> None:
    error = refusal("BadSecurityChecksFailed", "channel", tmp_path, "", URL, secured=False)
    assert isinstance(error, ConfigurationError)
    assert "without security" in error.message
