"""A secret's source may be shown, its value never."""

import copy
import json
import pickle
import sys
import types
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from dtios.model.errors import ConfigurationError
from dtios.runtime.configuration.config import RuntimeConfig, load_config
from dtios.runtime.configuration.patching import patched
from dtios.sdk.adapter import ConnectionSettings
from dtios.sdk.secrets import TYPED, Secret

VALUE = "hunter2-very-secret"


def test_each_source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRESS_PASSWORD", VALUE)
    (tmp_path / "press").write_text(VALUE + "\n")
    keyring = types.ModuleType("keyring")
    keyring.get_password = lambda service, user: VALUE if (service, user) == ("dtios", "anna/x") else None
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    for source in ({"env": "PRESS_PASSWORD"}, {"file": str(tmp_path / "press")}, {"keyring": "dtios/anna/x"}):
        settings = ConnectionSettings.model_validate({"user": "anna", "password": source})
        assert settings.password is not None
        assert settings.password.resolve() == VALUE
        assert settings.model_dump(mode="json")["password"] == source
        assert VALUE not in repr(settings) + str(settings) + settings.model_dump_json() + repr(settings.model_dump())


def test_what_was_typed_shows_nowhere() -> None:
    settings = ConnectionSettings.model_validate({"password": VALUE}, context=TYPED)
    assert settings.password is not None
    assert settings.password.resolve() == VALUE
    assert settings == ConnectionSettings(password=SecretStr(VALUE))
    assert settings != ConnectionSettings(password=Secret.typed("another"))
    shown = [repr(settings), str(settings), settings.model_dump_json(), json.dumps(settings.model_dump(mode="json"))]
    shown += [repr(settings.model_dump()), repr(settings.password), str(settings.password), f"{settings.password}"]
    assert [text for text in shown if VALUE in text] == []
    with pytest.raises(TypeError):
        pickle.dumps(settings.password)
    assert copy.deepcopy(settings.password) is settings.password


@pytest.mark.parametrize(
    "wrong", [VALUE, {"plain": VALUE}, {}, {"env": ""}, {"env": 3}, {"keyring": "alone"}, {"env": "A", "file": "b"}, 7]
)
def test_a_plain_value_and_other_forms_are_refused_without_saying_it(wrong: object) -> None:
    with pytest.raises(ValidationError) as caught:
        ConnectionSettings.model_validate({"password": wrong})
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        (Secret("env", "NOT_SET_ANYWHERE"), "not set"),
        (Secret("file", "/no/such/file"), "cannot be read"),
        (Secret("file", "/dev/zero"), "too large"),
        (Secret("keyring", "dtios/anna"), "keyring"),
    ],
)
def test_a_source_that_gives_nothing(secret: Secret, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ConfigurationError, match=words) as caught:
        secret.resolve()
    assert caught.value.mend


YAML = """machines:
  press:
    endpoint: opc.tcp://plc:4840
    settings:
      user: anna
      password: {}
"""


def test_a_plain_password_in_the_configuration_is_refused_with_the_line(tmp_path: Path) -> None:
    file = tmp_path / "dtios.yaml"
    file.write_text(YAML.format(VALUE))
    with pytest.raises(ConfigurationError, match="file: PATH") as caught:
        load_config(file)
    assert caught.value.where == f"{file}:4"
    assert VALUE not in str(caught.value)


def test_a_file_counts_from_the_folder_of_the_configuration(tmp_path: Path) -> None:
    file = tmp_path / "dtios.yaml"
    file.write_text(YAML.format("{file: press.secret}"))
    config = load_config(file)
    assert config.machines["press"].settings["password"] == {"file": str(tmp_path / "press.secret")}
    file.write_text(YAML.format("{file: /run/secrets/press}"))
    assert load_config(file).machines["press"].settings["password"] == {"file": "/run/secrets/press"}


def test_a_plain_password_in_a_patch_is_refused_before_it_is_written() -> None:
    config = RuntimeConfig.model_validate({"machines": {"press": {"endpoint": "opc.tcp://plc:4840"}}})
    with pytest.raises(ConfigurationError, match="in clear") as caught:
        patched(config, {"press": {"settings": {"password": VALUE}}})
    assert VALUE not in str(caught.value) + repr(caught.value.__cause__)
