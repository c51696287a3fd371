"""All that an app or a publisher imports. Adapters import `dtios.sdk.adapter`, tests `dtios.testing`."""

from dtios.model.condition import Condition
from dtios.model.errors import (
    ConfigurationError,
    CredentialsError,
    DtiosError,
    OutcomeUnknown,
    RefusedError,
    TemporaryError,
)
from dtios.model.gap import Gap
from dtios.model.job import JobOutcome, JobState
from dtios.model.machine import OnOwnerLost
from dtios.model.result import Result, ResultEvaluation
from dtios.model.values import DataValue
from dtios.sdk.app import App
from dtios.sdk.context import Context, MachineChange, MachineHandle, SkillHandle
from dtios.sdk.delivery import Change, Delivery
from dtios.sdk.manifest import AppConfig, Manifest, Need
from dtios.sdk.protocol import JobView
from dtios.sdk.publisher import Publisher
from dtios.sdk.running import JobHandle

__all__ = [
    "App",
    "AppConfig",
    "Change",
    "Condition",
    "ConfigurationError",
    "Context",
    "CredentialsError",
    "DataValue",
    "Delivery",
    "DtiosError",
    "Gap",
    "JobHandle",
    "JobOutcome",
    "JobState",
    "JobView",
    "MachineChange",
    "MachineHandle",
    "Manifest",
    "Need",
    "OnOwnerLost",
    "OutcomeUnknown",
    "Publisher",
    "RefusedError",
    "Result",
    "ResultEvaluation",
    "SkillHandle",
    "TemporaryError",
]
