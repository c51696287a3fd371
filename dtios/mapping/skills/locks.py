"""The lock around a skill, where its profile asks for one."""

from dataclasses import replace
from typing import Final

from dtios.mapping.bindings.locked import LockedBinding, LockNodes
from dtios.mapping.facts import Node, NodeKind
from dtios.mapping.layout import Entry
from dtios.mapping.profiles.skills import LockRule
from dtios.mapping.skills.parts import BuiltSkill, NotBuilt, Place

__all__ = ["locked"]

_METHODS: Final = {"init": "InitLock", "exit": "ExitLock", "renew": "RenewLock"}
_VARIABLES: Final = {"locked": "Locked", "client": "LockingClient", "user": "LockingUser", "remaining": "RemainingLockTime"}


def locked(built: BuiltSkill, rule: LockRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt where there is no such lock: without it the machine would be used unprotected."""
    found = place.need(rule.path).node if rule.path is not None else _nearest(rule.type or "", place)
    binding = LockedBinding(built.mapped.binding, _nodes(found), built.skill.on_owner_lost)
    skill = replace(built.skill, binding=binding.name)
    return replace(built, skill=skill, mapped=replace(built.mapped, binding=binding))


def _nearest(type: str, place: Place) -> Node:
    wanted = place.profile.type_name(type)
    at: Entry | None = place.entry
    while at is not None:
        for _, child in at.node.children:
            if any(t.name == wanted.name and wanted.namespace in ("*", t.namespace) for t in child.types):
                return child
        at = at.owner
    raise NotBuilt(f"there is no lock of {type} at it or around it")


def _nodes(lock: Node) -> LockNodes:
    methods = {role: _child(lock, name, NodeKind.METHOD) for role, name in _METHODS.items()}
    init, exit, renew = methods["init"], methods["exit"], methods["renew"]
    if init is None or exit is None:
        raise NotBuilt(f"the lock {lock.name.name} has no InitLock and ExitLock")
    variables = {role: _child(lock, name, NodeKind.VARIABLE) for role, name in _VARIABLES.items()}
    return LockNodes(
        lock.address,
        init.address,
        exit.address,
        None if renew is None else renew.address,
        takes_context=bool(init.inputs),
        **{role: node.address for role, node in variables.items() if node is not None},
    )


def _child(node: Node, name: str, kind: NodeKind) -> Node | None:
    return next((below for _, below in node.children if below.name.name == name and below.kind is kind), None)
