import contextlib
from typing import Annotated, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from dtios.mapping.yamlfile import load_yaml_model, parse_yaml_model
from dtios.model.errors import ConfigurationError


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Machine(_Strict):
    endpoint: str
    timeout: Annotated[float, Field(gt=0)] = 1.0
    levels: list[int] = []


class _House(_Strict):
    machines: dict[str, _Machine] = {}
    mode: Literal["a", "b"] | None = None


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("machines:\n  press:\n    endpiont: x\n", 3, "`machines.press.endpiont` is not a known key, did you mean `endpoint`?"),
        ("machines:\n  press:\n    timeout: 1\n", 2, "`machines.press.endpoint` is missing"),
        ("machines:\n  press:\n    endpoint: x\n    timeout: -1\n", 4, "greater than 0 (it is -1)"),
        ("machines:\n  press:\n    endpoint: x\n    levels:\n    - 1\n    - two\n", 6, "`machines.press.levels.1`"),
        ("mode: c\n", 1, "`mode`: input should be 'a' or 'b'"),
        ("machines:\n  press: {endpoint: x}\n  press: {endpoint: y}\n", 3, "`press` is given twice, first in line 2"),
        ("machines:\n\tpress: 1\n", 2, "found a tab, which cannot start"),
        ("machines: [1\n", 2, "expected ',' or ']'"),
        ("- 1\n", 1, "not a mapping"),
        ("a: !!python/object:os.system x\n", 1, "could not determine a constructor"),
        ("machines: \x07\n", 1, "U+0007"),
        ("nonsense: 1\nzzz: 2\n", 1, "(also line 2: `zzz` is not a known key, known are machines, mode)"),
    ],
)
def test_mistake_is_named_with_its_line(tmp_path, text, line, sentence):
    file = tmp_path / "house.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_yaml_model(file, _House)
    assert caught.value.where == f"{file}:{line}"
    assert sentence in caught.value.message
    assert caught.value.mend
    assert "\n" not in str(caught.value)


def test_good_and_empty_files(tmp_path):
    assert parse_yaml_model("", _House, "x") == _House()
    good = parse_yaml_model("machines: {p: {endpoint: u}}", _House, "x")
    assert good.machines["p"].endpoint == "u"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"], ids=["missing", "not UTF-8"])
def test_a_file_that_cannot_be_read(tmp_path, content):
    file = tmp_path / "f.yaml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError) as caught:
        load_yaml_model(file, _House)
    assert caught.value.where == str(file)


def test_a_directory_and_deep_nesting(tmp_path):
    with pytest.raises(ConfigurationError, match="directory"):
        load_yaml_model(tmp_path, _House)
    with pytest.raises(ConfigurationError, match="nested too deeply"):
        parse_yaml_model("machines: " + "[" * 5000, _House, "x")


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abm:chines- \n\t[]{}&*!|>'\"#1.~<\x00\x85é", max_size=60))
def test_nothing_but_the_error_tree_leaves(text):
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse_yaml_model(text, _House, "x"), _House)
