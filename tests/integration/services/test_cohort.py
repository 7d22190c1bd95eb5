"""The mass way in on both databases: who is on a list and why not, two people over its root, edits that void it."""

from datetime import date

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import (
    NOW,
    POLICY,
    Office,
    add_resident,
    add_staff,
    form,
    open_office,
    publish_notice,
    seeded_random,
)
from uec.domain.actors import CITIZEN
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, NotFound, SamePerson
from uec.domain.lifecycle import ApplicationState, CohortState, Route
from uec.domain.permissions import Role
from uec.services import cohort, cohort_members, numbering, refusals
from uec.services.cohort import CohortChanged
from uec.services.intake import submit_application
from uec.services.merkle import merkle_root
from uec.services.views import CohortView
from uec.store.tables import Application, AuditEntry, Refusal, Resident

ENTITLED = (1, 2, 3)


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    """Three people are entitled; a child, a dead one, one who applied and one who refused are not."""
    made = open_office(sessions)
    with sessions() as session:
        for number in ENTITLED:
            add_resident(session, number, oktmo="71601000" if number == 3 else "71701000")
        add_resident(session, 4, birth_date=date(2012, 3, 3))
        add_resident(session, 5, death_date=date(2026, 1, 1))
        add_resident(session, 6)
        add_resident(session, 7)
        session.commit()
        submit_application(
            session,
            form=form(6, point_id=made.points[0]),
            route=Route.WEB,
            actor=CITIZEN,
            policy=POLICY,
            now=NOW,
            random=seeded_random(),
        )
        refusals.file(session, snils=form(7, point_id=1).snils, channel="window", actor=made.operator, now=NOW)
        publish_notice(session, made)
    return made


def compute(sessions: sessionmaker[Session], office: Office, **changes: object) -> CohortView:
    with sessions() as session:
        arguments = {"as_of": NOW.date(), "policy": POLICY, "now": NOW} | changes
        return cohort.compute(session, actor=office.planner, **arguments)  # type: ignore[arg-type]


def approved(sessions: sessionmaker[Session], office: Office) -> CohortView:
    drafted = compute(sessions, office)
    with sessions() as session:
        cohort.propose(session, drafted.id, actor=office.planner, now=NOW)
        return cohort.approve(session, drafted.id, actor=office.releaser, digest=drafted.digest, now=NOW)


def members(sessions: sessionmaker[Session], cohort_id: int) -> list[str]:
    with sessions() as session:
        chosen = select(Resident.register_id).where(Resident.id.in_(cohort_members.member_ids(session, cohort_id)))
        return list(session.scalars(chosen.order_by(Resident.id)))


def test_the_list_holds_who_is_entitled_and_nobody_else(sessions: sessionmaker[Session], office: Office) -> None:
    made = compute(sessions, office)
    names = [f"R{number:08}" for number in ENTITLED]
    assert (made.state, made.count, made.number) == (CohortState.DRAFT, 3, "C-00001")
    assert members(sessions, made.id) == names
    assert made.digest == merkle_root(name.encode() for name in names).hex()


def test_the_child_is_on_the_list_from_the_fourteenth_birthday(sessions: sessionmaker[Session], office: Office) -> None:
    assert compute(sessions, office, as_of=date(2026, 3, 2)).count == 3
    assert compute(sessions, office, as_of=date(2026, 3, 3)).count == 4


def test_a_list_of_one_municipality_and_a_limited_one(sessions: sessionmaker[Session], office: Office) -> None:
    assert members(sessions, compute(sessions, office, oktmo=["71601000"]).id) == ["R00000003"]
    assert members(sessions, compute(sessions, office, limit=2).id) == ["R00000001", "R00000002"]


def test_no_list_before_mass_emission_opens(sessions: sessionmaker[Session], office: Office) -> None:
    with pytest.raises(InvalidInput, match=r"01\.01\.2014"):
        compute(sessions, office, as_of=date(2013, 12, 31))


def test_two_people_and_the_root_that_was_shown(sessions: sessionmaker[Session], office: Office) -> None:
    drafted = compute(sessions, office)
    with sessions() as session:
        both = add_staff(session, "both", Role.PLANNER, Role.RELEASER)
        session.commit()
        with pytest.raises(IllegalMove):
            cohort.approve(session, drafted.id, actor=office.releaser, digest=drafted.digest, now=NOW)
        session.rollback()
        cohort.propose(session, drafted.id, actor=both, now=NOW)
        with pytest.raises(SamePerson):
            cohort.approve(session, drafted.id, actor=both, digest=drafted.digest, now=NOW)
        session.rollback()
        with pytest.raises(NotAllowed):
            cohort.approve(session, drafted.id, actor=office.planner, digest=drafted.digest, now=NOW)
        with pytest.raises(CohortChanged):
            cohort.approve(session, drafted.id, actor=office.releaser, digest="0" * 64, now=NOW)
        assert cohort.list_cohorts(session, actor=office.planner)[0].state is CohortState.VOID


def test_applications_open_once_from_the_register_with_both_names(
    sessions: sessionmaker[Session], office: Office
) -> None:
    made = approved(sessions, office)
    with sessions() as session:
        assert cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW) == 3
        assert cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW) == 0
        rows = session.scalars(
            select(Application).where(Application.cohort_id == made.id).order_by(Application.number)
        ).all()
        assert [row.number for row in rows] == ["2026-0000002", "2026-0000003", "2026-0000004"]
        assert {row.state for row in rows} == {ApplicationState.APPROVED} and {row.route for row in rows} == {
            Route.MASS
        }
        assert {row.taken_by for row in rows} == {office.planner.staff_id}
        assert {row.decided_by for row in rows} == {office.releaser.staff_id}
        assert [row.point_id for row in rows] == [office.points[0], office.points[0], office.points[1]]
        assert rows[0].surname == form(1, point_id=1).surname and rows[0].resident_id is not None
        assert numbering.peek(session, "application-2026") == 5
        opened = select(func.count()).where(AuditEntry.action == "application.open-from-cohort")
        assert session.scalar(opened) == 3


