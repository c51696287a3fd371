"""Publishers over MQTT: what they share (a broker's settings, a session that is kept), and each in a room of its own."""
