"""All that a publisher may read goes into its outbox, and is acknowledged to the runtime when it is secured, not before."""

from pathlib import Path

import anyio

from dtios.model.gap import GapCause
from dtios.sdk import App, AppConfig, Context
from dtios.sdk.forwarding import Parcel, collect, open_outbox
from dtios.testing import METHOD_PROFILE, MemoryServer, VirtualClock, app_under_test, method_machine

LONG = 60.0


def filler(name: str, clock: VirtualClock) -> MemoryServer:
    return method_machine(name, clock=clock)


def speed_of(machine: MemoryServer) -> str:
    return machine.find(f"Machines/{machine.name}/Speed").address


class Forwarder:
    """A publisher whose receiver is a list, and acknowledges when the test says so."""

    def __init__(self, *, linger: float = LONG, acknowledges: bool = True) -> None:
        self.taken: list[Parcel] = []
        self.folder = Path()
        self.acknowledges = anyio.Event()
        if acknowledges:
            self.acknowledges.set()
        self.app = App("forwarder", config=AppConfig)
        self.linger = linger

        @self.app.main
        async def forward(ctx: Context[AppConfig]) -> None:
            self.folder = ctx.folder
            async with open_outbox(ctx.folder / "outbox", ctx.clock, linger=self.linger, log=ctx.log) as outbox:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(collect, ctx, outbox)
                    async with outbox.uplink() as uplink:
                        while True:
                            parcel = await uplink.take()
                            self.taken.append(parcel)
                            await self.acknowledges.wait()
                            uplink.acknowledge(parcel)

    def speeds(self, machine: str) -> list[object]:
        found: list[object] = []
        for parcel in self.taken:
            for delivery in parcel.deliveries if parcel.machine == machine else ():
                rows = delivery.batch.rows() if delivery.batch is not None else ()
                found += [row.value for handle, row in rows if delivery.paths[handle] == "Speed"]
        return found


async def test_every_value_of_every_machine_comes_in_order(tmp_path: Path) -> None:
    clock = VirtualClock()
    machines = [filler("one", clock), filler("two", clock)]
    forwarder = Forwarder()
    async with app_under_test(forwarder.app, machines, profiles=[METHOD_PROFILE], state=tmp_path / "state") as t:
        await t.until(lambda: forwarder.speeds("one") and forwarder.speeds("two"))
        for value in range(30):
            for machine in machines:
                machine.set(speed_of(machine), float(value))
        await t.until(lambda: len(forwarder.speeds("one")) == len(forwarder.speeds("two")) == 31)
        assert forwarder.speeds("one")[1:] == forwarder.speeds("two")[1:] == [float(value) for value in range(30)]
        # what was said within the interval is one parcel, not one for each value
        assert len(forwarder.taken) < 12
        assert forwarder.folder == tmp_path / "state" / "apps" / "forwarder"
        await t.settle()
        accounts = {page.machine: page for page in await t.client.ledger()}
        assert all(page.consumer == "forwarder/forward" and page.pending == 0 and page.balanced for page in accounts.values())


async def test_a_value_is_pending_in_the_runtime_until_it_is_secured(tmp_path: Path) -> None:
    clock = VirtualClock()
    machine = filler("one", clock)
    forwarder = Forwarder(acknowledges=False)
    async with app_under_test(forwarder.app, [machine], profiles=[METHOD_PROFILE]) as t:
        await t.until(lambda: forwarder.taken)
        machine.set(speed_of(machine), 3.0)
        for _ in range(30):
            await t.clock.advance(0.1)
        assert (await t.client.ledger())[0].pending > 0
        forwarder.acknowledges.set()
        await t.until(lambda: forwarder.speeds("one")[-1] == 3.0)
        await t.settle()
        assert (await t.client.ledger())[0].pending == 0


async def test_a_lost_machine_is_a_gap_and_bad_values_and_comes_back(tmp_path: Path) -> None:
    clock = VirtualClock()
    machine = filler("one", clock)
    forwarder = Forwarder()
    async with app_under_test(forwarder.app, [machine], profiles=[METHOD_PROFILE]) as t:
        await t.until(lambda: forwarder.speeds("one"))
        machine.drop()
        await t.until(lambda: forwarder.speeds("one")[-1] is None)
        await t.until(lambda: forwarder.speeds("one")[-1] is not None)
        gaps = {path: gap for p in forwarder.taken for d in p.deliveries for path, gap in d.gaps}
        assert gaps["Speed"].cause is GapCause.CONNECTION_LOST


async def test_each_app_has_a_folder_of_its_own_that_stays(tmp_path: Path) -> None:
    found: list[tuple[Path, list[str]]] = []
    app = App("keeper", config=AppConfig)

    @app.main
    async def keep(ctx: Context[AppConfig]) -> None:
        found.append((ctx.folder, sorted(file.name for file in ctx.folder.iterdir())))  # a test's few files
        (ctx.folder / "kept").write_text("here")

    for _ in range(2):
        async with app_under_test(app, state=tmp_path) as t:
            await t.until(lambda: t.view.health == "finished")
    folder = tmp_path / "apps" / "keeper"
    assert found == [(folder, []), (folder, ["kept"])]
    assert folder.stat().st_mode & 0o777 == 0o700
