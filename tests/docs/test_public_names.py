"""`__all__` of the public modules: each name exists and is documented."""

import dataclasses
import importlib
import inspect
import pkgutil
import re

import pytest

import dtios.model
from tests.docs.markdown import ROOT

MODEL = [f"dtios.model.{m.name}" for m in pkgutil.iter_modules(dtios.model.__path__)]
ROOMS = ("adapter", "commands", "forwarding", "pki", "secrets")
PUBLIC = ["dtios.sdk", *(f"dtios.sdk.{room}" for room in ROOMS), "dtios.testing", "dtios.testing.conformance", *MODEL]
PAGES = {name: "sdk.md" for name in PUBLIC if name.startswith("dtios.sdk")} | {
    "dtios.testing": "testing.md",
    "dtios.testing.conformance": "testing.md",
}
"""Where each name of a module is described."""


@pytest.mark.parametrize("name", PUBLIC)
def test_names_exist_once(name: str) -> None:
    module = importlib.import_module(name)
    assert [n for n in module.__all__ if not hasattr(module, n)] == []
    assert len(set(module.__all__)) == len(module.__all__)


@pytest.mark.parametrize("name", PUBLIC)
def test_names_are_documented(name: str) -> None:
    """On a page of the reference; in dtios.model a docstring of their own does, too."""
    module = importlib.import_module(name)
    page = (ROOT / "docs/reference" / PAGES.get(name, "model.md")).read_text("utf-8")
    page = re.sub(r"```.*?```", "", page, flags=re.DOTALL)
    words = set(re.findall(r"\w+", " ".join(re.findall(r"`([^`]+)`", page))))
    assert [n for n in module.__all__ if n not in words and not (name in MODEL and _explained(getattr(module, n)))] == []


def _explained(value: object) -> bool:
    if not (inspect.isclass(value) or inspect.isroutine(value)):
        return False
    own = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
    generated = dataclasses.is_dataclass(value) and bool(own) and str(own).startswith(f"{getattr(value, '__name__', '')}(")
    return bool(own) and not generated
