"""From a profile's skill to a skill of this machine."""

from collections.abc import Sequence

from dtios.mapping.profiles.skills import (
    HandshakeRule,
    JobOrderRule,
    MethodRule,
    OpenSMIRule,
    PackMLRule,
    ProgramRule,
    SkillRule,
    TopicRule,
    VdaOrderRule,
    WriteRule,
)
from dtios.mapping.skills.job_orders import job_order_skill
from dtios.mapping.skills.locks import locked
from dtios.mapping.skills.methods import method_skill
from dtios.mapping.skills.packml import packml_skill
from dtios.mapping.skills.parts import BuiltSkill, Place
from dtios.mapping.skills.plc import handshake_skill, write_skill
from dtios.mapping.skills.state_machines import opensmi_skill, program_skill
from dtios.mapping.skills.topics import topic_skill
from dtios.mapping.skills.vda import vda_order_skill, vda_rules

__all__ = ["build_skill", "rules_of"]


def rules_of(rule: SkillRule, place: Place) -> Sequence[SkillRule]:
    """What a rule stands for here: mostly itself, or one for each thing of its kind that the machine names."""
    return vda_rules(rule, place) if isinstance(rule, VdaOrderRule) else (rule,)


def build_skill(rule: SkillRule, place: Place) -> BuiltSkill:
    """Raises NotBuilt where the machine lacks what the skill needs."""
    built = _build(rule, place)
    return built if rule.lock is None else locked(built, rule.lock, place)


def _build(rule: SkillRule, place: Place) -> BuiltSkill:
    match rule:
        case MethodRule():
            return method_skill(rule, place)
        case JobOrderRule():
            return job_order_skill(rule, place)
        case PackMLRule():
            return packml_skill(rule, place)
        case ProgramRule():
            return program_skill(rule, place)
        case OpenSMIRule():
            return opensmi_skill(rule, place)
        case HandshakeRule():
            return handshake_skill(rule, place)
        case WriteRule():
            return write_skill(rule, place)
        case TopicRule():
            return topic_skill(rule, place)
        case VdaOrderRule():
            return vda_order_skill(rule, place)
