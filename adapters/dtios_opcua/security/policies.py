"""The security policies that are spoken (Part 7, 6.6), and what a person asks for by `--security`."""

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from asyncua import ua
from asyncua.crypto import security_policies as asyncua_policies
from asyncua.crypto import uacrypto
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from dtios.sdk.errors import ConfigurationError
from dtios.sdk.pki import Identity

__all__ = ["DEPRECATED", "NONE_URI", "POLICIES", "Mode", "Policy", "Wanted", "mode_name", "policy_name", "wanted_security"]

Mode = ua.MessageSecurityMode
NONE_URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#None"
_PREFIX: Final = NONE_URI.removesuffix("None")


@dataclass(frozen=True, slots=True)
class Policy:
    """One policy over asyncua's cryptography. `padding` is what its RSA encryption takes of each block, in bytes."""

    name: str
    implementation: Any
    encrypt: Callable[[Any, bytes], bytes]
    padding: int

    @property
    def uri(self) -> str:
        return _PREFIX + self.name

    def channel(self, server: x509.Certificate, identity: Identity, mode: Mode) -> Any:
        """asyncua's policy object for one channel."""
        return self.implementation(server, identity.certificate, identity.key, mode)

    def encrypted(self, server: x509.Certificate, data: bytes) -> tuple[bytes, str]:
        """(cipher text for the server alone, URI of the algorithm), in as many blocks as it takes."""
        cipher: Any = asyncua_policies.EncryptorRsa(server, self.encrypt, self.padding)  # type: ignore[no-untyped-call]
        return cipher.encrypt(data), self.implementation.AsymmetricEncryptionURI

    def signed(self, key: rsa.RSAPrivateKey, data: bytes) -> tuple[bytes, str]:
        """(signature, URI of the algorithm)"""
        return self.implementation.sign_asymmetric(key, data), self.implementation.AsymmetricSignatureURI


POLICIES: Final = (
    Policy("Aes256_Sha256_RsaPss", asyncua_policies.SecurityPolicyAes256Sha256RsaPss, uacrypto.encrypt_rsa_oaep_sha256, 66),
    Policy("Basic256Sha256", asyncua_policies.SecurityPolicyBasic256Sha256, uacrypto.encrypt_rsa_oaep, 42),
    Policy("Aes128_Sha256_RsaOaep", asyncua_policies.SecurityPolicyAes128Sha256RsaOaep, uacrypto.encrypt_rsa_oaep, 42),
)
"""The strongest first: by their keys, then by their padding."""

DEPRECATED: Final = frozenset({"Basic128Rsa15", "Basic256"})
_MODES: Final = {"sign": Mode.Sign, "signandencrypt": Mode.SignAndEncrypt}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `security` asks for. No policy: `auto`, or with `none` no security at all. No mode: the stronger one offered."""

    none: bool = False
    policy: Policy | None = None
    mode: Mode | None = None

    @property
    def auto(self) -> bool:
        return not self.none and self.policy is None


def wanted_security(text: str, where: str) -> Wanted:
    """`auto`, `none` or POLICY[:MODE], in any case, with or without underscores. Raises ConfigurationError."""
    name, _, mode = text.strip().rpartition("#")[2].partition(":")
    plain = _plain(name)
    if plain in ("auto", "none") and not mode:
        return Wanted(none=plain == "none")
    policy = next((one for one in POLICIES if _plain(one.name) == plain), None)
    if policy is None:
        raise _unknown(name, where)
    if mode and _plain(mode) not in _MODES:
        raise ConfigurationError(f"there is no security mode {mode!r}", where=where, mend="it is Sign or SignAndEncrypt")
    return Wanted(policy=policy, mode=_MODES[_plain(mode)] if mode else None)


def _unknown(name: str, where: str) -> ConfigurationError:
    known = ["auto", "none", *(one.name for one in POLICIES)]
    if _plain(name) in {_plain(one) for one in DEPRECATED}:
        return ConfigurationError(
            f"the security policy {name} is deprecated, because it can be broken, and is not spoken here", where=where,
            mend=f"ask for one of {', '.join(known[2:])}, or update the server",
        )  # fmt: skip
    near = difflib.get_close_matches(name, known, n=1)
    mend = f"did you mean {near[0]}?" if near else f"it is one of {', '.join(known)}"
    return ConfigurationError(f"there is no security policy {name!r}", where=where, mend=mend)


def _plain(text: str) -> str:
    return text.replace("_", "").strip().lower()


def policy_name(uri: str | None) -> str:
    """`Basic256Sha256` of its URI, `None` where there is none."""
    return str(uri or "").rpartition("#")[2] or "None"


def mode_name(mode: Mode) -> str:
    return str(mode.name).strip("_")
