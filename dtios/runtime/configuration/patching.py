"""Changing the configuration while it runs, by who holds the grant `commission`: checked whole, then applied by difference."""

import os
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from dtios.model.errors import ConfigurationError
from dtios.runtime.configuration.config import RuntimeConfig

__all__ = ["merge_patch", "patched", "write_machines"]


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7396: objects merge key by key, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def patched(config: RuntimeConfig, patch: dict[str, Any]) -> RuntimeConfig:
    """The configuration with its machines patched. Raises ConfigurationError, and then nothing changed."""
    machines = {n: m.model_dump(mode="json", by_alias=True, exclude_unset=True) for n, m in config.machines.items()}
    whole = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    whole["machines"] = merge_patch(machines, patch)
    try:
        return RuntimeConfig.model_validate(whole)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "machines"
        raise ConfigurationError(first["msg"], where=place, mend="correct the patch; nothing was changed") from error


def write_machines(path: Path, patch: dict[str, Any]) -> None:
    """Patch `machines:` in a dtios.yaml; comments and order stay, and the file is replaced whole or not at all."""
    yaml = YAML()
    whole = yaml.load(path.read_text("utf-8")) or {}
    _patch_in_place(whole.setdefault("machines", {}), patch)
    beside = path.with_suffix(".new")
    with beside.open("w", encoding="utf-8") as file:
        yaml.dump(whole, file)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _patch_in_place(target: Any, patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _patch_in_place(target[key], value)
        else:
            target[key] = value
