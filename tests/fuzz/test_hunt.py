"""The coverage-guided search from the kept corpus on: 120,000 answers of OPC UA servers and more than 20,000 messages of MQTT
machines, each number with its seed, so that it can be repeated."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from tests.fuzz.mutate import CORPUS

RUNS = {"values": 100_000, "client": 20_000, "mqtt": 5_000}
MESSAGES = 25_000
"""Of which those of the corpus itself are less than 5,000."""
SECONDS = 1200


@pytest.mark.slow
@pytest.mark.parametrize("target", RUNS)
async def test_nothing_crashes_hangs_or_eats_memory(target: str, tmp_path: Path) -> None:
    pytest.importorskip("atheris", reason="the extra fuzz is missing")
    (tmp_path / "found").mkdir()
    options = [f"-runs={RUNS[target]}", "-seed=1", "-max_len=4096", "-timeout=20", "-rss_limit_mb=1024", "-malloc_limit_mb=300"]
    hunt = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.fuzz.hunt", target, str(tmp_path / "found"), str(CORPUS / target), *options,
        f"-artifact_prefix={tmp_path}/", "-print_final_stats=1",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            _, said = await hunt.communicate()
    except TimeoutError:
        hunt.kill()
        raise
    text = said.decode("utf-8", "replace")
    print("\n".join(line for line in text.splitlines() if re.match(r"stat::|Done|#\d+\s+(INITED|DONE)", line)))
    assert hunt.returncode == 0, f"{text[-3000:]}\ninputs: {_kept(tmp_path)}"
    assert f"Done {RUNS[target]} runs" in text
    if target == "mqtt":
        told = re.findall(r"messages (\d+), inputs \d+, with values \d+", text)
        print("messages", told[-1])
        assert int(told[-1]) >= MESSAGES


def _kept(folder: Path) -> list[str]:
    """The inputs that libFuzzer left, in hexadecimal."""
    return [path.read_bytes().hex() for path in folder.iterdir() if path.is_file()]
