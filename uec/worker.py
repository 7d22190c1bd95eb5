"""A worker: does what is due, one job after the other; any number may run at once.

On PostgreSQL jobs come from a queue (`uec.queue`); on SQLite the worker looks for runs that are due. A job that fails
says why in its run and is due again; one that hangs is ended (`uec.worker_watch`).
"""

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from secrets import token_bytes
from threading import Event

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from uec.domain.errors import StoreUnavailable, UecError
from uec.gateways.register_client import RegisterGateway
from uec.jobs import JOBS, Tools, do
from uec.services import schedule
from uec.services.schedule import DueRun
from uec.settings import Settings
from uec.store.engine import database_url, make_engine, reading, session_factory
from uec.store.in_hand import in_hand
from uec.store.outage import Outage
from uec.worker_watch import Over, Watch, begin_anew

PAUSE_S = 0.5
_log = logging.getLogger(__name__)
_outage = Outage(_log)


def clock() -> datetime:
    """The present moment."""
    return datetime.now(UTC)


@contextmanager
def tools_of(settings: Settings) -> Iterator[Tools]:
    """What a worker process works with; vault and database are reached when first needed."""
    engine = make_engine(settings.database_url)
    vault = VaultClient(settings.vault_socket, ClientKind.WORKER)
    gateway = RegisterGateway(settings.register_gateway_url, timeout_s=settings.register_gateway_timeout_s)
    try:
        name = f"{socket.gethostname()} {os.getpid()}"
        yield Tools(settings, session_factory(engine), vault, gateway, clock, token_bytes, name=name)
    finally:
        gateway.close()
        vault.close()
        engine.dispose()


def run_worker(settings: Settings, *, stop: Event) -> None:
    """Work until `stop` is set; a run that was begun is finished first.

    On PostgreSQL this is one node of any number (`uec.queue`); on SQLite work is done here, one run after the other.
    """
    with tools_of(settings) as tools:
        watch = Watch(
            tools.sessions,
            limits={name: job.limit for name, job in JOBS.items()},
            begin_anew=partial(begin_anew, stop),
            clock=tools.clock,
        )
        with watch.looking():
            if database_url(settings.database_url).get_backend_name() == "postgresql":
                # Procrastinate is loaded only where it is used.
                from uec.queue import run_node  # noqa: PLC0415

                run_node(tools, stop=stop, over=watch.over)
            while not stop.is_set():
                if not work_once(tools, watch.over):
                    stop.wait(PAUSE_S)


def work_once(tools: Tools, over: Over = nullcontext) -> bool:
    """Do one run that is due; false when there is none, or the database is away for the moment.

    A run whose end could not be written down is done again: a job that is done already finds nothing left to do.
    `over` is entered as long as a run lasts.
    """
    try:
        with _next_run(tools) as run:
            _outage.over()
            if run is None:
                return False
            with over(run):
                outcome = do(run.job, tools)
                with tools.sessions() as session:
                    schedule.finish(session, run, outcome=outcome, now=tools.clock())
    except StoreUnavailable as error:
        _outage.begun(error)
        return False
    except UecError as error:
        _log.warning("%s", error)
        return False
    return True


@contextmanager
def _next_run(tools: Tools) -> Iterator[DueRun | None]:
    """The run to be done now, if any; its job is in this worker's hands as long as this lasts.

    On SQLite that is a lock: a run that was begun under a lock that is free again has lost its worker. A server has the
    lease of the run alone, for whoever works there without the queue.
    """
    with reading(tools.sessions) as session:
        url = session.get_bind().engine.url
        due = schedule.due_jobs(session, known=JOBS, now=tools.clock())
    if url.get_backend_name() != "sqlite" or not url.database:
        with tools.sessions() as session:
            run = schedule.claim(session, now=tools.clock(), worker=tools.name)
        yield run
        return
    for job in due:
        with in_hand(Path(url.database), job) as mine:
            run = _claimed(tools, job) if mine else None
            if run is not None:
                yield run
                return
    yield None


def _claimed(tools: Tools, job: str) -> DueRun | None:
    with tools.sessions() as session:
        return schedule.claim_of(session, job, now=tools.clock(), worker=tools.name)


__all__ = ["clock", "do", "run_worker", "tools_of", "work_once"]
