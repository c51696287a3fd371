"""What clients had an asyncua server make, in its own log: sessions, and monitored items by their nodes."""

from typing import Any

from asyncua import Server, ua

from dtios_packml.lifecycle import CallLog

__all__ = ["log_services"]


def log_services(server: Server, log: CallLog) -> None:
    """Adds `CreateSession`, `CreateMonitoredItems` and `DeleteMonitoredItems` (the nodes are their args) to the log."""
    made = server.iserver.create_session

    def create_session(*args: Any, **named: Any) -> Any:
        session = made(*args, **named)
        if named.get("external"):
            log.add("CreateSession", [])
            _log_items(session, log)
        return session

    server.iserver.create_session = create_session  # type: ignore[method-assign]


def _log_items(session: Any, log: CallLog) -> None:
    create, delete = session.create_monitored_items, session.delete_monitored_items
    nodes: dict[int, str] = {}

    async def create_monitored_items(params: ua.CreateMonitoredItemsParameters) -> Any:
        results = await create(params)
        asked = [item.ItemToMonitor.NodeId.Identifier for item in params.ItemsToCreate]
        for node, result in zip(asked, results, strict=True):
            nodes[result.MonitoredItemId] = str(node)
        log.add("CreateMonitoredItems", [str(node) for node in asked])
        return results

    async def delete_monitored_items(params: ua.DeleteMonitoredItemsParameters) -> Any:
        log.add("DeleteMonitoredItems", [nodes.get(item, "?") for item in params.MonitoredItemIds])
        return await delete(params)

    session.create_monitored_items = create_monitored_items
    session.delete_monitored_items = delete_monitored_items
