"""What the office does by itself: each job by its name, with its rhythm, its limit and the work.

The scheduler reads the rhythms, workers do the work. A job may run twice and be killed anywhere: its services are
transactions that find nothing left to do.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta

from issuance.errors import IssuanceError
from uec.domain.errors import UecError
from uec.jobs import applicants, files, keys, planning, production
from uec.jobs.production import recipe_of
from uec.jobs.tools import Tools
from uec.services.schedule import FAILED

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """A job: its rhythm (of the office's day, from its midnight), what it does, in words, and the work itself.

    A run that takes longer than `limit` hangs: its worker ends it (`uec.worker_watch`).
    """

    every: timedelta
    title: str
    work: Callable[[Tools], str]
    limit: timedelta = HOUR


def _seconds(count: int) -> timedelta:
    return timedelta(seconds=count)


JOBS: Mapping[str, Job] = {
    "checks": Job(_seconds(5), "ask the registers about applications", applicants.run_checks, 6 * HOUR),
    "prepare": Job(_seconds(5), "make the data of released batches", production.prepare_batches, 12 * HOUR),
    "publish": Job(_seconds(15), "publish revocation list and stop-list", keys.publish),
    "ocsp": Job(_seconds(15), "sign answers about certificates ahead", keys.sign_answers),
    "quality": Job(_seconds(15), "quarantine what fails too often", production.judge_quality),
    "vault": Job(_seconds(5), "count on with the vault", keys.meet_vault),
    "audit-head": Job(_seconds(60), "sign the heads of the audit chains", keys.sign_audit),
    "plan": Job(DAY, "plan approved applications", planning.plan, 2 * HOUR),
    "release": Job(HOUR / 4, "release batches that policy lets go", planning.release),
    "windows": Job(HOUR, "end the time to refuse and to choose a bank", applicants.close_windows, 2 * HOUR),
    "remind": Job(6 * HOUR, "queue reminders to applicants", applicants.remind, 2 * HOUR),
    "messages": Job(_seconds(30), "send letters to applicants", applicants.send_messages, 6 * HOUR),
    "cohorts": Job(
        _seconds(15), "compute lists for mass emission, open their applications", applicants.work_on_lists, 12 * HOUR
    ),
    "scenarios": Job(_seconds(15), "live through scenarios of the plan", planning.live_scenarios, 12 * HOUR),
    "exports": Job(_seconds(15), "make lists into files, sweep old ones away", files.make_exports, 6 * HOUR),
    "expire": Job(DAY, "end cards whose validity is over", production.expire, 2 * HOUR),
    "keys": Job(HOUR, "note what the vault tells about its keys", keys.note_keys),
    "key-sweep": Job(DAY, "look over every certified key", keys.sweep_keys, 12 * HOUR),
    "bureaux": Job(
        _seconds(60),
        "order from outside bureaux, exchange files with them",
        production.exchange_with_bureaux,
        12 * HOUR,
    ),
    "sweep": Job(6 * HOUR, "forget old runs", files.sweep, 2 * HOUR),
}


class UnknownJob(UecError):
    """A run of a job that this version does not have: a worker of another one does it. Facts: `job`."""

    code = "uec.unknown_job"
    job: str


def known(job: str) -> Job:
    """The job of a name. Raises `UnknownJob`."""
    if job not in JOBS:
        raise UnknownJob(f"There is no job {job} in this version: have a worker of the newer one run.", job=job)
    return JOBS[job]


def do(job: str, tools: Tools) -> str:
    """Do a job by its name; returns what it did or, in words, why it could not. Raises `UnknownJob`."""
    work = known(job).work
    try:
        outcome = work(tools)
    except (UecError, IssuanceError) as error:
        _log.warning("job %s failed: %s", job, error)
        return f"{FAILED}{error}"
    except Exception as error:  # noqa: BLE001 - a fault in one job stops no other; the log has all of it
        _log.exception("job %s failed", job)
        return f"{FAILED}a fault of the program ({type(error).__name__}): the worker's log tells where"
    _log.info("job %s: %s", job, outcome)
    return outcome


__all__ = ["JOBS", "Job", "Tools", "UnknownJob", "do", "known", "recipe_of"]
