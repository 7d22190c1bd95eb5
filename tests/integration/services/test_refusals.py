"""Refusals by any channel: numbered, found, taken back; what each of them bars, on both databases."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, POLICY, Office, add_resident, form, open_office, publish_notice
from uec.domain.actors import CITIZEN
from uec.domain.channels import CHANNELS
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, NotFound
from uec.domain.lifecycle import ApplicationState
from uec.services import cohort, cohort_rules, plan_people, refusal_lists, refusals
from uec.store.tables import Application, AuditEntry, Refusal, Resident

ONE, OTHER = form(1, point_id=1).snils, form(2, point_id=1).snils


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    made = open_office(sessions)
    with sessions() as session:
        for number in (1, 2):
            add_resident(session, number)
        session.commit()
        publish_notice(session, made)
    return made


def entitled(session: Session) -> set[str]:
    wanted = cohort_rules.entitled(POLICY.day(NOW), POLICY)
    return set(session.scalars(select(Resident.snils).where(*wanted)))


@pytest.mark.parametrize("channel", CHANNELS)
def test_a_refusal_by_any_channel_is_numbered_and_bars(session: Session, office: Office, channel: str) -> None:
    assert entitled(session) == {ONE, OTHER}
    number = refusals.file(session, snils=ONE, channel=channel, actor=office.operator, now=NOW)
    assert number == "R-000001"
    assert refusals.file(session, snils=ONE, channel="web", actor=CITIZEN, now=NOW) == number, "once a person"
    row = refusal_lists.look(session, number, actor=office.officer, now=NOW)
    assert (row.snils, row.channel, row.filed_at, row.recognised, row.withdrawn_at) == (ONE, channel, NOW, True, None)
    assert entitled(session) == {OTHER}


def test_one_that_is_taken_back_bars_nobody_and_stays_in_the_list(session: Session, office: Office) -> None:
    number = refusals.file(session, snils=ONE, channel="post", actor=office.operator, now=NOW, note="letter 17")
    refusals.withdraw(session, number, actor=office.operator, reason="a statement of 3 March", now=NOW)
    assert entitled(session) == {ONE, OTHER}
    row = refusal_lists.look(session, number, actor=office.officer, now=NOW)
    assert (row.withdrawn_at, row.withdrawn_for, row.note) == (NOW, "a statement of 3 March", "letter 17")
    assert row.withdrawn_by == office.operator.display
    # Somebody may change their mind again: that refusal has a number of its own, and both stand in the list.
    again = refusals.file(session, snils=ONE, channel="web", actor=CITIZEN, now=NOW)
    assert again == "R-000002" and entitled(session) == {OTHER}
    found = refusal_lists.find(session, actor=office.officer, query=ONE, now=NOW)
    assert [(one.number, one.withdrawn_at is None) for one in found.rows] == [(again, True), (number, False)]
    refusals.withdraw(session, again, actor=office.operator, reason="once more", now=NOW)
    assert entitled(session) == {ONE, OTHER}
    told = session.scalars(select(AuditEntry).where(AuditEntry.action == "refusal.withdraw").order_by(AuditEntry.seq))
    assert {(entry.details["number"], entry.actor) for entry in told} == {
        (number, office.operator.reference),
        (again, office.operator.reference),
    }


def test_taking_back_asks_a_reason_a_permission_and_a_refusal_that_stands(session: Session, office: Office) -> None:
    number = refusals.file(session, snils=ONE, channel="window", actor=office.operator, now=NOW)
    for actor, reason, asked, error in (
        (office.officer, "said so", number, NotAllowed),
        (office.operator, " \t", number, InvalidInput),
        (office.operator, "said so", "R-999999", NotFound),
    ):
        with pytest.raises(error):
            refusals.withdraw(session, asked, actor=actor, reason=reason, now=NOW)
        session.rollback()
    assert entitled(session) == {OTHER}
    refusals.withdraw(session, number, actor=office.operator, reason="said so", now=NOW)
    with pytest.raises(IllegalMove):
        refusals.withdraw(session, number, actor=office.operator, reason="said so", now=NOW)
    session.rollback()
    with pytest.raises(NotAllowed):
        refusal_lists.look(session, number, actor=office.planner, now=NOW)
    with pytest.raises(NotFound):
        refusal_lists.look(session, "R-999999", actor=office.officer, now=NOW)


def test_what_a_standing_refusal_bars_in_a_plan_a_withdrawn_one_does_not(session: Session, office: Office) -> None:
    made = cohort.compute(session, as_of=POLICY.day(NOW), actor=office.planner, policy=POLICY, now=NOW)
    cohort.propose(session, made.id, actor=office.planner, now=NOW)
    cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
    cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
    session.add(Refusal(number="R-X", snils=ONE, channel="post", filed_at=NOW))  # came after the list was opened
    session.flush()

    def ready() -> set[str]:
        return set(session.scalars(select(Application.snils).where(*plan_people.waiting())))

    def barred() -> set[str]:
        return set(session.scalars(select(Application.snils).where(refusals.barred())))

    assert (ready(), barred()) == ({OTHER}, {ONE})
    session.commit()
    refusals.withdraw(session, "R-X", actor=office.operator, reason="a slip", now=NOW)
    assert (ready(), barred()) == ({ONE, OTHER}, set())
    assert set(session.scalars(select(Application.state))) == {ApplicationState.APPROVED}
