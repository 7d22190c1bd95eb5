"""Blanks at a bureau in the ledger: those that became cards, and those that came to nothing."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.stock import Motion, Place, SerialRange
from uec.services import stock_ledger
from uec.services.bureau_orders import overlapping
from uec.services.stock_ledger import Held
from uec.store.bulk import insert_rows
from uec.store.bulk_changes import change_rows
from uec.store.tables import BureauChip, StockMovement


def claim(session: Session, store_id: int, made: Sequence[tuple[str, int]], *, actor: Actor, now: datetime) -> None:
    """Blanks (chip, card id) go from the bureau's hand into work, where they stay until our own inspection."""
    work = stock_ledger.account(session, Place.WORK, store_id=store_id)
    _move(session, store_id, Motion.CLAIM, work, [(chip, card, None) for chip, card in made], actor, now)


def spoil(
    session: Session, store_id: int, order_id: int, reasons: Mapping[str, str], *, actor: Actor, now: datetime
) -> None:
    """Blanks, by chip, go from the bureau's hand to the spoiled ones, each with its reason."""
    if not reasons:
        return
    spoiled = stock_ledger.account(session, Place.SPOILED, store_id=store_id)
    _move(session, store_id, Motion.SPOIL, spoiled, [(chip, None, why) for chip, why in reasons.items()], actor, now)
    rows = [{"chip_id": chip, "spoiled": why} for chip, why in reasons.items()]
    change_rows(session, BureauChip, "chip_id", rows, BureauChip.order_id == order_id)


def _move(
    session: Session,
    store_id: int,
    motion: Motion,
    taker_id: int,
    chips: Sequence[tuple[str, int | None, str | None]],
    actor: Actor,
    now: datetime,
) -> None:
    """One entry a chip, all in one statement: the ledger's own `move` takes one card and one reason."""
    stock_ledger.lock_lots(session, {chip[:12] for chip, _, _ in chips})
    hand = stock_ledger.account(session, Place.HAND, store_id=store_id)
    ranges = [SerialRange.of_chip(chip) for chip, _, _ in chips]
    lying = stock_ledger.held_around(session, hand, ranges)
    begins = [(held.chips.lot, held.chips.first) for held in lying]
    fixed = {"at": now, "actor": actor.reference, "motion": motion, "taker_id": taker_id}
    rows = [
        fixed | _place(held) | {"card_id": card, "reason": why}
        for (chip, card, why), place in zip(chips, ranges, strict=True)
        for held in _there(lying, begins, place)
    ]
    session.flush()
    insert_rows(session, StockMovement, rows)


def _there(lying: Sequence[Held], begins: Sequence[tuple[str, int]], chip: SerialRange) -> list[Held]:
    """The chip in what lies there, which begins at `begins`; nothing when it is not there."""
    nearest = bisect_right(begins, (chip.lot, chip.first)) - 1
    return overlapping([lying[nearest]], chip) if nearest >= 0 else []


def _place(held: Held) -> dict[str, Any]:
    return {
        "lot": held.chips.lot,
        "first": held.chips.first,
        "last": held.chips.last,
        "blanks": held.chips.blanks,
        "box_id": held.box_id,
        "giver_id": held.account_id,
    }
