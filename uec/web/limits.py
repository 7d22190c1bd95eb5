"""Hides how attempts are counted: a sliding window for each key, in this process, with bounded memory.

Several web nodes each count for themselves, so the real limit is at most nodes x limit; the lock-out of an account
(`services.staff`) is in the database and holds for all of them.
"""

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from uec.domain.errors import UecError

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
            raise TooManyAttempts(
                "Too many attempts came from here; wait a little and try again.",
                retry_after_s=max(1, int(wait.total_seconds())),
            )
        return times

    def forget(self, key: str) -> None:
        """Clear the count of a key, after it proved honest."""
        with self._lock:
            self._seen.pop(key, None)
