"""Which plug-ins are installed: the entry-point groups `dtios.adapters`, `dtios.apps`, `dtios.publishers`, `dtios.simulators`,
`dtios.rigs`.

Nothing is imported before it is needed, and a plug-in that is wrong is an error for whoever asks for it, for nobody else.

An entry point's name is the plug-in's name. An adapter's may say its URL schemes too, `NAME+SCHEME[+SCHEME...]` as in
`"opcua+opc.tcp" = "dtios_opcua:adapter"`: then it is imported only when one of these is asked for. Adapters that do not say
are imported, by name, until one answers to the scheme.
"""

import importlib
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal

from dtios.model.errors import ConfigurationError
from dtios.sdk.adapter import Adapter
from dtios.sdk.app import App
from dtios.sdk.manifest import Manifest
from dtios.sdk.process import load_app
from dtios.sdk.publisher import Publisher

__all__ = ["GROUPS", "AppPlugin", "Kind", "Plugin", "Registry"]

Kind = Literal["adapter", "app", "publisher", "simulator", "rig"]
GROUPS: dict[Kind, str] = {
    "adapter": "dtios.adapters",
    "app": "dtios.apps",
    "publisher": "dtios.publishers",
    "simulator": "dtios.simulators",
    "rig": "dtios.rigs",
}


@dataclass(frozen=True, slots=True)
class Plugin:
    """One entry point. `target` is `module:attribute`; empty for an object given directly (`given`). Without a name it is no
    entry point but was named by a person."""

    kind: Kind
    name: str
    target: str
    distribution: str = ""
    schemes: tuple[str, ...] = ()
    given: Any = None

    def load(self) -> Any:
        """Import it and check it. Raises ConfigurationError, one sentence naming the entry point."""
        return self._adapter() if self.kind == "adapter" else self._import()

    def _import(self) -> Any:
        if self.given is not None:
            return self.given
        module, _, attribute = self.target.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in filter(None, attribute.split(".")):
                found = getattr(found, part)
        except Exception as error:
            raise self.wrong(f"it cannot be imported: {type(error).__name__}: {error}") from error
        return found

    def _adapter(self) -> Adapter:
        found = self._import()
        if isinstance(found, type) and issubclass(found, Adapter):
            try:
                found = found()
            except Exception as error:
                raise self.wrong(f"it cannot be made: {type(error).__name__}: {error}") from error
        if not isinstance(found, Adapter):
            raise self.wrong(f"it is a {type(found).__name__}, no Adapter")
        if self.name and found.name != self.name:
            raise self.wrong(f"the adapter calls itself {found.name}")
        if not found.schemes or not set(self.schemes) <= set(found.schemes):
            raise self.wrong(f"it answers to the schemes {', '.join(found.schemes) or 'none'}")
        return found

    def wrong(self, message: str) -> ConfigurationError:
        where = f"entry point {self.name} = {self.target}" if self.name else self.target
        where += f" of {self.distribution}" if self.distribution else ""
        return ConfigurationError(message, where=where, mend="correct or uninstall the plug-in")


class AppPlugin(Plugin):
    """An app or a publisher. In a process of its own it is imported there, and never by the runtime."""

    __slots__ = ()

    def load(self) -> App[Any]:
        app = self.given if self.given is not None else load_app(self.target, self.name)
        if not isinstance(app, App) or isinstance(app, Publisher) != (self.kind == "publisher"):
            raise self.wrong(f"it is {type(app).__name__}, not of the kind {self.kind}")
        return app

    def manifest(self) -> Manifest:
        return self.load().manifest()


