"""The public notice of mass emission, and what residents file in the time it opens: refusals and choices of a bank.

210-FZ, article 26: first the notice (terms, order of delivery, rights, banks), then the time to refuse and to choose a
bank; who chooses none gets the bank of the regional tender. The lengths are rules of the policy on the day of
publication. A notice is proposed by one person and confirmed by another; refusals lie in `uec.services.refusals`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.channels import CHANNELS
from uec.domain.errors import InvalidInput, SamePerson
from uec.domain.lifecycle import advance
from uec.domain.numbers import parse_snils
from uec.domain.permissions import Permission
from uec.domain.phases import CHANGE, ChangeEvent, ChangeState
from uec.domain.policy import Policy, sensible
from uec.domain.texts import typed
from uec.services import numbering
from uec.services.rows import locked
from uec.store import audit
from uec.store.tables import BankChoice, PublicNotice, Staff


@dataclass(frozen=True)
class NoticeView:
    """A notice with its windows; both last days belong to them."""

    id: int
    state: ChangeState
    text: str
    text_en: str
    places: tuple[str, ...]
    banks: tuple[str, ...]
    published_on: date
    refusal_until: date
    bank_until: date
    proposed_by: str | None
    decided_by: str | None
    decided_at: datetime | None
    closing: Mapping[str, Any] = field(default_factory=dict)


def propose(
    session: Session,
    *,
    text: str,
    places: Sequence[str],
    banks: Sequence[str],
    published_on: date,
    actor: Actor,
    policy: Policy,
    now: datetime,
    text_en: str = "",
) -> NoticeView:
    """Propose a notice; the windows follow from the policy of the day of publication. Raises `InvalidInput`.

    `text_en` is what the English page shows; without it that page shows the text as it was published.
    """
    actor.require(Permission.MANAGE_COHORT)
    published_on = sensible(published_on, "published_on")
    text, places, banks = typed(text), _lines(places), _lines(banks)
    for name, given in (("text", text), ("places", places), ("banks", banks)):
        if not given:
            raise InvalidInput("A notice needs its text, where it is published, and the banks: fill it in.", field=name)
    notice = PublicNotice(
        text=text,
        text_en=typed(text_en),
        places=places,
        banks=banks,
        published_on=published_on,
        refusal_until=published_on + timedelta(days=policy.refusal_window_days),
        bank_until=published_on + timedelta(days=policy.bank_choice_days),
        proposed_by=actor.staff_id,
        proposed_at=now,
    )
    session.add(notice)
    session.flush()
    return _told(session, notice, "propose", actor, now)


def confirm(session: Session, notice_id: int, *, actor: Actor, now: datetime) -> NoticeView:
    """Confirm a proposed notice, as another person; from then on its windows count."""
    actor.require(Permission.APPROVE_COHORT)
    notice = locked(session, PublicNotice, notice_id)
    refuse_same(notice.proposed_by, actor)
    return _decided(session, notice, ChangeEvent.CONFIRM, actor, now)


def withdraw(session: Session, notice_id: int, *, actor: Actor, now: datetime) -> NoticeView:
    """Take a proposed notice back."""
    actor.require(Permission.MANAGE_COHORT)
    return _decided(session, locked(session, PublicNotice, notice_id), ChangeEvent.WITHDRAW, actor, now)


def list_notices(session: Session, *, actor: Actor) -> list[NoticeView]:
    """All notices, the newest first."""
    actor.require(Permission.VIEW_BATCHES)
    return [_view(session, one) for one in session.scalars(select(PublicNotice).order_by(PublicNotice.id.desc()))]


def in_force(session: Session, *, on: date) -> PublicNotice | None:
    """The last confirmed notice that is published by the day."""
    confirmed = select(PublicNotice).where(PublicNotice.state == ChangeState.CONFIRMED, PublicNotice.published_on <= on)
    return session.scalar(confirmed.order_by(PublicNotice.published_on.desc(), PublicNotice.id.desc()).limit(1))


def public_notice(session: Session, *, on: date) -> NoticeView | None:
    """The notice in force on a day, for everybody to read; without the names of the office's people."""
    notice = in_force(session, on=on)
    return None if notice is None else replace(_view(session, notice), proposed_by=None, decided_by=None)


