"""The journal of each card: written before the next command goes to the chip, and what it proves moves the card.

Entries that follow each other, the states they move and their audit are one transaction. Entries that move nothing are
committed together with those of other cards in flight (`uec.services.journal_writer`). The database allows no edit of
an entry, and no two entries of one number for a card: whoever goes on with a card that somebody else went on with
meanwhile (a hub taken for dead) is stopped by that before its next bundle leaves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.production.bundle import Record, RecordKind
from issuance.production.errors import ChipTaken
from uec.domain.actors import Actor
from uec.domain.errors import UecError
from uec.domain.lifecycle import ApplicationEvent, BatchEvent, BatchState, CardEvent, CardState
from uec.services import revocation, stock_cards
from uec.services.batch_closing import close_if_done
from uec.services.cards import apply_event
from uec.services.moves import move
from uec.services.print_orders import require_matched
from uec.services.rows import locked
from uec.store.tables import Application, Batch, Card, JournalEntry


class CardMovedOn(UecError):
    """What happened at the card does not count any more. Facts: `card`, `state`."""

    code = "uec.card_moved_on"


class TakenOver(UecError):
    """Somebody else goes on with the card. Facts: `card`."""

    code = "uec.card_taken_over"


def append(
    session: Session, card_id: int, record: Record, *, operation_id: int | None, actor: Actor, now: datetime
) -> None:
    """Store an entry and what follows from it, and commit; raises `ChipTaken` for a chip bound to another card."""
    after = last_number(session, card_id)
    append_all(session, card_id, [record], after=after, operation_id=operation_id, actor=actor, now=now)
    session.commit()


def append_all(
    session: Session,
    card_id: int,
    records: Sequence[Record],
    *,
    after: int,
    operation_id: int | None,
    actor: Actor,
    now: datetime,
) -> None:
    """Store entries numbered from `after` + 1 and what follows from them; the caller commits.

    Raises `ChipTaken` for a chip bound to another card, `CardMovedOn` for a card whose right to go on was taken away,
    `TakenOver` when there are such entries already.
    """
    card = locked(session, Card, card_id)
    try:
        session.execute(insert(JournalEntry), entries(card_id, records, after=after, operation_id=operation_id, at=now))
    except IntegrityError as error:
        raise taken_over(card_id) from error
    for record in records:
        consequence = _CONSEQUENCES.get(record.kind)
        if consequence is not None:
            consequence(session, card, record.facts, actor, now)
        stock_cards.follow(session, card, record.kind, record.facts, operation_id=operation_id, actor=actor, now=now)


def entries(
    card_id: int, records: Iterable[Record], *, after: int, operation_id: int | None, at: datetime
) -> list[dict[str, Any]]:
    """The rows of entries that follow number `after`."""
    fixed = {"card_id": card_id, "operation_id": operation_id, "at": at}
    return [
        fixed | {"seq": number, "kind": record.kind.value, "facts": dict(record.facts)}
        for number, record in enumerate(records, after + 1)
    ]


def last_number(session: Session, card_id: int) -> int:
    """The number of a card's newest entry; 0 before the first."""
    return session.scalar(select(func.max(JournalEntry.seq)).where(JournalEntry.card_id == card_id)) or 0


def taken_over(card_id: int) -> TakenOver:
    """The error for a card that somebody else goes on with."""
    return TakenOver("Another card service goes on with this card: look at its newest operation.", card=card_id)


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
        raise _chip_taken(session, chip_id) from error
    if card.state is CardState.PREPARED:
        _start_writing(session, card, actor, now)
    _require(card, CardState.WRITING)


def _chip_taken(session: Session, chip_id: str) -> ChipTaken:
    """The error for a chip that became another card's since it was admitted; names that card."""
    bound = select(Card.number, Card.state, Batch.number).join(Batch, Batch.id == Card.batch_id)
    newest = bound.where(Card.chip_id == chip_id).order_by(Card.is_live.desc(), Card.id.desc()).limit(1)
    number, state, batch = session.execute(newest).one()
    return ChipTaken(chip_id, number, state.value, batch)


def _start_writing(session: Session, card: Card, actor: Actor, now: datetime) -> None:
    move(session, card, CardEvent.START_WRITING, actor=actor, now=now)
    move(session, locked(session, Application, card.application_id), ApplicationEvent.PRODUCE, actor=actor, now=now)
    if session.scalar(select(Batch.state).where(Batch.id == card.batch_id)) is not BatchState.RELEASED:
        return  # begun: the cards of a batch do not wait for each other
    batch = locked(session, Batch, card.batch_id)
    if batch.state is BatchState.RELEASED:
        move(session, batch, BatchEvent.PRODUCE, actor=actor, now=now)


def _released(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """The chip was none for this card, and nothing on it was changed: the next blank may become it."""
    card.chip_id = None


def keys_of(facts: Mapping[str, Any]) -> dict[str, int]:
    """What an entry of changed keys says of the card."""
    return {"kvn": int(facts["kvn"]), "key_version": int(facts["key_version"])}


def _keys_changed(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    for name, value in keys_of(facts).items():
        setattr(card, name, value)


def _inspected(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    if card.state is CardState.PERSONALISED:
        return  # a second look at a finished card proves nothing new
    _require(card, CardState.WRITING)
    require_matched(session, card)
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


def _unblocking(session: Session, card: Card, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """The PINs of a card that was reported lost while it lay there are not set any more."""
    _require(card, CardState.ACTIVE)


Consequence = Callable[[Session, Card, Mapping[str, Any], Actor, datetime], None]
_CONSEQUENCES: Mapping[RecordKind, Consequence] = {
    RecordKind.CHIP_CLAIMED: _claimed,
    RecordKind.CHIP_RELEASED: _released,
    RecordKind.KEY_CHANGED: _keys_changed,
    RecordKind.INSPECTED: _inspected,
    RecordKind.HANDED_OVER: _handed_over,
    RecordKind.UNBLOCK_INTENT: _unblocking,
    RecordKind.SCRAPPED: _scrapped,
}
MOVING = frozenset(_CONSEQUENCES) - {RecordKind.KEY_CHANGED}
"""Entries that move card, application or batch; KEY_CHANGED only notes what the chip holds."""
OUTCOMES = frozenset(RecordKind) - MOVING - {kind for kind in RecordKind if kind.value.endswith("_intent")}
"""Entries of what has happened, whether or not the card was still to go on."""
