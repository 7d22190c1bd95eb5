"""Shifts: an operator opens one, a store keeper issues blanks to it, production uses them up, and it closes balanced.

While a shift is open each blank it was issued is in hand, in work, made, spoiled or given back, by the ledger. It
closes only when nothing is in hand or in work any more; otherwise the refusal names every box and chip.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotAllowed
from uec.domain.lifecycle import advance
from uec.domain.permissions import Permission
from uec.domain.stock import (
    SHIFT,
    Motion,
    Place,
    SerialRange,
    ShiftEvent,
    ShiftState,
    ShiftUnbalanced,
    StockRefused,
    SubjectKind,
)
from uec.services import numbering, quality_refusals, stock_ledger
from uec.services.rows import locked, present
from uec.services.stock_ledger import Held, Wanted, cut, note
from uec.store.tables import StockAccount, StockMovement, StockShift, StockStore

SHOWN_RANGES = 10


class ShiftOpenAlready(StockRefused):
    """The operator, the station or the store's only place has an open shift. Facts: `store`."""

    code = "uec.shift_open_already"


@dataclass(frozen=True)
class BoxLine:
    """One box in one shift: blanks issued, cards made, spoiled, given back, missing; `left` are unaccounted chips.

    Of them `begun` are cards that were begun and not finished: in a reader, or taken out of it in the middle.
    """

    box: str
    issued: int
    made: int
    spoiled: int
    given_back: int
    missing: int
    left: tuple[SerialRange, ...]
    begun: tuple[SerialRange, ...] = ()

    @property
    def unaccounted(self) -> int:
        """Blanks that are in hand or in work."""
        return sum(chips.blanks for chips in self.left)

    def __str__(self) -> str:
        shown = ", ".join(str(chips) for chips in self.left[:SHOWN_RANGES])
        more = "" if len(self.left) <= SHOWN_RANGES else f" and {len(self.left) - SHOWN_RANGES} more ranges"
        parts = [f"{self.issued} {'blank' if self.issued == 1 else 'blanks'} issued"]
        parts.append(f"{self.made} {'card' if self.made == 1 else 'cards'} made")
        for count, word in ((self.spoiled, "spoiled"), (self.given_back, "given back"), (self.missing, "missing")):
            parts += [f"{count} {word}"] if count else []
        begun = sum(chips.blanks for chips in self.begun)
        unfinished = f" ({begun} begun and not finished)" if begun else ""
        told = f"{self.unaccounted} unaccounted{unfinished}: chip serials {shown}{more}"
        return f"box {self.box}: {', '.join(parts)}, {told}"


