"""Ends a run that hangs: somebody has asked for it, or it lasts longer than its job may.

A thread cannot be ended from outside, a process can: it begins anew in its own place (execve(2)), with the same number,
settings and log. All that the run held goes with it, threads, connections and locks, so that nothing of it is left
when the next run of its job begins. Work may be cut off anywhere in any case: workers are killed too. A part that the
queue gives to a worker beside its runs has its job's limit and is done anew by whoever gets it then; only a run can be
asked to end.
"""

import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from multiprocessing import resource_tracker
from threading import Event
from typing import NoReturn

from sqlalchemy.orm import Session, sessionmaker

from uec.domain.errors import StoreUnavailable, UecError
from uec.services import schedule
from uec.services.schedule import ENDED, DueRun
from uec.store.engine import reading

LOOK_EVERY_S = 2.0
# Processes that this one began before it began anew: nobody else can bury them.
LEFT = "UEC_WORKER_LEFT"
Over = Callable[[DueRun | str], AbstractContextManager[object]]
"""What is entered as long as a run lasts, or a part of the work of the job named."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hand:
    """A run in hand, or a part (None) of a job's work, since when by this process's own clock, which nobody sets."""

    job: str
    run: DueRun | None
    since: float


class Watch:
    """Looks at what a worker has in hand."""

    def __init__(
        self,
        sessions: sessionmaker[Session],
        *,
        limits: Mapping[str, timedelta],
        begin_anew: Callable[[], object],
        clock: Callable[[], datetime],
    ) -> None:
        """`limits` says how long a run of a job may last; `begin_anew` ends all that this process does."""
        self._sessions, self._limits, self._begin_anew, self._clock = sessions, limits, begin_anew, clock
        self._guard = threading.Lock()
        self._hand: Hand | None = None

    @contextmanager
    def over(self, work: DueRun | str) -> Iterator[None]:
        """Have a run, or a part of the work of the job named, in hand as long as this lasts."""
        job, run = (work, None) if isinstance(work, str) else (work.job, work)
        with self._guard:
            self._hand = Hand(job, run, time.monotonic())
        try:
            yield
        finally:
            with self._guard:  # who is being ended waits here for its end
                self._hand = None

    def look(self) -> None:
        """End the run in hand where that is due. Raises `StoreUnavailable` when nobody can be asked."""
        hand = self._hand
        why = None if hand is None else self._why(hand)
        if hand is None or why is None:
            return
        with self._guard:
            if self._hand is hand:
                self._end(hand, why)

    def _why(self, hand: Hand) -> str | None:
        lasts = timedelta(seconds=time.monotonic() - hand.since)
        limit = self._limits.get(hand.job)
        if limit is not None and lasts > limit:
            return f"{ENDED}not done within its limit of {_minutes(limit)} min"
        if hand.run is None:
            return None
        with reading(self._sessions) as session:
            asked = schedule.end_asked(session, hand.run)
        return f"{ENDED}asked for after {_minutes(lasts)} min" if asked else None

    def _end(self, hand: Hand, why: str) -> None:
        _log.warning("job %s %s; this worker begins anew", hand.job, why)
        try:
            if hand.run is not None:
                with self._sessions() as session:
                    schedule.finish(session, hand.run, outcome=why, now=self._clock())
        except Exception as error:  # noqa: BLE001 - the run itself may be what locks the database: its end comes first
            _log.warning("that could not be written down, so the run will be begun once more: %s", error)
        self._begin_anew()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again, in a thread, as long as this lasts."""
        over = Event()
        threading.Thread(target=bury, name="bury", daemon=True).start()

        def look() -> None:
            while not over.wait(LOOK_EVERY_S):
                try:
                    self.look()
                except StoreUnavailable:
                    continue  # who works tells of a database that is away
                except UecError as error:
                    _log.warning("%s", error)
                except Exception:  # noqa: BLE001 - without its watch a worker could hang for good
                    _log.exception("the watch over what this worker does failed, and goes on")

        thread = threading.Thread(target=look, name="watch", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _minutes(period: timedelta) -> int:
    return round(period / timedelta(minutes=1))


def begin_anew(stop: Event) -> NoReturn:
    """Put this program into its own place once more; where it was to end anyway (`stop`), or cannot begin, end it.

    Files and connections of Python are closed on the way (PEP 446), and with them go the locks.
    """
    try:
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):  # whoever read it may be gone
                stream.flush()
        if not stop.is_set():
            _leave_children()
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program
    except Exception as error:  # noqa: BLE001 - one that hangs on with its locks is worse than none
        _log.error("this worker could not begin anew and ends; start it again: %s", error)
    finally:
        os._exit(1)


def _leave_children() -> None:
    """Kill the processes of this one, and leave word of them to the program that comes in its place.

    They are not waited for here: who works would see them end, and take it for a failure of its work.
    """
    children = multiprocessing.active_children()
    # That of `multiprocessing` itself ends once the others have.
    tracker = getattr(getattr(resource_tracker, "_resource_tracker", None), "_pid", None)
    os.environ[LEFT] = " ".join(str(pid) for pid in (*(child.pid for child in children), tracker) if pid)
    for child in children:
        child.kill()


def bury() -> None:
    """Wait for the processes that were killed when this one began anew: they stay in the kernel's table until then."""
    for pid in os.environ.pop(LEFT, "").split():
        with suppress(ChildProcessError):
            os.waitpid(int(pid), 0)
