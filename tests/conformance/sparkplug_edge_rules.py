"""The rules of Sparkplug B 3.0 (`tck-id-...`) that an edge node must keep whose devices are machines and which sends no NDATA."""

from collections.abc import Callable
from typing import TypeVar

__all__ = ["APPLYING", "TESTED", "edge_rules"]

F = TypeVar("F", bound=Callable[..., object])

APPLYING = {
    "topic-structure", "topic-structure-namespace-a", "topic-structure-namespace-device-id-associated-message-types",
    "topic-structure-namespace-device-id-non-associated-message-types", "principles-birth-certificates-order",
    "payloads-metric-datatype-value-type", "payloads-metric-propertyvalue-type-type",
    "payloads-metric-propertyvalue-type-value", "payloads-propertyset-keys-array-size",
    "payloads-propertyset-values-array-size", "payloads-ndeath-will-message-publisher",
    "operational-behavior-edge-node-birth-sequence-wait",
    # the session, the will and NBIRTH
    "principles-persistence-clean-session-311", "principles-persistence-clean-session-50",
    "message-flow-edge-node-birth-publish-connect", "message-flow-edge-node-birth-publish-will-message",
    "message-flow-edge-node-birth-publish-will-message-topic", "message-flow-edge-node-birth-publish-will-message-payload",
    "message-flow-edge-node-birth-publish-will-message-payload-bdSeq", "message-flow-edge-node-birth-publish-will-message-qos",
    "message-flow-edge-node-birth-publish-will-message-will-retained", "message-flow-edge-node-ncmd-subscribe",
    "message-flow-device-dcmd-subscribe", "message-flow-edge-node-birth-publish-nbirth-topic",
    "message-flow-edge-node-birth-publish-nbirth-payload", "message-flow-edge-node-birth-publish-nbirth-payload-bdSeq",
    "message-flow-edge-node-birth-publish-nbirth-payload-seq", "message-flow-edge-node-birth-publish-nbirth-qos",
    "message-flow-edge-node-birth-publish-nbirth-retained", "payloads-ndeath-will-message",
    "payloads-ndeath-will-message-qos", "payloads-ndeath-will-message-retain", "payloads-ndeath-seq", "payloads-ndeath-bdseq",
    "topics-ndeath-topic", "topics-ndeath-payload", "topics-ndeath-seq", "topics-nbirth-mqtt", "topics-nbirth-topic",
    "topics-nbirth-seq-num", "topics-nbirth-timestamp", "topics-nbirth-bdseq-included", "topics-nbirth-bdseq-matching",
    "topics-nbirth-bdseq-increment", "topics-nbirth-rebirth-metric", "topics-nbirth-metrics", "topics-nbirth-metric-reqs",
    "payloads-nbirth-timestamp", "payloads-nbirth-seq", "payloads-nbirth-bdseq", "payloads-nbirth-rebirth-req",
    "payloads-nbirth-qos", "payloads-nbirth-retain", "payloads-sequence-num-always-included",
    "payloads-sequence-num-incrementing", "payloads-sequence-num-req-nbirth", "operational-behavior-data-publish-nbirth",
    "operational-behavior-data-publish-nbirth-values", "operational-behavior-data-commands-rebirth-name",
    "operational-behavior-data-commands-rebirth-name-aliases", "operational-behavior-data-commands-rebirth-datatype",
    "operational-behavior-data-commands-rebirth-value",
    # devices
    "message-flow-device-birth-publish-nbirth-wait", "message-flow-device-birth-publish-dbirth-topic",
    "message-flow-device-birth-publish-dbirth-match-edge-node-topic", "message-flow-device-birth-publish-dbirth-payload",
    "message-flow-device-birth-publish-dbirth-payload-seq", "message-flow-device-birth-publish-dbirth-qos",
    "message-flow-device-birth-publish-dbirth-retained", "topics-dbirth-mqtt", "topics-dbirth-topic", "topics-dbirth-seq",
    "topics-dbirth-timestamp", "topics-dbirth-metrics", "topics-dbirth-metric-reqs", "payloads-dbirth-timestamp",
    "payloads-dbirth-seq", "payloads-dbirth-seq-inc", "payloads-dbirth-order", "payloads-dbirth-qos", "payloads-dbirth-retain",
    "operational-behavior-data-publish-dbirth", "operational-behavior-data-publish-dbirth-values",
    "topic-structure-namespace-valid-device-id", "topic-structure-namespace-valid-group-id",
    "topic-structure-namespace-valid-edge-node-id", "topic-structure-namespace-unique-device-id",
    "topics-ddeath-mqtt", "topics-ddeath-topic", "topics-ddeath-seq-num", "payloads-ddeath-timestamp", "payloads-ddeath-seq",
    "payloads-ddeath-seq-inc", "payloads-ddeath-seq-number", "operational-behavior-device-ddeath",
    # data
    "topics-ddata-mqtt", "topics-ddata-topic", "topics-ddata-seq-num", "topics-ddata-timestamp", "topics-ddata-payload",
    "payloads-ddata-timestamp", "payloads-ddata-seq", "payloads-ddata-seq-inc", "payloads-ddata-order", "payloads-ddata-qos",
    "payloads-ddata-retain", "operational-behavior-data-publish-dbirth-order", "payloads-alias-uniqueness",
    "payloads-alias-birth-requirement", "payloads-alias-data-cmd-requirement", "payloads-name-requirement",
    "payloads-name-birth-data-requirement", "payloads-metric-timestamp-in-UTC", "payloads-timestamp-in-UTC",
    "payloads-metric-datatype-req", "payloads-metric-datatype-value", "payloads-propertyset-quality-value-type",
    "payloads-propertyset-quality-value-value", "payloads-metric-propertyvalue-type-req",
    # commands, hosts, the end
    "operational-behavior-data-commands-rebirth-action-1", "operational-behavior-data-commands-rebirth-action-2",
    "operational-behavior-data-commands-rebirth-action-3", "payloads-nbirth-bdseq-repeat",
    "message-flow-edge-node-birth-publish-phid-wait", "message-flow-edge-node-birth-publish-phid-wait-id",
    "message-flow-edge-node-birth-publish-phid-wait-online", "message-flow-edge-node-birth-publish-phid-wait-timestamp",
    "message-flow-edge-node-birth-publish-phid-offline", "operational-behavior-edge-node-termination-host-offline",
    "operational-behavior-edge-node-termination-host-offline-timestamp",
    "operational-behavior-edge-node-termination-host-offline-reconnect",
    "operational-behavior-edge-node-intentional-disconnect-ndeath",
    "operational-behavior-edge-node-intentional-disconnect-packet",
    "payloads-ndeath-will-message-publisher-disconnect-mqtt311", "payloads-ndeath-will-message-publisher-disconnect-mqtt50",
}  # fmt: skip
TESTED: set[str] = set()


def edge_rules(*ids: str) -> Callable[[F], F]:
    TESTED.update(ids)
    return lambda test: test
