"""Hides how blanks move: accounts by owner, ranges held in them, and entries of the ledger; the database does the rest.

Callers lock the lots first, look at what is held, then move it; see `uec.store.stock_guards` for what the database
refuses by itself. Everything is ranges: a pallet moves with one entry a box.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Row, Select, bindparam, func, insert, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, SamePerson
from uec.domain.stock import Motion, MovedMeanwhile, NotInStock, OverlappingSerials, Place, SerialRange, take_first
from uec.domain.texts import typed
from uec.services.rows import present
from uec.store import audit
from uec.store.stock_guards import THERE_ALREADY
from uec.store.tables import StockAccount, StockBox, StockHolding, StockMovement

REASON_LIMIT = 500


@dataclass(frozen=True, order=True)
class Held:
    """A range of blanks in one account; `box_id` is None for a card that came in without a box."""

    chips: SerialRange
    box_id: int | None
    account_id: int


@dataclass(frozen=True)
class Wanted:
    """Which blanks of a box: these `chips`, or the first `count`, or (neither) all that lie in the account.

    `seen` is how many lay there when that was decided, so that a form sent twice is done once.
    """

    box_id: int
    count: int | None = None
    chips: tuple[SerialRange, ...] = ()
    seen: int | None = None


def account(
    session: Session,
    kind: Place,
    *,
    store_id: int | None = None,
    shift_id: int | None = None,
    transfer_id: int | None = None,
    destruction_id: int | None = None,
) -> int:
    """The account of an owner, made when there is none yet; a shift's account names its store too."""
    owner = shift_id or transfer_id or destruction_id or store_id
    named = "shift" if shift_id else "transfer" if transfer_id else "act" if destruction_id else "store"
    key = f"{kind.value}:{named}:{owner}"
    wanted = select(StockAccount.id).where(StockAccount.key == key)
    found = session.scalar(wanted)
    if found is not None:
        return found
    insert_into = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    made = insert_into(StockAccount).values(
        key=key,
        kind=kind,
        store_id=store_id,
        shift_id=shift_id,
        transfer_id=transfer_id,
        destruction_id=destruction_id,
    )
    session.execute(made.on_conflict_do_nothing(index_elements=[StockAccount.key]))
    return session.execute(wanted).scalar_one()


def lock_lots(session: Session, lots: Iterable[str]) -> None:
    """Keep everybody else from moving blanks of these lots until the transaction ends; always in the same order."""
    if session.get_bind().dialect.name != "postgresql":
        return  # SQLite has one writer at a time
    for lot in sorted(set(lots)):
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"stock {lot}", 0))))


def lock_boxes(session: Session, box_ids: Iterable[int]) -> None:
    """The same for every lot that has a chip in one of the boxes."""
    lots = select(StockHolding.lot).where(StockHolding.box_id.in_(set(box_ids))).distinct()
    lock_lots(session, session.scalars(lots).all())


def held_in(session: Session, account_ids: Iterable[int], *, box_id: int | None = None) -> list[Held]:
    """What lies in the accounts now, in order of serials; of one box only, when it is named."""
    lying = _holdings().where(StockHolding.account_id.in_(set(account_ids)))
    if box_id is not None:
        lying = lying.where(StockHolding.box_id == box_id)
    return [_held(row) for row in session.execute(lying.order_by(StockHolding.lot, StockHolding.first))]


def held_around(session: Session, account_id: int, chips: Sequence[SerialRange]) -> list[Held]:
    """What lies in an account between the first and the last of these chips of each lot, in order of serials."""
    found: list[Held] = []
    for lot in sorted({one.lot for one in chips}):
        first = min(one.first for one in chips if one.lot == lot)
        last = max(one.last for one in chips if one.lot == lot)
        lying = _holdings().where(StockHolding.account_id == account_id, StockHolding.lot == lot)
        lying = lying.where(StockHolding.first <= last, StockHolding.last >= first).order_by(StockHolding.first)
        found += [_held(row) for row in session.execute(lying)]
    return found


def whereabouts(session: Session, chip_id: str) -> tuple[Held, StockAccount] | None:
    """The chip as a range of one with its account; None for a chip that never was in the stock."""
    chip = SerialRange.of_chip(chip_id)
    row = nearest(session, chip)
    if row is None or row.last < chip.first:
        return None
    return Held(chip, row.box_id, row.account_id), present(session, StockAccount, row.account_id)


def nearest(session: Session, chip: SerialRange) -> Row[Any] | None:
    """The holding (`last`, `box_id`, `account_id`) that begins at the chip or nearest before it; None without one."""
    session.flush()
    return session.connection().execute(_nearest(), {"lot": chip.lot, "serial": chip.first}).first()


@cache
def _nearest() -> Any:
    before = _holdings().where(StockHolding.lot == bindparam("lot"), StockHolding.first <= bindparam("serial"))
    return before.order_by(StockHolding.first.desc()).limit(1)


def pick(session: Session, account_id: int, wanted: Sequence[Wanted]) -> list[Held]:
    """The wanted parts of what lies in an account, locked.

    Raises `NotInStock` when something of it is not there, `MovedMeanwhile` when it is not what was seen.
    """
    if not wanted:
        raise InvalidInput("Name at least one box.", field="box")
    lock_boxes(session, (one.box_id for one in wanted))
    picked: list[Held] = []
    for one in wanted:
        lying = held_in(session, [account_id], box_id=one.box_id)
        _refuse_moved(session, one, sum(part.chips.blanks for part in lying))
        if one.chips:
            parts = [part for chips in one.chips for part in cut(lying, chips)]
        elif one.count is not None:
            parts = _first(session, lying, one.count, one.box_id)
        else:
            parts = lying
        if not parts:
            raise NotInStock(
                f"Nothing of box {box_number(session, one.box_id)} is there: look at where it lies.", chips="", place=""
            )
        picked += parts
    return sorted(picked)


