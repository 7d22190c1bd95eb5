"""Asks the registers about each application by itself; a register that is down is asked again, never taken for a no.

Questions are claimed in one transaction and answered in another, so that no database lock waits for a register. A
worker that dies between the two leaves a lease that runs out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import ColumnElement, Insert, Update, and_, exists, insert, literal, select, update
from sqlalchemy.orm import Session

from uec.domain.actors import Actor, system_actor
from uec.domain.lifecycle import ApplicationEvent, ApplicationState, CheckOutcome, CheckRegister
from uec.domain.permissions import Permission
from uec.domain.policy import Policy
from uec.services.moves import move, move_all
from uec.services.rows import locked
from uec.services.views import ChecksRun
from uec.store.tables import Application, RegisterCheck

LEASE = timedelta(minutes=2)
OPEN = (CheckOutcome.PENDING, CheckOutcome.UNAVAILABLE)
ANSWERED = (CheckOutcome.MATCH, CheckOutcome.MISMATCH)
WORKER = system_actor("checks")


@dataclass(frozen=True)
class Person:
    """What a register is told about an applicant."""

    surname: str
    name: str
    patronymic: str
    birth_date: str
    sex: str
    snils: str
    oms: str
    doc_type: str
    doc_series: str
    doc_number: str
    doc_date: str
    address: str


class Answer(Protocol):
    """What a register said."""

    @property
    def outcome(self) -> CheckOutcome:
        """MATCH, MISMATCH or UNAVAILABLE."""

    @property
    def detail(self) -> str:
        """What the register added."""


class Gateway(Protocol):
    """Asks registers about people; never raises for a register that is down."""

    def check_many(self, questions: Sequence[tuple[CheckRegister, Person]]) -> Sequence[Answer]:
        """Answers in the order of the questions; UNAVAILABLE stands for every kind of silence."""


def start_checks(session: Session, *, now: datetime) -> int:
    """Put every submitted application before the registers; returns how many, set-based."""
    submitted = Application.state == ApplicationState.SUBMITTED
    # Moved first: these rows are ours until the commit, whoever hands an application in or starts checks meanwhile.
    started = move_all(session, Application, ApplicationEvent.START_CHECKS, submitted, actor=WORKER, now=now)
    for register in CheckRegister if started else ():
        session.execute(_insert_questions(register, now))
    session.commit()
    return len(started)


def run_checks(session: Session, gateway: Gateway, *, policy: Policy, now: datetime, limit: int = 200) -> ChecksRun:
    """Ask up to `limit` questions that are due, store the answers, and settle the applications that are complete."""
    claimed = _claim(session, now, limit)
    answers = gateway.check_many([(register, person) for _, _, register, person in claimed])
    for (check_id, attempts, _, _), answer in zip(claimed, answers, strict=True):
        session.execute(_store(check_id, attempts, answer, policy, now))
    matched, mismatched = _settle(session, now)
    session.commit()
    unavailable = sum(answer.outcome in OPEN for answer in answers)
    return ChecksRun(asked=len(answers), unavailable=unavailable, matched=matched, mismatched=mismatched)


def ask_again(session: Session, application_id: int, *, actor: Actor, now: datetime) -> None:
    """Ask every register once more about an application whose checks failed, after its data were looked into."""
    actor.require(Permission.DECIDE_APPLICATION)
    move(session, locked(session, Application, application_id), ApplicationEvent.START_CHECKS, actor=actor, now=now)
    session.execute(
        update(RegisterCheck)
        .where(RegisterCheck.application_id == application_id)
        .values(outcome=CheckOutcome.PENDING, next_attempt_at=now, answered_at=None, attempts=0)
    )
    session.commit()


def next_attempt(attempts: int, *, policy: Policy, now: datetime) -> datetime:
    """When a register that was silent `attempts` times is asked again: twice as late each time, to a limit."""
    pause_s = min(policy.check_last_retry_s, policy.check_first_retry_s * 2 ** min(attempts - 1, 20))
    return now + timedelta(seconds=pause_s)


def _insert_questions(register: CheckRegister, now: datetime) -> Insert:
    """Ask a register about everybody in CHECKING who is not before it yet; only who has a policy is asked about it."""
    known = exists().where(RegisterCheck.application_id == Application.id, RegisterCheck.register == register)
    asked = [Application.state == ApplicationState.CHECKING, ~known]
    if register is CheckRegister.OMS:
        asked.append(Application.oms.is_not(None))
    fixed = {"register": register, "outcome": CheckOutcome.PENDING, "attempts": 0, "next_attempt_at": now}
    types = RegisterCheck.__table__.c
    values = [literal(value, types[name].type) for name, value in fixed.items()]
    return insert(RegisterCheck).from_select(
        ["application_id", *fixed], select(Application.id, *values).where(*asked), include_defaults=False
    )


def _claim(session: Session, now: datetime, limit: int) -> list[tuple[int, int, CheckRegister, Person]]:
    """Lease the questions that are due, oldest first, and commit, so that nothing is locked while registers think."""
    due = (
        select(RegisterCheck, Application)
        .join(Application, Application.id == RegisterCheck.application_id)
        .where(
            Application.state == ApplicationState.CHECKING,
            RegisterCheck.outcome.in_(OPEN),
            RegisterCheck.next_attempt_at <= now,
        )
        .order_by(RegisterCheck.next_attempt_at, RegisterCheck.id)
        .limit(limit)
        .with_for_update(of=RegisterCheck, skip_locked=True)
    )
    claimed = [
        (check.id, check.attempts, check.register, _person(application)) for check, application in session.execute(due)
    ]
    session.execute(
        update(RegisterCheck)
        .where(RegisterCheck.id.in_([check_id for check_id, *_ in claimed]))
        .values(next_attempt_at=now + LEASE)
    )
    session.commit()
    return claimed


def _store(check_id: int, attempts: int, answer: Answer, policy: Policy, now: datetime) -> Update:
    """Write an answer, unless somebody else's came in first."""
    silent = answer.outcome in OPEN
    return (
        update(RegisterCheck)
        .where(RegisterCheck.id == check_id, RegisterCheck.outcome.in_(OPEN))
        .values(
            outcome=CheckOutcome.UNAVAILABLE if silent else answer.outcome,
            detail=answer.detail or None,
            attempts=attempts + 1,
            next_attempt_at=next_attempt(attempts + 1, policy=policy, now=now) if silent else None,
            answered_at=None if silent else now,
        )
    )


def _settle(session: Session, now: datetime) -> tuple[int, int]:
    """Move every application that has all its answers: all match, or a person must look."""

    def has(*outcomes: CheckOutcome) -> ColumnElement[bool]:
        return exists().where(RegisterCheck.application_id == Application.id, RegisterCheck.outcome.in_(outcomes))

    complete = and_(~has(*OPEN), has(*ANSWERED))
    differs = has(CheckOutcome.MISMATCH)
    event = ApplicationEvent
    mismatched = move_all(session, Application, event.CHECKS_MISMATCH, complete, differs, actor=WORKER, now=now)
    matched = move_all(session, Application, event.CHECKS_MATCH, complete, ~differs, actor=WORKER, now=now)
    return len(matched), len(mismatched)


def _person(row: Application) -> Person:
    return Person(
        surname=row.surname,
        name=row.name,
        patronymic=row.patronymic or "",
        birth_date=row.birth_date.isoformat(),
        sex=row.sex,
        snils=row.snils,
        oms=row.oms or "",
        doc_type=row.doc_type,
        doc_series=row.doc_series,
        doc_number=row.doc_number,
        doc_date=row.doc_date.isoformat(),
        address=row.address,
    )
