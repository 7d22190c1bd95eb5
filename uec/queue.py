"""Hides Procrastinate: a worker node takes jobs from PostgreSQL, tries again what failed, and takes back the lost.

What is handed over stands in `uec.store.queue`. A job may run twice and its worker may be killed anywhere: the services
behind it are transactions that find nothing left to do. Four things bring a job to its end all the same: a job that
failed because something was away is due again, later each time; a worker that went silent loses its jobs to the others;
one that lives gives back what stands under its name and is not in its hands; and what is still undone after these is
handed over anew by the scheduler's rhythm (`uec.jobs`).
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Event
from typing import Any

import psycopg
import psycopg_pool
from procrastinate import App, BaseRetryStrategy, PsycopgConnector, RetryDecision
from procrastinate.exceptions import ConnectorException
from procrastinate.job_context import JobContext
from procrastinate.jobs import Job as QueuedJob
from procrastinate.worker import Worker
from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.errors import VaultUnavailable
from uec.domain.errors import StoreUnavailable, UecError
from uec.jobs import Tools, UnknownJob, do, known, recipe_of
from uec.processes import seldom_collected
from uec.services import export_jobs, preparation, schedule
from uec.services.preparation import Part, UnfitCards
from uec.store import queue
from uec.store.engine import database_url
from uec.store.outage import Outage
from uec.worker_watch import Over

SWEEP_EVERY_S = 10.0
HEARTBEAT_S = 5.0
LOOK_EVERY_S = 5.0
RECONNECT_S = 1.0
STOP_LOOK_S = 0.1
ATTEMPTS = 8
RECENT_S = 1.0
AWAY = (StoreUnavailable, VaultUnavailable, UnknownJob)
# What the queue says of a job need not be on the disk at once: a crash that forgets it has the job done twice, which
# every job bears, and it is never there without the job's own work, which was committed before it.
_OPTIONS = f"-c search_path={queue.SCHEMA} -c synchronous_commit=off"
_log = logging.getLogger(__name__)


class BackOff(BaseRetryStrategy):
    """Tries again what failed because something was away, eight times: after 1, 3, 9... seconds, at most 10 minutes.

    What is away may be a worker of the version that knows the job.
    """

    def get_retry_decision(self, *, exception: BaseException, job: QueuedJob) -> RetryDecision | None:
        """When to run the job again; None when it has failed for good."""
        if not isinstance(exception, AWAY) or job.attempts >= ATTEMPTS:
            return None
        return RetryDecision(retry_in={"seconds": min(3**job.attempts, 600)})


@dataclass
class Hands:
    """What one worker really does, beside what the queue says of it.

    Procrastinate tries once to write down how a job ended. A worker that outlives an outage would keep a job whose end
    got lost for as long as it lives.
    """

    worker_id: int | None = None
    jobs: set[int] = field(default_factory=set)
    missing: set[int] = field(default_factory=set)

    async def hold(self, work: Callable[[], Awaitable[Any]], context: JobContext, worker: Worker) -> Any:
        """Around every job: in hand while it runs."""
        job_id = context.job.id
        assert job_id is not None, "a job from the queue has its number"
        self.worker_id = worker.worker_id
        self.jobs.add(job_id)
        try:
            return await work()
        finally:
            self.jobs.discard(job_id)

    def give_back(self, session: Session) -> int:
        """Give back what was in the queue but not in hand at two looks in a row; returns how many jobs that were.

        One look is not enough: a job is on its way into the hands after its fetch, and out of them until its end is
        written down.
        """
        if self.worker_id is None:
            return 0
        missing = queue.doing(session, self.worker_id) - self.jobs
        before, self.missing = self.missing, missing
        return queue.give_back(session, self.worker_id, missing & before)


def make_app(tools: Tools, over: Over = contextlib.nullcontext) -> App:
    """The tasks, over a connection pool to the database of the settings; opened by whoever runs it."""
    url = database_url(tools.settings.database_url).set(drivername="postgresql")
    connector = PsycopgConnector(
        pool_factory=_pool,
        conninfo=url.render_as_string(hide_password=False),
        kwargs={"options": _OPTIONS},
        min_size=1,
        max_size=4,
        timeout=10,
    )
    app = App(connector=connector)
    spread = replace(tools, spread=True)
    recipes = RecentRecipes(spread)

    @app.task(name=schedule.TASK, queue=schedule.QUEUE, retry=BackOff())
    def run(job: str, due_at: str) -> str:
        return run_due(spread, job, datetime.fromisoformat(due_at), over)

    @app.task(name=preparation.TASK, queue=preparation.QUEUE, retry=BackOff())
    def prepare(batch_id: int, first: int, last: int) -> str:
        with over("prepare"):
            return prepare_part(spread, Part(batch_id, first, last), recipes)

    @app.task(name=export_jobs.TASK, queue=export_jobs.QUEUE, retry=BackOff())
    def export(export_id: int) -> str:
        with over("exports"):
            return export_jobs.make(tools.sessions, export_id, book=tools.settings.policy, clock=tools.clock)

    return app


def _pool(**given: Any) -> psycopg_pool.AsyncConnectionPool[Any]:
    return psycopg_pool.AsyncConnectionPool(**{**given, "configure": _autocommit, "check": _alive})


async def _autocommit(connection: psycopg.AsyncConnection[Any]) -> None:
    """All the queue asks is single statements: one trip to the server each, and not three."""
    await connection.set_autocommit(True)


async def _alive(connection: psycopg.AsyncConnection[Any]) -> None:
    """Raise when the server has closed the connection; asks this machine alone, and not the server each time."""
    for _ in ("its last words", "that it has hung up"):
        connection.pgconn.consume_input()


def run_due(tools: Tools, job: str, due_at: datetime, over: Over = contextlib.nullcontext) -> str:
    """Do one run of a job and write down what came of it; a run that is finished is not begun again."""
    known(job)  # before it is begun: a worker of a newer version may be near
    with tools.sessions() as session:
        run = schedule.claim_run(session, job, due_at, now=tools.clock(), worker=tools.name)
    if run is None:
        return "done already"
    with over(run):
        outcome = do(job, tools)
        with tools.sessions() as session:
            schedule.finish(session, run, outcome=outcome, now=tools.clock())
    return outcome


@dataclass
class RecentRecipes:
    """The recipes of batches as they were a second ago at most: parts come much faster than signers change.

    What a part is signed with was looked up before it was signed in any case; a signer that was replaced meanwhile is
    still good, and one that was withdrawn is refused by the vault.
    """

    tools: Tools
    kept: dict[str, tuple[float, preparation.Recipe]] = field(default_factory=dict)

    def of(self, session: Session, profile: str) -> preparation.Recipe:
        """The recipe of batches of a card profile; raises as `recipe_of` does."""
        now = time.monotonic()
        at, recipe = self.kept.get(profile, (now, None))
        if recipe is None or now - at > RECENT_S:
            recipe = recipe_of(session, self.tools, profile)
            self.kept[profile] = now, recipe
        return recipe


def prepare_part(tools: Tools, part: Part, recipes: RecentRecipes) -> str:
    """Prepare one part of a batch; cards that do not fit are for a person to look at, and no reason to try again."""
    try:
        with tools.sessions() as session:
            made = preparation.prepare_part(
                session, part, recipes=lambda profile: recipes.of(session, profile), now=tools.clock()
            )
    except UnfitCards as error:
        _log.warning("%s", error)
        return str(error)
    return f"prepared {made}"


def run_node(tools: Tools, *, stop: Event, over: Over = contextlib.nullcontext) -> None:
    """Work until `stop` is set, through every outage of the database; a job that was begun is finished first.

    `over` is entered as long as a run of a job lasts, or a part of one that the queue has.
    """
    outage = Outage(_log)
    with seldom_collected():
        while not stop.is_set():
            try:
                with tools.sessions() as session:  # says at once what a pool would wait for
                    session.execute(select(1))
                outage.over()
                asyncio.run(_work(tools, stop, over))
            except (ConnectorException, psycopg.Error, UecError) as error:
                outage.begun(error)
            # Also after an end nobody asked for: the engine stops by itself when it cannot listen any more.
            stop.wait(RECONNECT_S)


async def _work(tools: Tools, stop: Event, over: Over) -> None:
    app, hands = make_app(tools, over), Hands()
    async with app.open_async(), _beside(lambda: _sweep(tools, hands)):
        worker = asyncio.create_task(
            app.run_worker_async(
                queues=[schedule.QUEUE, preparation.QUEUE, export_jobs.QUEUE],
                install_signal_handlers=False,
                fetch_job_polling_interval=LOOK_EVERY_S,
                update_heartbeat_interval=HEARTBEAT_S,
                stalled_worker_timeout=queue.STALLED_AFTER.total_seconds(),
                worker_middleware=[hands.hold],
            )
        )
        while not worker.done() and not stop.is_set():
            await asyncio.wait([worker], timeout=STOP_LOOK_S)
        worker.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await worker


@contextlib.asynccontextmanager
async def _beside(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run something beside the block and end it with the block."""
    task = asyncio.ensure_future(work())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _sweep(tools: Tools, hands: Hands) -> None:
    while True:
        await asyncio.sleep(SWEEP_EVERY_S)
        try:
            back, lost = await asyncio.to_thread(_take_back, tools, hands)
        except StoreUnavailable:
            continue  # the engine ends for want of it, too, and `run_node` tells
        except UecError as error:
            _log.warning("%s", error)
            continue
        if back:
            _log.warning("%d jobs of workers that went silent are due again", back)
        if lost:
            _log.warning("%d jobs whose end could not be written down are due again", lost)


def _take_back(tools: Tools, hands: Hands) -> tuple[int, int]:
    with tools.sessions() as session:
        return queue.take_back_stalled(session), hands.give_back(session)
