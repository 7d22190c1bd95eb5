"""Ends the windows of a public notice: what came in is counted once, and who chose no bank gets that of the tender.

210-FZ, article 26. Applications opened after the windows take the bank by themselves (`cohort_applications`); here
those that are open already and still wait for the plan get it.
"""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from uec.domain.actors import system_actor
from uec.domain.lifecycle import ApplicationState, Route
from uec.domain.phases import ChangeState
from uec.domain.policy import Policy
from uec.services.notices import NoticeView
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, BankChoice, PublicNotice, Refusal

ACTOR = system_actor("scheduler")


@dataclass(frozen=True)
class Closing:
    """What came in within the windows of a notice; `default_bank` counts open applications that got it now."""

    notice_id: int
    refusals: int
    bank_choices: int
    bank: str
    default_bank: int


def close_due(session: Session, *, policy: Policy, now: datetime) -> list[Closing]:
    """Close every confirmed notice whose last day is over and that is not closed yet; each commits on its own."""
    today = policy.day(now)
    due = select(PublicNotice).where(
        PublicNotice.state == ChangeState.CONFIRMED,
        PublicNotice.closing.is_(None),
        PublicNotice.refusal_until < today,
        PublicNotice.bank_until < today,
    )
    closed = []
    for notice in session.scalars(due.order_by(PublicNotice.id).with_for_update()).all():
        closed.append(_close(session, notice, policy, now))
        session.commit()
    return closed


def bank_of_tender(notice: PublicNotice | NoticeView | None, policy: Policy) -> str | None:
    """The bank of who chooses none: that of the policy, else the first of the notice."""
    return policy.default_bank or (notice.banks[0] if notice and notice.banks else None)


def _close(session: Session, notice: PublicNotice, policy: Policy, now: datetime) -> Closing:
    closing = Closing(
        notice_id=notice.id,
        refusals=_filed(session, notice, policy),
        bank_choices=session.scalar(
            select(func.count(func.distinct(BankChoice.snils))).where(BankChoice.notice_id == notice.id)
        )
        or 0,
        bank=bank_of_tender(notice, policy) or "",
        default_bank=_give_bank(session, notice, policy, now),
    )
    facts: dict[str, Any] = asdict(closing) | {"closed_at": now.isoformat()}
    notice.closing = facts
    audit.record(
        session,
        actor=ACTOR.reference,
        action="notice.close",
        subject_kind="public_notice",
        subject_id=notice.id,
        details=facts,
        now=now,
    )
    return closing


def _filed(session: Session, notice: PublicNotice, policy: Policy) -> int:
    """Refusals filed from the day of publication to the last day, by the office's calendar."""
    filed = session.scalars(select(Refusal.filed_at).where(Refusal.filed_at >= _midnight(notice, policy)))
    return sum(policy.day(moment) <= notice.refusal_until for moment in filed)


def _midnight(notice: PublicNotice, policy: Policy) -> datetime:
    day = notice.published_on
    return datetime(day.year, day.month, day.day, tzinfo=policy.zone)


def _give_bank(session: Session, notice: PublicNotice, policy: Policy, now: datetime) -> int:
    bank = bank_of_tender(notice, policy)
    if bank is None:
        return 0
    chosen = select(BankChoice.bank).where(BankChoice.snils == Application.snils).order_by(BankChoice.id.desc())
    given = (
        update(Application)
        .where(
            Application.route == Route.MASS,
            Application.state == ApplicationState.APPROVED,
            or_(Application.bank.is_(None), Application.bank == ""),
        )
        .values(
            bank=func.coalesce(chosen.limit(1).correlate(Application).scalar_subquery(), bank),
            version=Application.version + 1,
        )
    )
    rows = session.execute(
        given.returning(Application.id, Application.resident_id), execution_options={"synchronize_session": False}
    ).all()
    audit.record_many(
        session,
        [
            Note(ACTOR.reference, "application.give-bank", "application", str(row), now, person, {"bank": bank})
            for row, person in rows
        ],
    )
    return len(rows)