class Registry:
    """What is installed, or in tests what is given. Lookups raise ConfigurationError and list what exists."""

    def __init__(
        self,
        *,
        adapters: Iterable[Adapter] = (),
        apps: Iterable[App[Any]] = (),
        plugins: Iterable[Plugin] = (),
        installed: bool = True,
    ) -> None:
        """`installed=False`: only what is given. What is given stands before what is installed under the same name."""
        self._plugins: dict[Kind, dict[str, list[Plugin]]] = {kind: {} for kind in GROUPS}
        self._adapters: dict[str, Adapter] = {}
        given = [Plugin("adapter", a.name, "", schemes=tuple(a.schemes), given=a) for a in adapters]
        given.extend(AppPlugin(app.kind, app.name, "", given=app) for app in apps)
        given.extend(plugins)
        if installed:
            for kind, group in GROUPS.items():
                for entry in entry_points(group=group):
                    self._add(_plugin(kind, entry))
        for plugin in given:
            self._plugins[plugin.kind][plugin.name] = [plugin]

    @classmethod
    def load(cls) -> "Registry":
        """What is installed."""
        return cls()

    def _add(self, plugin: Plugin) -> None:
        same = self._plugins[plugin.kind].setdefault(plugin.name, [])
        # The same entry point is seen twice where a distribution is on the path twice.
        if all(other.target != plugin.target for other in same):
            same.append(plugin)

    def names(self, kind: Kind) -> list[str]:
        return sorted(self._plugins[kind])

    def plugins(self, kind: Kind) -> list[Plugin]:
        """All of a kind, by name, not loaded; doubles too."""
        return [plugin for name in self.names(kind) for plugin in self._plugins[kind][name]]

    def plugin(self, kind: Kind, name: str) -> Plugin:
        """Raises ConfigurationError if there is none of that name, or two."""
        found = self._plugins[kind].get(name, [])
        if not found:
            have = ", ".join(self.names(kind)) or "none"
            raise ConfigurationError(f"there is no {kind} {name}", where=GROUPS[kind], mend=f"installed: {have}")
        if len(found) > 1:
            targets = " and ".join(f"{p.target} ({p.distribution})" for p in found)
            raise ConfigurationError(f"{targets} are both called {name}", where=GROUPS[kind], mend="uninstall one of them")
        return found[0]

    def adapter(self, name: str) -> Adapter:
        """Imported at the first time, the same object ever after."""
        if name not in self._adapters:
            self._adapters[name] = self.plugin("adapter", name).load()
        return self._adapters[name]

    def adapter_for(self, url: str) -> Adapter:
        """The adapter that answers to a URL's scheme. Raises ConfigurationError; a broken adapter hides no other."""
        scheme, colon, _ = url.partition(":")
        if not colon or not scheme:
            raise ConfigurationError("it is no URL", where=url, mend=f"write SCHEME://..., as {self._example()}")
        said = [name for name in self.names("adapter") if scheme in self._plugins["adapter"][name][0].schemes]
        if said:
            return self.adapter(said[0])
        broken: list[ConfigurationError] = []
        for name in self.names("adapter"):
            if self._plugins["adapter"][name][0].schemes:
                continue
            try:
                adapter = self.adapter(name)
            except ConfigurationError as error:
                broken.append(error)
                continue
            if scheme in adapter.schemes:
                return adapter
        if broken:
            raise broken[0]
        raise ConfigurationError(f"no adapter answers to {scheme}:", where=url, mend=f"installed: {self._example()}")

    def _example(self) -> str:
        """Names and, where they are known, schemes."""
        known = {p.name: p.schemes or getattr(self._adapters.get(p.name), "schemes", ()) for p in self.plugins("adapter")}
        said = [f"{name} ({', '.join(schemes)})" if schemes else name for name, schemes in known.items()]
        return ", ".join(said) or "no adapters"

    def app(self, name: str) -> AppPlugin:
        """Found, not loaded: an app in a process of its own is imported only there."""
        return _app_plugin(self.plugin("app", name))

    def publisher(self, name: str) -> AppPlugin:
        return _app_plugin(self.plugin("publisher", name))

    def rig(self, name: str) -> Any:
        """What grades the adapter of this name (dtios.testing.conformance.Bench)."""
        return self.plugin("rig", name).load()

    def simulator(self, name: str) -> Any:
        return self.plugin("simulator", name).load()


def _app_plugin(plugin: Plugin) -> AppPlugin:
    assert isinstance(plugin, AppPlugin)
    return plugin


def _plugin(kind: Kind, entry: EntryPoint) -> Plugin:
    name, *schemes = entry.name.split("+")
    distribution = entry.dist.name if entry.dist is not None else ""
    if kind in ("app", "publisher"):
        return AppPlugin(kind, name, entry.value, distribution)
    return Plugin(kind, name, entry.value, distribution, tuple(schemes))
