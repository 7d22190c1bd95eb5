"""The look at cards of a line by sampling plan: drawn when a batch is finished, done by quality, one bad card and all.

The plan is `uec.domain.sampling`. Until every drawn card of a batch was looked at, no card of it is handed over. A card
that is found bad is spoiled and made again like any other. Cards made at a window are seen by the one who makes them
and by their holder; they are drawn nowhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, case, exists, func, insert, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor, system_actor
from uec.domain.errors import NotFound, UecError
from uec.domain.lifecycle import BatchState, CardEvent, CardState, OperationKind, OperationState, advance
from uec.domain.numbers import parse_card_number
from uec.domain.permissions import Permission
from uec.domain.sampling import LOOK, Defect, LookEvent, LookState, SamplingPlan
from uec.domain.stock import StoreKind
from uec.domain.texts import typed
from uec.services import stock_ledger
from uec.services.applicant_secret import RandomBytes
from uec.services.cards import apply_event
from uec.services.rows import locked, present
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Batch, Card, CardLook, CardOperation, OperationPlace, StockStore

HORIZON = timedelta(days=30)
"""A batch that was finished longer ago is drawn no more: its cards are with their holders."""
NOTE_LIMIT = 500
RULE = system_actor("sampling")


class NotLookedAt(UecError):
    """Cards of the batch wait for somebody to look at them. Facts: `batch` (number), `left`."""

    code = "uec.not_looked_at"


@dataclass(frozen=True)
class BatchLooks:
    """How far the looking at a batch is: cards drawn, looked at, found bad."""

    batch_id: int
    number: str
    drawn: int
    looked_at: int
    bad: int

    @property
    def left(self) -> int:
        """Cards that wait for a look."""
        return self.drawn - self.looked_at


@dataclass(frozen=True)
class LookRow:
    """One drawn card; `looked_by` is a member of staff."""

    card_id: int
    number: str
    state: LookState
    defect: Defect | None
    note: str | None
    looked_by: int | None
    looked_at: datetime | None


def draw_due(session: Session, *, plan: SamplingPlan, now: datetime, random: RandomBytes) -> int:
    """Draw the sample of every batch that a line has finished; how many cards were drawn. The caller commits."""
    drawn = 0
    for batch_id in session.scalars(_finished_at_lines(now)).all():
        cards = list(session.scalars(_good_cards(batch_id)))
        chosen = _chosen(cards, plan.sample_size(len(cards)), random)
        _draw(session, batch_id, chosen, RULE, now)
        drawn += len(chosen)
    return drawn


def look(
    session: Session,
    number: str,
    *,
    batch_id: int,
    defect: Defect | None,
    note: str = "",
    actor: Actor,
    now: datetime,
) -> int:
    """Record what somebody saw on the card of that number: nothing wrong, or a defect. How many wait for a look still.

    A bad card is spoiled, and the rest of its batch is drawn. Raises `InvalidNumber`, `NotFound` for a card that was
    not drawn or was looked at already, and `SamePerson` for whoever made it.
    """
    actor.require(Permission.CONTROL_QUALITY)
    digits = parse_card_number(typed(number))
    drawn = select(CardLook).join(Card, Card.id == CardLook.card_id)
    row = session.scalar(
        drawn.where(
            Card.number == digits, CardLook.batch_id == batch_id, CardLook.state == LookState.WANTED
        ).with_for_update(of=CardLook)
    )
    if row is None:
        raise NotFound(f"Card {digits} is not among those to be looked at.", kind="look", id=digits)
    _refuse_maker(session, row.card_id, actor)
    event = LookEvent.ACCEPT if defect is None else LookEvent.REJECT
    row.state = advance(LOOK, row.state, event)
    row.looked_by, row.looked_at, row.defect = actor.staff_id, now, defect
    row.note = typed(note)[:NOTE_LIMIT] or None
    details = {} if defect is None else {"defect": defect.value}
    action = "look.good" if defect is None else "look.bad"
    audit.record_many(session, [Note(actor.reference, action, "card", str(row.card_id), now, None, details)])
    if defect is not None:
        _reject(session, row, defect, actor, now)
    session.commit()
    return of_batch(session, batch_id).left


def _reject(session: Session, row: CardLook, defect: Defect, actor: Actor, now: datetime) -> None:
    card = locked(session, Card, row.card_id)
    if card.state is CardState.PERSONALISED:
        apply_event(session, card, CardEvent.SPOIL, actor=actor, reason=f"looked at: {defect.value.lower()}", now=now)
    session.flush()
    rest = _good_cards(row.batch_id).where(~exists().where(CardLook.card_id == Card.id))
    _draw(session, row.batch_id, list(session.scalars(rest)), actor, now)


def refuse_unseen(session: Session, card: Card) -> None:
    """Raise `NotLookedAt` while drawn cards of the card's batch wait for a look."""
    waiting = select(func.count()).where(CardLook.batch_id == card.batch_id, CardLook.state == LookState.WANTED)
    left = session.scalar(waiting) or 0
    if left:
        batch = present(session, Batch, card.batch_id)
        raise NotLookedAt(
            f"{left} cards of batch {batch.number} wait for somebody of quality to look at them: hand its cards over "
            "afterwards.",
            batch=batch.number,
            left=left,
        )


