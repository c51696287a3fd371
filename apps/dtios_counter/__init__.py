"""counter: has a machine make parts, says how fast it runs, and holds it while it is too hot."""

from typing import Any

from pydantic import Field

from dtios.sdk import App, AppConfig, Change, Context, JobHandle, JobState, JobView, RefusedError

__all__ = ["Config", "app"]

PRODUCE = "urn:dtios:capability:produce"


class Config(AppConfig):
    """The `config:` of this app in dtios.yaml. Temperatures in degrees Celsius."""

    jobs: int = Field(1, ge=0, description="jobs to be run, one after the other; 0: for ever")
    parts: int = Field(5, gt=0, description="parts to be made in one job")
    speed: float | None = Field(None, gt=0, description="parts a minute; without it the machine's own")
    warm: float = Field(60.0, description="from here on it is said")
    hot: float = Field(80.0, description="from here on the job is held, until the machine is no longer warm")

    def band(self, temperature: float) -> str:
        """NaN, for a value that is not there, is `unknown`: it neither holds nor resumes anything."""
        if temperature >= self.hot:
            return "hot"
        return "warm" if temperature >= self.warm else "normal" if temperature < self.warm else "unknown"


app = App("counter", config=Config, summary="makes parts, and holds the machine while it is too hot", version="0.1.0")
press = app.needs("press", capability=PRODUCE)


@app.main
async def produce(ctx: Context[Config]) -> None:
    machine = await ctx.machine(press)
    skill = machine.skill(PRODUCE)
    known = skill.description.parameters.get("properties", {})
    wanted: dict[str, Any] = {"count": ctx.config.parts, "speed": ctx.config.speed}
    done = 0
    while not ctx.config.jobs or done < ctx.config.jobs:
        job = await skill.start({name: value for name, value in wanted.items() if name in known and value is not None})
        ctx.log.info("job started", machine=machine.name, job=job.id)
        outcome = await job.outcome()
        ctx.log.info("job over", state=outcome.state, reason=outcome.reason, results=dict(outcome.results))
        done += 1


@app.on_job(press)
async def state(ctx: Context[Config], job: JobView) -> None:
    ctx.log.info("job state", machine=job.machine, state=job.state, substate=job.substate)


@app.on_change(press, "**/CurMachSpeed", policy="latest")
async def speed(ctx: Context[Config], change: Change) -> None:
    ctx.log.info("speed", machine=change.machine, value=change.value, status=change.status_name)


@app.on_change(press, "**/Temperature")
async def temperature(ctx: Context[Config], change: Change) -> None:
    band, before = ctx.config.band(change.number), await ctx.store.get(f"band/{change.machine}")
    if band != before:
        await ctx.store.put(f"band/{change.machine}", band)
        ctx.log.info(f"temperature is {band}", machine=change.machine, value=change.value)
    if band == "hot":
        for job in await own_jobs(ctx, change.machine, JobState.RUNNING):
            if not await ctx.store.get(f"held/{job.id}"):
                ctx.log.warning("too hot: holding", temperature=change.number)
                await ctx.store.put(f"held/{job.id}", True)  # before it is asked for: a crash in between must not forget it
                if not await asked(ctx, job.pause()):
                    await ctx.store.delete(f"held/{job.id}")
    elif band == "normal":
        for job in await own_jobs(ctx, change.machine, JobState.INTERRUPTED):
            # Only what was held here: a person who held it has a reason of his own.
            if await ctx.store.get(f"held/{job.id}") and await asked(ctx, job.resume()):
                ctx.log.info("cool again: resuming", temperature=change.number)
                await ctx.store.delete(f"held/{job.id}")


async def own_jobs(ctx: Context[Config], machine: str, state: JobState) -> list[JobHandle]:
    """This app's own jobs there that are in this state."""
    jobs = await ctx.handle(machine).jobs()
    return [job for job in jobs if job.view.principal == ctx.app and job.state is state]


async def asked(ctx: Context[Config], command: Any) -> bool:
    """False if the machine changed its state meanwhile; the next temperature asks again."""
    try:
        await command
    except RefusedError as error:
        ctx.log.warning("not done", why=str(error))
        return False
    return True
