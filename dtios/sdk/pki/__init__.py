"""Certificates and whom to trust: an OPC Foundation trust list below `home/pki`, for every adapter and the command line."""

from dtios.sdk.pki.certificates import (
    application_uri,
    as_der,
    common_name,
    names_of,
    read_certificates,
    read_revocation_list,
    spelled_thumbprint,
    thumbprint,
)
from dtios.sdk.pki.faults import Fault, FaultKind, trust_command
from dtios.sdk.pki.hosts import is_loopback
from dtios.sdk.pki.own import Identity, OwnCertificates
from dtios.sdk.pki.trustlist import Entry, Trust, TrustList
from dtios.sdk.pki.verifying import Expected, Verification, verify

__all__ = [
    "Entry",
    "Expected",
    "Fault",
    "FaultKind",
    "Identity",
    "OwnCertificates",
    "Trust",
    "TrustList",
    "Verification",
    "application_uri",
    "as_der",
    "common_name",
    "is_loopback",
    "names_of",
    "read_certificates",
    "read_revocation_list",
    "spelled_thumbprint",
    "thumbprint",
    "trust_command",
    "verify",
]
