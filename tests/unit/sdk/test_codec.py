"""Batches as bytes."""

import pytest

from dtios.model.batch import Batch
from dtios.model.values import NO_TIME, StatusCode
from dtios.sdk.codec import pack_batch, unpack_batch

BATCHES = [
    Batch([], [], [], [], [], 5),
    Batch([7], [1.5], [0], [NO_TIME], [11], 12, 3, [1]),
    Batch([7, 8, 7], [1.5, None, "x"], [0, 0, 0], [9, 9, 9], [NO_TIME] * 3, 12, 3, [1, 1, 2]),
    Batch([7, 8, 9], [True, 2**64 - 1, StatusCode(5)], [0, 2**31, 0], [9, 8, 9], [1, 2, 3], 12, 3, [1, 1, 2]),
]


@pytest.mark.parametrize("batch", BATCHES)
def test_a_batch_goes_there_and_back(batch: Batch) -> None:
    got = unpack_batch(pack_batch(batch))
    for column in Batch.__slots__:
        assert getattr(got, column) == getattr(batch, column), column


def test_a_column_of_one_number_costs_one_number() -> None:
    size = 1_000
    alike = Batch([1] * size, [1.5] * size, [0] * size, [10**18] * size, [NO_TIME] * size, 12, 3, [1] * size)
    assert len(pack_batch(alike)) < 12 * size
    got = unpack_batch(pack_batch(alike))
    got.statuses[0] = 1
    assert got.statuses[1] == 0
