"""The machine as a device of a Sparkplug B edge node, over paho, on any broker."""
