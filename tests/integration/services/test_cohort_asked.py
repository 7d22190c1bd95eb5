"""Lists in the hands of workers: computed and opened once, whoever is killed; people wait for what comes of it."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_cohort import compute, members, office  # noqa: F401 - a fixture
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.office import NOW, POLICY, Office, add_resident, open_office
from uec import worker
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import InvalidInput, NotAllowed, UecError
from uec.domain.lifecycle import CohortState
from uec.domain.policy import PolicyBook
from uec.gateways.register_client import RegisterGateway
from uec.jobs import Tools
from uec.services import cohort, cohort_members
from uec.services.cohort import CohortChanged, ListInWork
from uec.services.views import CohortView
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Application, AuditEntry, Cohort, CohortPart, PublicNotice, ScheduledRun

NOTHING, COMPUTED = (f"computed {lists} lists, opened the applications of 0" for lists in (0, 1))
BOOK, WORKER = PolicyBook(POLICY), system_actor("scheduler")

# Does what was asked for and ends itself: where the members are chosen and the root is not yet made, or where the
# applications stand and the list does not know it yet.
CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from uec.domain.actors import system_actor
from uec.domain.policy import Policy, PolicyBook
from uec.services import cohort, cohort_members
from uec.store.engine import make_engine, session_factory

def die_at_root(session, cohort_id):
    assert sum(share.count for share in cohort_members.breakdown(session, cohort_id)) == 3
    os.kill(os.getpid(), signal.SIGKILL)

def die_at_the_end(*given, **named):
    assert open_all(*given, **named) == 3
    os.kill(os.getpid(), signal.SIGKILL)

ways = {"actor": system_actor("scheduler"), "book": PolicyBook(Policy()), "now": datetime(2026, 3, 2, 9, tzinfo=UTC)}
with session_factory(make_engine(sys.argv[1]))() as session:
    if sys.argv[2] == "compute":
        cohort_members.root = die_at_root
        cohort.compute_asked(session, **ways)
    else:
        open_all, cohort.open_all = cohort.open_all, die_at_the_end
        list(cohort.open_asked(session, **ways))
"""


def ask(sessions: sessionmaker[Session], office: Office, **changes: object) -> CohortView:  # noqa: F811
    with sessions() as session:
        arguments = {"actor": office.planner, "as_of": NOW.date(), "policy": POLICY, "now": NOW} | changes
        return cohort.ask(session, **arguments)  # type: ignore[arg-type]


def compute_asked(sessions: sessionmaker[Session]) -> list[CohortView]:
    with sessions() as session:
        return cohort.compute_asked(session, actor=WORKER, book=BOOK, now=NOW)


def open_asked(sessions: sessionmaker[Session], book: PolicyBook = BOOK) -> list[CohortView | UecError]:
    with sessions() as session:
        return list(cohort.open_asked(session, actor=WORKER, book=book, now=NOW))


def approved(sessions: sessionmaker[Session], office: Office) -> CohortView:  # noqa: F811
    """An approved list whose applications somebody has asked for."""
    made = compute(sessions, office)
    with sessions() as session:
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        return cohort.ask_opening(session, made.id, actor=office.planner, policy=POLICY, now=NOW)


def opened(session: Session) -> int:
    """How many applications came out of lists."""
    return session.scalar(select(func.count()).where(Application.cohort_id.is_not(None))) or 0


def kill_at(url: str, work: str) -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD, url, work]) as process:
        assert process.wait() == -signal.SIGKILL


def computed(session: Session) -> list[str]:
    """Who computed lists, by the audit."""
    return list(session.scalars(select(AuditEntry.actor).where(AuditEntry.action == "cohort.compute")))


def test_a_list_that_was_asked_for_is_the_one_that_is_computed_at_once(
    sessions: sessionmaker[Session],
    office: Office,  # noqa: F811
) -> None:
    asked = ask(sessions, office)
    assert (asked.number, asked.state, asked.computed) == ("C-00001", CohortState.DRAFT, False)
    assert (asked.count, asked.digest, members(sessions, asked.id)) == (0, "", [])
    with sessions() as session:
        assert session.execute(select(ScheduledRun.job, ScheduledRun.asked_by)).one() == (
            "cohorts",
            office.planner.reference,
        )
    (made,) = compute_asked(sessions)
    assert (made.id, made.computed, made.count) == (asked.id, True, 3)
    at_once = compute(sessions, office)
    assert at_once.computed and made.digest == at_once.digest
    assert members(sessions, made.id) == members(sessions, at_once.id)
    assert compute_asked(sessions) == [], "there is nothing left to do"
    with sessions() as session:
        assert computed(session) == [WORKER.reference, office.planner.reference]
        asks = select(AuditEntry.actor).where(AuditEntry.action == "cohort.ask")
        assert session.scalars(asks).all() == [office.planner.reference]


