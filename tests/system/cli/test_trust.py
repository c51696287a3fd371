"""`dtios trust`, with its JSON as its schema has it."""

import json
from pathlib import Path

import jsonschema

from dtios.cli.schema import schemas
from dtios.sdk.pki import Fault, FaultKind, TrustList
from tests.certificates import make, make_ca, revocation_list
from tests.system.cli.conftest import Dtios, Ended


def valid(ended: Ended, command: str) -> list[dict[str, object]]:
    for line in ended.lines:
        jsonschema.Draft202012Validator(schemas()[command]).validate(line)
    assert ended.status == 0, ended
    return ended.lines


def test_from_a_refusal_to_trust_and_back(dtios: Dtios, state: Path, tmp_path: Path):
    server = make(dns=("elsewhere.example",), ips=())
    TrustList(state).refuse(
        server.certificate, [Fault(FaultKind.UNTRUSTED, "", ""), Fault(FaultKind.HOST, "", "")], "opc.tcp://plc:4840"
    )
    (seen,) = valid(dtios("trust", "list", "--json"), "trust list")
    assert (seen["store"], seen["thumbprint"], seen["refused"]) == ("rejected", server.thumbprint, ["untrusted", "host"])
    (done,) = valid(dtios("trust", "accept", server.thumbprint[:8], "--json"), "trust accept")
    assert (done["accepted"], done["still_refused"]) == ([], ["host"])
    (done,) = valid(dtios("trust", "accept", server.thumbprint, "--broken", "--json"), "trust accept")
    assert done["accepted"] == ["host"]
    assert "accepted though host" in dtios("trust", "list").out
    (gone,) = valid(dtios("trust", "reject", server.thumbprint, "--json"), "trust reject")
    assert gone["rejected"] == server.thumbprint
    assert [line["store"] for line in valid(dtios("trust", "list", "--json"), "trust list")] == ["rejected"]


def test_files_and_our_own(dtios: Dtios, tmp_path: Path):
    ca = make_ca()
    (tmp_path / "ca.pem").write_bytes(ca.pem)
    (tmp_path / "ca.crl").write_bytes(revocation_list(ca))
    for name in ("ca.pem", "ca.crl"):
        valid(dtios("trust", "accept", name, "--json"), "trust accept")
    (own,) = valid(dtios("trust", "export", "own.pem", "--json"), "trust export")
    assert (tmp_path / "own.pem").read_text().startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE" not in (tmp_path / "own.pem").read_text()
    entries = valid(dtios("trust", "list", "--json"), "trust list")
    assert [(e["store"], e["kind"]) for e in entries] == [
        ("own", "certificate"), ("trusted", "certificate"), ("trusted", "revocation-list"),
    ]  # fmt: skip
    assert entries[0]["thumbprint"] == own["thumbprint"]
    (again,) = valid(dtios("trust", "export", "own.der", "--json"), "trust export")
    assert again["thumbprint"] == own["thumbprint"]


def test_what_cannot_be(dtios: Dtios, tmp_path: Path):
    (tmp_path / "note.txt").write_text("hello")
    for arguments, words in (
        (["accept", "note.txt"], "neither a certificate nor"),
        (["accept", "missing.der"], "no such file"),
        (["accept", "ABCDEF01"], "no certificate ABCDEF01"),
        (["accept", "note.txt", "--broken"], "connect first"),
        (["reject", "hello"], "no thumbprint"),
        (["export", "no/such/folder/x.der"], "cannot be written"),
    ):
        ended = dtios("trust", *arguments, "--json")
        assert (ended.status, ended.error["kind"]) == (2, "configuration"), ended
        assert words in ended.error["message"] + ended.error["mend"]
        assert json.loads(ended.out.splitlines()[-1]) == ended.lines[-1]
        assert "Traceback" not in ended.err
