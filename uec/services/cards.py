"""The life of a card after it is made: suspend, resume, lost, replace, annul, spoil, destroy.

One event is one transaction: the card's state, its certificates (held or revoked), the stop-list and the application
behind it move together, with the audit. What an event brings about is a table, not code.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from issuance.pki.crl import RevocationReason
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import InvalidInput, NotAllowed
from uec.domain.lifecycle import ApplicationEvent, ApplicationReason, ApplicationState, CardEvent, CardState
from uec.domain.permissions import Permission
from uec.domain.policy import Policy
from uec.domain.texts import typed
from uec.services import revocation, stock_cards
from uec.services.applicant_secret import RandomBytes
from uec.services.batch_closing import close_if_done
from uec.services.forms import ApplicationForm
from uec.services.intake import replace_application
from uec.services.moves import move, move_all
from uec.services.rows import locked, present
from uec.services.views import Receipt
from uec.store.tables import Application, Card, UnblockLetter


@dataclass(frozen=True)
class Consequence:
    """What an event does beside the state: to the certificates, the stop-list, and an application still open.

    `certificates` is HOLD, RESUME, a reason to revoke for, or None; `stop_list` is ADD, REMOVE or empty.
    """

    certificates: RevocationReason | Literal["HOLD", "RESUME"] | None = None
    stop_list: str = ""
    application: ApplicationEvent | None = None
    ends: bool = False


# CRL reasons: RFC 5280, section 5.3.1.
CONSEQUENCES: Mapping[CardEvent, Consequence] = {
    CardEvent.SUSPEND: Consequence("HOLD", "ADD"),
    CardEvent.RESUME: Consequence("RESUME", "REMOVE"),
    CardEvent.REPORT_LOST: Consequence(RevocationReason.KEY_COMPROMISE, "ADD", ApplicationEvent.REMAKE, ends=True),
    CardEvent.ANNUL: Consequence(RevocationReason.CESSATION_OF_OPERATION, "ADD", ApplicationEvent.WITHDRAW, ends=True),
    CardEvent.REPLACE: Consequence(RevocationReason.SUPERSEDED, "ADD", ends=True),
    CardEvent.EXPIRE: Consequence(application=ApplicationEvent.WITHDRAW, ends=True),
    CardEvent.SPOIL: Consequence(RevocationReason.CESSATION_OF_OPERATION, "ADD", ApplicationEvent.REMAKE, ends=True),
    CardEvent.DESTROY: Consequence(),
}
OPEN_APPLICATION = (ApplicationState.PLANNED, ApplicationState.IN_PRODUCTION, ApplicationState.READY)
REASON_LIMIT = 500
CLOCK = system_actor("clock")


def suspend(session: Session, card_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Stop an active card for a while: certificates on hold, card on the stop-list."""
    _change(session, card_id, CardEvent.SUSPEND, actor=actor, reason=reason, now=now)


