"""What is refused of a server's certificate, each fault alone and all at once (Part 4, 6.1.3)."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from hypothesis import given
from hypothesis import strategies as st

from dtios.sdk.pki import Expected, FaultKind, Trust, Verification, read_certificates, verify
from tests.certificates import DAY, NOW, SERVER_URI, Made, key, make, make_ca, revocation_list

HERE = Expected("127.0.0.1", SERVER_URI, NOW)
HOME = Path("/var/lib/dtios")


def trusting(*made: Made, issuers: tuple[Made, ...] = (), lists: tuple[bytes, ...] = (), accepted: dict | None = None) -> Trust:
    return Trust(
        tuple(one.certificate for one in made),
        tuple(one.certificate for one in issuers),
        tuple(x509.load_der_x509_crl(one) for one in lists),
        {k: frozenset(v) for k, v in (accepted or {}).items()},
    )


def kinds(found: Verification) -> list[FaultKind]:
    return [fault.kind for fault in found.faults]


def checked(made: Made, trust: Trust, expected: Expected = HERE, sent: tuple[Made, ...] = ()) -> list[FaultKind]:
    return kinds(verify([made.certificate, *(one.certificate for one in sent)], trust, expected))


def test_a_trusted_self_signed_certificate_is_good() -> None:
    server = make()
    assert checked(server, trusting(server)) == []


def test_an_unknown_one_is_refused_with_the_command_that_trusts_it() -> None:
    server = make()
    found = verify([server.certificate], Trust(), HERE)
    assert kinds(found) == [FaultKind.UNTRUSTED]
    error = found.refusal(HOME, "opc.tcp://127.0.0.1:4840")
    assert error.mend.endswith(f"`dtios trust accept {server.thumbprint} --state {HOME}`")
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("more", "expected", "kind"),
    [
        ({"ends": NOW - DAY, "begins": NOW - 2 * DAY}, HERE, FaultKind.EXPIRED),
        ({"begins": NOW + DAY}, HERE, FaultKind.NOT_YET_VALID),
        ({"dns": ("elsewhere.example",), "ips": ()}, HERE, FaultKind.HOST),
        ({"dns": (), "ips": ()}, HERE, FaultKind.HOST),
        ({"ips": ("192.0.2.9",), "dns": ()}, Expected("192.0.2.8", SERVER_URI, NOW), FaultKind.HOST),
        ({"dns": ("plc.example",)}, Expected("plc.example.evil", SERVER_URI, NOW), FaultKind.HOST),
        ({"uris": ("urn:other",)}, HERE, FaultKind.APPLICATION_URI),
        ({"uris": ()}, HERE, FaultKind.APPLICATION_URI),
        ({"client": True}, HERE, FaultKind.KEY_USAGE),
        ({"encipher": False}, HERE, FaultKind.KEY_USAGE),
        ({"bits": 1024, "common": "short"}, HERE, FaultKind.WEAK),
    ],
)
def test_each_fault_is_found_alone_and_can_be_accepted_knowingly(more: dict, expected: Expected, kind: FaultKind) -> None:
    server = make(**more)
    found = verify([server.certificate], trusting(server), expected)
    assert kinds(found) == [kind]
    assert f"dtios trust accept {server.thumbprint} --broken" in found.refusal(HOME, "x").mend
    again = verify([server.certificate], trusting(server, accepted={server.thumbprint: [kind]}), expected)
    assert again.trustworthy
    assert [fault.kind for fault in again.accepted] == [kind]


def test_what_was_accepted_covers_no_other_fault_and_no_other_certificate() -> None:
    server = make(dns=("elsewhere.example",), ips=())
    accepted = {server.thumbprint: [FaultKind.EXPIRED]}
    assert checked(server, trusting(server, accepted=accepted)) == [FaultKind.HOST]
    # a waiver counts only for who lies in the trust list
    assert checked(server, trusting(accepted={server.thumbprint: [FaultKind.HOST]})) == [FaultKind.UNTRUSTED, FaultKind.HOST]


def test_host_names_are_compared_without_case_and_final_dot() -> None:
    server = make(dns=("PLC-17.Factory.example",), ips=("2001:db8::1",))
    for host in ("plc-17.factory.EXAMPLE", "plc-17.factory.example.", "2001:DB8:0::1"):
        assert checked(server, trusting(server), Expected(host, SERVER_URI, NOW)) == []


def test_all_faults_at_once_the_gravest_first() -> None:
    server = make(ends=NOW - DAY, begins=NOW - 2 * DAY, dns=("elsewhere.example",), ips=(), uris=(), client=True)
    assert checked(server, Trust()) == [
        FaultKind.UNTRUSTED, FaultKind.EXPIRED, FaultKind.HOST, FaultKind.APPLICATION_URI, FaultKind.KEY_USAGE,
    ]  # fmt: skip


# --- signed by a CA ---


def test_a_trusted_ca_vouches_for_what_it_signed_as_long_as_it_has_a_revocation_list() -> None:
    ca = make_ca()
    server = make(by=ca)
    assert checked(server, trusting(ca, lists=(revocation_list(ca),))) == []
    found = verify([server.certificate], trusting(ca), HERE)
    assert kinds(found) == [FaultKind.NO_REVOCATION_LIST]
    assert "dtios trust accept FILE" in found.refusal(HOME, "x").mend


def test_a_revoked_certificate_is_refused_and_cannot_be_accepted() -> None:
    ca = make_ca()
    server = make(by=ca)
    lists = (revocation_list(ca, server),)
    assert checked(server, trusting(ca, lists=lists)) == [FaultKind.REVOKED]
    waived = trusting(ca, server, lists=lists, accepted={server.thumbprint: list(FaultKind)})
    found = verify([server.certificate], waived, HERE)
    assert kinds(found) == [FaultKind.REVOKED]
    assert "--broken" not in found.refusal(HOME, "x").mend


def test_an_old_list_counts_for_what_it_revokes_and_not_for_the_rest() -> None:
    ca = make_ca()
    server, other = make(by=ca), make("other", by=ca)
    outdated = (revocation_list(ca, other, ends=NOW - DAY),)
    assert checked(server, trusting(ca, lists=outdated)) == [FaultKind.NO_REVOCATION_LIST]
    assert checked(other, trusting(ca, lists=outdated)) == [FaultKind.REVOKED]


def test_a_list_that_somebody_else_signed_is_none() -> None:
    ca = make_ca()
    server = make(by=ca)
    forged = revocation_list(ca, signer=key("somebody else"))
    assert checked(server, trusting(ca, lists=(forged,))) == [FaultKind.NO_REVOCATION_LIST]


def test_an_issuer_completes_a_chain_and_trusts_nobody() -> None:
    root = make_ca("root")
    middle = make_ca("middle", by=root)
    server = make(by=middle)
    lists = (revocation_list(root), revocation_list(middle))
    assert checked(server, trusting(root, issuers=(middle,), lists=lists)) == []
    assert checked(server, trusting(middle, issuers=(root,), lists=lists)) == []
    assert checked(server, trusting(root, lists=lists), sent=(middle,)) == []
    assert checked(server, trusting(issuers=(root, middle), lists=lists)) == [FaultKind.UNTRUSTED]
    assert checked(server, trusting(middle, lists=lists)) == [FaultKind.INCOMPLETE_CHAIN]


def test_a_revoked_or_expired_ca_signs_nothing_any_more() -> None:
    root = make_ca("root")
    middle = make_ca("middle", by=root)
    server = make(by=middle)
    lists = (revocation_list(root, middle), revocation_list(middle))
    assert checked(server, trusting(root, issuers=(middle,), lists=lists)) == [FaultKind.REVOKED]
    ended = make_ca("ended", by=root, begins=NOW - 9 * DAY, ends=NOW - DAY)
    server = make(by=ended)
    lists = (revocation_list(root), revocation_list(ended))
    assert checked(server, trusting(root, issuers=(ended,), lists=lists)) == [FaultKind.EXPIRED]


def test_who_only_bears_the_name_of_a_ca() -> None:
    ca = make_ca()
    server = make(by=ca, signer=key("an attacker"))
    found = verify([server.certificate], trusting(ca, lists=(revocation_list(ca),)), HERE)
    assert kinds(found) == [FaultKind.FORGED, FaultKind.UNTRUSTED]
    assert "trust accept" not in found.refusal(HOME, "x").mend


def test_a_trusted_application_is_no_ca() -> None:
    machine = make("machine")
    server = make("evil", by=machine)
    lists = (revocation_list(machine),)
    assert checked(server, trusting(machine, lists=lists)) == [FaultKind.FORGED, FaultKind.UNTRUSTED]


def test_a_ca_that_may_sign_applications_only() -> None:
    root = make_ca("root", path_length=0)
    middle = make_ca("middle", by=root)
    server = make(by=middle)
    lists = (revocation_list(root), revocation_list(middle))
    assert checked(server, trusting(root, lists=lists), sent=(middle,)) == [FaultKind.FORGED, FaultKind.UNTRUSTED]


def test_a_ca_shows_itself_as_a_server() -> None:
    ca, root = make_ca("ca"), make_ca("root")
    own = make("server", by=root, ca=True)
    assert FaultKind.KEY_USAGE in checked(own, trusting(root, lists=(revocation_list(root),)))
    assert FaultKind.HOST in checked(ca, trusting(ca))


def test_two_that_sign_each_other_end() -> None:
    first, second = make_ca("first"), make_ca("second")
    a = make("first", by=second, ca=True)
    b = make("second", by=first, ca=True)
    assert FaultKind.UNTRUSTED in checked(a, trusting(issuers=(b, a)))


def test_sha1_is_weak() -> None:
    try:
        server = make(hash_=hashes.SHA1())
    except Exception:  # noqa: BLE001  # this OpenSSL does not even sign so
        pytest.skip("no SHA-1 signatures on this platform")
    assert FaultKind.WEAK in checked(server, trusting(server))


# --- bytes ---


def test_der_pem_and_chains_are_read() -> None:
    ca = make_ca()
    server = make(by=ca)
    for data in (server.der + ca.der, server.pem + ca.pem):
        assert read_certificates(data) == [server.certificate, ca.certificate]


@given(st.binary(max_size=200))
def test_what_is_no_certificate_is_a_value_error(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read_certificates(data)


@pytest.mark.filterwarnings("ignore:Parsed a")
def test_a_certificate_with_changed_bytes_is_never_good() -> None:
    server = make()
    trust = trusting(server)
    for at in range(len(server.der)):
        data = bytearray(server.der)
        data[at] ^= 1 << at % 8
        try:
            changed = read_certificates(bytes(data))
        except ValueError:
            continue
        assert not verify(changed, trust, HERE).trustworthy, at
