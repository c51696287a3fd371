"""What could not be understood: told of the machines that a client may see, and of nobody's to who commissions."""

from dtios.runtime.clients.session import Session, handles
from dtios.runtime.links.link import Link
from dtios.runtime.links.machines import LiveMachine
from dtios.sdk import protocol as p

__all__: list[str] = []


@handles(p.Complaints)
async def _complaints(session: Session, body: p.Complaints, request: p.Request) -> list[p.ComplaintView]:
    told: list[p.ComplaintView] = []
    for link, one in session.kernel.links.misunderstood():
        machine = _machine(session, link, one.machine)
        seen = session.principal.commission if machine is None else session.principal.may_see(machine.machine)
        name = None if machine is None else machine.name
        if seen and body.machine in (None, name):
            told.append(p.ComplaintView(link.url, name, one.machine, one.cause, one.count, list(one.last)))
    return told


def _machine(session: Session, link: Link, source: str) -> LiveMachine | None:
    """The machine at this place, or the one it is a part of."""
    here = [m for m in session.kernel.links.machines(link) if m.machine.path and f"{source}/".startswith(f"{m.machine.path}/")]
    return max(here, key=lambda machine: len(machine.machine.path), default=None)
