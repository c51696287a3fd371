"""The rules that hold in every test are seen to hold: each is broken in a run of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parents[2] / "conftest.py"
HEAD = "import asyncio, time, pytest\n"


def run(folder: Path, test: str, *, ci: bool = False) -> str:
    (folder / "conftest.py").write_text(re.sub(r"BLOCKED: Final = [\d.]+", "BLOCKED: Final = 0.3", CONFTEST.read_text()))
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    (folder / "test_it.py").write_text(HEAD + test)
    environment = {k: v for k, v in os.environ.items() if k not in ("CI", "PYTEST_ADDOPTS")} | ({"CI": "true"} if ci else {})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return f"{done.stdout}\nstatus {done.returncode}"


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("async def test(): test.task = asyncio.create_task(asyncio.sleep(60), name='orphan')", "tasks outlive the test: orphan"),
        ("async def test(): time.sleep(1)", "the event loop was blocked"),
    ],
    ids=["leftover task", "blocking call"],
)
def test_what_breaks_a_rule_fails(test: str, said: str, tmp_path: Path) -> None:
    output = run(tmp_path, test)
    assert said in output
    assert output.endswith("status 1")


def test_a_clean_test_passes_and_one_may_say_that_it_blocks(tmp_path: Path) -> None:
    output = run(
        tmp_path, "async def test_a(): await asyncio.sleep(0.5)\n@pytest.mark.blocks\nasync def test_b(): time.sleep(1)\n"
    )
    assert "2 passed" in output


def test_a_skip_is_a_failure_in_ci_alone(tmp_path: Path) -> None:
    test = "def test(): pytest.skip('node is missing')"
    assert "1 skipped" in run(tmp_path, test)
    output = run(tmp_path, test, ci=True)
    assert "was skipped in CI: Skipped: node is missing" in output
    assert output.endswith("status 1")
