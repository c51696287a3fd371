"""CreateSession and ActivateSession, with all that a client has to check in their answers (Part 4, 5.7.2 and 5.7.3)."""

import os
import secrets
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from dtios.sdk.errors import CredentialsError
from dtios.sdk.pki import Identity, as_der, read_certificates
from dtios_opcua.security.choosing import Choice
from dtios_opcua.security.endpoints import differences
from dtios_opcua.security.policies import NONE_URI, Mode
from dtios_opcua.security.tokens import Token, User, usable_token

__all__ = ["TAMPERED", "Handshake"]

_NONCE: Final = 32
_SESSION_TIMEOUT: Final = 20_000.0  # ms; longer than it takes us to notice a loss, and a place held in vain is free soon
TAMPERED: Final = "do not go on over this network before you know who changes what is sent"


@dataclass(frozen=True, slots=True)
class Handshake:
    """How one session is opened. `choice` None: without security and without having asked for endpoints before."""

    url: str
    user: User
    choice: Choice | None = None
    discovered: Sequence[ua.EndpointDescription] | None = None
    server: x509.Certificate | None = None
    """verified; None where nothing is signed or encrypted with it"""
    identity: Identity | None = field(default=None)

    @property
    def secured(self) -> bool:
        return self.choice is not None and self.choice.policy is not None

    def channel_policy(self) -> Any:
        """asyncua's policy for the channel, None for a channel without security."""
        if self.choice is None or self.choice.policy is None or self.server is None or self.identity is None:
            return None
        return self.choice.policy.channel(self.server, self.identity, self.choice.mode)

    async def create(self, client: Any) -> ua.CreateSessionResult:
        """Raises CredentialsError where the answer is not that of the server whose certificate was verified."""
        nonce = secrets.token_bytes(_NONCE)
        answer: ua.CreateSessionResult = await client.uaclient.create_session(self._request(client.server_url.geturl(), nonce))
        if self.discovered is not None:
            self._check_endpoints(answer)
        if self.server is not None:
            self._check_certificate(answer)
        if self.secured:
            self._check_signature(answer, client.security_policy, nonce)
        return answer

    async def activate(self, client: Any, created: ua.CreateSessionResult) -> None:
        """`created` keeps the server's next nonce: the session may be activated again."""
        nonce = bytes(created.ServerNonce or b"")
        token = self._token(created)
        if (self.secured or token.policy is not None) and len(nonce) < _NONCE:
            raise CredentialsError(
                f"the server's nonce has {len(nonce)} bytes instead of {_NONCE}", where=self.url, mend="have the server updated"
            )
        request = ua.ActivateSessionParameters()
        if self.secured and self.server is not None:
            policy = client.security_policy
            request.ClientSignature.Algorithm = policy.AsymmetricSignatureURI
            request.ClientSignature.Signature = policy.asymmetric_cryptography.signature(as_der(self.server) + nonce)
        request.LocaleIds = ["en"]
        request.UserIdentityToken, signature = self.user.token(token, self.server, nonce)
        if signature is not None:
            request.UserTokenSignature = signature
        answer: ua.ActivateSessionResult = await client.uaclient.activate_session(request)
        created.ServerNonce = answer.ServerNonce

    def _request(self, address: str, nonce: bytes) -> ua.CreateSessionParameters:
        described = ua.ApplicationDescription()
        described.ApplicationUri = f"urn:{socket.gethostname()}:dtios" if self.identity is None else self.identity.application_uri
        described.ProductUri = "urn:dtios"
        described.ApplicationName = ua.LocalizedText("DTI-OS")
        described.ApplicationType = ua.ApplicationType.Client
        request = ua.CreateSessionParameters()
        request.ClientDescription = described
        request.EndpointUrl = address
        request.SessionName = f"DTI-OS Session{os.getpid()}"
        request.ClientNonce = nonce
        request.ClientCertificate = None if self.identity is None else as_der(self.identity.certificate)
        request.RequestedSessionTimeout = _SESSION_TIMEOUT
        request.MaxResponseMessageSize = 0
        return request

    def _check_endpoints(self, answer: ua.CreateSessionResult) -> None:
        found = differences(self.discovered or (), answer.ServerEndpoints or [])
        if found:
            said = "; ".join(found[:3])
            message = f"the list of endpoints was changed between the server and here, which weakens the connection ({said})"
            raise CredentialsError(message, where=self.url, mend=TAMPERED)

    def _check_certificate(self, answer: ua.CreateSessionResult) -> None:
        sent = bytes(answer.ServerCertificate or b"")
        if not sent and not self.secured:
            return  # Part 4, 5.7.2: it may be left out then; the secret is encrypted for the one that was verified
        try:
            shown = read_certificates(sent)[0]
        except ValueError:
            shown = None
        if shown != self.server:
            message = "the server shows another certificate in the session than before"
            raise CredentialsError(message, where=self.url, mend=TAMPERED)

    def _check_signature(self, answer: ua.CreateSessionResult, policy: Any, nonce: bytes) -> None:
        """The server has the private key of its certificate."""
        signed = policy.host_certificate + nonce
        try:
            policy.asymmetric_cryptography.verify(signed, bytes(answer.ServerSignature.Signature or b""))
        except InvalidSignature:
            message = "the server cannot prove that its certificate is its own"
            raise CredentialsError(message, where=self.url, mend=TAMPERED) from None

    def _token(self, created: ua.CreateSessionResult) -> Token:
        """Where endpoints were not asked for, those of the session say how an anonymous user is called."""
        endpoint: ua.EndpointDescription | None
        if self.choice is not None:
            endpoint, mode = self.choice.endpoint, self.choice.mode
        else:
            endpoint, mode = _plain_endpoint(created.ServerEndpoints or []), Mode.None_
        found = Token(None, None) if endpoint is None else usable_token(endpoint, self.user.kind, mode)
        if found is None:
            message = f"the server takes no user of this kind here ({self.user.kind})"
            raise CredentialsError(
                message,
                where=self.url,
                mend="give `--user NAME`, or `user` in its settings in dtios.yaml, or ask the server's administrator",
            )
        return found


def _plain_endpoint(endpoints: Sequence[ua.EndpointDescription]) -> ua.EndpointDescription | None:
    plain = (one for one in endpoints if one.SecurityMode == Mode.None_ and str(one.SecurityPolicyUri or NONE_URI) == NONE_URI)
    return next(plain, None)
