"""Ends a run that hangs: somebody has asked for it, or it lasts longer than its job may.

A thread cannot be ended from outside, a process can: it begins anew in its own place (execve(2)), with the same number,
settings and log. All that the run held goes with it, threads, connections and locks, so that nothing of it is left
when the next run of its job begins. Work may be cut off anywhere in any case: workers are killed too.
"""

import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Event
from typing import NoReturn

from sqlalchemy.orm import Session, sessionmaker

from uec.domain.errors import StoreUnavailable, UecError
from uec.services import schedule
from uec.services.schedule import ENDED, DueRun
from uec.store.engine import reading

LOOK_EVERY_S = 2.0
Over = Callable[[DueRun], AbstractContextManager[object]]
"""What is entered as long as a run lasts."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Hand:
    """A run in hand, and by this process's own clock, which nobody sets, since when."""

    run: DueRun
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
    def over(self, run: DueRun) -> Iterator[None]:
        """Have a run in hand as long as this lasts."""
        with self._guard:
            self._hand = Hand(run, time.monotonic())
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
        limit = self._limits.get(hand.run.job)
        if limit is not None and lasts > limit:
            return f"{ENDED}not done within its limit of {_minutes(limit)} min"
        with reading(self._sessions) as session:
            asked = schedule.end_asked(session, hand.run)
        return f"{ENDED}asked for after {_minutes(lasts)} min" if asked else None

    def _end(self, hand: Hand, why: str) -> None:
        _log.warning("job %s %s; this worker begins anew", hand.run.job, why)
        try:
            with self._sessions() as session:
                schedule.finish(session, hand.run, outcome=why, now=self._clock())
        except UecError as error:  # the run itself may be what locks the database: its end comes first
            _log.warning("that could not be written down, so the run will be begun once more: %s", error)
        self._begin_anew()

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Look again and again, in a thread, as long as this lasts."""
        over = Event()

        def look() -> None:
            while not over.wait(LOOK_EVERY_S):
                try:
                    self.look()
                except StoreUnavailable:
                    continue  # who works tells of a database that is away
                except UecError as error:
                    _log.warning("%s", error)

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
    """Put this program into its own place once more; where it was to end anyway (`stop`), end it.

    Files and connections of Python are closed on the way (PEP 446), and with them go the locks.
    """
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    if stop.is_set():
        os._exit(1)
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 - this very program
