"""One line when the database goes, one when it is back; a traceback only for what is not an outage."""

import itertools
import logging
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from uec.domain.errors import StoreUnavailable, UecError
from uec.scheduler import Office, trigger_at
from uec.scheduler_lock import outage as of_scheduler
from uec.store.outage import BACK, Outage, PlainSpoken, spare_the_log, unavailable

GONE = StoreUnavailable("The database cannot be reached.")


@pytest.fixture
def outage() -> Outage:
    return Outage(logging.getLogger("uec.test"))


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_an_hour_without_a_database_is_one_line_and_its_end_another(
    outage: Outage, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3600):
        outage.begun(GONE)
    outage.over()
    outage.over()
    assert said(caplog) == ["The database cannot be reached. Trying again until it answers.", BACK]


def test_another_reason_is_news_and_so_is_the_next_outage(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    full = StoreUnavailable("The disk is full.")
    for error in (GONE, full, full, GONE):
        outage.begun(error)
    outage.over()
    outage.begun(GONE)
    assert [text.partition(".")[0] for text in said(caplog)] == [
        "The database cannot be reached",
        "The disk is full",
        "The database cannot be reached",
        "The database answers again: the work goes on",
        "The database cannot be reached",
    ]


def test_a_database_that_was_never_away_is_not_back(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    outage.over()
    assert said(caplog) == []


def test_an_attempt_that_is_told_of_late_tells_nothing(outage: Outage, caplog: pytest.LogCaptureFixture) -> None:
    before = outage.attempt()
    outage.begun(GONE, outage.attempt())
    during = outage.attempt()
    outage.over(before)
    assert said(caplog) == ["The database cannot be reached. Trying again until it answers."]
    outage.over(outage.attempt())
    for late in (before, during):
        outage.begun(GONE, late)
    assert said(caplog)[1:] == [BACK]
    outage.begun(GONE, outage.attempt())
    assert len(said(caplog)) == 3, "the next outage is told"


def test_a_job_of_the_scheduler_that_fails_longer_than_an_outage_lasts_tells_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def held_up() -> Any:
        of_scheduler.begun(GONE)  # another job's, and so is the answer
        of_scheduler.over()
        raise GONE

    assert not trigger_at(Office(held_up), "plan", datetime(2026, 3, 2, tzinfo=UTC))  # type: ignore[arg-type]
    of_scheduler.over()
    assert said(caplog) == ["The database cannot be reached. Trying again until it answers.", BACK]


def raised(*chain: Exception) -> Exception:
    """The last error, raised from the one before, and so on."""
    for cause, error in itertools.pairwise(chain):
        error.__cause__ = cause
    return chain[-1]


@pytest.mark.parametrize(
    ("error", "away"),
    [
        (GONE, True),
        (psycopg.OperationalError("connection refused"), True),
        (raised(psycopg.OperationalError("server closed the connection"), RuntimeError("the queue is broken")), True),
        (raised(GONE, RuntimeError("a"), RuntimeError("b")), True),
        (UecError("Another one."), False),
        (KeyError("x"), False),
    ],
)
def test_only_what_comes_down_to_the_database_is_kept_out_of_the_log(error: Exception, *, away: bool) -> None:
    assert (unavailable(error) is not None) is away
    record = logging.LogRecord("x", logging.ERROR, "x.py", 1, "it broke", (), (type(error), error, None))
    assert PlainSpoken().filter(record) is not away


def test_a_mistake_of_ours_during_an_outage_keeps_its_traceback() -> None:
    mistake = KeyError("seq")
    mistake.__context__ = GONE
    assert unavailable(mistake) is None


def test_a_line_without_a_traceback_passes() -> None:
    assert PlainSpoken().filter(logging.LogRecord("x", logging.ERROR, "x.py", 1, str(GONE), (), None))


def test_a_look_that_is_left_out_while_another_waits_is_no_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    libraries = [logging.getLogger(name) for name in ("apscheduler", "psycopg.pool")]
    levels = [library.level for library in libraries]
    try:
        spare_the_log()
        told = logging.getLogger("apscheduler.scheduler")
        assert not told.isEnabledFor(logging.WARNING)
        assert told.isEnabledFor(logging.ERROR), "a look that fails is told"
    finally:
        for library, level in zip(libraries, levels, strict=True):
            library.setLevel(level)
