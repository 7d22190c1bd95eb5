"""A worker: takes runs that are due, one after the other, and does them; any number may run at once.

A job that fails says why in its run and is due again by its rhythm; only a bug ends the process.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from secrets import token_bytes
from threading import Event

from issuance.errors import IssuanceError
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from uec.domain.errors import UecError
from uec.gateways.register_client import RegisterGateway
from uec.jobs import JOBS, Tools
from uec.services import schedule
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory

PAUSE_S = 0.5
_log = logging.getLogger(__name__)


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
        yield Tools(settings, session_factory(engine), vault, gateway, clock, token_bytes)
    finally:
        gateway.close()
        vault.close()
        engine.dispose()


def run_worker(settings: Settings, *, stop: Event) -> None:
    """Work until `stop` is set; a run that was begun is finished first."""
    with tools_of(settings) as tools:
        while not stop.is_set():
            if not work_once(tools):
                stop.wait(PAUSE_S)


def work_once(tools: Tools) -> bool:
    """Do one run that is due; false when there is none, or the database is away for the moment."""
    try:
        with tools.sessions() as session:
            run = schedule.claim(session, now=tools.clock())
        if run is None:
            return False
        outcome = do(run.job, tools)
        with tools.sessions() as session:
            schedule.finish(session, run, outcome=outcome, now=tools.clock())
    except UecError as error:
        _log.warning("%s", error)
        return False
    return True


def do(job: str, tools: Tools) -> str:
    """Do a job by its name; returns what it did or, in words, why it could not."""
    known = JOBS.get(job)
    if known is None:
        return f"failed: there is no job {job} in this version"
    try:
        outcome = known.work(tools)
    except (UecError, IssuanceError) as error:
        _log.warning("job %s failed: %s", job, error)
        return f"failed: {error}"
    _log.info("job %s: %s", job, outcome)
    return outcome