def resume(session: Session, card_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Let a suspended card serve again: the hold is lifted, the card comes off the stop-list."""
    _change(session, card_id, CardEvent.RESUME, actor=actor, reason=reason, now=now)


def report_lost(session: Session, card_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Block a lost or stolen card at once and for good; any window that takes applications may do it."""
    _change(session, card_id, CardEvent.REPORT_LOST, actor=actor, reason=reason, now=now)


def annul(session: Session, card_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """End a card for good, for instance when its holder refuses to use it."""
    _change(session, card_id, CardEvent.ANNUL, actor=actor, reason=reason, now=now)


def destroy(session: Session, card_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Record that the plastic of an ended card has been destroyed; the reason names the destruction record."""
    stock_cards.refuse_lone_destruction(session, present(session, Card, card_id))
    _change(session, card_id, CardEvent.DESTROY, actor=actor, reason=reason, now=now)


def spoil(session: Session, card_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Scrap a card that failed in production; its application goes back to the front of the queue."""
    _change(session, card_id, CardEvent.SPOIL, actor=actor, reason=reason, now=now)


def replace(
    session: Session,
    card_id: int,
    *,
    actor: Actor,
    reason: ApplicationReason,
    policy: Policy,
    now: datetime,
    random: RandomBytes,
) -> Receipt:
    """End a surrendered or lost card and take the application for its successor, in one transaction.

    `reason` is DUPLICATE (lost or damaged), REPLACEMENT or RENEWAL. The new application carries the old one's data and
    passes checks and decision like any other.
    """
    actor.require(Permission.TAKE_APPLICATION)
    if reason is ApplicationReason.FIRST:
        raise InvalidInput("Say why the card is replaced: DUPLICATE, REPLACEMENT or RENEWAL.", field="reason")
    card = locked(session, Card, card_id)
    old = present(session, Application, card.application_id)
    apply_event(session, card, CardEvent.REPLACE, actor=actor, reason=reason.value, now=now)
    if reason is not ApplicationReason.DUPLICATE:  # the holder gives the old card back with the application
        stock_cards.surrendered(session, card, reason=reason.value, actor=actor, now=now)
    receipt = replace_application(
        session, form=_form_of(old, reason), card=card, actor=actor, policy=policy, now=now, random=random
    )
    session.commit()
    return receipt


def expire_due(session: Session, *, today: date, now: datetime) -> int:
    """End every card whose last day of validity is before the office's `today`, set-based; returns how many.

    An application whose card was never fetched ends with it. Certificates end by themselves on the same day.
    """
    over = Card.expires_on < today
    unclaimed = select(Card.application_id).where(over, Card.state == CardState.PERSONALISED)
    ended = {"closed_at": now}
    ready = (Application.state == ApplicationState.READY, Application.id.in_(unclaimed))
    move_all(session, Application, ApplicationEvent.WITHDRAW, *ready, actor=CLOCK, now=now, values=ended)
    expired = move_all(session, Card, CardEvent.EXPIRE, over, actor=CLOCK, now=now, values={"ended_at": now})
    over_now = select(Card.id).where(Card.state == CardState.EXPIRED)
    unprinted = UnblockLetter.sealed.is_not(None)
    session.execute(update(UnblockLetter).where(unprinted, UnblockLetter.card_id.in_(over_now)).values(sealed=None))
    session.commit()
    return len(expired)


def apply_event(session: Session, card: Card, event: CardEvent, *, actor: Actor, reason: str, now: datetime) -> None:
    """Move a locked card and all that hangs on it; the caller commits. Raises `IllegalMove`."""
    consequence = CONSEQUENCES[event]
    had_certificates = card.state not in {CardState.PLANNED, CardState.PREPARED}
    move(session, card, event, actor=actor, now=now, details={"reason": reason})
    if event is CardEvent.SPOIL:
        stock_cards.spoiled(session, card, reason=reason, actor=actor, now=now)
    if consequence.ends:
        card.ended_at = now
        session.execute(update(UnblockLetter).where(UnblockLetter.card_id == card.id).values(sealed=None))
    if had_certificates and consequence.certificates:
        _certificates(session, card, consequence.certificates, now)
    if had_certificates and consequence.stop_list:
        revocation.change_stop_list(session, card.number, consequence.stop_list, reason=event.lower(), now=now)
    application = locked(session, Application, card.application_id)
    if consequence.application and application.state in OPEN_APPLICATION:
        _application(session, application, consequence.application, actor=actor, now=now)
    close_if_done(session, card.batch_id, actor=actor, now=now)


def _certificates(session: Session, card: Card, change: RevocationReason | str, now: datetime) -> None:
    if isinstance(change, RevocationReason):
        revocation.revoke(session, card.id, reason=change, now=now)
    elif change == "HOLD":
        revocation.hold(session, card.id, now=now)
    else:
        revocation.resume(session, card.id, now=now)


def _application(
    session: Session, application: Application, event: ApplicationEvent, *, actor: Actor, now: datetime
) -> None:
    move(session, application, event, actor=actor, now=now)
    application.remake = event is ApplicationEvent.REMAKE
    if event is ApplicationEvent.WITHDRAW:
        application.closed_at = now


def _change(session: Session, card_id: int, event: CardEvent, *, actor: Actor, reason: str, now: datetime) -> None:
    _require(actor, event)
    reason = typed(reason)
    if not reason or len(reason) > REASON_LIMIT:
        raise InvalidInput(f"This needs a reason of 1 to {REASON_LIMIT} characters: write it.", field="reason")
    apply_event(session, locked(session, Card, card_id), event, actor=actor, reason=reason, now=now)
    session.commit()


def _require(actor: Actor, event: CardEvent) -> None:
    """A loss is taken by any window, spoilage by the line; everything else is for those who manage cards."""
    besides = {CardEvent.REPORT_LOST: Permission.TAKE_APPLICATION, CardEvent.SPOIL: Permission.PRODUCE_CARD}
    try:
        actor.require(Permission.MANAGE_CARD)
    except NotAllowed:
        if event not in besides:
            raise
        actor.require(besides[event])


def _form_of(old: Application, reason: ApplicationReason) -> ApplicationForm:
    names = [name for name in ApplicationForm.__dataclass_fields__ if name not in {"reason", "photo"}]
    optional = {"patronymic", "oms", "phone", "email", "bank", "language", "profile"}
    values: dict[str, Any] = {
        name: getattr(old, name) or "" if name in optional else getattr(old, name) for name in names
    }
    return ApplicationForm(**values, photo=old.photo, reason=reason)
