"""From a dtios.yaml to a Setup: profiles read, plug-ins found, settings taken by their adapters. Blocks: call it in a thread."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dtios.mapping.profiles.library import ProfileLibrary
from dtios.mapping.yamlfile import line_of, read_text
from dtios.model.errors import ConfigurationError, DtiosError
from dtios.runtime.broker.names import stand_in
from dtios.runtime.configuration.checking import check_connection, check_hosted
from dtios.runtime.configuration.config import MachineSettings, RuntimeConfig, parse_config
from dtios.runtime.configuration.setup import HostedSetup, Key, LinkSetup, Setup, hosted_setups, normal_url
from dtios.runtime.registry import AppPlugin, Registry

__all__ = ["Located", "Place", "hosted_plugin", "make_setup", "read_setup", "referred"]

Place = tuple[int | str, ...]
"""Where something stands in a configuration: keys, as ("machines", "press", "envelope")."""


class Located:
    """Turns places into `file:line`. Without a text (a patch, a test) into dotted keys."""

    def __init__(self, path: Path | None = None, text: str = "") -> None:
        self._path = path
        self._text = text

    @contextmanager
    def at(self, *place: int | str) -> Iterator[None]:
        """What is raised inside says where in the file it comes from."""
        try:
            yield
        except DtiosError as error:
            raise self.told(error, place) from error

    def told(self, error: DtiosError, place: Place) -> DtiosError:
        keys = ".".join(map(str, place))
        where = keys if self._path is None else f"{self._path}:{line_of(self._text, place)} {keys}"
        if error.where and error.where not in where:
            where = f"{where}: {error.where}"
        return type(error)(error.message, where=where, mend=error.mend)


def read_setup(path: Path, registry: Registry, home: Path, *, inline_only: bool = False) -> tuple[Setup, Located]:
    """The file and all that it names. `inline_only`: apps with a process of their own are found, not imported.

    Raises ConfigurationError with the line.
    """
    text = read_text(path)
    located = Located(path, text)
    return make_setup(parse_config(text, path), registry, home, located, (path,), inline_only=inline_only), located


def make_setup(
    config: RuntimeConfig,
    registry: Registry,
    home: Path,
    located: Located | None = None,
    files: Sequence[Path] = (),
    *,
    check: bool = True,
    inline_only: bool = True,
) -> Setup:
    """`check` False: apps are not asked whether they take their configuration (they say so when they start)."""
    located = located or Located()
    links = _links(config, registry, home, located)
    hosted = hosted_setups(config)
    for name, setup in hosted.items():
        with located.at(f"{setup.kind}s", name):
            plugin = hosted_plugin(registry, setup)
            if check and (setup.settings.isolation == "inline" or not inline_only):
                check_hosted(plugin, setup.settings.config, setup.roles)
    return Setup(config, links, hosted, tuple(dict.fromkeys([*files, *referred(config)])))


def hosted_plugin(registry: Registry, setup: HostedSetup) -> AppPlugin:
    """Found, not loaded. Raises ConfigurationError."""
    return registry.app(setup.plugin) if setup.kind == "app" else registry.publisher(setup.plugin)


def referred(config: RuntimeConfig) -> list[Path]:
    """The files that a configuration names: profiles, folders of them with what lies there, and secrets."""
    named = [*config.profiles, *(path for m in config.machines.values() for path in m.profiles)]
    inside = [file for path in named if path.is_dir() for file in sorted(path.iterdir())]
    return [*named, *inside, *(file for m in config.machines.values() for file in _secret_files(m.settings))]


# --- links -------------------------------------------------------------------------------------------------------------------


def _links(config: RuntimeConfig, registry: Registry, home: Path, located: Located) -> dict[Key, LinkSetup]:
    libraries: dict[tuple[Path, ...], ProfileLibrary] = {}
    with located.at("profiles"):  # so that a mistake in these is told where they stand
        libraries[tuple(config.profiles)] = ProfileLibrary.load(config.profiles)
    links: dict[Key, LinkSetup] = {}
    for group in _by_endpoint(config):
        settings, says = _shared_settings(group, located)
        first = group[says]
        with located.at("machines", says, "settings" if first.settings else "endpoint"):
            url = stand_in(first.endpoint, embedded=config.broker is not None)
            adapter, checked = check_connection(registry, first.adapter, url, settings, home)
        files = tuple(dict.fromkeys([*config.profiles, *(file for machine in group.values() for file in machine.profiles)]))
        if files not in libraries:
            with located.at("machines", says, "profiles"):
                libraries[files] = ProfileLibrary.load(files)
        mark = _secret_mark(settings)
        link = LinkSetup(first.endpoint, adapter.name, checked, group, libraries[files], adapter.live, mark)
        links[link.key] = link
    return links


def _by_endpoint(config: RuntimeConfig) -> list[dict[str, MachineSettings]]:
    """Machines that share a connection: one URL, one user. Who gives no settings joins the one that is there."""
    groups: dict[tuple[str, Any], dict[str, MachineSettings]] = {}
    for name, machine in config.machines.items():
        groups.setdefault((normal_url(machine.endpoint), machine.settings.get("user")), {})[name] = machine
    for (url, user), group in tuple(groups.items()):
        others = [key for key in groups if key[0] == url and key[1] is not None]
        if user is None and len(others) == 1 and not any(machine.settings for machine in group.values()):
            merged = groups[others[0]] | groups.pop((url, user))
            groups[others[0]] = {name: merged[name] for name in config.machines if name in merged}
    return list(groups.values())


def _shared_settings(group: Mapping[str, MachineSettings], located: Located) -> tuple[dict[str, Any], str]:
    """The settings of a connection, and the machine that says them."""
    says = next((name for name, machine in group.items() if machine.settings or machine.adapter), next(iter(group)))
    settings = next((machine.settings for machine in group.values() if machine.settings), {})
    for name, machine in group.items():
        with located.at("machines", name, "settings"):
            if machine.settings and machine.settings != settings:
                raise ConfigurationError(
                    "the machines behind one endpoint share its connection settings",
                    mend="give the same settings, or give them once",
                )
    return dict(settings), says


def _secret_files(settings: Mapping[str, Any]) -> list[Path]:
    found = [value["file"] for value in settings.values() if isinstance(value, Mapping) and value.keys() == {"file"}]
    return [Path(file).expanduser() for file in found if isinstance(file, str)]


def _secret_mark(settings: Mapping[str, Any]) -> str:
    """Another one when a secret's file says something else; a file that cannot be read is the connection's to complain of."""
    mark = hashlib.sha256()
    for file in _secret_files(settings):
        try:
            mark.update(hashlib.sha256(file.read_bytes()).digest())
        except OSError:
            mark.update(b"-")
    return mark.hexdigest()
