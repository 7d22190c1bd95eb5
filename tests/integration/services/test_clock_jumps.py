"""Clocks that were wrong for a while, forward and back: no job stops for it, none is done twice because of it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.interval import IntervalTrigger
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_jobs import Yes
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.office import POLICY
from uec import worker
from uec.jobs import Tools
from uec.scheduler import catch_up
from uec.services import cards, publication, schedule

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
YEAR = timedelta(days=365)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def run_once(session: Session, now: datetime) -> bool:
    run = schedule.claim(session, now=now)
    if run is not None:
        schedule.finish(session, run, outcome="done", now=now)
    return run is not None


def test_a_run_written_by_a_clock_gone_ahead_holds_nobody_up(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        assert schedule.trigger(session, "checks", NOW + YEAR, now=NOW + YEAR)
        assert schedule.claim(session, now=NOW) is None
        assert schedule.trigger(session, "checks", NOW, now=NOW), "the run in the future is not waited for"
        assert run_once(session, NOW)
        assert run_once(session, NOW + YEAR), "it is done when its time comes"


def test_after_a_clock_set_back_the_same_moments_are_due_again(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        for minute in range(3):
            moment = NOW + timedelta(minutes=minute)
            assert schedule.trigger(session, "publish", moment, now=moment) and run_once(session, moment)
        before = NOW - timedelta(hours=1)
        assert schedule.trigger(session, "publish", NOW, now=before) and run_once(session, NOW)
        assert not schedule.trigger(session, "publish", NOW, now=NOW), "once only by the right clock"


@pytest.mark.parametrize(
    ("ahead", "free"), [(timedelta(seconds=30), False), (timedelta(hours=5), True), (-schedule.LEASE * 2, True)]
)
def test_a_run_begun_by_a_wrong_clock_has_no_lease(
    sessions: sessionmaker[Session], ahead: timedelta, free: bool
) -> None:
    with sessions() as session:
        schedule.trigger(session, "plan", NOW - YEAR, now=NOW - YEAR)
        assert schedule.claim(session, now=NOW + ahead) is not None
        assert (schedule.claim(session, now=NOW) is not None) is free


def test_the_scheduler_does_not_sleep_until_the_old_future() -> None:
    scheduler = BackgroundScheduler(timezone=UTC)
    for name, seconds in (("publish", 15), ("plan", 86_400)):
        scheduler.add_job(print, IntervalTrigger(seconds=seconds, timezone=UTC), id=name, next_run_time=NOW)
    scheduler.start(paused=True)
    try:
        assert catch_up(scheduler, now=NOW) == []
        assert catch_up(scheduler, now=NOW - timedelta(hours=1)) == ["publish"], "the daily plan is not late"
        job = scheduler.get_job("publish")
        assert job is not None and job.next_run_time == NOW - timedelta(hours=1)
    finally:
        scheduler.shutdown(wait=False)


def test_lists_follow_the_changes_and_not_the_clock(office: CardOffice) -> None:
    bench = office.desk.bench
    tools = Tools(SETTINGS, office.sessions, bench.vault, Yes(), office.clock, bench.random)
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    worker.do("publish", tools)
    # The click came before the list was signed, and was committed after it.
    with office.sessions() as session:
        earlier = office.clock.now - timedelta(seconds=30)
        cards.suspend(session, card_id, actor=office.staff.security, reason="lost for now", now=earlier)
        assert publication.crl_due(session, policy=POLICY, now=office.clock())
        session.rollback()
    assert worker.do("publish", tools) == "CRL 2, stop-list 2"
    assert worker.do("publish", tools) == "nothing changed"


def test_a_list_signed_in_the_future_is_signed_anew(office: CardOffice) -> None:
    bench = office.desk.bench
    tools = Tools(SETTINGS, office.sessions, bench.vault, Yes(), office.clock, bench.random)
    office.clock.advance(days=3)
    worker.do("publish", tools)
    office.clock.advance(days=-3)
    assert worker.do("publish", tools) == "CRL 2, stop-list 2"
    assert worker.do("publish", tools) == "nothing changed"
