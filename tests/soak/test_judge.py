"""The judge objects to each way in which a promise may be broken, and to nothing else. All logs here are made up."""

from array import array
from collections.abc import Iterable

import pytest

from dtios.model.gap import Gap, GapCause
from tests.soak.judge import Fault, Verdict, judge
from tests.soak.told import Stream

SECOND = 10**9
STEP = SECOND // 10
START = 1_000 * SECOND
STEPS = 1_000
LOG = [(START + n * STEP, n) for n in range(STEPS)]
LOST, RESTART = GapCause.CONNECTION_LOST, GapCause.RUNTIME_RESTART


def at(number: int) -> int:
    return START + number * STEP


def fault(kind: str, first: int, last: int, cause: GapCause, *touched: str, resent: Iterable[str] = ()) -> Fault:
    return Fault(kind, at(first), at(last), frozenset(touched), frozenset({cause}), frozenset(resent))


FAULTS = [fault("broker killed", 300, 320, LOST, "m"), fault("kill -9", 700, 720, RESTART, "m", "other")]


def told(*parts: range | list[int] | Gap) -> Stream:
    """Values that were received when they were sent, and Gaps, in the order of the stream."""
    stream = Stream()
    for part in parts:
        if isinstance(part, Gap):
            stream.gap(part)
        else:
            stream.numbers.extend(part)
            stream.received.extend(array("q", (at(number) for number in part)))
    return stream


def gap(first: int, last: int, cause: GapCause = LOST) -> Gap:
    return Gap(cause, receive_from=at(first), receive_to=at(last))


def verdict(
    *parts: range | list[int] | Gap, faults: Iterable[Fault] = tuple(FAULTS), machine: str = "m", until: int = at(STEPS)
) -> Verdict:
    return judge({machine: LOG}, {(machine, "s"): told(*parts)}, list(faults), ["s"], until)


def objection(*parts: range | list[int] | Gap, faults: Iterable[Fault] = tuple(FAULTS), machine: str = "m") -> str:
    (found,) = verdict(*parts, faults=faults, machine=machine).objections
    return found


GOOD = (range(10, 301), gap(299, 340), range(340, 695), gap(685, 760, RESTART), range(760, 1_000))


def test_what_is_as_promised_is_not_objected_to_and_counted() -> None:
    found = verdict(*GOOD)
    assert found.objections == []
    assert (found.sent, found.delivered, found.in_gaps, found.again, found.gaps) == (990, 886, 104, 0, 2)
    assert found.sent == found.delivered + found.in_gaps


def without(missing: int) -> list[list[int] | Gap]:
    parts = (range(10, 310), gap(309, 340), range(341, 1_000))
    return [[n for n in part if n != missing] if isinstance(part, range) else part for part in parts]


@pytest.mark.parametrize("missing", [500, 301, 341, 999], ids=["in quiet", "before a Gap", "after a Gap", "the last"])
def test_a_missing_value(missing: int) -> None:
    assert f"1 values ({missing} to {missing}) are missing" in objection(*without(missing))


def test_what_was_under_way_when_the_gap_began_lies_in_it_and_what_was_not_does_not() -> None:
    assert verdict(range(10, 305), gap(309, 340), range(340, 1_000)).objections == []
    assert "1 values (303 to 303) are missing" in objection(range(10, 303), gap(309, 340), range(340, 1_000))


def test_a_missing_value_that_lies_in_a_gap_that_stands_elsewhere_in_the_stream() -> None:
    assert "are missing and lie in no Gap" in objection(range(10, 301), range(330, 500), gap(299, 340), range(500, 1_000))


def test_values_missing_at_the_end() -> None:
    assert "10 values (990 to 999) are missing" in objection(range(10, 990))


def test_what_was_sent_after_the_end_need_not_be_delivered_and_may_be() -> None:
    for last in (500, 600):
        found = verdict(range(last), until=at(499))
        assert (found.objections, found.sent, found.delivered) == ([], last, last)


def test_nothing_at_all() -> None:
    assert "nothing was delivered" in objection()


def test_a_value_that_was_never_sent() -> None:
    assert "1500 was delivered and never sent" in objection(range(1_000), [1_500])


def test_a_double_without_a_gap() -> None:
    assert "500 was delivered twice" in objection(range(501), range(500, 1_000))


def test_values_out_of_order() -> None:
    assert "500 was delivered twice, or out of order" in verdict(range(500), [501, 500], range(502, 1_000)).objections[-1]


def test_the_present_value_may_come_again_after_a_gap() -> None:
    found = verdict(range(10, 301), gap(299, 301), range(300, 1_000))
    assert (found.objections, found.again) == ([], 1)


def test_a_sender_may_send_again_around_the_fault_that_made_it_do_so_and_at_no_other_time() -> None:
    faults = [fault("black hole before the broker", 300, 320, LOST, resent=["m"])]
    assert verdict(range(10, 331), range(320, 1_000), faults=faults).objections == []
    assert "600 was delivered twice" in objection(range(10, 601), range(600, 1_000), faults=faults)


def test_what_is_sent_again_may_come_behind_later_values_and_is_not_missing() -> None:
    faults = [fault("black hole before the broker", 300, 320, LOST, resent=["m"])]
    found = verdict(range(301), [321, 322], range(301, 321), range(323, 1_000), faults=faults)
    assert (found.objections, found.sent, found.delivered, found.again) == ([], 1_000, 1_000, 0)
    lost = objection(range(301), [321, 322], range(302, 321), range(323, 1_000), faults=faults)
    assert "1 values (301 to 301) are missing" in lost


@pytest.mark.parametrize(("first", "last"), [(279, 340), (299, 471)], ids=["begins too early", "ends too late"])
def test_a_gap_that_is_too_wide(first: int, last: int) -> None:
    assert "a Gap that is too wide (broker killed" in objection(range(first + 1), gap(first, last), range(last, 1_000))


def test_a_gap_as_wide_as_it_may_be() -> None:
    assert verdict(range(281), gap(280, 470), range(470, 1_000)).objections == []


def test_a_gap_on_a_signal_that_was_not_touched() -> None:
    found = objection(range(301), gap(299, 340), range(340, 1_000), machine="other")
    assert "a Gap on a signal that no fault touched (broker killed)" in found


def test_a_gap_with_a_wrong_cause() -> None:
    found = objection(range(301), gap(299, 340, GapCause.MESSAGE_MISSED), range(340, 1_000))
    assert "a Gap with a wrong cause (broker killed)" in found


def test_a_gap_without_a_fault() -> None:
    assert "a Gap without a fault" in objection(range(501), gap(500, 510), range(510, 1_000))


def test_a_gap_without_an_end() -> None:
    found = objection(range(301), Gap(LOST, receive_from=at(299)), range(301, 1_000))
    assert "a Gap without its times" in found


def test_what_a_consumer_was_given_twice_is_dropped_by_its_identity() -> None:
    stream = Stream()
    for sequence in (1, 2, 2, 3, 1):
        stream.value(sequence, at(sequence), (1, sequence))
    stream.value(3, at(3), (2, 1))
    assert (list(stream.numbers), stream.doubles) == ([1, 2, 3, 3], 2)
