"""The MQTT adapter: Sparkplug B, VDA 5050 and plain topics behind the one standard interface. Only here is paho imported."""

from dtios_mqtt.adapter import MqttAdapter

__all__ = ["MqttAdapter", "adapter"]

adapter = MqttAdapter()
