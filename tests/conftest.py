"""What holds in every test: no task outlives it, nothing blocks its event loop, and in CI nothing is skipped silently.

Warnings are errors (pyproject.toml). A test that blocks the loop on purpose says so with `@pytest.mark.blocks`.
"""

import asyncio
import gc
import inspect
import os
import socket
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator, Generator, Iterator, MutableMapping
from typing import Any, Final

import pytest
import structlog

BLOCKED: Final = 5.0
"""Seconds without a turn of the event loop that count as blocked: generous, because the machines that run this are noisy."""
GRACE: Final = 0.5
"""Seconds that tasks get to end after the test: transports close themselves a turn later."""

CI: Final = os.environ.get("CI", "").lower() == "true"


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "blocks: blocks the event loop on purpose")


LONG_FIRST: Final = ("interop", "faults", "system", "conformance", "docs")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The rooms with long modules come first: else one process has one left when the others are done."""
    rooms = {name: number for number, name in enumerate(LONG_FIRST)}

    def place(item: pytest.Item) -> int:
        return min((rooms[part] for part in item.path.parts if part in rooms), default=len(rooms))

    items.sort(key=place)


# --- the loop ------------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def watched(request: pytest.FixtureRequest) -> None:
    """Only where there is a loop to watch."""
    if inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue("watched_loop")


@pytest.fixture
async def watched_loop(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    before = asyncio.all_tasks()
    detector = None if request.node.get_closest_marker("blocks") else _BlockDetector()
    yield
    blocked = detector.stop() if detector is not None else []
    left = await _left(before)
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    if left:
        pytest.fail("tasks outlive the test: " + ", ".join(sorted(_describe(task) for task in left)), pytrace=False)
    if blocked:
        pytest.fail(f"the event loop was blocked for {BLOCKED:g} s here:\n{blocked[0]}", pytrace=False)


async def _left(before: set[asyncio.Task[Any]]) -> set[asyncio.Task[Any]]:
    deadline = time.monotonic() + GRACE
    while True:
        left = {task for task in asyncio.all_tasks() - before if task is not asyncio.current_task() and not task.done()}
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.01)


def _describe(task: asyncio.Task[Any]) -> str:
    return f"{task.get_name()} ({getattr(task.get_coro(), '__qualname__', task.get_coro())})"


class _BlockDetector:
    """A thread that asks the loop for a sign of life, and notes where it stands when none comes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._main = threading.get_ident()
        self._stopped = threading.Event()
        self._turned = threading.Event()
        self._found: list[str] = []
        self._thread = threading.Thread(target=self._watch, name="notices a blocked loop", daemon=True)
        self._thread.start()

    def stop(self) -> list[str]:
        self._stopped.set()
        self._turned.set()
        self._thread.join()
        return self._found

    def _watch(self) -> None:
        while not self._stopped.wait(0.1):
            self._turned.clear()
            try:
                self._loop.call_soon_threadsafe(self._turned.set)
            except RuntimeError:  # closed
                return
            if not self._turned.wait(BLOCKED) and not self._stopped.is_set():
                frame = sys._current_frames().get(self._main)
                self._found.append("".join(traceback.format_stack(frame, limit=8)) if frame else "unknown")
                self._turned.wait()


@pytest.fixture(autouse=True, scope="module")
def young_heap() -> Iterator[None]:
    """What a module leaves behind (asyncua keeps whole address spaces) is not walked through again at every collection:
    a full one of all of it would hold up the loops of later tests for seconds."""
    yield
    gc.collect()
    gc.freeze()


# --- at hand ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def free_port() -> int:
    """A TCP port on 127.0.0.1 that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def log_events() -> Iterator[list[MutableMapping[str, Any]]]:
    """structlog's events of this test, as dictionaries with `event` and `log_level`."""
    with structlog.testing.capture_logs() as events:
        yield events


# --- figures ---------------------------------------------------------------------------------------------------------------


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test measured and gave to `record_property("figures", text)` is printed, also when it passed and whoever ran it."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, text in report.user_properties:
                if name == "figures":
                    terminalreporter.section(report.nodeid)
                    terminalreporter.line(str(text))


# --- optional parts ----------------------------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, Any]:
    """In CI a test that is skipped because something is missing has failed. (An expected failure is no skip.)"""
    report: Any = yield
    if CI and report.skipped and not hasattr(report, "wasxfail") and _is_missing(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} was skipped in CI: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report: Any = yield
    if CI and report.skipped and _is_missing(report.longrepr):
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} was skipped in CI: {_reason(report.longrepr)}"
    return report


def _is_missing(longrepr: object) -> bool:
    """`importorskip`, or a skip whose reason says so; other reasons (this platform cannot) stay skips."""
    return any(words in _reason(longrepr).lower() for words in ("missing", "not installed", "could not import"))


def _reason(longrepr: object) -> str:
    return str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
