"""Sequence numbers of messages: next, ahead, repeated, or counted anew."""

from dtios_opcua.observing.sequence import Arrival, Numbering, after


def taken(*numbers: int) -> Numbering:
    one = Numbering()
    for number in numbers:
        one.took(number, [number])
    return one


def test_the_first_is_one_and_the_last_is_followed_by_one() -> None:
    assert Numbering().judge(1, []) is Arrival.NEXT
    assert after(1) == 2
    assert after(2**32 - 1) == 1
    assert taken(2**32 - 1).judge(1, []) is Arrival.NEXT


def test_ahead_is_counted() -> None:
    one = taken(1, 2)
    assert one.judge(6, []) is Arrival.AHEAD
    assert one.missing(6) == 3
    assert one.missing(3) == one.missing(2) == 0


def test_the_same_content_is_a_repetition_another_one_a_new_count() -> None:
    one = taken(1, 2, 3)
    assert one.judge(2, [2]) is Arrival.REPEATED
    assert one.judge(2, ["other"]) is Arrival.RESET
    one.restart(2)
    assert one.judge(2, ["other"]) is Arrival.NEXT


def test_what_was_given_up_is_too_late() -> None:
    one = taken(1)
    one.took(2, None)
    assert one.judge(2, ["at last"]) is Arrival.REPEATED


def test_only_so_many_are_remembered() -> None:
    one = taken(*range(1, 1000))
    assert one.judge(990, [990]) is Arrival.REPEATED
    assert one.judge(3, [3]) is Arrival.RESET
