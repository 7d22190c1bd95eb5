"""Applications by web and window on both databases: receipts, secrets, refusals, numbers under concurrency."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, POLICY, Office, add_resident, form, open_office, seeded_random
from uec.domain.actors import CITIZEN
from uec.domain.errors import InvalidInput, NotAllowed, NotFound
from uec.domain.lifecycle import ApplicationState, Route
from uec.services import applications, numbering
from uec.services.forms import InvalidForm
from uec.services.intake import AlreadyServed, application_status, submit_application
from uec.services.views import Receipt
from uec.store.tables import Application, AuditEntry


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def submit(sessions: sessionmaker[Session], office: Office, number: int, **changes: object) -> Receipt:
    with sessions() as session:
        return submit_application(
            session,
            form=form(number, point_id=office.points[0], **changes),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=NOW,
            random=seeded_random(number),
        )


def test_a_receipt_has_number_date_and_due_day_and_the_secret_is_not_stored(
    sessions: sessionmaker[Session], office: Office
) -> None:
    receipt = submit(sessions, office, 1)
    assert receipt.number == "2026-0000001"
    assert (receipt.submitted_at, receipt.due_on) == (NOW, date(2026, 4, 1))
    with sessions() as session:
        stored = session.scalars(select(Application)).one()
        assert receipt.secret.replace("-", "") not in stored.secret_hash
        assert stored.state is ApplicationState.SUBMITTED and stored.taken_by is None


def test_the_status_opens_with_number_and_secret_however_typed(sessions: sessionmaker[Session], office: Office) -> None:
    receipt = submit(sessions, office, 1)
    typed = receipt.secret.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    with sessions() as session:
        view = application_status(session, number=f" {receipt.number} ", secret=typed, now=NOW)
        assert (view.state, view.point_name_ru, view.card_ready) == (ApplicationState.SUBMITTED, "МФЦ 1", False)
        looks = session.scalars(select(AuditEntry).where(AuditEntry.action == "application.status")).all()
        assert [entry.actor for entry in looks] == [f"citizen:{receipt.number}"]


def test_a_wrong_secret_and_an_unknown_number_read_the_same(sessions: sessionmaker[Session], office: Office) -> None:
    receipt = submit(sessions, office, 1)
    sentences = set()
    for number, secret in ((receipt.number, "0000-0000-0000"), ("2026-9999999", receipt.secret), ("", "")):
        with sessions() as session, pytest.raises(NotFound) as refusal:
            application_status(session, number=number, secret=secret, now=NOW)
        sentences.add(refusal.value.message)
    assert len(sentences) == 1


def test_the_register_is_recognised_only_when_name_and_birth_date_fit(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        resident_id = add_resident(session, 1).id
        add_resident(session, 2, name="Другой")
        session.commit()
    submit(sessions, office, 1)
    submit(sessions, office, 2)
    with sessions() as session:
        known = session.scalars(select(Application.resident_id).order_by(Application.id)).all()
    assert known == [resident_id, None]


def test_an_open_application_is_not_taken_twice(sessions: sessionmaker[Session], office: Office) -> None:
    receipt = submit(sessions, office, 1)
    with pytest.raises(AlreadyServed) as refusal:
        submit(sessions, office, 1)
    assert refusal.value.application == receipt.number
    with sessions() as session:
        assert numbering.peek(session, "application-2026") == 2, "a refused request gives its number back"


def test_a_window_needs_the_permission_and_is_named_as_the_taker(
    sessions: sessionmaker[Session], office: Office
) -> None:
    def take(session: Session, actor: object) -> Receipt:
        return submit_application(
            session,
            form=form(3, point_id=office.points[0]),
            route=Route.WINDOW,
            actor=actor,  # type: ignore[arg-type]
            policy=POLICY,
            now=NOW,
            random=seeded_random(),
        )

    with sessions() as session, pytest.raises(NotAllowed):
        take(session, office.officer)
    with sessions() as session:
        take(session, office.operator)
        assert session.scalars(select(Application.taken_by)).one() == office.operator.staff_id


def test_the_mass_route_and_a_day_before_the_policy_are_refused(
    sessions: sessionmaker[Session], office: Office
) -> None:
    for route, now in ((Route.MASS, NOW), (Route.WEB, NOW.replace(year=2012))):
        with sessions() as session, pytest.raises(InvalidInput):
            submit_application(
                session,
                form=form(3, point_id=office.points[0], birth_date=date(1960, 1, 1)),
                route=route,
                actor=CITIZEN,
                policy=POLICY,
                now=now,
                random=seeded_random(),
            )


def test_a_bad_form_stores_nothing(sessions: sessionmaker[Session], office: Office) -> None:
    with pytest.raises(InvalidForm) as refusal:
        submit(sessions, office, 1, snils="112-233-445 96", birth_date=NOW.date() + timedelta(days=1))
    assert refusal.value.errors == {"snils": "form.snils", "birth_date": "form.birth_date", "doc_date": "form.doc_date"}
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Application)) == 0


def test_numbers_have_no_gap_and_no_twin_under_concurrency(sessions: sessionmaker[Session], office: Office) -> None:
    people = [*range(1, 21), *range(1, 21)]  # everybody tries twice at once

    def attempt(number: int) -> Receipt | None:
        try:
            return submit(sessions, office, number)
        except AlreadyServed:
            return None

    with ThreadPoolExecutor(8) as pool:
        receipts = [receipt for receipt in pool.map(attempt, people) if receipt]
    assert sorted(receipt.number for receipt in receipts) == [f"2026-{number:07}" for number in range(1, 21)]


def test_lists_and_looks_are_audited_and_found_by_number_snils_or_name(
    sessions: sessionmaker[Session], office: Office
) -> None:
    first, _ = submit(sessions, office, 1), submit(sessions, office, 8)
    with sessions() as session:
        find = applications.find
        by_number = find(session, actor=office.officer, now=NOW, query=first.number)
        by_snils = find(session, actor=office.officer, now=NOW, query=form(8, point_id=1).snils)
        by_name = find(session, actor=office.officer, now=NOW, query="петр", states=[ApplicationState.SUBMITTED])
        nothing = find(session, actor=office.officer, now=NOW, query="%")
        assert [row.number for row in by_number.rows] == [first.number]
        assert [row.full_name for row in by_snils.rows] == ["Сидоров Пётр Иванович"]
        assert [row.full_name for row in by_name.rows] == ["Петров Иван Иванович"]
        assert nothing.total == 0
        detail = applications.detail(session, by_number.rows[0].id, actor=office.officer, now=NOW)
        assert detail.document.startswith("passport 7110 000001") and detail.checks == ()
        actions = session.scalars(select(AuditEntry.action).where(AuditEntry.actor == office.officer.reference)).all()
    assert sorted(actions) == ["application.list"] * 4 + ["application.view"]


def test_who_may_not_see_people_sees_none(sessions: sessionmaker[Session], office: Office) -> None:
    submit(sessions, office, 1)
    with sessions() as session:
        for look in (applications.find,):
            with pytest.raises(NotAllowed):
                look(session, actor=office.releaser, now=NOW)
        with pytest.raises(NotAllowed):
            applications.detail(session, 1, actor=office.releaser, now=NOW)


@pytest.mark.parametrize(("asked", "kept"), [("", None), ("uec", None), ("plus", "plus")])
def test_a_card_variant_is_kept_unless_it_is_the_usual_one(
    sessions: sessionmaker[Session], office: Office, asked: str, kept: str | None
) -> None:
    told: list[str] = []

    def misfits(*, profile: str, **_names: str) -> dict[str, str]:
        told.append(profile)
        return {}

    with sessions() as session:
        receipt = submit_application(
            session,
            form=form(1, point_id=office.points[0], profile=asked),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=NOW,
            random=seeded_random(1),
            misfits=misfits,
            variants=["uec", "plus"],
        )
        assert (receipt.profile, told) == (kept or "", [kept or ""])
        assert session.scalars(select(Application.profile)).one() == kept


def test_without_a_choice_no_variant_can_be_named(sessions: sessionmaker[Session], office: Office) -> None:
    with pytest.raises(InvalidForm) as refusal:
        submit(sessions, office, 1, profile="plus")
    assert refusal.value.facts["errors"] == {"profile": "form.profile"}
