"""Pages of the office's jobs: what hangs, what fails and why, who paused it; "run it now" pressed again and again."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from tests.integration.web.conftest import SignIn, post
from tests.support.desk import CardOffice
from uec.domain.rhythm import due_moment, next_moment
from uec.services import schedule
from uec.settings import Settings
from uec.store.tables import JobPause, ScheduledRun
from uec.web.language import COOKIE

MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def no_runs(office: CardOffice) -> Iterator[None]:
    """Nothing has run so far, and nothing is paused."""
    with office.sessions() as session:
        for table in (ScheduledRun, JobPause):
            session.execute(delete(table))
        session.commit()
    yield


def run(session: Session, job: str, due_at: datetime, *, took: timedelta, said: str) -> None:
    assert schedule.trigger(session, job, due_at, now=due_at)
    begun = schedule.claim(session, now=due_at, worker="node2 4711")
    assert begun is not None
    schedule.finish(session, begun, outcome=said, now=due_at + took)


def english(client: FlaskClient) -> FlaskClient:
    client.set_cookie(COOKIE, "en")
    return client


def test_a_run_that_hangs_is_told_and_ended_by_a_button(sign_in: SignIn, office: CardOffice) -> None:
    now = office.clock()
    with office.sessions() as session:
        for day in (2, 1):
            run(session, "plan", now - timedelta(days=day), took=2 * MINUTE, said="3 cards in 1 batches")
        assert schedule.trigger(session, "plan", now - 3 * 60 * MINUTE, now=now - 3 * 60 * MINUTE)
        assert schedule.claim(session, now=now - 3 * 60 * MINUTE, worker="node2 4711")
    admin = english(sign_in("admin"))
    listed = admin.get("/office/jobs").text
    assert "A run takes much longer than usual" in listed and "for 3 hours, usually 2 minutes" in listed
    page = admin.get("/office/jobs/plan").text
    assert "This run goes on for 3 hours; usually it takes 2 minutes." in page
    assert "node2 4711" in page and "End this run" in page and "hx-get" in page
    assert "by itself after 2 hours" in page, "its limit"
    admin.set_cookie(COOKIE, "ru")
    assert "длится уже 3 часа; обычно он занимает 2 минуты" in admin.get("/office/jobs/plan").text
    english(admin)
    answer = post(admin, "/office/jobs/plan/end", of="/office/jobs/plan")
    assert answer.status_code == 302
    page = admin.get("/office/jobs/plan").text
    assert "has asked to end the run" in page and "End this run" not in page
    post(admin, "/office/jobs/plan/end", of="/office/jobs/plan")
    assert "No run of this job is to be ended." in admin.get("/office/jobs/plan").text
    with office.sessions() as session:
        assert schedule.claim_of(session, "plan", now=now) is None, "whoever looks next ends it"
    page = admin.get("/office/jobs/plan").text
    assert "ended, as somebody asked" in page and "This run goes on" not in page


def test_a_planner_sees_it_and_ends_nothing(sign_in: SignIn, office: CardOffice) -> None:
    with office.sessions() as session:
        begun = office.clock() - 3 * 60 * MINUTE
        assert schedule.trigger(session, "plan", begun, now=begun)
        assert schedule.claim(session, now=begun)
    planner = english(sign_in("planner"))
    page = planner.get("/office/jobs/plan").text
    assert "End this run" not in page and "Run it now" not in page
    assert post(planner, "/office/jobs/plan/end", of="/office/jobs").status_code == 403


@pytest.mark.parametrize(
    ("said", "english_words", "russian_words"),
    [
        (
            "failed: the vault does not answer at /run/v.sock (no such file): start it with `uec vault`, or wait",
            "the vault does not answer: start it",
            "хранилище ключей не отвечает: запустите его",
        ),
        (
            "failed: The disk of the database is full; free some space and run it again. Nothing was kept.",
            "free some space",
            "на диске базы данных нет места",
        ),
        (
            "failed: a fault of the program (KeyError): the worker's log tells where",
            "a fault of the program (KeyError)",
            "ошибка программы (KeyError)",
        ),
        ("failed: what nobody foresaw 100%.", "what nobody foresaw 100%", "what nobody foresaw 100%"),
        ("ended: not done within its limit of 120 min", "within its limit of 120 min", "предел 120 мин"),
    ],
)
def test_a_job_that_fails_says_why_since_when_and_what_to_do(
    sign_in: SignIn, office: CardOffice, said: str, english_words: str, russian_words: str
) -> None:
    now = office.clock()
    with office.sessions() as session:
        run(session, "messages", now - 4 * MINUTE, took=MINUTE / 60, said="sent 1, 0 are tried again, 0 given up")
        for n in (3, 2, 1):
            run(session, "messages", now - n * MINUTE + 5 * MINUTE / 6, took=MINUTE / 60, said=said)
    admin = sign_in("admin")
    page = admin.get("/office/jobs/messages").text
    assert russian_words in page and "запусков подряд: 3" in page and "запустите задание сейчас" in page
    page = english(admin).get("/office/jobs/messages").text
    assert english_words in page and "runs in a row: 3" in page and "By itself it runs again on" in page
    listed = admin.get("/office/jobs").text
    assert "Not done" in listed and "since " in listed


def test_a_rare_job_says_when_it_is_tried_again_in_the_time_of_the_office(
    sign_in: SignIn, office: CardOffice, settings: Settings
) -> None:
    zone, now = ZoneInfo(settings.timezone), office.clock()
    moment = due_moment(now, timedelta(days=1), zone)
    with office.sessions() as session:
        assert schedule.trigger(session, "plan", moment, now=now)
        begun = schedule.claim(session, now=now)
        assert begun is not None
        schedule.finish(session, begun, outcome="failed: x", now=now)
    page = sign_in("admin").get("/office/jobs/plan").text
    assert f"повторится {(now + 5 * MINUTE).astimezone(zone):%d.%m.%Y %H:%M}" in page
    tomorrow = next_moment(now, timedelta(days=1), zone).astimezone(zone)
    assert f"{tomorrow:%d.%m.%Y} 00:00" in page, "the next run is at the office's midnight"


def test_run_now_pressed_five_times_and_by_two_people_is_one_run(sign_in: SignIn, office: CardOffice) -> None:
    admin = english(sign_in("admin"))
    for n in range(5):
        post(admin, "/office/jobs/expire/run", of="/office/jobs/expire")
        page = admin.get("/office/jobs/expire").text
        assert ("A run is asked for" if n == 0 else "A run waits for a worker already") in page
    with office.sessions() as session:
        assert session.scalar(select(func.count()).select_from(ScheduledRun)) == 1
        assert schedule.claim(session, now=office.clock())
    office.clock.advance(seconds=1)
    for _ in range(2):
        post(admin, "/office/jobs/expire/run", of="/office/jobs/expire")
    with office.sessions() as session:
        waiting = session.scalars(select(ScheduledRun).where(ScheduledRun.started_at.is_(None))).all()
    assert len(waiting) == 1, "while one is in hand, one more may wait"


def test_who_paused_a_job_and_why_stands_in_the_list(sign_in: SignIn) -> None:
    admin = english(sign_in("admin"))
    assert post(admin, "/office/jobs/publish", of="/office/jobs/publish", reason="the vault <moves>").status_code == 302
    listed = admin.get("/office/jobs").text
    assert "Paused" in listed and ": the vault &lt;moves&gt;" in listed
    page = admin.get("/office/jobs/publish").text
    assert "Let it go on" in page and "when the job goes on" in page
    post(admin, "/office/jobs/publish/resume", of="/office/jobs/publish")
    assert "&lt;moves&gt;" not in admin.get("/office/jobs").text
