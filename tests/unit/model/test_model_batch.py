"""Batches and single values."""

from dtios.model.batch import Batch
from dtios.model.values import NO_TIME, DataValue, Enumerated, Record

BATCH = Batch([1, 2, 1], [1.0, None, 2.0], [0, 0x80310000, 0x40920000], [10, NO_TIME, 30], [11, 21, NO_TIME], 99, 7, [1, 1, 2])


def test_rows_in_order_of_receipt() -> None:
    assert list(BATCH.rows()) == [
        (1, DataValue(1.0, 0, 10, 11, 99)),
        (2, DataValue(None, 0x80310000, None, 21, 99)),
        (1, DataValue(2.0, 0x40920000, 30, None, 99)),
    ]
    assert len(BATCH) == 3


def test_select_keeps_columns_together() -> None:
    chosen = BATCH.select([2, 0])
    assert (chosen.handles, chosen.values, chosen.sequences) == ([1, 1], [2.0, 1.0], [2, 1])
    assert (chosen.receive_time, chosen.epoch) == (99, 7)
    assert Batch([1], [2], [0], [0], [0], 1).select([0]).sequences == []


def test_statuses() -> None:
    good, bad, uncertain = (DataValue(None, s) for s in (0, 0x80310000, 0x40920000))
    assert (good.is_good, good.is_bad) == (True, False)
    assert (bad.is_bad, bad.status_name) == (True, "BadNoCommunication")
    assert (uncertain.is_good, uncertain.is_bad, uncertain.status_name) == (False, False, "UncertainInitialValue")


def test_named_values() -> None:
    assert Enumerated(2, "Executing") == 2
    assert repr(Enumerated(2, "Executing")) == "Executing(2)"
    assert Record("T", {"a": 1})["a"] == 1
    assert Record("T", {}).get("b", 3) == 3
