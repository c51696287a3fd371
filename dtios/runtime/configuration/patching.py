"""Patches of the machines (RFC 7396), applied to what runs and to the file, whose comments and order stay."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dtios.model.errors import ConfigurationError
from dtios.runtime.configuration.config import RuntimeConfig, rooted

__all__ = ["Patch", "merge_patch", "patched"]


def merge_patch(target: Any, patch: Any) -> Any:
    """Objects merge key by key, null removes, anything else replaces."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


@dataclass(frozen=True, slots=True)
class Patch:
    """The configuration that it leads to. The new file lies beside the old one until `write` puts it in its place, whole."""

    config: RuntimeConfig
    path: Path | None
    beside: Path | None

    @classmethod
    def prepare(cls, config: RuntimeConfig, patch: dict[str, Any], path: Path | None) -> "Patch":
        """Raises ConfigurationError where it leads to no configuration, or the file cannot take it; then nothing changed."""
        new = patched(config, patch)
        if path is None:
            return cls(new, None, None)
        path = path.resolve()  # a link goes on being one
        return cls(rooted(new, path.parent), path, _beside(path, patch))

    def write(self) -> None:
        if self.path is not None and self.beside is not None:
            self.beside.replace(self.path)

    def discard(self) -> None:
        if self.beside is not None:
            self.beside.unlink(missing_ok=True)


def patched(config: RuntimeConfig, patch: dict[str, Any]) -> RuntimeConfig:
    whole = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    whole["machines"] = merge_patch(whole.get("machines", {}), patch)
    try:
        return RuntimeConfig.model_validate(whole)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "machines"
        raise ConfigurationError(first["msg"], where=place, mend="correct the patch; nothing was changed") from None


def _beside(path: Path, patch: dict[str, Any]) -> Path:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    beside = path.with_name(f".{path.name}.new")
    try:
        whole = yaml.load(path.read_text("utf-8")) or {}
        _patch_in_place(whole.setdefault("machines", {}), patch)
        with beside.open("w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), path.stat().st_mode & 0o7777)
            yaml.dump(whole, file)
            file.flush()
            os.fsync(file.fileno())
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = str(path) if mark is None else f"{path}:{mark.line + 1}"
        raise ConfigurationError(
            "the file on disk is not YAML, so nothing can be written to it", where=where, mend="correct it"
        ) from error
    except (OSError, UnicodeDecodeError, AttributeError) as error:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigurationError(
            f"the change cannot be written: {reason}", where=str(path), mend="check the file and its folder"
        ) from error
    return beside


def _patch_in_place(target: Any, patch: dict[str, Any]) -> None:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, dict) and isinstance(target.get(key), dict):
            _patch_in_place(target[key], value)
        else:
            target[key] = value
