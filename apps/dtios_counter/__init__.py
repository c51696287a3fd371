"""counter: has a machine make parts, says how fast it runs, and holds it while it is too hot."""

from typing import Any

from pydantic import Field

from dtios.sdk import App, AppConfig, Change, Context, JobHandle, JobState, JobView, RefusedError

__all__ = ["Config", "app"]

PRODUCE = "urn:dtios:capability:produce"


class Config(AppConfig):
    """The `config:` of this app in dtios.yaml. Temperatures in degrees Celsius."""

    parts: int = Field(5, gt=0, description="parts to be made in one job")
    speed: float | None = Field(None, gt=0, description="parts a minute; without it the machine's own")
    warm: float = Field(60.0, description="from here on it is said")
    hot: float = Field(80.0, description="from here on the job is held, until the machine is no longer warm")


app = App("counter", config=Config, summary="makes parts, and holds the machine while it is too hot", version="0.1.0")
press = app.needs("press", capability=PRODUCE)


@app.main
async def produce(ctx: Context[Config]) -> None:
    machine = await ctx.machine(press)
    skill = machine.skill(PRODUCE)
    known = skill.description.parameters.get("properties", {})
    asked: dict[str, Any] = {"count": ctx.config.parts, "speed": ctx.config.speed}
    job = await skill.start({name: value for name, value in asked.items() if name in known and value is not None})
    ctx.log.info("job started", machine=machine.name, job=job.id)
    outcome = await job.outcome()
    ctx.log.info("job over", state=outcome.state, reason=outcome.reason, results=dict(outcome.results))


@app.on_job(press)
async def state(ctx: Context[Config], job: JobView) -> None:
    ctx.log.info("job state", machine=job.machine, state=job.state, substate=job.substate)


@app.on_change(press, "**/CurMachSpeed", policy="latest")
async def speed(ctx: Context[Config], change: Change) -> None:
    ctx.log.info("speed", machine=change.machine, value=change.value, status=change.status_name)


@app.on_change(press, "**/Temperature")
async def temperature(ctx: Context[Config], change: Change) -> None:
    # `number` is NaN for a value that is not there, and neither holds nor resumes anything.
    for job in await own_jobs(ctx, change.machine):
        try:
            if change.number >= ctx.config.hot and job.state is JobState.RUNNING:
                ctx.log.warning("too hot: holding", temperature=change.number)
                await ctx.store.put(f"held/{job.id}", True)
                await job.pause()
            elif change.number < ctx.config.warm and job.state is JobState.INTERRUPTED and await ctx.store.get(f"held/{job.id}"):
                # Only what was held here: a person who held it has a reason of his own.
                ctx.log.info("cool again: resuming", temperature=change.number)
                await job.resume()
                await ctx.store.delete(f"held/{job.id}")
        except RefusedError as error:
            # The machine changed its state meanwhile; the next temperature asks again.
            ctx.log.warning("not done", why=str(error))
    if ctx.config.warm <= change.number < ctx.config.hot:
        ctx.log.warning("warm", temperature=change.number)


async def own_jobs(ctx: Context[Config], machine: str) -> list[JobHandle]:
    """This app's own jobs there that are not over."""
    return [job for job in await ctx.handle(machine).jobs() if job.view.principal == ctx.app]