def _refuse_moved(session: Session, wanted: Wanted, there: int) -> None:
    if wanted.seen not in {None, there}:
        number = box_number(session, wanted.box_id)
        raise MovedMeanwhile(
            f"{there} blanks of box {number} lie there by now, not {wanted.seen}: look again, it may be done already.",
            box=number,
            seen=wanted.seen,
            there=there,
        )


def cut(lying: Iterable[Held], chips: SerialRange) -> list[Held]:
    """The parts of `lying` that make up the range; raises `NotInStock` when a chip of it is not there."""
    parts = []
    for one in lying:
        if one.chips.overlaps(chips):
            first, last = max(one.chips.first, chips.first), min(one.chips.last, chips.last)
            parts.append(Held(SerialRange(chips.lot, first, last), one.box_id, one.account_id))
    if sum(part.chips.blanks for part in parts) != chips.blanks:
        raise NotInStock(f"Not all of {chips} is there: look at where these chips lie.", chips=str(chips), place="")
    return parts


def move(
    session: Session,
    motion: Motion,
    parts: Iterable[Held],
    *,
    taker_id: int,
    actor: Actor,
    now: datetime,
    card_id: int | None = None,
    reason: str | None = None,
) -> int:
    """Enter ranges into the ledger, all or none; returns how many blanks moved. The caller commits.

    Raises `NotInStock` or `OverlappingSerials` when somebody else was quicker than the caller's look.
    """
    rows = [
        {
            "at": now,
            "actor": actor.reference,
            "motion": motion,
            "lot": part.chips.lot,
            "first": part.chips.first,
            "last": part.chips.last,
            "blanks": part.chips.blanks,
            "box_id": part.box_id,
            "giver_id": part.account_id,
            "taker_id": taker_id,
            "card_id": card_id,
            "reason": reason,
        }
        for part in sorted(parts)
    ]
    if not rows:
        return 0
    lock_lots(session, (row["lot"] for row in rows))  # type: ignore[misc]
    session.flush()
    try:
        session.execute(insert(StockMovement), rows)
    except IntegrityError as error:
        raise _refusal(error, rows) from error
    return sum(part["blanks"] for part in rows)  # type: ignore[misc]


def box_number(session: Session, box_id: int | None) -> str:
    """The number on a box, or a dash for a card that came in without one."""
    return "-" if box_id is None else present(session, StockBox, box_id).number


def checked_reason(reason: str) -> str:
    """A reason as it is kept; raises `InvalidInput` for an empty or too long one."""
    plain = typed(reason)
    if not plain or len(plain) > REASON_LIMIT:
        raise InvalidInput(f"This needs a reason of 1 to {REASON_LIMIT} characters: write it.", field="reason")
    return plain


def note(
    session: Session, action: str, subject: tuple[str, int], *, actor: Actor, now: datetime, **facts: object
) -> None:
    """Put a change of the stock into the audit; `subject` is its table and id."""
    kind, subject_id = subject
    audit.record(
        session,
        actor=actor.reference,
        action=f"stock.{action}",
        subject_kind=kind,
        subject_id=subject_id,
        details=facts,
        now=now,
    )


def refuse_same(actor: Actor, earlier: int | None, *, did: str, now: str) -> None:
    """Raise `SamePerson` when the actor is the one who did the first half of what takes two."""
    if actor.staff_id is not None and actor.staff_id == earlier:
        raise SamePerson(
            f"{actor.display} {did} and may not also {now}: ask a colleague.",
            actor=actor.reference,
            earlier=did,
            now=now,
        )


def _holdings() -> Select[str, int, int, int | None, int]:
    # Columns and no entities: the trigger changes the rows behind the session's back.
    return select(StockHolding.lot, StockHolding.first, StockHolding.last, StockHolding.box_id, StockHolding.account_id)


def _held(row: Any) -> Held:
    return Held(SerialRange(row.lot, row.first, row.last), row.box_id, row.account_id)


def _first(session: Session, lying: list[Held], count: int, box_id: int) -> list[Held]:
    there = sum(one.chips.blanks for one in lying)
    if count > there:
        number = box_number(session, box_id)
        raise NotInStock(
            f"{count} blanks of box {number} are asked for and {there} are there: ask for at most {there}.",
            chips="",
            place="",
        )
    return [part for chips in take_first([one.chips for one in lying], count) for part in cut(lying, chips)]


def _refusal(error: IntegrityError, rows: Sequence[Mapping[str, object]]) -> NotInStock | OverlappingSerials:
    shown = ", ".join(str(SerialRange(row["lot"], row["first"], row["last"])) for row in rows[:3])  # type: ignore[arg-type]
    if THERE_ALREADY in str(error):
        return OverlappingSerials(
            f"Chips of {shown} are in the stock already: compare the list with the boxes.", chips=shown, box=None
        )
    return NotInStock(
        f"Somebody moved chips of {shown} meanwhile: look at where they lie and do it again.", chips=shown, place=""
    )
