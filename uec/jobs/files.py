"""Jobs that make long lists into files, and forget what is kept for a time only."""

from functools import partial

from uec.jobs.tools import Tools
from uec.services import attempts, export_jobs, schedule
from uec.store import queue


def make_exports(tools: Tools) -> str:
    """Make the files that somebody asked for, or hand them over; sweep away those whose time is over."""
    work = export_jobs.hand_over if tools.spread else partial(export_jobs.make_all, book=tools.settings.policy)
    return work(tools.sessions, clock=tools.clock)


def sweep(tools: Tools) -> str:
    """Forget old runs, and jobs of the queue that ended as long ago."""
    with tools.sessions() as session:
        runs = schedule.sweep(session, now=tools.clock())
        senders = attempts.sweep(session, now=tools.clock())
        return f"forgot {runs} runs, {queue.forget_finished(session)} jobs, attempts of {senders} senders"
