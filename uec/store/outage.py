"""Says what there is to say of a database that goes away: one line when it goes, one when it is back.

Every process of the office waits for its database by itself and goes on when it is there again. What the libraries
beneath say of it is a traceback for each broken connection: `PlainSpoken` keeps those out of the log.
"""

import logging
import threading

from uec.domain.errors import StoreUnavailable
from uec.store.engine import explain

BACK = "The database answers again: the work goes on."


class Outage:
    """Whether the database is away, as far as this process has told; for all of its threads.

    Threads tell how their attempts went in another order than it happened. One that began before the last line is of
    the time before it, and says nothing: those that follow do.
    """

    def __init__(self, log: logging.Logger) -> None:
        """Tell it to this log."""
        self._log = log
        self._guard = threading.Lock()
        self._told = ""
        self._lines = 0

    def attempt(self) -> int:
        """How many lines there are before an attempt to reach the database; to be named with how it went."""
        with self._guard:
            return self._lines

    def begun(self, error: Exception, attempt: int | None = None) -> None:
        """The database did not answer; an hour of that is one line, as long as the reason stays the same."""
        text = str(unavailable(error) or error)
        self._tell(text, f"{text} Trying again until it answers.", attempt)

    def over(self, attempt: int | None = None) -> None:
        """The database has answered."""
        self._tell("", BACK, attempt)

    def _tell(self, state: str, line: str, attempt: int | None) -> None:
        with self._guard:  # also around the line, or two might change places
            if state == self._told or attempt not in {None, self._lines}:
                return
            self._told = state
            self._lines += 1
            self._log.warning("%s", line)


class PlainSpoken(logging.Filter):
    """Lets through all but the tracebacks of a database that is away, which `Outage` tells in a line."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is for people."""
        error = record.exc_info[1] if record.exc_info else None
        return error is None or unavailable(error) is None


def unavailable(error: BaseException | None) -> StoreUnavailable | None:
    """What an error of any library comes down to, where that is the database; None for every other.

    Only what an error was raised `from` counts: one that came up while the database was away is one of its own.
    """
    while error is not None:
        if isinstance(error, StoreUnavailable):
            return error
        clear = explain(error) if isinstance(error, Exception) else None
        if isinstance(clear, StoreUnavailable):
            return clear
        error = error.__cause__
    return None


def spare_the_log() -> None:
    """Have this process's log speak of the database as a person would, whichever library writes to it."""
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)  # its warnings are one for each try to connect
    # It warns of each look that the one before, which waits for the database, has no end yet: nothing is lost by that.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
    for handler in logging.getLogger().handlers:
        handler.addFilter(PlainSpoken())
