"""Who the user is: anonymous, by name and password, or by certificate (Part 4, 7.40)."""

import struct
from dataclasses import dataclass, field
from typing import Final, Literal

from asyncua import ua
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_pem_private_key

from dtios.sdk.errors import ConfigurationError, CredentialsError
from dtios.sdk.pki import as_der, common_name, read_certificates
from dtios_opcua.security.policies import NONE_URI, POLICIES, Mode, Policy
from dtios_opcua.security.settings import OpcUaSettings

__all__ = ["Token", "User", "UserKind", "load_user", "tokens_offered", "usable_token"]

UserKind = Literal["anonymous", "user name", "certificate"]
_KINDS: Final[dict[int, UserKind]] = {
    ua.UserTokenType.Anonymous: "anonymous",
    ua.UserTokenType.UserName: "user name",
    ua.UserTokenType.Certificate: "certificate",
}


@dataclass(frozen=True, slots=True)
class Token:
    """A UserTokenPolicy of an endpoint. `policy` None: what is sent is protected by the channel alone."""

    id: str | None
    policy: Policy | None


@dataclass(frozen=True, slots=True)
class User:
    """A user with what proves it. Lives as long as the opening of one session, and shows nothing."""

    kind: UserKind = "anonymous"
    name: str = ""
    password: str = field(default="", repr=False)
    certificate: x509.Certificate | None = None
    key: rsa.RSAPrivateKey | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """For a person; empty for an anonymous one."""
        return self.name if self.certificate is None else f"certificate {common_name(self.certificate)}"

    def token(self, chosen: Token, server: x509.Certificate | None, nonce: bytes) -> tuple[object, ua.SignatureData | None]:
        """(identity token, its signature where there is one), for a session with this server nonce."""
        if self.kind == "user name":
            return self._named(chosen, server, nonce), None
        if self.kind == "certificate":
            return self._certified(chosen, server, nonce)
        anonymous = ua.AnonymousIdentityToken()
        anonymous.PolicyId = chosen.id
        return anonymous, None

    def _named(self, chosen: Token, server: x509.Certificate | None, nonce: bytes) -> ua.UserNameIdentityToken:
        token = ua.UserNameIdentityToken()
        token.PolicyId, token.UserName = chosen.id, self.name
        secret = self.password.encode("utf-8")
        if chosen.policy is None:
            token.Password, token.EncryptionAlgorithm = secret, None
        elif server is not None:
            # Part 4, 7.40.2.2: a length, the password and the server's nonce, so that no one can send it again
            whole = struct.pack("<I", len(secret) + len(nonce)) + secret + nonce
            token.Password, token.EncryptionAlgorithm = chosen.policy.encrypted(server, whole)
        return token

    def _certified(
        self, chosen: Token, server: x509.Certificate | None, nonce: bytes
    ) -> tuple[ua.X509IdentityToken, ua.SignatureData]:
        if self.certificate is None or self.key is None or chosen.policy is None or server is None:
            raise ConfigurationError("a user certificate needs a security policy", mend="ask for `--security auto`")
        token = ua.X509IdentityToken()
        token.PolicyId, token.CertificateData = chosen.id, as_der(self.certificate)
        signature = ua.SignatureData()
        signature.Signature, signature.Algorithm = chosen.policy.signed(self.key, as_der(server) + nonce)
        return token, signature


def usable_token(endpoint: ua.EndpointDescription, kind: UserKind, mode: Mode) -> Token | None:
    """The strongest way to present such a user at this endpoint, None where there is none that keeps the secret."""
    tokens = [one for one in endpoint.UserIdentityTokens or [] if _KINDS.get(one.TokenType) == kind]
    if kind == "anonymous":
        if tokens:
            return Token(tokens[0].PolicyId, None)
        return None if endpoint.UserIdentityTokens else Token(None, None)  # who lists nothing has not said no
    found = [Token(one.PolicyId, policy) for one in tokens if (policy := _policy(one, endpoint)) is not None]
    if found:
        return min(found, key=lambda token: POLICIES.index(token.policy) if token.policy else len(POLICIES))
    plain = [one for one in tokens if str(one.SecurityPolicyUri or endpoint.SecurityPolicyUri or NONE_URI) == NONE_URI]
    if plain and kind == "user name" and mode == Mode.SignAndEncrypt:
        return Token(plain[0].PolicyId, None)
    return None


def _policy(token: ua.UserTokenPolicy, endpoint: ua.EndpointDescription) -> Policy | None:
    """What it is encrypted or signed with: its own, else the endpoint's."""
    uri = str(token.SecurityPolicyUri or endpoint.SecurityPolicyUri or NONE_URI)
    return next((policy for policy in POLICIES if policy.uri == uri), None)


def tokens_offered(endpoint: ua.EndpointDescription) -> list[UserKind]:
    return [_KINDS[one.TokenType] for one in endpoint.UserIdentityTokens or [] if one.TokenType in _KINDS]


def load_user(settings: OpcUaSettings, where: str) -> User:
    """Fetch what the settings name. May block. Raises ConfigurationError or CredentialsError."""
    if settings.user_certificate is not None and settings.user_key is not None:
        certificate = _certificate(settings.user_certificate.resolve_bytes(), settings.user_certificate.origin)
        key = _key(settings.user_key.resolve_bytes(), settings.user_key.origin)
        if certificate.public_key() != key.public_key():
            raise CredentialsError(
                "user_key is not the key of user_certificate", where=where, mend="give the key that belongs to it"
            )
        return User("certificate", certificate=certificate, key=key)
    if settings.user is None:
        return User()
    return User("user name", settings.user, settings.password.resolve() if settings.password is not None else "")


def _certificate(data: bytes, where: str) -> x509.Certificate:
    try:
        return read_certificates(data)[0]
    except ValueError:
        raise ConfigurationError("this is not a certificate", where=where, mend="give a DER or PEM file") from None


def _key(data: bytes, where: str) -> rsa.RSAPrivateKey:
    load = load_pem_private_key if data.lstrip().startswith(b"-----") else load_der_private_key
    try:
        key = load(data, None)
    except TypeError:
        raise ConfigurationError(
            "this private key has a passphrase", where=where, mend="save it without one, readable to this user alone"
        ) from None
    except ValueError:
        raise ConfigurationError("this is not a private key", where=where, mend="give a DER or PEM file") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigurationError("this is not an RSA key", where=where, mend="OPC UA's policies here need one")
    return key
