"""A card of an order that is not coming: its request comes first in the next plan, or ends with who was barred."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Any

from sqlalchemy import Row, select, update
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.bureau import ORDERED, OrderedEvent, OrderedState
from uec.domain.lifecycle import ApplicationEvent, ApplicationState, CardEvent, CardState, advance
from uec.services import barring, revocation
from uec.services.bureau_orders import parts
from uec.services.cards import OPEN_APPLICATION, apply_event
from uec.services.moves import move_all, move_found
from uec.services.refusals import barred
from uec.services.rows import locked
from uec.store.arrays import listed
from uec.store.bulk_changes import change_rows
from uec.store.tables import Application, BureauCard, Card

REASON_LIMIT = 500
NOT_WANTED = "not-wanted"
BARRED = f"{NOT_WANTED}: its person has died or refused a card"


def reject(
    session: Session, row_id: int, card_id: int, *, state: OrderedState, reason: str, actor: Actor, now: datetime
) -> None:
    """Take a card out of its order; the caller commits. One that stands in it as `state` no more is left alone.

    Nobody who was barred meanwhile is made another one.
    """
    target = advance(ORDERED, state, OrderedEvent.REJECT)
    standing = update(BureauCard).where(BureauCard.id == row_id, BureauCard.state == state)
    values = {"state": target, "reason": reason[:REASON_LIMIT]}
    if session.scalar(standing.values(values).returning(BureauCard.id)) is None:
        return
    card = locked(session, Card, card_id)
    if card.state in {CardState.WRITING, CardState.PREPARED}:
        apply_event(session, card, CardEvent.SPOIL, actor=actor, reason=reason, now=now)
        if barring.is_barred(session, card):
            barring.refuse_remake(session, card, actor=actor, now=now)


@dataclass(frozen=True, slots=True)
class Gone:
    """A card of an order that is not coming, by its row in the order, and why."""

    row_id: int
    card_id: int
    reason: str


def reject_unmade(session: Session, gone: Sequence[Gone], *, actor: Actor, now: datetime) -> None:
    """Take cards that became nothing at the bureau, locked, out of their order, set by set; the caller commits.

    They have neither chip nor certificates. Batches are not looked at: that comes last (`close_if_done`).
    """
    target = advance(ORDERED, OrderedState.ORDERED, OrderedEvent.REJECT)
    rows = [{"id": one.row_id, "reason": one.reason[:REASON_LIMIT]} for one in gone]
    change_rows(session, BureauCard, "id", rows, BureauCard.state == OrderedState.ORDERED, same={"state": target})
    spoiled: list[Row[Any]] = []
    for reason, cards in groupby(sorted(gone, key=attrgetter("reason", "card_id")), attrgetter("reason")):
        begun = (Card.id.in_([one.card_id for one in cards]), Card.state == CardState.WRITING)
        columns, ended = (Card.number, Card.application_id), {"ended_at": now}
        spoiled += move_found(
            session, Card, CardEvent.SPOIL, *begun,
            columns=columns, actor=actor, now=now, values=ended, details={"reason": reason},
        )  # fmt: skip
    revocation.change_stop_lists(session, [row.number for row in spoiled], "ADD", reason="spoil", now=now)
    _remake(session, [row.application_id for row in spoiled], actor, now)


def _remake(session: Session, application_ids: Sequence[int], actor: Actor, now: datetime) -> None:
    """Put requests to the front of the queue again; those of who was barred meanwhile end."""
    theirs = Application.id.in_(application_ids)
    move_all(
        session, Application, ApplicationEvent.REMAKE, theirs, Application.state.in_(OPEN_APPLICATION),
        actor=actor, now=now, values={"remake": True},
    )  # fmt: skip
    move_all(
        session, Application, ApplicationEvent.WITHDRAW, theirs, Application.state == ApplicationState.APPROVED,
        barred(), actor=actor, now=now, values={"remake": False, "closed_at": now},
    )  # fmt: skip


def barred_among(session: Session, card_ids: Iterable[int]) -> set[int]:
    """Those of the cards that nobody may have any more: their people have died, refused, or are gone."""
    found: set[int] = set()
    for chosen in parts(list(card_ids)):
        wanted = select(Card.id).join(Application, Application.id == Card.application_id)
        found.update(session.scalars(wanted.where(listed(session, Card.id, chosen), barred())))
    return found
