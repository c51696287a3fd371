"""What is done when a job's owner is lost, given what its machine can be asked."""

import pytest

from dtios.model.job import JobVerb
from dtios.model.machine import OnOwnerLost, effective_on_owner_lost

PAUSE, STOP, ABORT = JobVerb.PAUSE, JobVerb.STOP, JobVerb.ABORT
HOLD, END, FINISH = OnOwnerLost.HOLD, OnOwnerLost.STOP, OnOwnerLost.FINISH


@pytest.mark.parametrize(
    ("wanted", "verbs", "done"),
    [
        (HOLD, {PAUSE, STOP}, HOLD),
        (HOLD, {STOP}, END),
        (HOLD, {ABORT}, END),
        (HOLD, set(), FINISH),
        (END, {PAUSE}, FINISH),
        (END, {STOP, ABORT}, END),
        (END, {ABORT}, END),
        (FINISH, {PAUSE, STOP, ABORT}, FINISH),
    ],
)
def test_what_is_really_done(wanted: OnOwnerLost, verbs: set[JobVerb], done: OnOwnerLost) -> None:
    assert effective_on_owner_lost(wanted, frozenset(verbs)) is done
