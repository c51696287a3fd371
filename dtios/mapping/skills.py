"""From a profile's skill to a skill of this machine."""

from dtios.mapping.job_order_skills import job_order_skill
from dtios.mapping.method_skills import method_skill
from dtios.mapping.packml_skills import packml_skill
from dtios.mapping.profile_skills import JobOrderRule, MethodRule, SkillRule
from dtios.mapping.skill_parts import BuiltSkill, Place

__all__ = ["build_skill"]


def build_skill(rule: SkillRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt where the machine lacks what the skill needs."""
    if isinstance(rule, MethodRule):
        return method_skill(rule, place)
    if isinstance(rule, JobOrderRule):
        return job_order_skill(rule, place)
    return packml_skill(rule, place)
