"""What a configuration says, tried out on the plug-ins that are installed. Nothing is connected to."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from dtios.model.errors import ConfigurationError
from dtios.runtime.registry import AppPlugin, Registry
from dtios.sdk.adapter import Adapter, ConnectionSettings

__all__ = ["check_connection", "check_hosted", "checked_settings"]


def check_connection(
    registry: Registry, adapter: str | None, url: str, settings: Mapping[str, Any], home: Path
) -> tuple[Adapter, ConnectionSettings]:
    """The adapter for a URL and its settings, which it takes. Raises ConfigurationError."""
    found = registry.adapter(adapter) if adapter is not None else registry.adapter_for(url)
    checked = checked_settings(found, settings)
    found.connect(url, checked, home)
    return found, checked


def checked_settings(adapter: Adapter, settings: Mapping[str, Any]) -> ConnectionSettings:
    """Raises ConfigurationError with what it takes."""
    try:
        return adapter.settings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"settings.{key}: {first['msg']}", mend=f"the settings are {', '.join(adapter.settings.model_fields)}"
        ) from None


def check_hosted(plugin: AppPlugin, config: Mapping[str, Any], roles: Mapping[str, list[str]]) -> None:
    """Imports the plug-in here, and lets it check its configuration and roles. Raises ConfigurationError."""
    app = plugin.load()
    if plugin.kind == "app":
        app.manifest().check_bindings(dict(roles))
    try:
        app.config.model_validate(dict(config))
    except ValidationError as error:
        first = error.errors()[0]
        keys = ", ".join(app.config.model_fields) or "none"
        raise ConfigurationError(
            f"config.{'.'.join(map(str, first['loc']))}: {first['msg']}", mend=f"the keys of its config are {keys}"
        ) from None