def open_shift(session: Session, *, store_id: int, station_id: int | None, actor: Actor, now: datetime) -> int:
    """Begin a shift of the actor with blanks of a store, at a station or in no particular one; returns its id."""
    actor.require(Permission.OPERATE_SHIFT)
    store = present(session, StockStore, store_id)
    quality_refusals.refuse(session, SubjectKind.OPERATOR, actor.staff_id)
    quality_refusals.refuse(session, SubjectKind.STATION, station_id)
    row = StockShift(
        number=f"S-{numbering.take(session, 'stock-shift').start:06d}",
        store_id=store.id,
        station_id=station_id,
        operator_id=actor.staff_id,
        opened_at=now,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise ShiftOpenAlready(
            "You, this station or this place have a shift open already: close it first.", store=store_id
        ) from error
    note(session, "open_shift", ("stock_shift", row.id), actor=actor, now=now, number=row.number, store=store.code)
    session.commit()
    return row.id


def issue(session: Session, shift_id: int, contents: Sequence[Wanted], *, actor: Actor, now: datetime) -> int:
    """Hand blanks out of the store to an open shift, as another person than its operator; returns how many."""
    row = _of_keeper(session, shift_id, actor, "take blanks into their own shift")
    store = stock_ledger.account(session, Place.STORE, store_id=row.store_id)
    parts = stock_ledger.pick(session, store, contents)
    for lot in sorted({part.chips.lot for part in parts}):
        quality_refusals.refuse(session, SubjectKind.LOT, lot)
    return _move(session, row, Motion.ISSUE, parts, hand(session, row), actor, now)


def give_back(session: Session, shift_id: int, contents: Sequence[Wanted], *, actor: Actor, now: datetime) -> int:
    """Take unused blanks of a shift back into the store, counted by another person than its operator; how many."""
    row = _of_keeper(session, shift_id, actor, "take blanks back from their own shift")
    parts = stock_ledger.pick(session, hand(session, row), contents)
    store = stock_ledger.account(session, Place.STORE, store_id=row.store_id)
    return _move(session, row, Motion.GIVE_BACK, parts, store, actor, now)


def set_aside(session: Session, shift_id: int, *, actor: Actor, now: datetime) -> int:
    """Lock begun cards of a shift away in the store, so that a later one finishes them; returns how many."""
    row = _of_keeper(session, shift_id, actor, "take begun cards of their own shift")
    work = stock_ledger.account(session, Place.WORK, store_id=row.store_id, shift_id=row.id)
    aside = stock_ledger.account(session, Place.UNFINISHED, store_id=row.store_id)
    begun = stock_ledger.held_in(session, [work])
    if not begun:
        raise InvalidInput(
            "No card of this shift is begun and unfinished: nothing is to be locked away.", field="begun"
        )
    return _move(session, row, Motion.SET_ASIDE, begun, aside, actor, now)


def spoil(
    session: Session, shift_id: int, chips: Sequence[SerialRange], *, reason: str, actor: Actor, now: datetime
) -> int:
    """Put spoiled blanks of one's own shift aside, with the reason; returns how many."""
    row = _own(session, shift_id, actor)
    return _write_off(session, row, Motion.SPOIL, Place.SPOILED, chips, reason, actor, now)


def miss(
    session: Session, shift_id: int, chips: Sequence[SerialRange], *, reason: str, actor: Actor, now: datetime
) -> int:
    """Record that blanks of an open shift cannot be found, by quality and not by the operator; returns how many."""
    actor.require(Permission.CONTROL_QUALITY)
    row = _open(session, shift_id)
    stock_ledger.refuse_same(actor, row.operator_id, did="had the shift", now="write its blanks off")
    return _write_off(session, row, Motion.MISS, Place.MISSING, chips, reason, actor, now)


def close(session: Session, shift_id: int, *, actor: Actor, now: datetime, reason: str = "") -> None:
    """End a balanced shift, by its operator, or by quality with a reason when the operator cannot.

    Raises `ShiftUnbalanced` with a line a box, `NotAllowed` for anybody else.
    """
    row = _open(session, shift_id)
    if row.operator_id != actor.staff_id or not actor.may(Permission.OPERATE_SHIFT):
        if not actor.may(Permission.CONTROL_QUALITY):
            raise NotAllowed(
                f"Shift {row.number} is not yours: its operator closes it, or quality does with a reason.",
                permission=Permission.CONTROL_QUALITY,
                actor=actor.reference,
            )
        reason = stock_ledger.checked_reason(reason)
    stock_ledger.lock_lots(session, {part.chips.lot for part in _left(session, row)})
    lines = [line for line in box_lines(session, row.id) if line.left]
    if lines:
        raise ShiftUnbalanced(
            f"Shift {row.number} does not balance. {'; '.join(str(line) for line in lines)}. "
            "Find them, give them back or have them recorded, then close it.",
            lines=[str(line) for line in lines],
            unaccounted=sum(line.unaccounted for line in lines),
        )
    row.state = advance(SHIFT, row.state, ShiftEvent.CLOSE)
    row.closed_at, row.closed_by = now, actor.staff_id
    note(session, "close_shift", ("stock_shift", row.id), actor=actor, now=now, number=row.number, reason=reason)
    session.commit()


def box_lines(session: Session, shift_id: int) -> list[BoxLine]:
    """How each box stands in a shift, by its number."""
    row = present(session, StockShift, shift_id)
    moved = _moved(session, shift_id)
    left, begun = _by_box(_left(session, row)), _by_box(_left(session, row, Place.WORK))
    lines = []
    for box_id in {*moved, *left}:
        counts = moved.get(box_id, {})
        lines.append(
            BoxLine(
                box=stock_ledger.box_number(session, box_id),
                issued=counts.get(Motion.ISSUE, 0),
                made=counts.get(Motion.MAKE, 0),
                spoiled=counts.get(Motion.SPOIL, 0),
                given_back=counts.get(Motion.GIVE_BACK, 0) + counts.get(Motion.SET_ASIDE, 0),
                missing=counts.get(Motion.MISS, 0),
                left=tuple(left.get(box_id, ())),
                begun=tuple(begun.get(box_id, ())),
            )
        )
    return sorted(lines, key=lambda line: line.box)


def open_shift_at(session: Session, store_id: int, station_id: int | None) -> StockShift | None:
    """The open shift of a station, else that of the store's only place."""
    wanted = select(StockShift).where(StockShift.state == ShiftState.OPEN, StockShift.store_id == store_id)
    if station_id is not None:
        at_station = session.scalar(wanted.where(StockShift.station_id == station_id))
        if at_station is not None:
            return at_station
    return session.scalar(wanted.where(StockShift.station_id.is_(None)))


def hand(session: Session, row: StockShift) -> int:
    """The account of what a shift's operator has in hand."""
    return stock_ledger.account(session, Place.HAND, store_id=row.store_id, shift_id=row.id)


def list_shifts(session: Session, *, operator_id: int | None = None, limit: int = 100) -> list[StockShift]:
    """Shifts, open ones first, then the newest; of one operator when named."""
    wanted = select(StockShift).order_by(StockShift.closed_at.is_not(None), StockShift.id.desc()).limit(limit)
    return list(session.scalars(wanted if operator_id is None else wanted.where(StockShift.operator_id == operator_id)))


def _moved(session: Session, shift_id: int) -> dict[int | None, dict[Motion, int]]:
    """Blanks by box and motion that entered or left the shift's hand and work; a card spoiled after it was good counts
    as spoiled and no more as made."""
    # The accounts first: the ledger has an index for each of its two sides, and none for whose accounts they are.
    mine = session.scalars(select(StockAccount.id).where(StockAccount.shift_id == shift_id)).all()
    entries = (
        select(StockMovement.box_id, StockMovement.motion, StockAccount.kind, func.sum(StockMovement.blanks))
        .join(StockAccount, StockAccount.id == StockMovement.giver_id)
        .where(StockMovement.giver_id.in_(mine) | StockMovement.taker_id.in_(mine))
        .group_by(StockMovement.box_id, StockMovement.motion, StockAccount.kind)
    )
    moved: dict[int | None, dict[Motion, int]] = defaultdict(lambda: defaultdict(int))
    for box_id, motion, kind, blanks in session.execute(entries):
        moved[box_id][motion] += int(blanks)
        if motion is Motion.SPOIL and kind is Place.GOOD:
            moved[box_id][Motion.MAKE] -= int(blanks)
    return moved


def _left(session: Session, row: StockShift, *places: Place) -> list[Held]:
    """What the shift has in hand and in work still, or in one of the two."""
    # Looked up and not made: pages that only read come here too.
    accounts = select(StockAccount.id).where(
        StockAccount.shift_id == row.id, StockAccount.kind.in_(places or (Place.HAND, Place.WORK))
    )
    return stock_ledger.held_in(session, session.scalars(accounts).all())


def _by_box(parts: Sequence[Held]) -> dict[int | None, list[SerialRange]]:
    boxes: dict[int | None, list[SerialRange]] = defaultdict(list)
    for part in parts:
        boxes[part.box_id].append(part.chips)
    return boxes


def _write_off(
    session: Session,
    row: StockShift,
    motion: Motion,
    place: Place,
    chips: Sequence[SerialRange],
    reason: str,
    actor: Actor,
    now: datetime,
) -> int:
    plain = stock_ledger.checked_reason(reason)
    if not chips:
        raise InvalidInput("Name the chips: their serials stand on the blanks.", field="chips")
    stock_ledger.lock_lots(session, {one.lot for one in chips})
    lying = _left(session, row)
    parts = [part for one in chips for part in cut(lying, one)]
    shift_id = row.id if place is Place.SPOILED else None
    taker = stock_ledger.account(session, place, store_id=row.store_id, shift_id=shift_id)
    return _move(session, row, motion, parts, taker, actor, now, plain)


def _move(
    session: Session,
    row: StockShift,
    motion: Motion,
    parts: list[Held],
    taker_id: int,
    actor: Actor,
    now: datetime,
    reason: str | None = None,
) -> int:
    moved = stock_ledger.move(session, motion, parts, taker_id=taker_id, actor=actor, now=now, reason=reason)
    facts = {"reason": reason} if reason else {}
    note(session, motion.lower(), ("stock_shift", row.id), actor=actor, now=now, blanks=moved, **facts)
    session.commit()
    return moved


def _of_keeper(session: Session, shift_id: int, actor: Actor, deed: str) -> StockShift:
    actor.require(Permission.KEEP_STOCK)
    row = _open(session, shift_id)
    stock_ledger.refuse_same(actor, row.operator_id, did="has the shift", now=deed)
    return row


def _own(session: Session, shift_id: int, actor: Actor) -> StockShift:
    actor.require(Permission.OPERATE_SHIFT)
    row = _open(session, shift_id)
    if row.operator_id != actor.staff_id:
        raise NotAllowed(
            f"Shift {row.number} is not yours: its operator records what is spoiled.",
            permission=Permission.OPERATE_SHIFT,
            actor=actor.reference,
        )
    return row


def _open(session: Session, shift_id: int) -> StockShift:
    row = locked(session, StockShift, shift_id)
    advance(SHIFT, row.state, ShiftEvent.CLOSE)  # a closed shift takes nothing and gives nothing
    return row
