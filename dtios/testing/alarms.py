"""What an in-memory machine complains about, and what it does when somebody deals with it."""

from dataclasses import replace
from typing import TYPE_CHECKING

from dtios.model.condition import Condition, ConditionVerb
from dtios.model.errors import RefusedError
from dtios.model.status import status_code, status_name
from dtios.sdk.adapter import ConditionCommand

if TYPE_CHECKING:
    from dtios.testing.server import MemoryServer
    from dtios.testing.session import Session

__all__ = ["Alarms"]


class Alarms:
    """The conditions of one server, by their id. They outlive sessions, as a real machine's do."""

    def __init__(self, server: "MemoryServer") -> None:
        self._server = server
        self._present: dict[str, tuple[str, Condition]] = {}

    def tell(self, address: str, condition: Condition, sessions: "set[Session]") -> None:
        self._present.pop(condition.condition, None)
        if condition.retain:
            self._present[condition.condition] = (address, condition)
        for session in sessions:
            session.condition(address, condition)

    def clear(self, condition: str) -> None:
        """It is over, and nobody is told (who was away asks again)."""
        self._present.pop(condition, None)

    def refresh(self, session: "Session") -> None:
        for address, condition in self._present.values():
            session.condition(address, condition)
        session.refreshed()

    def get(self, condition: str) -> Condition | None:
        found = self._present.get(condition)
        return None if found is None else found[1]

    def carry_out(self, command: ConditionCommand, sessions: "set[Session]") -> RefusedError | None:
        """What a client asked for; the machine's No, if it is one."""
        found = self._present.get(command.condition)
        if found is None:
            return _bad(command.condition, "BadNodeIdUnknown")
        address, condition = found
        match command.verb:
            case ConditionVerb.ACKNOWLEDGE if condition.acknowledged:
                return _bad(command.condition, "BadConditionBranchAlreadyAcked")
            case ConditionVerb.CONFIRM if condition.confirmed:
                return _bad(command.condition, "BadConditionBranchAlreadyConfirmed")
            case ConditionVerb.SHELVE if condition.shelved:
                return _bad(command.condition, "BadConditionAlreadyShelved")
            case ConditionVerb.UNSHELVE if not condition.shelved:
                return _bad(command.condition, "BadConditionNotShelved")
        self.tell(address, _after(condition, command.verb), sessions)
        return None


def _after(condition: Condition, verb: ConditionVerb) -> Condition:
    match verb:
        case ConditionVerb.ACKNOWLEDGE:
            condition = replace(condition, acknowledged=True)
        case ConditionVerb.CONFIRM:
            condition = replace(condition, confirmed=True)
        case _:
            condition = replace(condition, shelved=verb is ConditionVerb.SHELVE)
    return replace(condition, retain=condition.active or not (condition.acknowledged and condition.confirmed))


def _bad(condition: str, status: str) -> RefusedError:
    name = status_name(status_code(status))
    return RefusedError(f"the machine answered {name}", where=condition, mend="look at the condition again")
