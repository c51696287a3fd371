"""`dtios adapters grade` on the real command line."""

import json
from pathlib import Path

import jsonschema

from dtios.cli.schema import schemas
from tests.system.cli.conftest import Dtios

SCHEMA = schemas()["adapters grade"]


def test_with_its_rig(dtios: Dtios, tmp_path: Path) -> None:
    ended = dtios(
        "adapters", "grade", "opcua", "--rule", "VAL-1", "--rule", "SUB-6", "--rule", "VAL-6", "--output", "grade.json", "--json",
    )  # fmt: skip
    assert ended.status == 0, ended
    for line in ended.lines:
        jsonschema.validate(line, SCHEMA)
    *rules, grade = ended.lines
    outcomes = {"VAL-1": "passed", "VAL-6": "passed", "SUB-6": "not applicable"}
    assert {line["rule"]: line["outcome"] for line in rules} == outcomes
    assert [line["reason"] for line in rules if line["rule"] == "SUB-6"] == ["asyncua's server does not set the overflow bit"]
    assert (grade["adapter"], grade["grade"], grade["limited"], grade["endpoint"]) == ("opcua", "silver", True, None)
    assert len(grade["sources"]) == 64
    assert json.loads((tmp_path / "grade.json").read_text()) == {**grade, "rules": rules}


def test_against_a_live_machine_it_only_reads(dtios: Dtios, machine: str) -> None:
    limits = [word for rule in ("LIV-1", "LIV-2", "LIV-4", "LIV-7") for word in ("--rule", rule)]
    ended = dtios("adapters", "grade", "opcua", "--endpoint", machine, *limits, "--at-least", "silver")
    assert ended.status == 1, ended  # there is no rule of silver among them
    assert "opcua: bronze, limited to these 4 rules (4 passed)" in ended.out
    assert "LIV-7  bronze  passed" in ended.out


def test_wrong_questions(dtios: Dtios) -> None:
    for arguments, words in (
        (["nobody"], "there is no adapter nobody"),
        (["opcua", "--rule", "VAL-99"], "there is no rule VAL-99"),
        (["opcua", "--rig", "json:dumps"], "it cannot be made"),
        (["opcua", "--rig", "nowhere:Bench"], "it cannot be imported"),
        (["opcua", "--user", "anna"], "give --endpoint URL as well"),
        (["opcua", "--endpoint", "opc.tcp://127.0.0.1:1", "--rig", "a:b"], "a live machine needs no rig"),
    ):
        ended = dtios("adapters", "grade", *arguments)
        assert ended.status == 2, ended
        assert words in ended.err, ended.err
    ended = dtios("adapters", "grade", "opcua", "--endpoint", "opc.tcp://127.0.0.1:1", "--json")
    assert (ended.status, ended.error["kind"]) == (1, "temporary")
