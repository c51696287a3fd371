"""Keeps the PackML states of configured machines known, and tells the table when one changes."""

from collections.abc import Iterable

from dtios.runtime.data.consumer import Consumer
from dtios.runtime.data.router import Router
from dtios.runtime.links.machines import LiveMachine, MachineTable
from dtios.sdk.clock import Clock

__all__ = ["StateWatch"]


class StateWatch:
    """One consumer (policy latest) over the state signals of the machines behind one endpoint."""

    def __init__(self, name: str, table: MachineTable, router: Router, clock: Clock) -> None:
        self._table = table
        self._router = router
        self._consumer = Consumer(f"states of {name}", (), "latest", 1000, clock)
        self._machines: dict[int, LiveMachine] = {}

    def handles(self, machines: Iterable[LiveMachine]) -> list[int]:
        """The state signals to watch from now on; whoever asks keeps them subscribed."""
        self._machines = {
            machine.handle(path): machine
            for machine in machines
            for point in (machine.mapped.state, machine.mapped.unit_mode)
            if point is not None
            for path in point.signals
        }
        self._consumer.follow(self._machines)
        return list(self._machines)

    async def run(self) -> None:
        """Until cancelled."""
        self._router.attach(self._consumer)
        try:
            while (delivery := await self._consumer.take()) is not None:
                changed = {} if delivery.batch is None else {self._machines.get(h): None for h in delivery.batch.handles}
                self._consumer.acknowledge(delivery.number)
                for machine in changed:
                    if machine is not None:
                        self._table.changed(machine)
        finally:
            self._router.detach(self._consumer)
