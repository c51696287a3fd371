"""What the conformance suite needs to grade the OPC UA adapter: a server that can be set, asked and harmed. Not an adapter."""

from dtios_opcua_rig.rig import OpcUaBench

__all__ = ["OpcUaBench"]
