"""Skills of vehicles in profiles (VDA 5050)."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from dtios.mapping.profiles.skill_base import SkillBase

__all__ = ["VdaOrderRule"]

EACH = "*"


class VdaOrderRule(SkillBase):
    """Gives the vehicle at `at` an order: to drive, and at the last node to do `action`, where one is named. `*` is a skill for
    each action of its factsheet. `scope: instant`: the action is done at once, without an order.

    Parameters: `id` is the key of an action's parameter, or `nodeId`, `nodePosition`, `maxSpeed`, `nodes` or `horizon`; where the
    factsheet does not tell its type, `type` does.
    """

    binding: Literal["vda_order"]
    at: str = ""
    action: str | None = None
    scope: Literal["node", "instant"] = "node"
    blocking: Literal["NONE", "SOFT", "HARD"] | None = Field(None)

    @property
    def target(self) -> str:
        return self.action or ""

    @property
    def is_for_each(self) -> bool:
        return self.action == EACH

    def paths(self) -> Iterator[str]:
        yield from (path for path in (self.at,) if path)

    def flaws(self) -> Iterator[tuple[str, str]]:
        if self.scope == "instant" and self.action is None:
            yield "an instant action needs to be named", "give `action`"
        for name, rule in self.parameters.items():
            if rule.path or rule.call or rule.argument:
                yield f"the parameter {name} goes into the order and nowhere else", "give its `id`"

    def over(self, parent: Any) -> dict[str, Any]:
        return super().over(parent)
