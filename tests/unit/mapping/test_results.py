"""Results as data: from a profile's rules and an event to a Result."""

from typing import Any

import pytest
from mapping_space import OWN, UA, facts, obj, var
from test_profiles import library

from dtios.mapping.matcher import map_machines
from dtios.mapping.results import ResultSource, result_of
from dtios.model.errors import ConfigurationError
from dtios.model.event import Event
from dtios.model.result import Result, ResultEvaluation
from dtios.model.values import DateTime, Enumerated, LocalizedText, QualifiedName, Record

RESULTS = "http://opcfoundation.org/UA/Machinery/Result/"
READY = QualifiedName(RESULTS, "ResultReadyEventType")
OWN_READY = QualifiedName(OWN, "GaugeResultEventType")
BASE = QualifiedName(UA, "BaseEventType")
FIELD = (QualifiedName(RESULTS, "Result"),)
VERDICT = (QualifiedName(OWN, "Report"), QualifiedName(OWN, "Verdict"))

GAUGE = """
profile: gauge
namespaces: {res: "http://opcfoundation.org/UA/Machinery/Result/", own: "urn:maker"}
match: {path: Gauge}
results:
  - event: res:ResultReadyEventType
    result: res:Result/ResultMetaData/ResultId
    part: res:Result/ResultMetaData/PartId
    evaluation: res:Result/ResultMetaData/ResultEvaluation
    partial: res:Result/ResultMetaData/IsPartial
    created: res:Result/ResultMetaData/CreationTime
    content: {Values: res:Result/ResultContent}
"""
SPECIAL = """
profile: special-gauge
extends: gauge
results:
  - event: res:ResultReadyEventType
    job: res:Result/ResultMetaData/JobId
    content: {Program: res:Result/ResultMetaData/InternalRecipeId}
  - event: own:GaugeResultEventType
    fields: [own:Report/own:Verdict]
    result: own:Number
    step: own:Station
    evaluation: {path: own:Report/own:Verdict/Code, values: {PASS: OK, FAIL: NotOK, 7: NotDecidable}}
"""


def sources(text: str, *more: str) -> tuple[ResultSource, ...]:
    (mapped,) = map_machines(facts(obj("Gauge", var("Length"))), library(text, *more))
    return mapped.results


def ready(meta: dict[str, Any], content: Any = None, **more: Any) -> Event:
    value = Record("ResultDataType", {"ResultMetaData": Record("ResultMetaDataType", meta), "ResultContent": content})
    return Event("i=1", (READY, BASE), "done", time=5, event="ab12", fields={FIELD: value}, **more)


def test_what_the_machine_is_asked_for_and_what_is_made_of_it() -> None:
    (source,) = sources(GAUGE)
    assert (source.type, source.fields) == (READY, (FIELD,))
    meta = {
        "ResultId": "R1", "PartId": "P7", "ResultEvaluation": Enumerated(2, "NotOK"), "IsPartial": True,
        "CreationTime": DateTime(99),
    }  # fmt: skip
    made = source.result("gauge", ready(meta, [1.5, "mm"]))
    assert made == Result("gauge", "R1", "P7", None, None, ResultEvaluation.NotOK, True, 99, {"Values": [1.5, "mm"]})


def test_what_a_machine_leaves_out() -> None:
    (source,) = sources(GAUGE)
    assert source.result("gauge", ready({"ResultId": "  "})) == Result("gauge", "ab12", created=5)
    assert source.result("gauge", Event("i=1", (READY,), event="ab12")) == Result("gauge", "ab12")
    raw = Event("i=1", (READY,), event="ab12", fields={FIELD: Record("nsu=x;i=1", {"Body": b"\0"})})
    assert source.result("gauge", raw) == Result("gauge", "ab12")
    assert source.result("gauge", Event("i=1", (BASE,))) is None


@pytest.mark.parametrize(
    ("value", "evaluation"),
    [(0, "Undefined"), (1, "OK"), (3, "NotDecidable"), (4, "Undefined"), (True, "Undefined"), ("OK", "OK"), (2.0, "Undefined"),
     (LocalizedText("NotOK", "en"), "NotOK"), (None, "Undefined")],
)  # fmt: skip
def test_evaluations_of_the_standard(value: Any, evaluation: str) -> None:
    (source,) = sources(GAUGE)
    made = source.result("gauge", ready({"ResultEvaluation": value}))
    assert made is not None
    assert made.evaluation.name == evaluation


def test_a_profile_that_extends_another() -> None:
    standard, own = sources(GAUGE, SPECIAL.replace("extends: gauge", "extends: gauge\nmatch: {path: Gauge}"))
    made = standard.result("g", ready({"ResultId": "R1", "JobId": "J1", "InternalRecipeId": "bolts"}, [1]))
    assert made == Result("g", "R1", job="J1", created=5, content={"Values": [1], "Program": "bolts"})
    assert own.fields == ((QualifiedName(OWN, "Number"),), (QualifiedName(OWN, "Station"),), VERDICT)
    verdicts = [("PASS", "OK"), (LocalizedText("FAIL"), "NotOK"), (7, "NotDecidable"), (1, "Undefined"), ("OK", "Undefined")]
    for value, evaluation in verdicts:
        fields = {own.fields[0]: 4711, VERDICT: Record("VerdictType", {"Code": value})}
        made = own.result("g", Event("i=1", (OWN_READY, READY, BASE), fields=fields))
        assert made == Result("g", "4711", evaluation=ResultEvaluation[evaluation])


def test_the_most_derived_type_tells() -> None:
    both = sources(GAUGE, SPECIAL.replace("extends: gauge", "extends: gauge\nmatch: {path: Gauge}"))
    event = Event("i=1", (OWN_READY, READY, BASE), event="e", fields={both[1].fields[0]: "mine"})
    made = [result_of(both, "g", event), result_of(both[::-1], "g", event), result_of(both[:1], "g", event)]
    assert [one.result if one else None for one in made] == ["mine", "mine", "e"]
    assert result_of(both, "g", Event("i=1", (BASE,))) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("event: Ready\n    result: own:A", "needs a namespace"),
        ("event: own:Ready\n    result: A/own:B", "needs a namespace"),
        ("event: own:Ready\n    fields: [own:A/B]\n    result: own:A/B", "needs a namespace"),
        ("event: own:Ready\n    result: x:A", "prefix 'x'"),
        ("event: own:Ready", "at least one path"),
        ("event: own:Ready\n    evaluation: {path: own:A, values: {1: Fine}}", "no evaluation"),
    ],
)
def test_rules_that_cannot_be(text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        library(f'profile: a\nnamespaces: {{own: "urn:maker"}}\nresults:\n  - {text}\n')
