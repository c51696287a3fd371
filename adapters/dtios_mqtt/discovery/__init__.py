"""Who speaks at a broker, from what is heard there for a while: nothing is sent but the subscription."""

from dtios_mqtt.discovery.listening import Heard, listen
from dtios_mqtt.discovery.recognising import recognise

__all__ = ["Heard", "listen", "recognise"]
