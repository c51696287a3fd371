"""Changes of a configuration, one of each kind, drawn by chance: what a person does to a dtios.yaml over the years."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

__all__ = ["Changes"]

PROFILE = """\
profile: {name}
namespaces: {{p: 'urn:dtios:plain'}}
match: {{name: 'p:{name}'}}
role: machine
signals:
  - path: p:Counter0
    description: {remark}
"""
PROFILED = PROFILE + "    unit: {{source: C26, canonical: SEC}}\n"

Machine = dict[str, Any]


class Changes:
    """`document` is the file. `steady` and `pair` are never touched: `steady` stands alone, beside `pair` stands one that is."""

    def __init__(self, folder: Path, steady: str, shared: str, wild: str, seed: int) -> None:
        self.folder = folder
        self.chance = random.Random(seed)
        self._count = 0
        for name in ("Plain", "Beside"):
            self._profile(name, PROFILE)
        self._wild = {"endpoint": wild, "profiles": ["Plain.yaml"]}
        self._beside = {"endpoint": shared, "machine": "Beside", "profiles": ["Beside.yaml"]}
        self.document: dict[str, Any] = {
            "machines": {
                "steady": {"endpoint": steady, "settings": {"publishing_interval": 0.05}},
                "pair": {"endpoint": shared, "machine": "Plain"},
                "beside": self._beside,
                "wild": self._wild,
            },
            "apps": {"watcher": self._app()},
        }

    @property
    def kinds(self) -> list[Callable[[], None]]:
        return [
            self.envelope, self.interlock, self.on_owner_lost, self.signals, self.rename, self.come_or_go,
            self.say_another_profile, self.connect_anew, self.live_setting, self.grant, self.configure_app,
            self.app_comes_or_goes, self.limit_app,
            self.all_at_once,
        ]  # fmt: skip

    def draw(self, count: int) -> list[Callable[[], None]]:
        """Each kind as often as the others, in an order by chance."""
        drawn = (self.kinds * (count // len(self.kinds) + 1))[:count]
        self.chance.shuffle(drawn)
        return drawn

    def write(self) -> Path:
        file = self.folder / "dtios.yaml"
        beside = file.with_suffix(".swp")
        beside.write_text(yaml.safe_dump(self.document, sort_keys=False), "utf-8")
        beside.replace(file)
        return file

    # --- which ---

    @property
    def machines(self) -> dict[str, Machine]:
        return self.document["machines"]  # type: ignore[no-any-return]

    def _touched(self) -> Machine:
        names = [name for name in self.machines if name not in ("steady", "pair")]
        return self.machines[self.chance.choice(names)] if names else self._back()

    def _back(self) -> Machine:
        self.machines["wild"] = self._wild
        return self._wild

    def _next(self) -> int:
        self._count += 1
        return self._count

    def _app(self) -> dict[str, Any]:
        grants = [{"machine": "steady"}, {"machine": "pair", "write": ["Speed"]}]
        return {"app": "watcher", "isolation": "inline", "config": {"n": 0}, "grants": grants}

    def _profile(self, name: str, text: str) -> None:
        (self.folder / f"{name}.yaml").write_text(text.format(name=name, remark=f"remark {self._next()}"), "utf-8")

    # --- machines ---

    def envelope(self) -> None:
        self._touched()["envelope"] = {"signals": {"Counter0": [0, self._next()]}}

    def interlock(self) -> None:
        machine = self._touched()
        known = machine.setdefault("interlocks", [])
        if len(known) > 1:
            known.clear()
        known.append({"signal": f"Counter{self.chance.randrange(2)}", "above": -self._next()})

    def on_owner_lost(self) -> None:
        self._touched()["on_owner_lost"] = {"Make": self.chance.choice(["stop", "finish"]), f"None{self._next()}": "stop"}

    def signals(self) -> None:
        self._touched()["signals"] = {"Counter1": {"sampling": 0.1 + self._next() / 1000}}

    def rename(self) -> None:
        machine = self._touched()
        old = next(name for name, other in self.machines.items() if other is machine)
        del self.machines[old]
        self.machines[f"name{self._next()}"] = machine

    def come_or_go(self) -> None:
        wanted = self.chance.choice([self._wild, self._beside])
        here = [name for name, machine in self.machines.items() if machine is wanted]
        if here:
            del self.machines[here[0]]
        else:
            self.machines[f"name{self._next()}"] = wanted

    def say_another_profile(self) -> None:
        self._profile(self.chance.choice(["Plain", "Beside"]), self.chance.choice([PROFILE, PROFILED]))

    def connect_anew(self) -> None:
        if self._wild not in self.machines.values():
            self._back()
        self._wild.setdefault("settings", {})["keep_alive"] = 5 + self._next() / 100

    def live_setting(self) -> None:
        if self._wild not in self.machines.values():
            self._back()
        self._wild.setdefault("settings", {})["timeout"] = 4 + self._next() / 100

    # --- apps ---

    def _some_app(self) -> dict[str, Any]:
        apps = self.document["apps"]
        if not apps:
            apps["watcher"] = self._app()
        return apps[self.chance.choice(list(apps))]  # type: ignore[no-any-return]

    def grant(self) -> None:
        self._some_app()["grants"] = [{"machine": "steady"}, {"machine": "pair", "write": [f"Speed{self._next()}"]}]

    def configure_app(self) -> None:
        self._some_app()["config"] = {"n": self._next()}

    def limit_app(self) -> None:
        self._some_app()["memory"] = 500 + self._next()

    def app_comes_or_goes(self) -> None:
        apps = self.document["apps"]
        if "second" in apps:
            del apps["second"]
        else:
            apps["second"] = self._app()

    def all_at_once(self) -> None:
        for kind in (self.envelope, self.interlock, self.signals, self.rename, self.grant, self.configure_app):
            kind()