def require_windows_over(session: Session, *, on: date) -> None:
    """Raise `InvalidInput` unless a notice was published and its time to refuse and to choose a bank is over."""
    notice = in_force(session, on=on)
    if notice is None:
        raise InvalidInput(
            "No notice of mass emission is published yet: publish it and wait for the time to refuse.",
            field="notice",
            last=None,
        )
    last = max(notice.refusal_until, notice.bank_until)
    if on <= last:
        raise InvalidInput(
            f"Residents may refuse or choose a bank until {last:%d.%m.%Y}: open the applications after that day.",
            field="notice",
            last=last,
        )


def choose_bank(
    session: Session, *, snils: str, bank: str, channel: str, actor: Actor, policy: Policy, now: datetime
) -> str:
    """Store a resident's choice of bank and return the number of its confirmation; a later choice takes its place.

    The same choice once more, as by a form sent twice, has the number of the first.

    Raises `InvalidNumber`, `InvalidInput` for an unknown bank or channel, or outside of the time for it.
    """
    if channel not in CHANNELS:
        raise InvalidInput(f"A choice comes by one of {', '.join(CHANNELS)}: choose one.", field="channel")
    snils, today = parse_snils(snils), policy.day(now)
    notice = in_force(session, on=today)
    if notice is None or today > notice.bank_until:
        until = f" was until {notice.bank_until:%d.%m.%Y}" if notice else " begins with the public notice"
        raise InvalidInput(f"The time to choose a bank{until}; the bank of the tender stays.", field="bank")
    if bank not in notice.banks:
        raise InvalidInput(f"Choose one of the banks of the notice: {', '.join(notice.banks)}.", field="bank")
    numbering.take(session, "bank-choice", count=0)  # a form sent twice at once waits here for itself
    latest = session.scalar(select(BankChoice).where(BankChoice.snils == snils).order_by(BankChoice.id.desc()).limit(1))
    if latest is not None and (latest.notice_id, latest.bank) == (notice.id, bank):
        session.commit()
        return latest.number
    number = f"B-{numbering.take(session, 'bank-choice')[0]:06d}"
    choice = BankChoice(number=number, snils=snils, bank=bank, channel=channel, notice_id=notice.id, filed_at=now)
    session.add(choice)
    session.flush()
    audit.record(
        session,
        actor=actor.reference,
        action="bank.choose",
        subject_kind="bank_choice",
        subject_id=choice.id,
        details={"number": number, "channel": channel},
        now=now,
    )
    session.commit()
    return number


def chosen_at(session: Session, number: str) -> datetime | None:
    """When a choice of a bank was filed, by the number of its confirmation."""
    return session.scalar(select(BankChoice.filed_at).where(BankChoice.number == number))


def refuse_same(proposed_by: int | None, actor: Actor) -> None:
    """Raise `SamePerson` when the one who proposed would confirm."""
    if actor.staff_id is not None and proposed_by == actor.staff_id:
        raise SamePerson(
            f"{actor.display} proposed this and may not also confirm it: ask a colleague.",
            actor=actor.reference,
            earlier="propose",
            now="confirm",
        )


def display_name(session: Session, staff_id: int | None) -> str | None:
    """The name of a member of staff for a page."""
    return session.scalar(select(Staff.display_name).where(Staff.id == staff_id)) if staff_id else None


def _decided(session: Session, notice: PublicNotice, event: ChangeEvent, actor: Actor, now: datetime) -> NoticeView:
    notice.state = advance(CHANGE, notice.state, event)
    notice.decided_by, notice.decided_at = actor.staff_id, now
    return _told(session, notice, event.lower(), actor, now)


def _told(session: Session, notice: PublicNotice, action: str, actor: Actor, now: datetime) -> NoticeView:
    audit.record(
        session,
        actor=actor.reference,
        action=f"notice.{action}",
        subject_kind="public_notice",
        subject_id=notice.id,
        details={
            "published_on": notice.published_on.isoformat(),
            "refusal_until": notice.refusal_until.isoformat(),
            "bank_until": notice.bank_until.isoformat(),
        },
        now=now,
    )
    view = _view(session, notice)
    session.commit()
    return view


def _lines(texts: Sequence[str]) -> list[str]:
    return [line for line in (typed(text) for text in texts) if line]


def _view(session: Session, notice: PublicNotice) -> NoticeView:
    return NoticeView(
        id=notice.id,
        state=notice.state,
        text=notice.text,
        text_en=notice.text_en,
        places=tuple(notice.places),
        banks=tuple(notice.banks),
        published_on=notice.published_on,
        refusal_until=notice.refusal_until,
        bank_until=notice.bank_until,
        proposed_by=display_name(session, notice.proposed_by),
        decided_by=display_name(session, notice.decided_by),
        decided_at=notice.decided_at,
        closing=notice.closing or {},
    )
