"""The journal of each card: written before the next command goes to the chip, and what it proves moves the card.

An entry, the states it moves and their audit are one transaction. The database allows no edit of an entry.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.production.bundle import Record, RecordKind
from issuance.production.errors import ChipTaken
from uec.domain.actors import Actor
from uec.domain.errors import UecError
from uec.domain.lifecycle import ApplicationEvent, BatchEvent, BatchState, CardEvent, CardState
from uec.services import revocation
from uec.services.batch_closing import close_if_done
from uec.services.cards import apply_event
from uec.services.moves import move
from uec.services.rows import locked
from uec.store.tables import Application, Batch, Card, JournalEntry


class CardMovedOn(UecError):
    """What happened at the card does not count any more. Facts: `card`, `state`."""

    code = "uec.card_moved_on"


def append(
    session: Session, card_id: int, record: Record, *, operation_id: int | None, actor: Actor, now: datetime
) -> None:
    """Store an entry and what follows from it, and commit; raises `ChipTaken` for a chip bound to another card."""
    card = locked(session, Card, card_id)
    last = session.scalar(select(func.max(JournalEntry.seq)).where(JournalEntry.card_id == card_id)) or 0
    session.add(
        JournalEntry(
            card_id=card_id,
            operation_id=operation_id,
            seq=last + 1,
            kind=record.kind.value,
            facts=dict(record.facts),
            at=now,
        )
    )
    consequence = _CONSEQUENCES.get(record.kind)
    if consequence is not None:
        consequence(session, card, record.facts, actor, now)
    session.commit()


def records(session: Session, card_id: int) -> tuple[Record, ...]:
    """Everything recorded for a card, oldest first."""
    entries = select(JournalEntry).where(JournalEntry.card_id == card_id).order_by(JournalEntry.seq)
    return tuple(Record(RecordKind(entry.kind), entry.facts) for entry in session.scalars(entries))


def _claimed(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    chip_id = str(facts["chip_id"])
    card.chip_id = chip_id
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise ChipTaken(chip_id, "", "", "") from error
    if card.state is CardState.PREPARED:
        _start_writing(session, card, actor, now)
    _require(card, CardState.WRITING)


def _start_writing(session: Session, card: Card, actor: Actor, now: datetime) -> None:
    move(session, card, CardEvent.START_WRITING, actor=actor, now=now)
    move(session, locked(session, Application, card.application_id), ApplicationEvent.PRODUCE, actor=actor, now=now)
    batch = locked(session, Batch, card.batch_id)
    if batch.state is BatchState.RELEASED:
        move(session, batch, BatchEvent.PRODUCE, actor=actor, now=now)


def _keys_changed(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    card.kvn, card.key_version = int(facts["kvn"]), int(facts["key_version"])


def _inspected(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    if card.state is CardState.PERSONALISED:
        return  # a second look at a finished card proves nothing new
    _require(card, CardState.WRITING)
    card.personalised_at = now
    move(session, card, CardEvent.INSPECTED, actor=actor, now=now)
    application = locked(session, Application, card.application_id)
    move(session, application, ApplicationEvent.CARD_READY, actor=actor, now=now)
    application.remake = False
    close_if_done(session, card.batch_id, actor=actor, now=now)


def _handed_over(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    if card.state is CardState.ACTIVE:
        return
    _require(card, CardState.PERSONALISED)
    card.activated_at = now
    move(session, card, CardEvent.HAND_OVER, actor=actor, now=now)
    application = locked(session, Application, card.application_id)
    move(session, application, ApplicationEvent.HAND_OVER, actor=actor, now=now)
    application.closed_at = now
    revocation.resume(session, card.id, now=now)


def _require(card: Card, state: CardState) -> None:
    """Raise `CardMovedOn` when somebody took the card's right to go on away while it lay in the reader."""
    if card.state is not state:
        raise CardMovedOn(
            f"Card {card.number} became {card.state} while it lay in the reader: take it out and put it aside.",
            card=card.number,
            state=card.state,
        )


def _scrapped(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    apply_event(session, card, CardEvent.SPOIL, actor=actor, reason=str(facts.get("reason", "scrapped")), now=now)


Consequence = Callable[[Session, Card, Mapping[str, Any], Actor, datetime], None]
_CONSEQUENCES: Mapping[RecordKind, Consequence] = {
    RecordKind.CHIP_CLAIMED: _claimed,
    RecordKind.KEY_CHANGED: _keys_changed,
    RecordKind.INSPECTED: _inspected,
    RecordKind.HANDED_OVER: _handed_over,
    RecordKind.SCRAPPED: _scrapped,
}
