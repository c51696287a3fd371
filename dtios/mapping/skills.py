"""From a profile's skill to a skill of this machine."""

from dtios.mapping.method_skills import method_skill
from dtios.mapping.profile_skills import MethodRule, SkillRule
from dtios.mapping.skill_parts import BuiltSkill, NotBuilt, Place

__all__ = ["build_skill"]


def build_skill(rule: SkillRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt where the machine lacks what the skill needs."""
    if isinstance(rule, MethodRule):
        return method_skill(rule, place)
    raise NotBuilt("soon")
