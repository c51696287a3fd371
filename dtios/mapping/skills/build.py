"""From a profile's skill to a skill of this machine."""

from dtios.mapping.profiles.skills import JobOrderRule, MethodRule, SkillRule
from dtios.mapping.skills.job_orders import job_order_skill
from dtios.mapping.skills.methods import method_skill
from dtios.mapping.skills.packml import packml_skill
from dtios.mapping.skills.parts import BuiltSkill, Place

__all__ = ["build_skill"]


def build_skill(rule: SkillRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt where the machine lacks what the skill needs."""
    if isinstance(rule, MethodRule):
        return method_skill(rule, place)
    if isinstance(rule, JobOrderRule):
        return job_order_skill(rule, place)
    return packml_skill(rule, place)