def test_lists_keep_their_order_their_limit_their_day_and_their_variant(
    sessions: sessionmaker[Session],
    office: Office,  # noqa: F811
) -> None:
    ask(sessions, office, limit=2, profile="piv")
    ask(sessions, office, as_of=NOW.date().replace(day=3))
    few, later = compute_asked(sessions)
    assert (few.number, few.count, few.profile) == ("C-00001", 2, "piv")
    assert members(sessions, few.id) == ["R00000001", "R00000002"]
    # The child is fourteen on the day after: the list's own day counts, not the worker's.
    assert (later.number, later.count, later.profile) == ("C-00002", 4, None)


def test_the_rules_of_the_lists_day_count(sessions: sessionmaker[Session], office: Office) -> None:  # noqa: F811
    ask(sessions, office)
    with sessions() as session:
        book = PolicyBook(POLICY).amended([(NOW.date(), {"entitled_age_years": 13})])
        (made,) = cohort.compute_asked(session, actor=WORKER, book=book, now=NOW)
    assert made.count == 4


def test_two_people_wait_until_the_root_is_there(sessions: sessionmaker[Session], office: Office) -> None:  # noqa: F811
    asked = ask(sessions, office)
    early: tuple[Callable[[Session], object], ...] = (
        lambda session: cohort.propose(session, asked.id, actor=office.planner, now=NOW),
        lambda session: cohort.approve(session, asked.id, actor=office.releaser, digest="", now=NOW),
        lambda session: cohort.take_off(session, asked.id, "R00000001", actor=office.planner, now=NOW),
    )
    for step in early:
        with sessions() as session, pytest.raises(ListInWork, match="List C-00001 is still in work"):
            step(session)
    with sessions() as session:
        with pytest.raises(InvalidInput, match="DRAFT"):
            cohort.open_applications(session, asked.id, actor=office.planner, policy=POLICY, now=NOW)
        session.rollback()
        assert cohort.show(session, asked.id, actor=office.planner) == asked, "nothing has moved"
    (made,) = compute_asked(sessions)
    with sessions() as session:
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        view = cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        assert view.state is CohortState.APPROVED
        voided = cohort.take_off(session, made.id, "R00000001", actor=office.planner, now=NOW)
        assert voided.state is CohortState.VOID, "an edit voids a list that a worker computed as well"


def test_who_may_not_or_asks_too_early_asks_for_nothing(
    sessions: sessionmaker[Session],
    office: Office,  # noqa: F811
) -> None:
    with pytest.raises(NotAllowed):
        ask(sessions, office, actor=office.operator)
    with pytest.raises(InvalidInput, match=r"01\.01\.2014"):
        ask(sessions, office, as_of=NOW.date().replace(year=2013))
    with sessions() as session:
        assert session.scalars(select(Cohort)).all() == session.scalars(select(ScheduledRun)).all() == []


def test_an_edit_before_the_approval_is_found_when_applications_open(
    sessions: sessionmaker[Session],
    office: Office,  # noqa: F811
) -> None:
    ask(sessions, office)
    (made,) = compute_asked(sessions)
    with sessions() as session:
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        assert cohort_members.take_off(session, made.id, 1), "behind the service's back"
        session.commit()
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        with pytest.raises(CohortChanged):
            cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        assert cohort.show(session, made.id, actor=office.planner).state is CohortState.VOID


def test_a_worker_killed_half_way_leaves_a_list_that_still_waits(
    sessions: sessionmaker[Session],
    database_url: str,
    office: Office,  # noqa: F811
) -> None:
    asked = ask(sessions, office)
    for _ in range(2):
        kill_at(database_url, "compute")
        with sessions() as session:
            assert session.scalars(select(CohortPart)).all() == []
            assert cohort.show(session, asked.id, actor=office.planner) == asked
    (made,) = compute_asked(sessions)
    assert (made.id, made.count, compute_asked(sessions)) == (asked.id, 3, [])
    with sessions() as session:
        assert computed(session) == [WORKER.reference]
        assert session.scalar(select(func.sum(CohortPart.count))) == 3


