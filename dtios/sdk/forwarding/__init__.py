"""Store-and-forward for publishers: what the receiver has not taken yet is kept on disk, bounded, and a loss becomes a Gap.

    async with open_outbox(ctx.folder / "outbox.sqlite3", ctx.clock, log=ctx.log) as outbox:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, ctx, outbox)          # all that this publisher may read goes in
            while True:
                connection = await connect()                # yours
                async with outbox.uplink() as uplink:       # what goes in from here on is live
                    while True:
                        parcel = await uplink.take()        # live ones first, and what was kept, in order
                        await connection.send(parcel)       # yours; raises when the receiver is away
                        uplink.acknowledge(parcel)          # as soon as the receiver has it; may be much later

It knows no protocol. A sender leaves the `uplink` when its receiver is away; what it took and did not acknowledge comes again
with the next one, `historical` then. So each value comes at least once, and may come twice: (`epoch`, `sequence`) tells.
"""

from dtios.sdk.forwarding.collecting import collect
from dtios.sdk.forwarding.outbox import Figures, Outbox, Uplink, open_outbox
from dtios.sdk.forwarding.parcel import Parcel
from dtios.sdk.forwarding.receipt import Receipt

__all__ = ["Figures", "Outbox", "Parcel", "Receipt", "Uplink", "collect", "open_outbox"]
