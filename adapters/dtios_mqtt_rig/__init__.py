"""What the conformance suite needs to grade the MQTT adapter: a broker and a Sparkplug machine that can be set, asked and harmed.
Not an adapter."""

from dtios_mqtt_rig.rig import SparkplugBench

__all__ = ["SparkplugBench"]
