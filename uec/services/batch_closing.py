"""A batch closes by itself when the last of its cards is made, spoiled or called off."""

from datetime import datetime

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import BatchEvent, BatchState, CardState
from uec.services.moves import move
from uec.services.rows import locked
from uec.store.tables import Batch, Card

UNFINISHED = (CardState.PLANNED, CardState.PREPARED, CardState.WRITING)
_END = {
    BatchState.PLANNED: BatchEvent.CANCEL,
    BatchState.RELEASED: BatchEvent.CANCEL,
    BatchState.IN_PRODUCTION: BatchEvent.CLOSE,
}
_TURN = select(Batch.id).where(Batch.id == bindparam("batch"), Batch.state.in_(_END)).with_for_update(key_share=True)
_LEFT = select(Card.id).where(Card.batch_id == bindparam("batch"), Card.state.in_(UNFINISHED)).limit(1)


def close_if_done(session: Session, batch_id: int, *, actor: Actor, now: datetime) -> None:
    """Close a batch that has nothing left to write, or call it off when nothing of it was begun; the caller commits.

    One card of an open batch after the other, from here to its commit: two that ended at the same moment would each
    see the other one unfinished, and nobody would close the batch. It comes last, behind the card and its blank, or
    two cards would wait for each other.
    """
    session.flush()
    asked, this = session.connection(), {"batch": batch_id}
    if asked.execute(_TURN, this).first() is None or asked.execute(_LEFT, this).first() is not None:
        return
    batch = locked(session, Batch, batch_id)
    batch.closed_at = now
    move(session, batch, _END[batch.state], actor=actor, now=now)
