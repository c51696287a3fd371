"""What a server says when it does not let us in, for a person. Which code it uses is different from maker to maker, so the
stage at which it came counts as well."""

from pathlib import Path
from typing import Final, Literal

from dtios.sdk.errors import ConfigurationError, CredentialsError, DtiosError
from dtios.sdk.pki import trust_command

__all__ = ["OurCertificateRefused", "Stage", "refusal", "untrusted"]

Stage = Literal["socket", "channel", "session", "user", "ready"]


class OurCertificateRefused(CredentialsError):
    """The server does not take our certificate: another one of ours may be known to it."""


_UNTRUSTED: Final = {
    "BadSecurityChecksFailed": "does not trust our certificate yet",
    "BadCertificateUntrusted": "does not trust our certificate yet",
    "BadCertificateChainIncomplete": "does not know the CA of our certificate",
    "BadCertificateRevocationUnknown": "has no revocation list of the CA of our certificate",
    "BadCertificateIssuerRevocationUnknown": "has no revocation list of the CA of our certificate",
    "BadCertificateRevoked": "takes our certificate for revoked",
    "BadCertificateIssuerRevoked": "takes the CA of our certificate for revoked",
    "BadCertificateInvalid": "does not take our certificate",
    "BadCertificateUseNotAllowed": "does not allow what our certificate is for",
    "BadCertificatePolicyCheckFailed": "demands another kind of key or signature of our certificate",
    "BadCertificateHostNameInvalid": "does not find this computer's name in our certificate",
    "BadCertificateUriInvalid": "does not find our application URI in our certificate",
    "BadApplicationSignatureInvalid": "does not take our signature",
    "BadNoValidCertificates": "demands a certificate",
}
_INSECURE: Final = {
    "BadSecurityPolicyRejected", "BadSecurityModeRejected", "BadSecurityModeInsufficient", "BadSecurityChecksFailed",

}  # fmt: skip
_USERS: Final = {
    "BadIdentityTokenRejected": "does not know the user, or the password is wrong",
    "BadUserAccessDenied": "does not know the user, or the password is wrong",
    "BadIdentityTokenInvalid": "cannot read who the user is",
    "BadUserSignatureInvalid": "does not take the signature of the user's certificate",
}


def refusal(name: str, stage: Stage, home: Path, user: str, where: str, *, secured: bool) -> DtiosError | None:
    """The error for a StatusCode (by name) that came while connecting; None where it is about something else."""
    if not secured and stage in ("channel", "session") and name in _INSECURE:
        return ConfigurationError(
            f"the server does not take a connection without security ({name})", where=where, mend="ask for `--security auto`"
        )
    if name in _USERS and stage in ("session", "user"):
        who = f"the user {user}" if user else "anonymous users"
        said = f"the server {_USERS[name]} ({name}, {who})" if user else f"the server does not let anonymous users in ({name})"
        mend = (
            "check user and password, and their rights at the server"
            if user
            else "give `--user NAME`, or `user` and `password` in its settings in dtios.yaml"
        )
        return CredentialsError(said, where=where, mend=mend)
    if stage == "user" and name in ("BadCertificateUntrusted", "BadSecurityChecksFailed") and user.startswith("certificate "):
        return CredentialsError(
            f"the server does not trust the user's certificate ({name})", where=where, mend="have its administrator trust it"
        )
    if name in ("BadCertificateTimeInvalid", "BadCertificateIssuerTimeInvalid"):
        message = f"our certificate is not valid by the server's clock ({name})"
        return OurCertificateRefused(message, where=where, mend="set the clocks right, the server's and this computer's")
    if name in _UNTRUSTED:
        return untrusted(f"the server {_UNTRUSTED[name]} ({name})", home, where)
    if name in ("BadSecurityPolicyRejected", "BadSecurityModeRejected"):
        return ConfigurationError(
            f"the server rejects this kind of security ({name})", where=where, mend="ask for `--security auto`"
        )
    return None


def untrusted(message: str, home: Path, where: str) -> OurCertificateRefused:
    command = trust_command(home, "export", "dtios.der")
    return OurCertificateRefused(
        message, where=where, mend=f"export it and have the server's administrator trust it: `{command}`"
    )
