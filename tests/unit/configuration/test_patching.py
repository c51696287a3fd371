"""A patch by who holds the grant `commission`: the same checks, the same difference, and the file keeps its comments."""

import stat
from pathlib import Path

import anyio
import pytest

from dtios.model.errors import ConfigurationError, RefusedError
from dtios.runtime.configuration.config import load_config
from dtios.testing import method_machine
from tests.unit.configuration.changing import Line, changing
from tests.unit.configuration.test_changing import following, speed

TEXT = """\
# the line in hall 4
machines:
  one:   # the press
    endpoint: "memory:one"
    envelope:
      signals: {Speed: [0, 100]}  # asked of the maker, who answered after a very long time and several letters, 2024-11-03
"""


def annotated(line: Line) -> None:
    line.file.write_text(TEXT)
    line.file.chmod(0o640)


async def test_a_patch_changes_in_place_and_is_written_with_comments_and_rights_kept(tmp_path: Path) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one) as line, following(line.client, "one", "Speed") as follower:
        annotated(line)
        await line.client.reload()
        await line.client.configure({"one": {"envelope": {"signals": {"Speed": [0, 50]}}}})
        with pytest.raises(RefusedError, match="envelope"):
            await line.client.write("one", "Speed", 70.0)
        assert line.file.read_text() == TEXT.replace("[0, 100]}  #", "[0, 50]}   #")
        assert stat.S_IMODE(line.file.stat().st_mode) == 0o640
        assert line.runtime.configuration.running.config == load_config(line.file)
        assert (await line.client.configuration()).problem is None
        one.set(speed(one), 41.0)
        await follower.until("Speed", 41.0)
        assert (one.opened, follower.gaps) == (1, [])
        assert not (tmp_path / ".dtios.yaml.new").exists()


async def test_null_removes(tmp_path: Path) -> None:
    one, two = method_machine("one"), method_machine("two")
    async with changing(tmp_path, one, two) as line:
        await line.client.configure({"two": None})
        assert (one.sessions, two.sessions) == (1, 0)
        assert list(load_config(line.file).machines) == ["one"]


async def test_a_link_to_the_file_stays_one(tmp_path: Path) -> None:
    async with changing(tmp_path, method_machine("one")) as line:
        real = tmp_path / "real.yaml"
        line.file.replace(real)
        line.file.symlink_to(real)
        await line.client.configure({"one": {"envelope": {"signals": {"Speed": [0, 50]}}}})
        assert line.file.is_symlink()
        assert "envelope" in real.read_text()


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ({"one": {"envelop": {}}}, "Extra inputs"),
        ({"one": {"envelope": {"signals": {"Sped": [0, 1]}}}}, "did you mean Speed"),
        ({"two": {"endpoint": "memory:two"}}, "no such machine in memory"),
        ({"one": {"settings": {"tiemout": 1}}}, "tiemout"),
    ],
)
async def test_a_wrong_patch_changes_nothing(tmp_path: Path, patch: dict[str, object], says: str) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one) as line:
        annotated(line)
        await line.client.reload()
        with pytest.raises(ConfigurationError, match=says):
            await line.client.configure(patch)
        assert line.file.read_text() == TEXT
        assert one.opened == 1
        assert not (tmp_path / ".dtios.yaml.new").exists()


async def test_a_file_that_is_wrong_takes_no_patch_and_nothing_changes(tmp_path: Path) -> None:
    async with changing(tmp_path, method_machine("one")) as line:
        line.file.write_text("machines: [\n")
        with pytest.raises(ConfigurationError, match="nothing can be written to it"):
            await line.client.configure({"one": {"envelope": {"signals": {"Speed": [0, 50]}}}})
        await line.client.write("one", "Speed", 70.0)
        assert line.file.read_text() == "machines: [\n"


async def test_many_patches_at_once_are_made_one_after_the_other(tmp_path: Path) -> None:
    one = method_machine("one")
    async with changing(tmp_path, one) as line, anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(line.client.configure, {"one": {"on_owner_lost": {f"Skill{number}": "stop"}}})
    assert len(load_config(line.file).machines["one"].on_owner_lost) == 20
    assert one.opened == 1
