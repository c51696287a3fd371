"""The trust list on disk: what people, tools and `dtios trust` put there and take away."""

import json
from pathlib import Path

import pytest

from dtios.model.errors import ConfigurationError
from dtios.sdk.pki import Expected, Fault, FaultKind, TrustList, verify
from tests.certificates import NOW, SERVER_URI, make, make_ca, revocation_list

UNTRUSTED = Fault(FaultKind.UNTRUSTED, "", "")
HOST = Fault(FaultKind.HOST, "", "")
HERE = Expected("127.0.0.1", SERVER_URI, NOW)


def test_files_dropped_in_by_hand_count_at_once(tmp_path: Path) -> None:
    ca = make_ca()
    trust_list = TrustList(tmp_path)
    assert trust_list.read().trusted == ()
    assert list(tmp_path.iterdir()) == []
    for folder, name, data in (
        ("trusted/certs", "whatever.crt", ca.pem),
        ("trusted/crl", "list.crl", revocation_list(ca)),
        ("issuers/certs", "x.der", ca.der),
        ("trusted/certs", "rubbish.der", b"no certificate"),
        ("trusted/certs", ".hidden", make().der),
    ):
        path = tmp_path / "pki" / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    trust = trust_list.read()
    assert [len(part) for part in (trust.trusted, trust.issuers, trust.revocations)] == [1, 1, 1]
    assert verify([make(by=ca).certificate], trust, HERE).trustworthy
    unreadable = [entry.path.name for entry in trust_list.entries() if entry.certificate is None and entry.revocations is None]
    assert unreadable == ["rubbish.der"]


def test_refused_then_accepted_then_rejected(tmp_path: Path) -> None:
    server = make("a/b: server")
    trust_list = TrustList(tmp_path)
    trust_list.refuse(server.certificate, [UNTRUSTED], "opc.tcp://plc")
    rejected = tmp_path / "pki" / "rejected" / "certs" / f"a_b_ server [{server.thumbprint}].der"
    assert rejected.read_bytes() == server.der
    shown = ":".join(server.thumbprint[i : i + 2] for i in range(0, 16, 2)).lower()
    certificate, accepted, still = trust_list.accept(shown)
    assert (certificate, accepted, still) == (server.certificate, [], [])
    assert not rejected.exists()
    assert trust_list.read().trusted == (server.certificate,)
    trust_list.reject(server.thumbprint)
    assert trust_list.read().trusted == ()
    assert rejected.exists()


def test_faults_are_accepted_only_when_that_is_said(tmp_path: Path) -> None:
    server = make(dns=("elsewhere.example",), ips=())
    trust_list = TrustList(tmp_path)
    trust_list.refuse(server.certificate, [UNTRUSTED, HOST], "opc.tcp://plc")
    assert trust_list.accept(server.thumbprint)[1:] == ([], [FaultKind.HOST])
    assert not verify([server.certificate], trust_list.read(), HERE).trustworthy
    assert trust_list.accept(server.thumbprint, broken=True)[1:] == ([FaultKind.HOST], [])
    assert verify([server.certificate], trust_list.read(), HERE).trustworthy
    trust_list.reject(server.thumbprint)
    trust_list.accept(server.thumbprint)
    assert not verify([server.certificate], trust_list.read(), HERE).trustworthy


def test_a_revocation_is_not_accepted(tmp_path: Path) -> None:
    server = make()
    trust_list = TrustList(tmp_path)
    trust_list.refuse(server.certificate, [UNTRUSTED, Fault(FaultKind.REVOKED, "", "")], "opc.tcp://plc")
    with pytest.raises(ConfigurationError, match="revoked"):
        trust_list.accept(server.thumbprint, broken=True)
    assert trust_list.read().trusted == ()


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"accepted": 3}', b'{"accepted": {"X": []}}', b"\xff\xfe"])
def test_a_damaged_memory_accepts_nothing(tmp_path: Path, text: bytes) -> None:
    server = make(dns=("elsewhere.example",), ips=())
    trust_list = TrustList(tmp_path)
    trust_list.refuse(server.certificate, [UNTRUSTED, HOST], "opc.tcp://plc")
    trust_list.accept(server.thumbprint, broken=True)
    (tmp_path / "pki" / "faults.json").write_bytes(text)
    assert not verify([server.certificate], trust_list.read(), HERE).trustworthy
    trust_list.refuse(server.certificate, [HOST], "opc.tcp://plc")
    assert json.loads((tmp_path / "pki" / "faults.json").read_bytes())["refused"]


def test_rejected_ones_are_bounded(tmp_path: Path) -> None:
    trust_list = TrustList(tmp_path)
    first = make()
    for number in range(55):
        trust_list.refuse(make(uris=(f"urn:{number}",)).certificate, [UNTRUSTED], "opc.tcp://plc")
    assert len(list((tmp_path / "pki" / "rejected" / "certs").iterdir())) == 50
    with pytest.raises(ConfigurationError, match="there is no certificate"):
        trust_list.accept(first.thumbprint)


def test_what_a_file_holds(tmp_path: Path) -> None:
    ca = make_ca()
    trust_list = TrustList(tmp_path)
    files = {"ca.der": ca.der, "ca.crl": revocation_list(ca), "note.txt": b"hello"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    assert ca.thumbprint in trust_list.add(tmp_path / "ca.der")[0]
    assert "revocation list of CN=plant CA" in trust_list.add(tmp_path / "ca.crl")[0]
    with pytest.raises(ConfigurationError, match="neither a certificate nor"):
        trust_list.add(tmp_path / "note.txt")
    with pytest.raises(ConfigurationError, match="no such file"):
        trust_list.add(tmp_path / "missing")
    assert verify([make(by=ca).certificate], trust_list.read(), HERE).trustworthy


def test_a_bundle_loses_only_the_one_that_is_rejected(tmp_path: Path) -> None:
    first, second = make("first"), make("second")
    path = tmp_path / "pki" / "trusted" / "certs" / "bundle.pem"
    path.parent.mkdir(parents=True)
    path.write_bytes(first.pem + second.pem)
    trust_list = TrustList(tmp_path)
    trust_list.reject(first.thumbprint)
    assert trust_list.read().trusted == (second.certificate,)


def test_a_beginning_that_fits_two(tmp_path: Path) -> None:
    trust_list = TrustList(tmp_path)
    with pytest.raises(ConfigurationError, match="no thumbprint"):
        trust_list.accept("xyz")
    with pytest.raises(ConfigurationError, match="there is no certificate"):
        trust_list.accept("ABCDEF")
