"""The journal of each card: written before the next command goes to the chip, and what it proves moves the card.

Entries that follow each other, the states they move and their audit are one transaction. Entries that move nothing are
committed together with those of other cards in flight (`uec.services.journal_writer`). The database allows no edit of
an entry, and no two entries of one number for a card: whoever goes on with a card that somebody else went on with
meanwhile (a hub taken for dead) is stopped by that before its next bundle leaves.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, func, insert, select
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
from uec.services.moves import CardNow, card_now, change, move, step, step_of
from uec.services.print_orders import require_matched
from uec.services.rows import locked
from uec.store.tables import Application, Batch, Card, JournalEntry

# Built once: every card asks them several times.
ENTERING = insert(JournalEntry.__table__)  # type: ignore[arg-type]
_OF_CARD = JournalEntry.card_id == bindparam("this")
_LAST = select(func.max(JournalEntry.seq)).where(_OF_CARD)
_ENTRIES = select(JournalEntry.kind, JournalEntry.facts).where(_OF_CARD).order_by(JournalEntry.seq)
_BATCH_STATE = select(Batch.state).where(Batch.id == bindparam("this"))


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
    card = card_now(session, card_id)
    rows = entries(card_id, records, after=after, operation_id=operation_id, at=now)
    try:
        session.connection().execute(ENTERING, rows)
    except IntegrityError as error:
        raise taken_over(card_id) from error
    for record in records:
        before, consequence = card.state, _CONSEQUENCES.get(record.kind)
        if consequence is not None:
            consequence(session, card, record.facts, actor, now)
        stock_cards.follow(session, card, record.kind, record.facts, operation_id=operation_id, actor=actor, now=now)
        if record.kind is RecordKind.INSPECTED and card.state is not before:
            close_if_done(session, card.batch_id, actor=actor, now=now)


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
    return session.connection().execute(_LAST, {"this": card_id}).scalar() or 0


def taken_over(card_id: int) -> TakenOver:
    """The error for a card that somebody else goes on with."""
    return TakenOver("Another card service goes on with this card: look at its newest operation.", card=card_id)


def records(session: Session, card_id: int) -> tuple[Record, ...]:
    """Everything recorded for a card, oldest first."""
    rows = session.connection().execute(_ENTRIES, {"this": card_id})
    return tuple(Record(RecordKind(kind), facts) for kind, facts in rows)


def _claimed(session: Session, card: CardNow, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    chip = {"chip_id": str(facts["chip_id"])}
    try:
        if card.state is not CardState.PREPARED:
            change(session, card, **chip)
        else:
            step(session, card, CardEvent.START_WRITING, actor=actor, now=now, values=chip)
            _start_production(session, card, actor, now)
    except IntegrityError as error:
        session.rollback()
        raise _chip_taken(session, chip["chip_id"]) from error
    _require(card, CardState.WRITING)


def _chip_taken(session: Session, chip_id: str) -> ChipTaken:
    """The error for a chip that became another card's since it was admitted; names that card."""
    bound = select(Card.number, Card.state, Batch.number).join(Batch, Batch.id == Card.batch_id)
    newest = bound.where(Card.chip_id == chip_id).order_by(Card.is_live.desc(), Card.id.desc()).limit(1)
    number, state, batch = session.execute(newest).one()
    return ChipTaken(chip_id, number, state.value, batch)


def _start_production(session: Session, card: CardNow, actor: Actor, now: datetime) -> None:
    step_of(session, Application, card.application_id, ApplicationEvent.PRODUCE, actor=actor, now=now, values={})
    if session.connection().execute(_BATCH_STATE, {"this": card.batch_id}).scalar() is not BatchState.RELEASED:
        return  # begun: the cards of a batch do not wait for each other
    batch = locked(session, Batch, card.batch_id)
    if batch.state is BatchState.RELEASED:
        move(session, batch, BatchEvent.PRODUCE, actor=actor, now=now)


def _released(session: Session, card: CardNow, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """The chip was none for this card, and nothing on it was changed: the next blank may become it."""
    change(session, card, chip_id=None)


def keys_of(facts: Mapping[str, Any]) -> dict[str, int]:
    """What an entry of changed keys says of the card."""
    return {"kvn": int(facts["kvn"]), "key_version": int(facts["key_version"])}


def _keys_changed(session: Session, card: CardNow, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    change(session, card, **keys_of(facts))


def _inspected(session: Session, card: CardNow, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    if card.state is CardState.PERSONALISED:
        return  # a second look at a finished card proves nothing new
    _require(card, CardState.WRITING)
    require_matched(session, card)
    step(session, card, CardEvent.INSPECTED, actor=actor, now=now, values={"personalised_at": now})
    made, settled = ApplicationEvent.CARD_READY, {"remake": False}
    step_of(session, Application, card.application_id, made, actor=actor, now=now, values=settled)


def _handed_over(session: Session, card: CardNow, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    if card.state is CardState.ACTIVE:
        return
    _require(card, CardState.PERSONALISED)
    step(session, card, CardEvent.HAND_OVER, actor=actor, now=now, values={"activated_at": now})
    given, closed = ApplicationEvent.HAND_OVER, {"closed_at": now}
    step_of(session, Application, card.application_id, given, actor=actor, now=now, values=closed)
    revocation.resume(session, card.id, now=now)


def _require(card: CardNow, state: CardState) -> None:
    """Raise `CardMovedOn` when somebody took the card's right to go on away while it lay in the reader."""
    if card.state is not state:
        raise CardMovedOn(
            f"Card {card.number} became {card.state} while it lay in the reader: take it out and put it aside.",
            card=card.number,
            state=card.state,
        )


def _scrapped(session: Session, card: CardNow, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    reason, row = str(facts.get("reason", "scrapped")), locked(session, Card, card.id)
    apply_event(session, row, CardEvent.SPOIL, actor=actor, reason=reason, now=now)
    card.state = row.state


def _unblocking(session: Session, card: CardNow, facts: Mapping[str, Any], actor: Actor, now: datetime) -> None:
    """The PINs of a card that was reported lost while it lay there are not set any more."""
    _require(card, CardState.ACTIVE)


Consequence = Callable[[Session, CardNow, Mapping[str, Any], Actor, datetime], None]
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
