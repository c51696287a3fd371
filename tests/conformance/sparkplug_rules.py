"""The rules of Sparkplug B 3.0 (`tck-id-...`) that a host application must keep, or that say what it must accept."""

from collections.abc import Callable
from typing import TypeVar

__all__ = ["APPLYING", "TESTED", "rules"]

F = TypeVar("F", bound=Callable[..., object])

APPLYING = {
    # the session and STATE
    "message-flow-phid-sparkplug-clean-session-311", "message-flow-phid-sparkplug-clean-session-50",
    "message-flow-phid-sparkplug-subscription", "message-flow-phid-sparkplug-state-publish",
    "message-flow-phid-sparkplug-state-publish-payload", "message-flow-phid-sparkplug-state-publish-payload-timestamp",
    "message-flow-hid-sparkplug-state-message-delivered", "host-topic-phid-birth-message", "host-topic-phid-birth-qos",
    "host-topic-phid-birth-retain", "host-topic-phid-birth-topic", "host-topic-phid-birth-sub-required",
    "host-topic-phid-birth-required", "host-topic-phid-birth-payload", "host-topic-phid-birth-payload-timestamp",
    "host-topic-phid-death-qos", "host-topic-phid-death-retain", "host-topic-phid-death-topic", "host-topic-phid-death-required",
    "host-topic-phid-death-payload", "host-topic-phid-death-payload-timestamp-connect",
    "host-topic-phid-death-payload-timestamp-disconnect-clean", "operational-behavior-host-application-connect-will",
    "operational-behavior-host-application-connect-will-topic", "operational-behavior-host-application-connect-will-payload",
    "operational-behavior-host-application-connect-will-qos", "operational-behavior-host-application-connect-will-retained",
    "operational-behavior-host-application-connect-birth", "operational-behavior-host-application-connect-birth-topic",
    "operational-behavior-host-application-connect-birth-payload", "operational-behavior-host-application-connect-birth-qos",
    "operational-behavior-host-application-connect-birth-retained", "operational-behavior-host-application-termination",
    "operational-behavior-host-application-death-topic", "operational-behavior-host-application-death-payload",
    "operational-behavior-host-application-death-qos", "operational-behavior-host-application-death-retained",
    "operational-behavior-host-application-multi-server-timestamp", "payloads-state-will-message",
    "payloads-state-will-message-qos", "payloads-state-will-message-retain", "payloads-state-will-message-payload",
    "payloads-state-subscribe", "payloads-state-birth", "payloads-state-birth-payload", "conformance-primary-host",
    # order and rebirth
    "operational-behavior-host-reordering-param", "operational-behavior-host-reordering-start",
    "operational-behavior-host-reordering-rebirth", "operational-behavior-host-reordering-success",
    "operational-behavior-data-commands-ncmd-rebirth-verb", "operational-behavior-data-commands-ncmd-rebirth-name",
    "operational-behavior-data-commands-ncmd-rebirth-value", "payloads-sequence-num-incrementing",
    # deaths
    "operational-behavior-edge-node-termination-host-action-ndeath-node-offline",
    "operational-behavior-edge-node-termination-host-action-ndeath-node-tags-stale",
    "operational-behavior-edge-node-termination-host-action-ndeath-devices-offline",
    "operational-behavior-edge-node-termination-host-action-ndeath-devices-tags-stale",
    "operational-behavior-edge-node-termination-host-action-ddeath-devices-offline",
    "operational-behavior-edge-node-termination-host-action-ddeath-devices-tags-stale", "payloads-ndeath-bdseq",
    # commands
    "operational-behavior-data-commands-ncmd-verb", "operational-behavior-data-commands-ncmd-metric-value",
    "operational-behavior-data-commands-dcmd-verb", "operational-behavior-data-commands-dcmd-metric-value",
    "payloads-ncmd-timestamp", "payloads-ncmd-seq", "payloads-ncmd-qos", "payloads-ncmd-retain", "payloads-dcmd-timestamp",
    "payloads-dcmd-seq", "payloads-dcmd-qos", "payloads-dcmd-retain", "payloads-name-cmd-requirement",
    "payloads-alias-data-cmd-requirement",
    # what an edge node may send
    "payloads-alias-uniqueness", "payloads-metric-datatype-not-req", "payloads-nbirth-seq", "payloads-nbirth-bdseq",
    "payloads-nbirth-retain", "payloads-template-definition-nbirth-only", "payloads-template-instance-members-data",
    "payloads-propertyset-quality-value-value", "payloads-dataset-types-num", "payloads-propertyset-values-array-size",
    "message-flow-device-birth-publish-nbirth-wait", "topic-structure-namespace-a", "topic-structure-namespace-valid-device-id",
}  # fmt: skip
TESTED: set[str] = set()


def rules(*ids: str) -> Callable[[F], F]:
    TESTED.update(ids)
    return lambda test: test