def test_who_refuses_between_approval_and_opening_stays_out(sessions: sessionmaker[Session], office: Office) -> None:
    made = approved(sessions, office)
    with sessions() as session:
        refusals.file(session, snils=form(2, point_id=1).snils, channel="post", actor=office.operator, now=NOW)
        assert cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW) == 2
        assert numbering.peek(session, "application-2026") == 4, "no number is lost"


def test_any_edit_voids_an_approval(sessions: sessionmaker[Session], office: Office) -> None:
    made = approved(sessions, office)
    with sessions() as session:
        view = cohort.take_off(session, made.id, "R00000001", actor=office.planner, now=NOW)
        assert (view.state, view.count) == (CohortState.VOID, 2) and view.digest != made.digest
        with pytest.raises(InvalidInput, match="VOID"):
            cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)


def test_an_edit_behind_the_services_back_is_found_and_voids_the_list(
    sessions: sessionmaker[Session], office: Office
) -> None:
    made = approved(sessions, office)
    with sessions() as session:
        assert cohort_members.take_off(session, made.id, 1)
        session.commit()
        with pytest.raises(CohortChanged):
            cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        assert cohort.list_cohorts(session, actor=office.planner)[0].state is CohortState.VOID
        assert session.scalar(select(func.count()).select_from(Application)) == 1


def test_a_list_with_open_applications_stands_as_it_was_signed(sessions: sessionmaker[Session], office: Office) -> None:
    made = approved(sessions, office)
    with sessions() as session:
        cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        with pytest.raises(InvalidInput, match="take back the application"):
            cohort.take_off(session, made.id, "R00000001", actor=office.planner, now=NOW)
        session.rollback()
        with pytest.raises(InvalidInput, match="take back the application"):
            cohort.discard(session, made.id, actor=office.releaser, reason="x", now=NOW)
        session.rollback()
        shown = cohort.show(session, made.id, actor=office.planner)
        assert (shown.state, shown.digest, shown.count) == (CohortState.APPROVED, made.digest, made.count)


@pytest.mark.parametrize("upto", ["DRAFT", "PROPOSED", "APPROVED"])
def test_a_list_is_discarded_for_a_reason_by_who_proposes_or_approves(
    sessions: sessionmaker[Session], office: Office, upto: str
) -> None:
    made = compute(sessions, office)
    with sessions() as session:
        if upto != "DRAFT":
            cohort.propose(session, made.id, actor=office.planner, now=NOW)
        if upto == "APPROVED":
            cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        for actor, reason, error in ((office.operator, "x", NotAllowed), (office.releaser, " ", InvalidInput)):
            with pytest.raises(error):
                cohort.discard(session, made.id, actor=actor, reason=reason, now=NOW)
            session.rollback()
        chosen = office.planner if upto == "DRAFT" else office.releaser
        gone = cohort.discard(session, made.id, actor=chosen, reason="не тот день", now=NOW)
        assert gone.state is CohortState.VOID
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "cohort.discard")).one()
        assert (told.actor, told.details["reason"]) == (chosen.reference, "не тот день")
        for step in (
            lambda: cohort.propose(session, made.id, actor=office.planner, now=NOW),
            lambda: cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW),
            lambda: cohort.discard(session, made.id, actor=office.planner, reason="x", now=NOW),
        ):
            with pytest.raises(IllegalMove):
                step()
            session.rollback()


def test_a_draft_may_be_edited(sessions: sessionmaker[Session], office: Office) -> None:
    drafted = compute(sessions, office)
    with sessions() as session:
        view = cohort.take_off(session, drafted.id, "R00000001", actor=office.planner, now=NOW)
        assert (view.state, view.count) == (CohortState.DRAFT, 2)
        for stranger in ("R00000001", "R00000004", "nobody"):
            with pytest.raises(NotFound, match="not on list"):
                cohort.take_off(session, drafted.id, stranger, actor=office.planner, now=NOW)
            session.rollback()
        assert cohort.show(session, drafted.id, actor=office.planner).count == 2


def test_a_refusal_has_a_number_and_takes_a_mass_application_back(
    sessions: sessionmaker[Session], office: Office
) -> None:
    made = approved(sessions, office)
    with sessions() as session:
        cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        number = refusals.file(
            session, snils=form(1, point_id=1).snils, channel="web", actor=CITIZEN, now=NOW, note="by letter"
        )
        assert number == "R-000002"
        mine = session.scalars(select(Application).where(Application.snils == form(1, point_id=1).snils)).one()
        assert (mine.state, mine.closed_at) == (ApplicationState.WITHDRAWN, NOW)
        assert session.scalars(select(Refusal.resident_id).where(Refusal.number == number)).one() == 1
        for snils, channel in (("123", "web"), (form(1, point_id=1).snils, "pigeon")):
            with pytest.raises(InvalidInput):
                refusals.file(session, snils=snils, channel=channel, actor=CITIZEN, now=NOW)
            session.rollback()
        assert numbering.peek(session, "refusal") == 3
