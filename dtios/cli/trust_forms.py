"""Entries of the trust list as JSON and as lines."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from dtios.cli.output import columns
from dtios.model.errors import ConfigurationError
from dtios.sdk.pki import Entry, application_uri, common_name, thumbprint

__all__ = ["entry_form", "entry_table", "exported"]


def entry_form(entry: Entry) -> dict[str, Any]:
    form: dict[str, Any] = {
        "store": entry.store, "kind": "unreadable", "name": entry.path.name, "thumbprint": None, "issuer": None,
        "application_uri": None, "valid_from": None, "valid_to": None, "accepted": [kind.value for kind in entry.accepted],
        "refused": [], "url": None, "file": str(entry.path),
    }  # fmt: skip
    if entry.certificate is not None:
        form |= _certificate(entry.certificate)
    elif entry.revocations is not None:
        form |= _revocations(entry.revocations)
    if entry.refused is not None:
        form |= {"refused": [kind.value for kind in entry.refused.faults], "url": entry.refused.url}
    return form


def _certificate(one: x509.Certificate) -> dict[str, Any]:
    return {
        "kind": "certificate", "name": common_name(one), "thumbprint": thumbprint(one), "issuer": one.issuer.rfc4514_string(),
        "application_uri": application_uri(one) or None, "valid_from": _time(one.not_valid_before_utc),
        "valid_to": _time(one.not_valid_after_utc),
    }  # fmt: skip


def _revocations(one: x509.CertificateRevocationList) -> dict[str, Any]:
    ends = one.next_update_utc
    return {
        "kind": "revocation-list", "name": one.issuer.rfc4514_string(), "issuer": one.issuer.rfc4514_string(),
        "valid_from": _time(one.last_update_utc), "valid_to": None if ends is None else _time(ends),
    }  # fmt: skip


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def entry_table(forms: list[dict[str, Any]]) -> str:
    rows = [
        (form["store"], form["thumbprint"] or form["kind"], (form["valid_to"] or "-")[:10], form["name"], _note(form))
        for form in forms
    ]
    return "\n".join(columns(("store", "thumbprint", "valid to", "name", "note"), rows, indent=""))


def _note(form: dict[str, Any]) -> str:
    if form["accepted"]:
        return f"accepted though {', '.join(form['accepted'])}"
    if form["store"] == "rejected" and form["refused"]:
        return f"{', '.join(form['refused'])} at {form['url']}"
    return ""


def exported(certificate: x509.Certificate, file: Path | None) -> dict[str, Any]:
    """Write it. Raises ConfigurationError."""
    path = file if file is not None else Path(f"{common_name(certificate)}.der")
    form = Encoding.PEM if path.suffix.lower() in (".pem", ".crt") else Encoding.DER
    try:
        path.write_bytes(certificate.public_bytes(form))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"it cannot be written: {reason}", where=str(path), mend="name another file") from error
    return {
        "file": str(path), "thumbprint": thumbprint(certificate), "application_uri": application_uri(certificate),
        "valid_to": _time(certificate.not_valid_after_utc),
    }  # fmt: skip
