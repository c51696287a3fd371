"""Whether the primary host application is there, by its STATE messages."""

import json

__all__ = ["PrimaryHost"]


class PrimaryHost:
    """tck-id-message-flow-edge-node-birth-publish-phid-wait: only a STATE that is no older than the last one counts."""

    def __init__(self) -> None:
        self.online = False
        self._timestamp = -1

    def hear(self, payload: bytes) -> bool:
        """True if this changed whether it is online."""
        try:
            said = json.loads(payload)
            online, timestamp = said["online"], said["timestamp"]
        except (ValueError, KeyError, TypeError):
            return False
        if not isinstance(online, bool) or isinstance(timestamp, bool) or not isinstance(timestamp, int):
            return False
        if timestamp < self._timestamp:
            return False
        self._timestamp = timestamp
        changed, self.online = online is not self.online, online
        return changed