def test_of_two_workers_one_computes_it(database_url: str, sessions: sessionmaker[Session], office: Office) -> None:  # noqa: F811
    ask(sessions, office)
    start, made = Barrier(2), list[CohortView]()

    def work() -> None:
        engine = make_engine(database_url)
        start.wait()
        made.extend(compute_asked(session_factory(engine)))
        engine.dispose()

    threads = [Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with sessions() as session:
        assert len(made) == len(computed(session)) == 1


def test_applications_open_once_by_a_worker(sessions: sessionmaker[Session], office: Office) -> None:  # noqa: F811
    asked = approved(sessions, office)
    assert (asked.opening, asked.opened) == (True, 0)
    with sessions() as session:
        assert opened(session) == 0, "the page only asks"
        with pytest.raises(ListInWork):
            cohort.ask_opening(session, asked.id, actor=office.planner, policy=POLICY, now=NOW)
        with pytest.raises(ListInWork):
            cohort.take_off(session, asked.id, "R00000001", actor=office.planner, now=NOW)
    (made,) = open_asked(sessions)
    assert isinstance(made, CohortView) and (made.opening, made.opened) == (False, 3)
    assert open_asked(sessions) == []
    with sessions() as session:
        again = cohort.ask_opening(session, asked.id, actor=office.planner, policy=POLICY, now=NOW)
        assert again.opening, "somebody may have become entitled again meanwhile"
    assert open_asked(sessions) == [made]
    with sessions() as session:
        assert opened(session) == 3
        actions = select(AuditEntry.actor).where(AuditEntry.action == "cohort.ask-opening")
        assert session.scalars(actions).all() == [office.planner.reference] * 2


def test_a_worker_killed_while_it_opens_leaves_no_application(
    sessions: sessionmaker[Session],
    database_url: str,
    office: Office,  # noqa: F811
) -> None:
    asked = approved(sessions, office)
    kill_at(database_url, "open")
    with sessions() as session:
        assert opened(session) == 0
        assert cohort.show(session, asked.id, actor=office.planner) == asked, "it is asked for still"
    (made,) = open_asked(sessions)
    assert isinstance(made, CohortView) and made.opened == 3


def test_what_cannot_be_opened_any_more_is_asked_for_no_longer(
    sessions: sessionmaker[Session],
    office: Office,  # noqa: F811
) -> None:
    asked = approved(sessions, office)
    with sessions() as session:
        assert cohort_members.take_off(session, asked.id, 1), "behind the service's back"
        session.commit()
    (error,) = open_asked(sessions)
    assert isinstance(error, CohortChanged) and open_asked(sessions) == []
    with sessions() as session:
        view = cohort.show(session, asked.id, actor=office.planner)
        assert (view.state, view.opening, view.opened) == (CohortState.VOID, False, 0)
        with pytest.raises(InvalidInput, match="VOID"):
            cohort.ask_opening(session, asked.id, actor=office.planner, policy=POLICY, now=NOW)


def test_nothing_is_asked_while_residents_may_still_refuse(
    sessions: sessionmaker[Session],
    office: Office,  # noqa: F811
) -> None:
    made = compute(sessions, office)
    with sessions() as session:
        with pytest.raises(InvalidInput, match="DRAFT"):
            cohort.ask_opening(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        session.rollback()
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        session.execute(update(PublicNotice).values(refusal_until=NOW.date()))
        session.commit()
        with pytest.raises(InvalidInput, match="may refuse"):
            cohort.ask_opening(session, made.id, actor=office.planner, policy=POLICY, now=NOW)


@pytest.mark.postgres
def test_who_proposes_does_not_wait_for_the_worker(postgres_url: str) -> None:
    engine = make_engine(postgres_url)
    sessions = session_factory(engine)
    staff = open_office(sessions)
    asked = ask(sessions, staff)
    with sessions() as busy, sessions() as session:
        busy.get_one(Cohort, asked.id, with_for_update=True)  # a worker has it in hand
        session.execute(text("SET lock_timeout = '1s'"))
        with pytest.raises(ListInWork):
            cohort.propose(session, asked.id, actor=staff.planner, now=NOW)
        assert compute_asked(sessions) == [], "another worker leaves it to the first"
    engine.dispose()


def test_the_job_does_it(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    opened: CardOffice = open_card_office(sessions, tmp_path)
    bench, planner = opened.desk.bench, opened.staff.planner
    gateway = RegisterGateway("http://127.0.0.1:9", timeout_s=1)  # nothing here asks the registers
    tools = Tools(SETTINGS, sessions, bench.vault, gateway, opened.clock, bench.random)
    try:
        assert worker.do("cohorts", tools) == NOTHING
        asked = _asked_of_two(sessions, planner)
        assert worker.work_once(tools), "the page's request is the run"
        with sessions() as session:
            made = cohort.show(session, asked.id, actor=planner)
            said = session.scalars(select(ScheduledRun.outcome)).one()
        assert (made.computed, made.count, said) == (True, 2, COMPUTED)
        assert not worker.work_once(tools)
    finally:
        gateway.close()
        bench.vault.close()


def _asked_of_two(sessions: sessionmaker[Session], planner: Actor) -> CohortView:
    with sessions() as session:
        for number in (2001, 2002):
            add_resident(session, number)
        session.commit()
        return cohort.ask(session, actor=planner, as_of=NOW.date(), policy=POLICY, now=NOW)
