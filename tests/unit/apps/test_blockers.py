"""Who holds the event loop: told by the watchdog inline, and from a stack for a process."""

import time

import anyio
import pytest
import structlog.testing

from dtios.runtime.apps.blocker import blocker
from dtios.runtime.apps.watchdog import watchdog


@pytest.mark.blocks
async def test_the_watchdog_names_app_file_line_and_function() -> None:
    async def hog() -> None:
        time.sleep(0.35)  # noqa: ASYNC251 - blocking is what is tested

    with structlog.testing.capture_logs() as events, watchdog(limit=0.1):
        async with anyio.create_task_group() as tasks:
            await anyio.sleep(0.05)
            tasks.start_soon(hog, name="app:press:hog:filler")
        await anyio.sleep(0.2)
    blocked = [e for e in events if e["event"] == "event loop blocked"]
    assert len(blocked) == 1
    assert (blocked[0]["app"], blocked[0]["handler"], blocked[0]["function"]) == ("press", "hog:filler", "hog")
    assert blocked[0]["file"] == __file__
    again = [e for e in events if e["event"] == "event loop turns again"]
    assert len(again) == 1
    assert again[0]["blocked"] >= 0.2


async def test_a_turning_loop_is_not_accused() -> None:
    with structlog.testing.capture_logs() as events, watchdog(limit=0.3):
        await anyio.sleep(0.5)
    assert events == []


def test_a_stack_gives_the_handler_and_the_innermost_foreign_line() -> None:
    crew = blocker.__code__.co_filename.replace("runtime/apps/blocker.py", "sdk/crew.py")
    stack = [
        "Thread 0x00007f (most recent call first):",
        '  File "/elsewhere/thread.py", line 1 in wait',
        "",
        "Current thread 0x00007e (most recent call first):",
        '  File "/x/site-packages/slow/deep.py", line 9 in solve',
        '  File "/x/my_app.py", line 12 in speed',
        f'  File "{crew}", line 70 in call',
        '  File "/x/site-packages/anyio/_core/_eventloop.py", line 74 in run',
    ]
    assert blocker(stack) == " in speed, at /x/site-packages/slow/deep.py:9 (solve)"
    assert blocker([], "speed") == " in speed"
    assert blocker([]) == ""
