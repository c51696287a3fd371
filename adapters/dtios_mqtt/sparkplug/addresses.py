"""Addresses of Sparkplug points: `spb:GROUP/NODE/DEVICE/METRIC`, the device empty for the node's own metrics.

A member of a template instance is `METRIC#MEMBER`. Group, node and device hold no `/` by the standard; metric names may.
"""

__all__ = ["address_of", "device_address"]


def device_address(group: str, node: str, device: str) -> str:
    return f"spb:{group}/{node}/{device}"


def address_of(group: str, node: str, device: str, metric: str) -> str:
    return f"{device_address(group, node, device)}/{metric}"
