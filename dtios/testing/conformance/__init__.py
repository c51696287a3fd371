"""The conformance suite of adapters, written once: what every adapter promises, tried on a real machine, under faults too."""

from dtios.sdk.grade import Level
from dtios.testing.conformance.grading import Outcome, Result, form_of, grade_of, graded, result_form
from dtios.testing.conformance.live import LiveConformance, LiveMachine
from dtios.testing.conformance.probe import Probe, connected, standing
from dtios.testing.conformance.recorder import Recorder
from dtios.testing.conformance.rig import SAMPLES, Bench, Line, Rig
from dtios.testing.conformance.rule import Need, NotApplicable, Rule
from dtios.testing.conformance.suite import RULES, AdapterConformance, rules_of

__all__ = [
    "RULES",
    "SAMPLES",
    "AdapterConformance",
    "Bench",
    "Level",
    "Line",
    "LiveConformance",
    "LiveMachine",
    "Need",
    "NotApplicable",
    "Outcome",
    "Probe",
    "Recorder",
    "Result",
    "Rig",
    "Rule",
    "connected",
    "form_of",
    "grade_of",
    "graded",
    "result_form",
    "rules_of",
    "standing",
]
