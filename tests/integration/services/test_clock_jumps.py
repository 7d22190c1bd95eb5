"""Clocks that were wrong for a while, forward and back: no job stops for it, none is done twice because of it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_jobs import Yes
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.office import POLICY
from uec import worker
from uec.jobs import JOBS, Tools
from uec.scheduler import Office, Rhythm, catch_up, trigger_at
from uec.services import cards, publication, schedule

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
MIDNIGHT = datetime(2026, 3, 2, tzinfo=UTC)
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


@dataclass
class Day:
    """Real time that passes, a clock that may be wrong, a scheduler with a worker behind it; what was done when."""

    sessions: sessionmaker[Session]
    jobs: tuple[str, ...]
    real: datetime = MIDNIGHT
    wrong: timedelta = timedelta(0)
    zone: tzinfo = UTC
    done: dict[str, list[datetime]] = field(default_factory=dict)

    def tick(self) -> None:
        """Every job is triggered, as at the start of a scheduler, twice: a second one fights for each occasion."""
        now = self.real + self.wrong
        for job in (*self.jobs, *self.jobs):
            trigger_at(Office(self.sessions, self.zone), job, now)

    def work(self) -> None:
        now = self.real + self.wrong
        with self.sessions() as session:
            while (run := schedule.claim(session, now=now)) is not None:
                schedule.finish(session, run, outcome="done", now=now)
                self.done.setdefault(run.job, []).append(self.real)

    def live(
        self, until: datetime, *, wrong: timedelta = timedelta(0), step: timedelta = timedelta(minutes=15)
    ) -> None:
        self.wrong = wrong
        while self.real < until:
            self.tick()
            self.work()
            self.real += step

    def longest_gap(self, job: str) -> timedelta:
        return max(later - earlier for earlier, later in pairwise(self.done[job]))


QUARTERS, HOURLY, DAILY = "release", "windows", "plan"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def days_of(moments: list[datetime]) -> list[int]:
    return [(moment - MIDNIGHT).days for moment in moments]


def test_the_clock_goes_back_an_hour_and_no_job_stops_or_is_done_twice(sessions: sessionmaker[Session]) -> None:
    day = Day(sessions, (QUARTERS, DAILY), real=MIDNIGHT - HOUR)
    day.live(MIDNIGHT + timedelta(minutes=30))
    day.live(MIDNIGHT + 4 * HOUR, wrong=-HOUR)
    assert days_of(day.done[DAILY]) == [-1, 0], "the day's run stays done, though its moment comes a second time"
    assert day.longest_gap(QUARTERS) <= timedelta(minutes=30), "jobs of a quick rhythm go on in the repeated hour"
    assert len(day.done[QUARTERS]) in {19, 20}, "one a quarter of an hour of real time"
    day.live(MIDNIGHT + DAY + 2 * HOUR, wrong=-HOUR)
    assert days_of(day.done[DAILY]) == [-1, 0, 1]


def test_the_clock_goes_forward_a_day_and_comes_back(sessions: sessionmaker[Session]) -> None:
    day = Day(sessions, (QUARTERS, DAILY))
    day.live(MIDNIGHT + 9 * HOUR)
    assert day.longest_gap(QUARTERS) == timedelta(minutes=15)
    day.live(MIDNIGHT + 10 * HOUR, wrong=DAY)
    assert days_of(day.done[DAILY]) == [0, 0], "once for the day that the clock skipped to"
    day.live(MIDNIGHT + 26 * HOUR)
    assert days_of(day.done[DAILY]) == [0, 0, 1], "tomorrow's run is not lost to the wrong clock"
    assert day.longest_gap(QUARTERS) <= timedelta(minutes=30)
    assert len(day.done[QUARTERS]) <= 26 * 4 + 2


@pytest.mark.parametrize(
    ("zone", "begin"),
    [
        ("Europe/Berlin", datetime(2026, 3, 28, 20, tzinfo=UTC)),  # a day of 23 hours
        ("Europe/Berlin", datetime(2026, 10, 24, 20, tzinfo=UTC)),  # one of 25
        ("America/Havana", datetime(2026, 10, 31, 20, tzinfo=UTC)),  # two midnights
        ("Asia/Yekaterinburg", datetime(2028, 2, 28, 12, tzinfo=UTC)),  # the end of a month, and of a leap one
    ],
)
def test_each_day_of_the_office_has_its_run_where_clocks_change(
    sessions: sessionmaker[Session], zone: str, begin: datetime
) -> None:
    place = ZoneInfo(zone)
    day = Day(sessions, (HOURLY, DAILY), real=begin, zone=place)
    day.live(begin + 34 * HOUR, step=HOUR)
    done = [moment.astimezone(place) for moment in day.done[DAILY]]
    assert [moment.date() for moment in done] == [begin.astimezone(place).date() + n * DAY for n in range(3)]
    assert {(moment.hour, moment.minute) for moment in done[1:]} == {(0, 0)}, "at its midnight"
    assert day.longest_gap(HOURLY) == HOUR and len(day.done[HOURLY]) == 34


def test_a_run_that_was_late_is_not_done_again_by_a_clock_set_back_behind_its_begin(
    sessions: sessionmaker[Session],
) -> None:
    day = Day(sessions, (DAILY,), real=MIDNIGHT + 10 * HOUR)
    day.live(MIDNIGHT + 10 * HOUR + timedelta(minutes=30))
    day.live(MIDNIGHT + 12 * HOUR, wrong=-HOUR)
    assert len(day.done[DAILY]) == 1


def test_an_outage_of_three_days_is_caught_up_by_one_run_a_job(sessions: sessionmaker[Session]) -> None:
    day = Day(sessions, tuple(JOBS))
    day.tick()
    day.work()
    day.tick()  # due moments of this time went unworked when everything stopped
    day.real += 3 * DAY + timedelta(seconds=2)
    day.done.clear()
    day.tick()
    day.work()
    day.tick()
    day.work()
    assert {job: len(moments) for job, moments in day.done.items()} == dict.fromkeys(JOBS, 1)


def test_an_outage_with_runs_that_nobody_had_worked_leaves_no_pile(sessions: sessionmaker[Session]) -> None:
    day = Day(sessions, tuple(JOBS))
    day.tick()
    for _ in range(3):  # the workers are away, the scheduler is not
        day.real += DAY
        day.tick()
    day.work()
    assert {job: len(moments) for job, moments in day.done.items()} == dict.fromkeys(JOBS, 1)


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
        scheduler.add_job(print, Rhythm(timedelta(seconds=seconds)), id=name, next_run_time=NOW)
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
