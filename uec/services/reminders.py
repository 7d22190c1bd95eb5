"""Who is to be reminded of what: a card that lies at the point, a card or a certificate that runs out.

Looked at once a day; the unique key of a message makes each reminder one, and a day that was missed is caught up with
the latest reminder of its kind only. The days are rules of the policy.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from uec.domain.lifecycle import CardState, CertificateState
from uec.domain.policy import Policy
from uec.services import messages
from uec.store.tables import Application, Card, Certificate, IssuancePoint

Facts = tuple[int, Mapping[str, Any]]
STEP = 5000


def remind(session: Session, *, policy: Policy, now: datetime) -> Mapping[str, int]:
    """Queue every reminder that is due, and commit; returns how many of each kind were new."""
    queued = {
        "ready": _ready(session, policy, now),
        "unclaimed": _unclaimed(session, policy, now),
        "card-expiry": _cards_running_out(session, policy, now),
        "certificate-expiry": _certificates_running_out(session, policy, now),
    }
    session.commit()
    return queued


def stored_too_long(session: Session, *, policy: Policy, now: datetime) -> int:
    """How many cards lie at a point for longer than they are stored: to be sent back and destroyed by people."""
    end = now - timedelta(days=policy.storage_days)
    wanted = (Card.state == CardState.PERSONALISED, Card.personalised_at < end)
    return session.scalar(select(func.count()).select_from(Card).where(*wanted)) or 0


def _ready(session: Session, policy: Policy, now: datetime) -> int:
    first = min(policy.unclaimed_reminder_days, default=policy.storage_days)
    # A card that has lain there for longer gets the reminder instead.
    lately = Card.personalised_at > now - timedelta(days=first)
    return _queued(session, "ready", "ready", _waiting(session, policy, now, lately), now)


def _unclaimed(session: Session, policy: Policy, now: datetime) -> int:
    queued = 0
    for days, until in _steps(sorted(policy.unclaimed_reminder_days), policy.storage_days):
        between = Card.personalised_at.between(
            now - timedelta(days=until) + timedelta(microseconds=1), now - timedelta(days=days)
        )
        queued += _queued(session, "unclaimed", f"unclaimed:{days}", _waiting(session, policy, now, between), now)
    return queued


def _steps(days: list[int], end: int) -> Iterator[tuple[int, int]]:
    """Each day with the one that takes its place."""
    return zip(days, [*days[1:], end], strict=False)


def _waiting(session: Session, policy: Policy, now: datetime, when: ColumnElement[bool]) -> Iterator[tuple[int, Facts]]:
    found = (
        select(
            Card.id,
            Card.application_id,
            Card.personalised_at,
            IssuancePoint.name_ru,
            IssuancePoint.name_en,
            IssuancePoint.address,
        )
        .join(Application, Application.id == Card.application_id)
        .join(IssuancePoint, IssuancePoint.id == Application.point_id)
        .where(Card.state == CardState.PERSONALISED, when)
    )
    for card_id, application_id, since, name_ru, name_en, address in _all(session, found, Card.id):
        facts = {
            "point": {"ru": name_ru, "en": name_en},
            "address": address,
            "days": (policy.day(now) - policy.day(since)).days,
            "until": (policy.day(since) + timedelta(days=policy.storage_days)).isoformat(),
        }
        yield card_id, (application_id, facts)


def _cards_running_out(session: Session, policy: Policy, now: datetime) -> int:
    today, queued = policy.day(now), 0
    for days, after in _countdown(policy.expiry_reminder_days):
        first, last = today + timedelta(days=after + 1), today + timedelta(days=days)
        found = select(Card.id, Card.application_id, Card.expires_on).where(
            Card.state == CardState.ACTIVE, Card.expires_on.between(first, last)
        )
        rows = (
            (card_id, (application_id, {"until": ends.isoformat()}))
            for card_id, application_id, ends in _all(session, found, Card.id)
        )
        queued += _queued(session, "card-expiry", f"card-expiry:{days}", rows, now)
    return queued


def _certificates_running_out(session: Session, policy: Policy, now: datetime) -> int:
    """Of cards in use whose certificate ends before the card does; the card's own end has a reminder of its own."""
    queued = 0
    for days, after in _countdown(policy.expiry_reminder_days):
        last = func.min(Certificate.not_after)
        found = (
            select(Card.id, Card.application_id, last, Card.expires_on)
            .join(Certificate, Certificate.card_id == Card.id)
            .where(
                Card.state == CardState.ACTIVE,
                Certificate.state == CertificateState.ISSUED,
                Certificate.not_after.between(now + timedelta(days=after + 1), now + timedelta(days=days + 1)),
            )
            .group_by(Card.id, Card.application_id, Card.expires_on)
        )
        rows = (
            (card_id, (application_id, {"until": policy.day(ends).isoformat()}))
            for card_id, application_id, ends, card_ends in _all(session, found, Card.id)
            if card_ends is None or policy.day(ends) < card_ends
        )
        queued += _queued(session, "certificate-expiry", f"certificate-expiry:{days}", rows, now)
    return queued


def _countdown(days: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Each number of days before the end with the next smaller one, or -1: the end itself belongs to the last."""
    ordered = sorted(days, reverse=True)
    return zip(ordered, [*ordered[1:], -1], strict=False)


def _all(session: Session, found: Select[*tuple[Any, ...]], key: Any) -> Iterator[Any]:
    """The rows of a query page by page, so that a hundred thousand of them never lie in memory at once."""
    last = 0
    while rows := session.execute(found.where(key > last).order_by(key).limit(STEP)).all():
        yield from rows
        last = rows[-1][0]


def _queued(session: Session, kind: str, occasion: str, rows: Iterable[tuple[int, Facts]], now: datetime) -> int:
    """Queue a kind for cards; the occasion is that of the card, as an application can get a second card."""
    each = ((application_id, f"{occasion}:{card_id}", facts) for card_id, (application_id, facts) in rows)
    return messages.queue_each(session, kind, each, now=now)
