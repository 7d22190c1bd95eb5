"""Checks and decisions on both databases: match, mismatch, silence asked again, and never the one who took it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, POLICY, Office, add_staff, form, open_office, seeded_random
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, NotFound, SamePerson
from uec.domain.lifecycle import ApplicationState, CheckOutcome, CheckRegister, Route
from uec.domain.permissions import Role
from uec.services import checks, decision
from uec.services.checks import Person
from uec.services.intake import submit_application
from uec.store.tables import Application, AuditEntry, RegisterCheck


@dataclass(frozen=True)
class Said:
    outcome: CheckOutcome
    detail: str = ""


@dataclass
class ScriptedGateway:
    """Registers that say what `script` says, and remember what they were asked."""

    script: Callable[[CheckRegister, Person], CheckOutcome]
    asked: list[tuple[CheckRegister, str]] = field(default_factory=list)

    def check_many(self, questions: Sequence[tuple[CheckRegister, Person]]) -> list[Said]:
        self.asked += [(register, person.snils) for register, person in questions]
        return [Said(self.script(register, person), f"{register.lower()} answered") for register, person in questions]


def always(outcome: CheckOutcome) -> ScriptedGateway:
    return ScriptedGateway(lambda register, person: outcome)


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    made = open_office(sessions)
    with sessions() as session:
        for number in (1, 2):
            submit_application(
                session,
                form=form(number, point_id=made.points[0], oms="" if number == 2 else form(1, point_id=1).oms),
                route=Route.WINDOW,
                actor=made.operator,
                policy=POLICY,
                now=NOW,
                random=seeded_random(number),
            )
        assert checks.start_checks(session, now=NOW) == 2
    return made


def run(sessions: sessionmaker[Session], gateway: ScriptedGateway, now: datetime = NOW, limit: int = 200):
    with sessions() as session:
        return checks.run_checks(session, gateway, policy=POLICY, now=now, limit=limit)


def states(sessions: sessionmaker[Session]) -> list[ApplicationState]:
    with sessions() as session:
        return list(session.scalars(select(Application.state).order_by(Application.id)))


def test_all_registers_match_and_no_policy_no_question(sessions: sessionmaker[Session], office: Office) -> None:
    gateway = always(CheckOutcome.MATCH)
    done = run(sessions, gateway)
    assert (done.asked, done.matched, done.mismatched, done.unavailable) == (7, 2, 0, 0)
    assert states(sessions) == [ApplicationState.CHECKED] * 2
    without_policy = form(2, point_id=1).snils
    assert (CheckRegister.OMS, without_policy) not in gateway.asked
    assert run(sessions, gateway).asked == 0, "an answered question is never asked again"


def test_one_mismatch_brings_a_person_in(sessions: sessionmaker[Session], office: Office) -> None:
    stranger = form(1, point_id=1).snils

    def script(register: CheckRegister, person: Person) -> CheckOutcome:
        wrong = register is CheckRegister.PASSPORT and person.snils == stranger
        return CheckOutcome.MISMATCH if wrong else CheckOutcome.MATCH

    done = run(sessions, ScriptedGateway(script))
    assert (done.matched, done.mismatched) == (1, 1)
    assert states(sessions) == [ApplicationState.CHECK_FAILED, ApplicationState.CHECKED]


def test_a_register_that_is_down_is_asked_again_later_and_never_counts_as_a_no(
    sessions: sessionmaker[Session], office: Office
) -> None:
    down = ScriptedGateway(
        lambda register, person: CheckOutcome.UNAVAILABLE if register is CheckRegister.SNILS else CheckOutcome.MATCH
    )
    assert run(sessions, down).unavailable == 2
    assert states(sessions) == [ApplicationState.CHECKING] * 2
    assert run(sessions, down, NOW + timedelta(seconds=29)).asked == 0
    assert run(sessions, down, NOW + timedelta(seconds=30)).asked == 2
    assert run(sessions, down, NOW + timedelta(seconds=60)).asked == 0, "the second pause is twice the first"
    back = run(sessions, always(CheckOutcome.MATCH), NOW + timedelta(seconds=90))
    assert (back.asked, back.matched) == (2, 2)
    with sessions() as session:
        attempts = session.scalars(
            select(RegisterCheck.attempts).where(RegisterCheck.register == CheckRegister.SNILS)
        ).all()
    assert attempts == [3, 3]


def test_the_pause_grows_to_the_policys_last() -> None:
    pauses = [(checks.next_attempt(n, policy=POLICY, now=NOW) - NOW).total_seconds() for n in (1, 2, 3, 8, 500)]
    assert pauses == [30, 60, 120, 3600, 3600]


def test_a_worker_that_dies_leaves_a_lease_that_runs_out(sessions: sessionmaker[Session], office: Office) -> None:
    class Dies(Exception):
        pass

    def die(register: CheckRegister, person: Person) -> CheckOutcome:
        raise Dies

    with pytest.raises(Dies):
        run(sessions, ScriptedGateway(die))
    assert run(sessions, always(CheckOutcome.MATCH)).asked == 0
    assert run(sessions, always(CheckOutcome.MATCH), NOW + checks.LEASE).asked == 7


def test_a_limit_leaves_the_rest_for_the_next_run(sessions: sessionmaker[Session], office: Office) -> None:
    gateway = always(CheckOutcome.MATCH)
    assert [run(sessions, gateway, limit=4).asked for _ in range(3)] == [4, 3, 0]
    assert len(set(gateway.asked)) == 7


def test_after_a_mismatch_an_officer_asks_again(sessions: sessionmaker[Session], office: Office) -> None:
    run(sessions, always(CheckOutcome.MISMATCH))
    with sessions() as session:
        checks.ask_again(session, 1, actor=office.officer, now=NOW)
    assert run(sessions, always(CheckOutcome.MATCH)).asked == 4
    assert states(sessions) == [ApplicationState.CHECKED, ApplicationState.CHECK_FAILED]


def test_an_officer_decides_with_a_reason_and_it_stands_in_the_audit(
    sessions: sessionmaker[Session], office: Office
) -> None:
    run(sessions, always(CheckOutcome.MATCH))
    with sessions() as session:
        decision.approve(session, 1, actor=office.officer, reason=" documents seen ", now=NOW)
        decision.reject(session, 2, actor=office.officer, reason="lives elsewhere", now=NOW)
    assert states(sessions) == [ApplicationState.APPROVED, ApplicationState.REJECTED]
    with sessions() as session:
        told = session.scalars(select(AuditEntry).where(AuditEntry.action == "application.approve")).one()
        assert told.details["reason"] == "documents seen" and told.actor == office.officer.reference
        approved = session.get_one(Application, 1)
        assert (approved.decided_by, approved.decided_at) == (office.officer.staff_id, NOW)


def test_who_took_it_never_decides(sessions: sessionmaker[Session], office: Office) -> None:
    run(sessions, always(CheckOutcome.MATCH))
    with sessions() as session:
        both = add_staff(session, "both", Role.OPERATOR, Role.OFFICER)
        session.get_one(Application, 1).taken_by = both.staff_id
        session.commit()
    with sessions() as session, pytest.raises(SamePerson) as refusal:
        decision.approve(session, 1, actor=both, reason="fine", now=NOW)
    assert (refusal.value.earlier, refusal.value.now) == ("take", "approve")
    assert states(sessions)[0] is ApplicationState.CHECKED


@pytest.mark.parametrize(
    ("actor", "reason", "application_id", "error"),
    [
        ("operator", "fine", 1, NotAllowed),
        ("officer", "  ", 1, InvalidInput),
        ("officer", "x" * 1001, 1, InvalidInput),
        ("officer", "fine", 99, NotFound),
        ("officer", "fine", 1, IllegalMove),
    ],
)
def test_a_decision_that_cannot_be(
    sessions: sessionmaker[Session],
    office: Office,
    actor: str,
    reason: str,
    application_id: int,
    error: type[Exception],
) -> None:
    with sessions() as session, pytest.raises(error):
        decision.approve(session, application_id, actor=getattr(office, actor), reason=reason, now=NOW)
    assert states(sessions) == [ApplicationState.CHECKING] * 2
