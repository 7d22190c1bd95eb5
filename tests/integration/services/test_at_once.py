"""Two at the same moment, on both databases, and what comes between two steps: a death, a refusal, an annulment."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.bundle import Progress
from tests.support.desk import CardOffice, open_card_office
from tests.support.office import NOW, POLICY, RULES, add_resident, form, publish_notice, seeded_random
from uec.domain.actors import CITIZEN
from uec.domain.errors import IllegalMove, StoreUnavailable, UecError
from uec.domain.lifecycle import (
    ApplicationState,
    BatchState,
    CardEvent,
    CardState,
    CertificateState,
    OperationKind,
    OperationState,
    Route,
)
from uec.services import (
    batches,
    cards,
    checks,
    cohort,
    decision,
    handover,
    intake,
    numbering,
    operations,
    plan_freeze,
    twins,
    withdrawal,
)
from uec.services.intake import AlreadyServed
from uec.services.production_office import DatabaseOffice
from uec.store.tables import (
    Application,
    AuditEntry,
    Batch,
    Card,
    CardOperation,
    Certificate,
    IssuancePoint,
    RegisterCheck,
    StopListEntry,
)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def at_once(office: CardOffice, *works: Callable[[Session], object]) -> list[object]:
    """What each work came to, all begun at the same moment; an error of the office is a result too."""
    start = Barrier(len(works))

    def do(work: Callable[[Session], object]) -> object:
        start.wait()
        try:
            with office.sessions() as session:
                return work(session)
        except UecError as error:
            return error

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(do, works))


def one(office: CardOffice) -> Application:
    with office.sessions() as session:
        return session.scalars(select(Application)).one()


def submit(session: Session, number: int, office: CardOffice) -> str:
    return intake.submit_application(
        session,
        form=form(number, point_id=office.staff.points[0]),
        route=Route.WEB,
        actor=CITIZEN,
        policy=POLICY,
        now=NOW,
        random=seeded_random(number),
    ).number


def test_two_officers_decide_and_one_is_heard(office: CardOffice) -> None:
    with office.sessions() as session:
        submit(session, 1, office)
        checks.start_checks(session, now=NOW)
        session.get_one(Application, 1).state = ApplicationState.CHECKED
        session.commit()
    officer = office.staff.officer
    said = at_once(
        office,
        lambda session: decision.approve(session, 1, actor=officer, reason="yes", now=NOW),
        lambda session: decision.reject(session, 1, actor=officer, reason="no", now=NOW),
    )
    assert [type(result) for result in said if result] == [IllegalMove]
    with office.sessions() as session:
        decided = AuditEntry.action.in_(("application.approve", "application.reject"))
        told = session.scalars(select(AuditEntry.action).where(decided)).all()
    assert len(told) == 1 and told[0] == f"application.{'approve' if said[0] is None else 'reject'}"


def test_two_releasers_and_one_who_calls_off(office: CardOffice) -> None:
    office.approve_applicants(1)
    (batch_id,) = office.plan()
    staff = office.staff
    said = at_once(
        office,
        *[lambda session: batches.release(session, batch_id, actor=staff.releaser, now=NOW)] * 3,
        lambda session: batches.cancel(session, batch_id, actor=staff.planner, reason="no blanks", now=NOW),
    )
    with office.sessions() as session:
        state = session.get_one(Batch, batch_id).state
        released = session.scalar(select(func.count()).where(AuditEntry.action == "batch.release")) or 0
        card = session.scalars(select(Card)).one()
    assert said[:3].count(None) == released <= 1
    assert state is (BatchState.CANCELLED if said[3] is None else BatchState.RELEASED)
    assert card.state is (CardState.ANNULLED if said[3] is None else CardState.PLANNED)


def test_the_same_person_at_two_windows_gets_one_receipt(office: CardOffice) -> None:
    said = at_once(office, *[lambda session: submit(session, 1, office)] * 4)
    assert [type(result) for result in said if not isinstance(result, str)] == [AlreadyServed] * 3
    assert one(office).number == "2026-0000001"
    with office.sessions() as session:
        assert numbering.peek(session, "application-2026") == 2, "a refused one used no number"


def test_taken_back_while_a_plan_is_made(office: CardOffice) -> None:
    staff = office.staff
    for number in range(1, 6):
        (application_id,) = office.approve_applicants(number)
        take_back = partial(withdrawal.withdraw, actor=staff.operator, reason="moved away", now=NOW)
        said = at_once(
            office,
            lambda session: batches.plan(session, actor=staff.planner, rules=RULES, now=NOW),
            partial(take_back, application_id=application_id),
        )
        assert said[1] is None and not isinstance(said[0], UecError)
        with office.sessions() as session:
            assert session.get_one(Application, application_id).state is ApplicationState.WITHDRAWN
            made = session.scalars(select(Card.state).where(Card.application_id == application_id)).all()
        assert set(made) <= {CardState.ANNULLED}


def test_nobody_is_planned_who_was_taken_back_after_the_planner_looked(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    (application_id,) = office.approve_applicants(1)
    pool = ThreadPoolExecutor(1)
    waiting = []

    def take_back() -> None:
        with office.sessions() as session:
            withdrawal.withdraw(session, application_id, actor=office.staff.operator, reason="moved", now=NOW)

    write_cards = plan_freeze._write_cards

    def write_slowly(*arguments: Any) -> int:
        waiting.append(pool.submit(take_back))
        with pytest.raises(TimeoutError):
            waiting[0].result(timeout=0.3)
        return write_cards(*arguments)

    monkeypatch.setattr(plan_freeze, "_write_cards", write_slowly)
    office.plan()
    waiting[0].result(timeout=60)
    pool.shutdown()
    with office.sessions() as session:
        assert session.get_one(Application, application_id).state is ApplicationState.WITHDRAWN
        assert session.scalars(select(Card.state)).all() == [CardState.ANNULLED]


def test_checks_started_twice_at_once_ask_every_question_once(office: CardOffice) -> None:
    with office.sessions() as session:
        for number in range(1, 30):
            submit(session, number, office)
    works: list[Callable[[Session], object]] = [lambda session: checks.start_checks(session, now=NOW)] * 3
    works.append(lambda session: [submit(session, number, office) for number in range(30, 40)])
    said = at_once(office, *works)
    assert not [result for result in said if isinstance(result, UecError)]
    with office.sessions() as session:
        checks.start_checks(session, now=NOW)
        asked = select(func.count()).select_from(RegisterCheck).group_by(RegisterCheck.application_id)
        assert session.scalars(asked).all() == [4] * 39


def test_one_card_gets_one_open_operation(office: CardOffice) -> None:
    office.approve_applicants(*range(1, 9))
    (batch_id,) = office.plan()
    office.release(batch_id)
    with office.sessions() as session:
        ids = session.scalars(select(Card.id)).all()
    producer = office.staff.producer

    def ask(card_id: int) -> Callable[[Session], object]:
        return lambda session: operations.request_operation(
            session,
            kind=OperationKind.PERSONALISE,
            card_id=card_id,
            station_id=None,
            reader=None,
            actor=producer,
            now=NOW,
        )

    def batch(session: Session) -> object:
        return operations.request_batch(session, batch_id, station_id=None, actor=producer, now=NOW)

    at_once(office, batch, *[ask(card_id) for card_id in ids], batch)
    with office.sessions() as session:
        asked = select(func.count()).select_from(CardOperation).group_by(CardOperation.card_id)
        assert session.scalars(asked).all() == [1] * 8


def test_who_is_on_the_register_twice_gets_one_card(office: CardOffice) -> None:
    staff = office.staff
    with office.sessions() as session:
        add_resident(session, 1)
        add_resident(session, 2, snils=form(1, point_id=1).snils)
        add_resident(session, 3)
        assert twins.search(session, actor=staff.officer, now=NOW) == 1
        session.commit()
        publish_notice(session, staff)
        (case,) = twins.list_cases(session, actor=staff.officer)
        twins.decide_same(session, case.id, standing_id=1, reason="one passport", actor=staff.officer, now=NOW)
        made = cohort.compute(session, actor=staff.planner, as_of=NOW.date(), policy=POLICY, now=NOW)
        cohort.propose(session, made.id, actor=staff.planner, now=NOW)
        cohort.approve(session, made.id, actor=staff.releaser, digest=made.digest, now=NOW)
        assert cohort.open_applications(session, made.id, actor=staff.planner, policy=POLICY, now=NOW) == 2
        assert session.scalars(select(Application.resident_id).order_by(Application.id)).all() == [1, 3]


def test_a_card_is_annulled_while_it_waits_for_its_holder(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with office.sessions() as session:
        handover.request(
            session,
            card_id,
            actor=office.staff.second_operator,
            station_id=None,
            reader=None,
            sealed_pins=b"sealed",
            holder_checked=True,
            now=office.clock(),
        )
        cards.annul(session, card_id, actor=office.staff.security, reason="refused to use", now=office.clock())
    assert office.work() == []
    assert office.card(card_id).state is CardState.ANNULLED
    assert office.application_of(card_id).state is ApplicationState.WITHDRAWN
    with office.sessions() as session:
        closed = session.scalars(select(CardOperation).order_by(CardOperation.id.desc())).first()
        assert closed is not None and closed.state in {OperationState.CANCELLED, OperationState.FAILED}
        assert closed.error_text and closed.sealed_pins is None


def test_the_last_two_cards_of_a_batch_end_at_the_same_moment(office: CardOffice) -> None:
    office.approve_applicants(1, 2)
    (batch_id,) = office.plan()
    office.release(batch_id)
    security, now = office.staff.security, office.clock()
    with office.sessions() as session, ThreadPoolExecutor(1) as pool:
        first, second = session.scalars(select(Card).order_by(Card.id))
        card_id = second.id

        def annul_second() -> None:
            with office.sessions() as other:
                cards.annul(other, card_id, actor=security, reason="moved", now=now)

        cards.apply_event(session, first, CardEvent.ANNUL, actor=security, reason="moved", now=now)
        ended = pool.submit(annul_second)
        wait([ended], timeout=0.3)  # it waits for the first one's end, or has not seen it
        session.commit()
        ended.result(timeout=60)
    with office.sessions() as session:
        assert session.scalars(select(Card.state)).all() == [CardState.ANNULLED] * 2
        assert session.get_one(Batch, batch_id).state is BatchState.CANCELLED


def test_a_card_annulled_after_the_claim_takes_no_chip(office: CardOffice) -> None:
    office.approve_applicants(1)
    (batch_id,) = office.plan()
    office.release(batch_id)
    with office.sessions() as session:
        operations.request_batch(session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock())
        claimed = operations.claim_operation(session, now=office.clock())
        assert claimed is not None and claimed.card_id is not None
        cards.annul(session, claimed.card_id, actor=office.staff.security, reason="error", now=office.clock())
    ended = office.do(claimed)
    assert (ended.state, ended.error_code) == (OperationState.FAILED, "uec.card_moved_on")
    card = office.card(claimed.card_id)
    assert (card.state, card.chip_id) == (CardState.ANNULLED, None)
    with office.sessions() as session:
        on_cards = select(func.count()).select_from(Certificate).where(Certificate.card_id.is_not(None))
        assert session.scalar(on_cards) == 0


def test_progress_that_cannot_be_shown_ends_no_session(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    operation_id = 1

    def busy(*_: object) -> None:
        raise StoreUnavailable("The database is locked by another process; wait for it to end.")

    engine = office.sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", busy)
    try:
        desk = DatabaseOffice(office.desk.bench, card_id, operation_id=operation_id)
        desk.progress(Progress(0, 6, "find_card"))
        desk.commit()
        desk.progress(Progress(0, 0, "put_card_back"))
    finally:
        event.remove(engine, "before_cursor_execute", busy)
    with office.sessions() as session:
        shown = operations.operation(session, operation_id)
    assert (shown.state, shown.error_code) == (OperationState.DONE, None), "nothing was written over the end"
    assert shown.progress != "put_card_back"


def test_cards_end_with_their_last_day(office: CardOffice) -> None:
    active, held, unclaimed = office.make_cards(1, 2, 3)
    office.hand_over(active)
    office.hand_over(held)
    with office.sessions() as session:
        cards.suspend(session, held, actor=office.staff.security, reason="lost for now", now=office.clock())
        last_day = session.get_one(Card, active).expires_on
        tomorrow = last_day + timedelta(days=1)
        moment = NOW.replace(year=last_day.year, month=last_day.month, day=last_day.day, hour=23)
        assert cards.expire_due(session, today=moment.date(), now=moment) == 0
        assert cards.expire_due(session, today=tomorrow, now=moment + timedelta(hours=2)) == 3
        assert cards.expire_due(session, today=tomorrow, now=moment + timedelta(hours=2)) == 0
        states = session.scalars(select(Application.state).order_by(Application.id)).all()
        assert states == [ApplicationState.CLOSED, ApplicationState.CLOSED, ApplicationState.WITHDRAWN]
        assert session.scalar(select(func.count()).where(AuditEntry.action == "card.expire")) == 3
    assert office.card(unclaimed).state is CardState.EXPIRED


def test_a_full_day_stays_full_when_its_batch_is_closed(office: CardOffice) -> None:
    with office.sessions() as session:
        session.execute(update(IssuancePoint).values(daily_capacity=1))
        session.commit()
    office.make_cards(1, 2)
    with office.sessions() as session:
        assert session.scalars(select(Batch.state)).all() == [BatchState.CLOSED]
    office.approve_applicants(3)
    (batch_id,) = office.plan()
    with office.sessions() as session:
        assert session.get_one(Batch, batch_id).planned_for == date(2026, 3, 3)


def test_a_spoiled_cards_certificates_stay_revoked_whatever_the_hub_still_sends(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with office.sessions() as session:
        cards.spoil(session, card_id, actor=office.staff.producer, reason="bent", now=office.clock())
        states = session.scalars(select(Certificate.state).where(Certificate.card_id == card_id)).all()
        assert states == [CertificateState.REVOKED] * 4
        assert session.scalars(select(StopListEntry.action)).all() == ["ADD"]
