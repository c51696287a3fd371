"""What a configuration amounts to: the links, apps and publishers that shall run, with all that it refers to read and checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from dtios.mapping.profiles.library import ProfileLibrary
from dtios.runtime.configuration.config import AppSettings, Grant, MachineSettings, PublisherSettings, RuntimeConfig
from dtios.sdk.adapter import ConnectionSettings

__all__ = ["HostedSetup", "Key", "LinkSetup", "Setup", "hosted_setups", "link_key", "normal_url"]

Key = tuple[str, str | None]
"""(URL, user): one session for each endpoint and identity."""


def normal_url(url: str) -> str:
    return url.rstrip("/").lower() if "?" not in url else url


def link_key(url: str, user: str | None) -> Key:
    return normal_url(url), user


@dataclass(frozen=True, slots=True)
class LinkSetup:
    """One connection and the machines that are configured behind it. `profiles` are compared by what they say, not by file.

    `secrets` changes when what a secret's file holds does; it tells nothing of it.
    """

    url: str
    adapter: str
    settings: ConnectionSettings
    machines: Mapping[str, MachineSettings]
    profiles: ProfileLibrary
    live: frozenset[str] = frozenset()
    """Names of settings that this adapter's connections take as they stand."""
    secrets: str = field(default="", repr=False)

    @property
    def key(self) -> Key:
        return link_key(self.url, self.settings.user)


@dataclass(frozen=True, slots=True)
class HostedSetup:
    """An app or a publisher. `settings` are those of an app; a publisher's are put into the same form."""

    kind: Literal["app", "publisher"]
    plugin: str
    settings: AppSettings

    @property
    def grants(self) -> list[Grant]:
        return [grant for grant in self.settings.grants if isinstance(grant, Grant)]

    @property
    def commission(self) -> bool:
        return "commission" in self.settings.grants

    @property
    def roles(self) -> dict[str, list[str]]:
        return {role: [bound] if isinstance(bound, str) else bound for role, bound in self.settings.machines.items()}


@dataclass(frozen=True, slots=True)
class Setup:
    """`config` is what was written; `files` are those that it was read from, and that change it when they change."""

    config: RuntimeConfig
    links: Mapping[Key, LinkSetup] = field(default_factory=dict)
    hosted: Mapping[str, HostedSetup] = field(default_factory=dict)
    files: tuple[Path, ...] = ()


def hosted_setups(config: RuntimeConfig) -> dict[str, HostedSetup]:
    """Apps and publishers by name; `RuntimeConfig` sees to it that no name is both."""
    apps = {name: HostedSetup("app", app.app or name, app) for name, app in config.apps.items()}
    return apps | {name: _published(name, publisher) for name, publisher in config.publishers.items()}


def _published(name: str, publisher: PublisherSettings) -> HostedSetup:
    grants = [Grant(machine=machine) for machine in publisher.machines or ["*"]]
    settings = AppSettings(isolation=publisher.isolation, config=publisher.config, grants=list(grants))
    return HostedSetup("publisher", publisher.publisher or name, settings)
