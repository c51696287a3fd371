"""OPC UA adapter, on asyncua."""

from dtios_opcua.adapter import OpcUaAdapter

__all__ = ["OpcUaAdapter", "adapter"]

adapter = OpcUaAdapter()
