"""The conformance suite of adapters, written once: what every adapter promises, tried on a real machine, under faults too."""

from dtios.sdk.grade import Level
from dtios.testing.conformance.probe import Probe, connected, standing
from dtios.testing.conformance.recorder import Recorder
from dtios.testing.conformance.rig import SAMPLES, Bench, Line, Rig
from dtios.testing.conformance.rule import Need, NotApplicable, Rule
from dtios.testing.conformance.suite import RULES, AdapterConformance

__all__ = [
    "RULES",
    "SAMPLES",
    "AdapterConformance",
    "Bench",
    "Level",
    "Line",
    "Need",
    "NotApplicable",
    "Probe",
    "Recorder",
    "Rig",
    "Rule",
    "connected",
    "standing",
]
