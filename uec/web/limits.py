"""Hides how attempts are counted: an exact sliding window for each sender, shared by all web processes.

Each process counts in its own bounded memory first, so that a flood from one sender writes at most `limit` times for
each process and period; what passes there is counted in the database (`services.attempts`), where all of them meet.
"""

import hashlib
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from uec.domain.errors import UecError
from uec.services import attempts
from uec.web.context import database, office, reader

MAX_KEYS = 10_000


class TooManyAttempts(UecError):
    """The same sender tried too often. Facts: `retry_after_s`."""

    code = "uec.too_many_attempts"


@dataclass
class SlidingWindow:
    """At most `limit` attempts a key within `period`."""

    limit: int
    period: timedelta
    _seen: OrderedDict[str, deque[datetime]] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, key: str, now: datetime) -> None:
        """Note one attempt of `key` at `now`; raise `TooManyAttempts` when the window is full."""
        with self._lock:
            self._times(key, now).append(now)
            while len(self._seen) > MAX_KEYS:
                self._seen.popitem(last=False)

    def check(self, key: str, now: datetime) -> None:
        """Raise `TooManyAttempts` when the window of `key` is full; note nothing."""
        with self._lock:
            if key in self._seen:
                self._times(key, now)

    def _times(self, key: str, now: datetime) -> deque[datetime]:
        times = self._seen.setdefault(key, deque())
        self._seen.move_to_end(key)
        while times and now - times[0] >= self.period:
            times.popleft()
        if len(times) >= self.limit:
            wait = self.period - (now - times[0])
            raise _refusal(wait)
        return times

    def forget(self, key: str) -> None:
        """Clear the count of a key, after it proved honest."""
        with self._lock:
            self._seen.pop(key, None)


@dataclass
class SharedWindow:
    """At most `limit` attempts a sender within `period`, whichever web process they reach; `name` is what is tried."""

    name: str
    limit: int
    period: timedelta
    _here: SlidingWindow = field(init=False)

    def __post_init__(self) -> None:
        """Begin with an empty memory of this process."""
        self._here = SlidingWindow(self.limit, self.period)

    def count(self, sender: str, now: datetime) -> None:
        """Note one attempt; raise `TooManyAttempts` when the window is full."""
        self._here.count(sender, now)
        session = _clean()
        wait = attempts.count(session, self.name, sender, limit=self.limit, period=self.period, key=_key(), now=now)
        if wait is not None:
            raise _refusal(wait)

    def check(self, sender: str, now: datetime) -> None:
        """Raise `TooManyAttempts` when the window is full; note nothing."""
        self._here.check(sender, now)
        wait = attempts.waits(reader(), self.name, sender, limit=self.limit, period=self.period, key=_key(), now=now)
        if wait is not None:
            raise _refusal(wait)

    def forget(self, sender: str) -> None:
        """Clear the count of a sender, after it proved honest."""
        self._here.forget(sender)
        attempts.forget(_clean(), self.name, sender, key=_key())


def _clean() -> Session:
    """This request's session with nothing begun: attempts are counted before the work, or after it was refused."""
    session = database()
    session.rollback()
    return session


def _key() -> bytes:
    return hashlib.sha256(b"uec attempts 1" + office().key).digest()


def _refusal(wait: timedelta) -> TooManyAttempts:
    return TooManyAttempts(
        "Too many attempts came from here; wait a little and try again.",
        retry_after_s=max(1, int(wait.total_seconds())),
    )