def of_batch(session: Session, batch_id: int) -> BatchLooks:
    """How far a batch is; nothing drawn is told as nought."""
    present(session, Batch, batch_id)
    return BatchLooks(*session.execute(_counts().where(Batch.id == batch_id)).one())


def waiting(session: Session, *, actor: Actor) -> list[BatchLooks]:
    """Batches with cards to be looked at, the oldest first."""
    actor.require(Permission.VIEW_STOCK)
    open_ones = Batch.id.in_(select(CardLook.batch_id).where(CardLook.state == LookState.WANTED))
    return [BatchLooks(*row) for row in session.execute(_counts().where(open_ones).order_by(Batch.id))]


def rows_of(session: Session, batch_id: int, *, actor: Actor) -> list[LookRow]:
    """The drawn cards of a batch: those that wait, then the others, by number."""
    actor.require(Permission.VIEW_STOCK)
    columns = (
        Card.id, Card.number, CardLook.state, CardLook.defect, CardLook.note, CardLook.looked_by, CardLook.looked_at,
    )  # fmt: skip
    found = select(*columns).join(CardLook, CardLook.card_id == Card.id).where(CardLook.batch_id == batch_id)
    first = case((CardLook.state == LookState.WANTED, 0), else_=1)
    return [LookRow(*row) for row in session.execute(found.order_by(first, Card.number))]


def _counts() -> Select[Any]:
    looked = case((CardLook.state != LookState.WANTED, 1), else_=0)
    bad = case((CardLook.state == LookState.BAD, 1), else_=0)
    drawn = func.count(CardLook.card_id)
    sums = (func.coalesce(func.sum(one), 0) for one in (looked, bad))
    counted = select(Batch.id, Batch.number, drawn, *sums).outerjoin(CardLook, CardLook.batch_id == Batch.id)
    return counted.group_by(Batch.id, Batch.number)


def _finished_at_lines(now: datetime) -> Select[int]:
    """Batches that are finished and not drawn, with a card that a line has written."""
    at_line = (
        select(CardOperation.id)
        .join(Card, Card.id == CardOperation.card_id)
        .join(OperationPlace, OperationPlace.operation_id == CardOperation.id)
        .join(StockStore, StockStore.station_id == OperationPlace.station_id)
        .where(
            Card.batch_id == Batch.id,
            Card.state == CardState.PERSONALISED,
            CardOperation.kind == OperationKind.PERSONALISE,
            CardOperation.state == OperationState.DONE,
            StockStore.kind == StoreKind.LINE,
        )
    )
    return (
        select(Batch.id)
        .where(
            Batch.state == BatchState.CLOSED,
            Batch.closed_at > now - HORIZON,
            ~exists().where(CardLook.batch_id == Batch.id),
            at_line.exists(),
        )
        .order_by(Batch.id)
        .with_for_update(skip_locked=True)
    )


def _good_cards(batch_id: int) -> Select[int]:
    return select(Card.id).where(Card.batch_id == batch_id, Card.state == CardState.PERSONALISED).order_by(Card.number)


def _chosen(cards: Sequence[int], count: int, random: RandomBytes) -> list[int]:
    """So many of the cards, each as likely as any other: by the order of random numbers given to them."""
    lots = sorted((random(8), card) for card in cards)
    return [card for _, card in lots[:count]]


def _draw(session: Session, batch_id: int, cards: Sequence[int], actor: Actor, now: datetime) -> None:
    if not cards:
        return
    fixed: dict[str, Any] = {"batch_id": batch_id, "state": LookState.WANTED, "drawn_at": now}
    session.execute(insert(CardLook), [{"card_id": card} | fixed for card in cards])
    details = {"cards": len(cards)}
    audit.record_many(session, [Note(actor.reference, "look.draw", "batch", str(batch_id), now, None, details)])


def _refuse_maker(session: Session, card_id: int, actor: Actor) -> None:
    made = select(CardOperation.requested_by).where(
        CardOperation.card_id == card_id,
        CardOperation.kind == OperationKind.PERSONALISE,
        CardOperation.requested_by == actor.staff_id,
    )
    if actor.staff_id is not None and session.scalar(made.limit(1)) is not None:
        stock_ledger.refuse_same(actor, actor.staff_id, did="produced the card", now="look at it")
