"""What the conformance suite needs to grade the MQTT adapter: a broker and machines that can be set, asked and harmed. Not an
adapter."""

from dtios_mqtt_rig.sparkplug import SparkplugBench
from dtios_mqtt_rig.topics import TopicBench

__all__ = ["SparkplugBench", "TopicBench"]
