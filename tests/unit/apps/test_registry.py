"""Plug-ins: found by name, loaded when they are needed, and a wrong one is one sentence for whoever asks for it."""

import sys
from pathlib import Path

import pytest

from dtios.model.errors import ConfigurationError
from dtios.runtime.registry import AppPlugin, Plugin, Registry
from dtios.testing import MemoryAdapter

MODULE = """
from dtios.sdk import App, Publisher
async def main(ctx): ...
good = App("good"); good.main(main)
other = App("not-other"); other.main(main)
idle = App("idle")
cloud = Publisher("cloud"); cloud.main(main)
nothing = 3
class memory: ...
"""


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    (tmp_path / "plugged_in.py").write_text(MODULE)
    (tmp_path / "plugged_broken.py").write_text("raise RuntimeError('half installed')")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "plugged_in", raising=False)
    names = ("good", "other", "idle", "cloud", "nothing", "absent")
    plugins: list[Plugin] = [AppPlugin("app", name, f"plugged_in:{name}", "some-dist") for name in names]
    plugins.append(AppPlugin("app", "broken", "plugged_broken:app", "some-dist"))
    plugins.append(AppPlugin("publisher", "cloud", "plugged_in:cloud"))
    plugins.append(Plugin("adapter", "broken", "plugged_broken:adapter"))
    plugins.append(Plugin("adapter", "unused", "plugged_broken:adapter", schemes=("other",)))
    return Registry(adapters=[MemoryAdapter()], plugins=plugins, installed=False)


def test_nothing_is_imported_before_it_is_needed(registry: Registry) -> None:
    plugin = registry.app("good")
    assert "plugged_in" not in sys.modules
    assert plugin.manifest().name == "good"
    assert "plugged_in" in sys.modules


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("other", "calls itself not-other"),
        ("idle", "no handler and no main"),
        ("nothing", "it is a int, no App"),
        ("absent", "cannot be imported: AttributeError"),
        ("broken", "cannot be imported: RuntimeError: half installed"),
        ("cloud", "not of the kind app"),
    ],
)
def test_a_wrong_plug_in_is_one_sentence_and_harms_no_other(registry: Registry, name: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        registry.app(name).load()
    assert sentence in str(caught.value)
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert registry.app("good").load().name == "good"


def test_a_missing_plug_in_lists_what_there_is(registry: Registry) -> None:
    with pytest.raises(ConfigurationError, match=r"no app gone; installed: absent, broken, cloud"):
        registry.app("gone")
    assert registry.publisher("cloud").load().kind == "publisher"


def test_adapters_by_scheme_and_a_broken_one_hides_no_other(registry: Registry) -> None:
    assert registry.adapter_for("memory:x") is registry.adapter("memory")
    with pytest.raises(ConfigurationError, match="half installed"):
        registry.adapter_for("mqtt://somewhere")
    with pytest.raises(ConfigurationError, match="half installed"):
        registry.adapter_for("other://somewhere")
    with pytest.raises(ConfigurationError, match="no URL"):
        registry.adapter_for("press")
    with pytest.raises(ConfigurationError, match="no adapter answers to mqtt:; installed: memory"):
        Registry(adapters=[MemoryAdapter()], installed=False).adapter_for("mqtt://somewhere")


def test_what_is_installed_is_found_by_entry_points() -> None:
    registry = Registry.load()
    assert "opcua" in registry.names("adapter")
    assert "asyncua" not in sys.modules or registry.adapter_for("opc.tcp://x").name == "opcua"
