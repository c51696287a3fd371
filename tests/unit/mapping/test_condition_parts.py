"""The nodes of a condition are neither signals nor skills; what an interlock may ask stays."""

from mapping_space import UA, facts, method, obj, var
from test_profiles import library

from dtios.mapping.matcher import map_machines

ALARM = ((UA, "OffNormalAlarmType"), (UA, "ConditionType"), (UA, "BaseEventType"))
DIALOG = ((UA, "DialogConditionType"), (UA, "ConditionType"))


def test_an_alarm_is_no_set_of_signals_and_skills() -> None:
    state = var("ActiveState", None, var("Id", True))
    alarm = obj("DoorAlarm", state, var("Retain"), method("Acknowledge"), obj("ShelvingState", method("Unshelve")), types=ALARM)
    (mapped,) = map_machines(facts(obj("Press", var("Door"), alarm, method("Start"))), library())
    assert [s.path for s in mapped.machine.signals] == ["Door", "DoorAlarm/ActiveState/Id"]
    assert [s.path for s in mapped.machine.skills] == ["Start"]
    assert alarm.address in mapped.addresses, "an event of it still finds its machine"


def test_a_profile_may_name_a_part_of_it() -> None:
    profile = """
profile: press
match: {path: Press}
signals: [{path: "*:DoorAlarm/*:Retain", name: DoorNeedsAttention}]
"""
    alarm = obj("DoorAlarm", var("Retain"), types=ALARM)
    (mapped,) = map_machines(facts(obj("Press", alarm)), library(profile))
    assert [s.path for s in mapped.machine.signals] == ["DoorNeedsAttention"]


def test_a_dialog_is_answered_by_its_method() -> None:
    dialog = obj("Question", method("Respond"), types=DIALOG)
    (mapped,) = map_machines(facts(obj("Press", dialog)), library())
    assert [s.path for s in mapped.machine.skills] == ["Question/Respond"]
