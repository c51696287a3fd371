"""An app: a small module that says what it needs and gives handlers. Nothing here runs; the host does.

    app = App("counter", config=Config, summary="counts parts")
    press = app.needs("press", capability="urn:dtios:capability:produce", signals=["Status/CurMachSpeed"])

    @app.on_change(press, "Status/CurMachSpeed")
    async def speed(ctx: Context[Config], change: Change) -> None: ...

A handler's return acknowledges what it was given. Calls of one handler for one machine never overlap and keep each signal's
order. An exception that leaves a handler ends the app; the runtime reports it and starts the app again.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar, overload

from pydantic import ValidationError

from dtios.model.condition import Condition
from dtios.model.errors import ConfigurationError
from dtios.model.result import Result
from dtios.sdk.context import Context, MachineChange
from dtios.sdk.delivery import Change, Delivery
from dtios.sdk.manifest import AppConfig, Manifest, Need
from dtios.sdk.protocol import JobView, Policy

__all__ = ["App", "Handler"]

C = TypeVar("C", bound=AppConfig)
D = TypeVar("D", bound=AppConfig)

OnChange = Callable[[Context[C], Change], Awaitable[None]]
OnBatch = Callable[[Context[C], Delivery], Awaitable[None]]
OnJob = Callable[[Context[C], JobView], Awaitable[None]]
OnCondition = Callable[[Context[C], Condition], Awaitable[None]]
OnResult = Callable[[Context[C], Result], Awaitable[None]]
OnMachine = Callable[[Context[C], MachineChange], Awaitable[None]]
Plain = Callable[[Context[C]], Awaitable[None]]

H = TypeVar("H", bound=Callable[..., Awaitable[None]])


@dataclass(frozen=True, slots=True)
class Handler:
    """One declared handler. `call` takes the context and, but for `every` and `main`, what happened."""

    kind: Literal["change", "batch", "job", "condition", "result", "machine", "every", "main"]
    call: Callable[..., Awaitable[None]]
    name: str
    need: Need | None = None
    signals: tuple[str, ...] = ()
    policy: Policy = "block"
    capacity: int = 10_000
    period: float = 0.0
    finish: bool = False


class App(Generic[C]):
    """A plug-in of the group `dtios.apps`. Its name is the entry point's."""

    kind: ClassVar[Literal["app", "publisher"]] = "app"

    @overload
    def __init__(self: "App[AppConfig]", name: str, *, summary: str = "", version: str = "") -> None: ...
    @overload
    def __init__(self, name: str, *, config: type[C], summary: str = "", version: str = "") -> None: ...
    def __init__(self, name: str, *, config: Any = AppConfig, summary: str = "", version: str = "") -> None:
        self.name = name
        self.config: type[C] = config
        self.summary = summary
        self.version = version
        self._needs: dict[str, Need] = {}
        self._handlers: list[Handler] = []

    @property
    def handlers(self) -> tuple[Handler, ...]:
        return tuple(self._handlers)

    @property
    def roles(self) -> tuple[Need, ...]:
        return tuple(self._needs.values())

    def manifest(self) -> Manifest:
        """Raises ConfigurationError, one sentence, when the app is not one that can run."""
        if not (isinstance(self.config, type) and issubclass(self.config, AppConfig)):
            raise self._wrong("its config is no subclass of AppConfig", "derive it from dtios.sdk.AppConfig")
        if not self._handlers:
            raise self._wrong("it has no handler and no main", "decorate at least one function")
        try:
            return Manifest(
                name=self.name,
                kind=self.kind,
                version=self.version,
                summary=self.summary,
                needs=self.roles,
                config_schema=self.config.model_json_schema(),
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise self._wrong(f"{'.'.join(map(str, first['loc']))}: {first['msg']}", "correct the declaration") from None

    # --- declarations ------------------------------------------------------------------------------------------------

    def needs(
        self,
        role: str,
        *,
        capability: str | None = None,
        properties: Mapping[str, Any] | None = None,
        signals: Sequence[str] = (),
        skills: Sequence[str] = (),
    ) -> Need:
        """A role for a machine (see Need). Raises ConfigurationError for a role declared twice."""
        if role in self._needs:
            raise self._wrong(f"the role {role} is declared twice", "give each role its own name")
        try:
            need = Need(
                role=role,
                capability=capability,
                properties=dict(properties or {}),
                signals=tuple(signals),
                skills=tuple(skills),
            )
        except ValidationError as error:
            first = error.errors()[0]
            raise self._wrong(f"role {role!r}: {first['msg']}", "correct the declaration") from None
        self._needs[role] = need
        return need

    def on_change(
        self, need: Need, *signals: str, policy: Policy = "block", capacity: int = 10_000
    ) -> Callable[[OnChange[C]], OnChange[C]]:
        """Call for each new value of these signals (default: all the role names). Policies: see `Policy`."""
        chosen = self._signals(need, signals)
        return lambda call: self._add("change", call, 2, need, chosen, policy, capacity)

    def on_batch(
        self, need: Need, *signals: str, policy: Policy = "block", capacity: int = 10_000
    ) -> Callable[[OnBatch[C]], OnBatch[C]]:
        """Call for each message of the machine, in columns: no object for a single value."""
        chosen = self._signals(need, signals)
        return lambda call: self._add("batch", call, 2, need, chosen, policy, capacity)

    def on_job(self, need: Need) -> Callable[[OnJob[C]], OnJob[C]]:
        """Call for each state of each job on the role's machines, whoever started it."""
        return lambda call: self._add("job", call, 2, need)

    def on_condition(self, need: Need) -> Callable[[OnCondition[C]], OnCondition[C]]:
        """Call for each condition (alarm) of the role's machines as it comes, changes and goes."""
        return lambda call: self._add("condition", call, 2, need)

    def on_result(self, need: Need) -> Callable[[OnResult[C]], OnResult[C]]:
        """Call for each result of the role's machines. Where others may be missing before one it says so (`gap`)."""
        return lambda call: self._add("result", call, 2, need)

    def on_machine(self, need: Need) -> Callable[[OnMachine[C]], OnMachine[C]]:
        """Call when a machine begins to play the role, changes its health or state, and goes."""
        return lambda call: self._add("machine", call, 2, need)

    def every(self, seconds: float) -> Callable[[Plain[C]], Plain[C]]:
        """Call every so many seconds, the first time at once; a call that takes longer delays the next."""
        if not seconds > 0:
            raise self._wrong(f"every({seconds}) is no period", "give seconds above 0")
        return lambda call: self._add("every", call, 1, period=seconds)

    @overload
    def main(self, call: Plain[C], /) -> Plain[C]: ...
    @overload
    def main(self, /, *, finish: bool = False) -> Callable[[Plain[C]], Plain[C]]: ...
    def main(self, call: Plain[C] | None = None, /, *, finish: bool = False) -> Any:
        """What the app does from the start. When it returns, an app without handlers is finished.

        A main is cancelled when the app is to stop; with `finish` it sees `ctx.stop_requested` instead and has the grace
        time to end.
        """
        if call is None:
            return lambda call: self._main(call, finish)
        return self._main(call, finish)

    def _main(self, call: Plain[C], finish: bool) -> Plain[C]:
        if any(handler.kind == "main" for handler in self._handlers):
            raise self._wrong("it has two mains", "keep one; a handler `every` can do the rest")
        return self._add("main", call, 1, finish=finish)

    def _signals(self, need: Need, signals: tuple[str, ...]) -> tuple[str, ...]:
        chosen = signals or need.signals
        if not chosen or not all(chosen):
            raise self._wrong(f"a handler of {need.role} names no signal", "give paths or patterns, as `Status/*` or `**`")
        return chosen

    def _add(
        self,
        kind: Any,
        call: H,
        arguments: int,
        need: Need | None = None,
        signals: tuple[str, ...] = (),
        policy: Policy = "block",
        capacity: int = 10_000,
        period: float = 0.0,
        finish: bool = False,
    ) -> H:
        name = getattr(call, "__name__", repr(call))
        is_async: bool = inspect.iscoroutinefunction(call)
        if not is_async:
            raise self._wrong(f"the handler {name} is no `async def`", "make it one")
        try:
            inspect.signature(call).bind(*range(arguments))
        except TypeError:
            wanted = "(ctx)" if arguments == 1 else "(ctx, what happened)"
            raise self._wrong(f"the handler {name} does not take {wanted}", "correct its parameters") from None
        if need is not None and self._needs.get(need.role) is not need:
            raise self._wrong(f"the handler {name} is for a role of another app", "declare it with app.needs(...)")
        if capacity < 1:
            raise self._wrong(f"the handler {name} has a queue for {capacity} values", "give at least 1")
        self._handlers.append(Handler(kind, call, name, need, signals, policy, capacity, period, finish))
        return call

    def _wrong(self, message: str, mend: str) -> ConfigurationError:
        return ConfigurationError(message, where=f"app {self.name}", mend=mend)
