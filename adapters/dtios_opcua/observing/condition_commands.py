"""What is done about a condition, as a method call (Part 9, 5.7.3, 5.7.4 and 5.8.17)."""

from typing import Any, Final

from dtios.model.condition import ConditionVerb
from dtios.model.datatypes import BuiltinType, ValueType
from dtios.model.values import LocalizedText
from dtios.sdk.adapter import Call, ConditionCommand
from dtios.sdk.errors import RefusedError
from dtios_opcua.binary.nodeid import NodeKey
from dtios_opcua.errors import BadStatus
from dtios_opcua.observing.told import Told
from dtios_opcua.session.services import View, browse
from dtios_opcua.session.session import Session

__all__ = ["ConditionNodes", "refusal"]

_METHODS: Final = {ConditionVerb.ACKNOWLEDGE: "i=9111", ConditionVerb.CONFIRM: "i=9113"}
_TIMED_SHELVE: Final = "TimedShelve"
_SHELVING_METHODS: Final = {_TIMED_SHELVE: "i=2949", "OneShotShelve": "i=2948", "Unshelve": "i=2947"}
_BELOW: Final = View(0, (0, 33))
_BYTES: Final = ValueType(BuiltinType.ByteString)
_TEXT: Final = ValueType(BuiltinType.LocalizedText)
_DURATION: Final = ValueType(BuiltinType.Double)


class ConditionNodes:
    def __init__(self, session: Session) -> None:
        self._session = session

    async def call(self, command: ConditionCommand, told: Told | None, timeout: float) -> Call:
        """Raises RefusedError where there is nothing to command, LostError and BadStatus."""
        if told is None:
            raise RefusedError("the machine tells no such condition (any more)", where=command.condition, mend=_LIST)
        if told.address is None:
            raise RefusedError("the machine does not say by which node it is commanded", where=command.condition, mend=_THERE)
        if command.verb in _METHODS:
            said: list[tuple[Any, ValueType]] = [(told.event, _BYTES), (LocalizedText(command.comment), _TEXT)]
            return Call(told.address, _METHODS[command.verb], said, timeout)
        name = "Unshelve" if command.verb is ConditionVerb.UNSHELVE else "OneShotShelve"
        if command.verb is ConditionVerb.SHELVE and command.duration is not None:
            name = _TIMED_SHELVE
        owner, method = await self._shelving(told.address, name)
        return Call(owner, method, _duration(command, name), timeout)

    async def _shelving(self, condition: str, name: str) -> tuple[str, str]:
        """The ShelvingState and its method. Where a server does not show its conditions as nodes the ConditionId stands for
        the one and the type's method for the other (Part 9, 5.8.17.2)."""
        spaces = self._session.namespaces
        state = await self._child(spaces.key(condition), "ShelvingState")
        if state is None:
            return condition, _SHELVING_METHODS[name]
        method = await self._child(state, name)
        return spaces.address(state), _SHELVING_METHODS[name] if method is None else spaces.address(method)

    async def _child(self, key: NodeKey | None, name: str) -> NodeKey | None:
        session = self._session
        if key is not None:
            async for _, found in browse(session.channel, session.limits, [key], _BELOW, session.uri_index):
                for reference in found if not isinstance(found, int) else ():
                    if reference.name == (0, name):
                        return reference.target
        return None


def _duration(command: ConditionCommand, name: str) -> list[tuple[Any, ValueType]]:
    return [((command.duration or 0.0) * 1000, _DURATION)] if name == _TIMED_SHELVE else []


def refusal(answer: BadStatus, command: ConditionCommand) -> RefusedError:
    """The machine's No in words that fit a condition."""
    message, mend = _SAID.get(answer.name, (f"the machine refused to {command.verb} it ({answer.name})", _THERE))
    return RefusedError(message, where=command.condition, mend=mend)


_LIST: Final = "`dtios condition list` shows those that are there"
_THERE: Final = "do it at the machine itself"
_CHANGED: Final = ("it has changed since it was told (BadEventIdUnknown)", "look at it again, then decide")
_NOTHING: Final = "nothing is to be done"
_SAID: Final = {
    "BadEventIdUnknown": _CHANGED,
    "BadConditionBranchAlreadyAcked": ("it is acknowledged already (BadConditionBranchAlreadyAcked)", _NOTHING),
    "BadConditionBranchAlreadyConfirmed": ("it is confirmed already (BadConditionBranchAlreadyConfirmed)", _NOTHING),
    "BadConditionAlreadyShelved": ("it is shelved already (BadConditionAlreadyShelved)", "unshelve it first"),
    "BadConditionNotShelved": ("it is not shelved (BadConditionNotShelved)", _NOTHING),
    "BadShelvingTimeOutOfRange": ("the machine does not shelve it for so long (BadShelvingTimeOutOfRange)", "shelve it for less"),
    "BadConditionDisabled": ("the machine has disabled it (BadConditionDisabled)", "enable it at the machine"),
    "BadUserAccessDenied": ("the machine does not let this user do it (BadUserAccessDenied)", "ask the machine's owner"),
    "BadNodeIdUnknown": ("the machine does not have it any more (BadNodeIdUnknown)", _LIST),
    "BadMethodInvalid": ("the machine does not offer that for it (BadMethodInvalid)", _THERE),
}
