"""Stores, and blanks that come in: a maker's delivery note, its boxes by ranges of chips, its transport key set.

The key set is entered into the vault by two custodians (`uec keys`); a delivery names its version, and the check value
from the maker's letter must be the one the office remembers for that version. So a box never lies in the stock whose
blanks nobody could open.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.keys.port import KeyPurpose
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.domain.stock import (
    Motion,
    OverlappingSerials,
    Place,
    SerialRange,
    StockRefused,
    StoreKind,
    parse_ranges,
    refuse_overlap,
)
from uec.domain.texts import typed
from uec.services import stock_ledger, vault_memory
from uec.services.rows import locked, present
from uec.services.stock_ledger import Held, note
from uec.store.stock_guards import OUTSIDE_ID
from uec.store.tables import StockBox, StockDelivery, StockStore

DIVERSIFICATIONS = ("kdf3", "none")
BOXES_LIMIT = 10_000
_LENGTHS = {"code": 20, "name": 120, "maker": 120, "note": 60, "profile": 40, "number": 40}


class UnknownKeySet(StockRefused):
    """The transport key set of a delivery is not the one in the vault. Facts: `version`, `check_value`."""

    code = "uec.unknown_key_set"


@dataclass(frozen=True)
class StoreView:
    """A store as pages show it."""

    id: int
    code: str
    name: str
    kind: StoreKind
    point_id: int | None
    station_id: int | None
    enforced: bool


@dataclass(frozen=True)
class BoxForm:
    """A box of a delivery: its number and the chips in it."""

    number: str
    chips: tuple[SerialRange, ...]

    @property
    def blanks(self) -> int:
        """How many blanks are in the box."""
        return sum(one.blanks for one in self.chips)


@dataclass(frozen=True)
class DeliveryForm:
    """A delivery note: who made the blanks, for which profile, under which transport keys, in which boxes."""

    maker: str
    note: str
    profile: str
    transport_version: int
    diversification: str
    check_value: str
    store_id: int
    boxes: tuple[BoxForm, ...]


def add_store(
    session: Session,
    *,
    code: str,
    name: str,
    kind: StoreKind,
    actor: Actor,
    now: datetime,
    point_id: int | None = None,
    station_id: int | None = None,
    enforced: bool = True,
) -> int:
    """Enter a store (a point's names its point, a line's its station); returns its id. Raises `InvalidInput`."""
    actor.require(Permission.KEEP_STOCK)
    if (kind is StoreKind.POINT) != (point_id is not None) or (kind is StoreKind.LINE) != (station_id is not None):
        raise InvalidInput(
            "A point's store names its point, a line's its station, the central one neither.", field="kind"
        )
    row = StockStore(
        code=_text("code", code),
        name=_text("name", name),
        kind=kind,
        point_id=point_id,
        station_id=station_id,
        enforced=enforced,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise InvalidInput(
            f"There is a store {code} already, or one of this place, or no such place: look at the list.", field="code"
        ) from error
    note(session, "add_store", ("stock_store", row.id), actor=actor, now=now, code=row.code, enforced=enforced)
    session.commit()
    return row.id


def keep_stock(session: Session, store_id: int, *, enforced: bool, actor: Actor, now: datetime) -> None:
    """Say whether chips written there must come out of the shift's stock."""
    actor.require(Permission.KEEP_STOCK)
    store = locked(session, StockStore, store_id)
    store.enforced = enforced
    note(session, "keep", ("stock_store", store_id), actor=actor, now=now, enforced=enforced)
    session.commit()


def list_stores(session: Session) -> list[StoreView]:
    """All stores by their code."""
    return [store_view(row) for row in session.scalars(select(StockStore).order_by(StockStore.code))]


def store_view(row: StockStore) -> StoreView:
    """A store without its session."""
    return StoreView(row.id, row.code, row.name, row.kind, row.point_id, row.station_id, row.enforced)


def deliver(session: Session, form: DeliveryForm, *, actor: Actor, now: datetime) -> int:
    """Take a delivery into a store, whole or not at all; returns its id.

    Raises `InvalidInput`, `UnknownKeySet`, and `OverlappingSerials` when a chip came before or is in two boxes.
    """
    actor.require(Permission.KEEP_STOCK)
    _check(session, form)
    row = StockDelivery(
        maker=_text("maker", form.maker),
        note=_text("note", form.note),
        profile=_text("profile", form.profile),
        transport_version=form.transport_version,
        diversification=form.diversification,
        check_value=form.check_value.upper(),
        store_id=present(session, StockStore, form.store_id).id,
        boxes=len(form.boxes),
        blanks=sum(box.blanks for box in form.boxes),
        received_by=actor.staff_id,
        received_at=now,
    )
    session.add(row)
    try:
        session.flush()
        ids = _add_boxes(session, row.id, form.boxes)
        parts = [Held(chips, ids[box.number], OUTSIDE_ID) for box in form.boxes for chips in box.chips]
        store = stock_ledger.account(session, Place.STORE, store_id=form.store_id)
        stock_ledger.move(session, Motion.DELIVER, parts, taker_id=store, actor=actor, now=now)
    except IntegrityError as error:
        session.rollback()
        raise InvalidInput(
            f"The note {form.note} of {form.maker}, or a box of it, was taken in before: compare the numbers.",
            field="note",
        ) from error
    except OverlappingSerials:
        session.rollback()
        raise
    facts = {"note": row.note, "maker": row.maker, "boxes": row.boxes, "blanks": row.blanks}
    note(session, "deliver", ("stock_delivery", row.id), actor=actor, now=now, **facts)
    session.commit()
    return row.id


def return_to_maker(session: Session, box_id: int, *, store_id: int, reason: str, actor: Actor, now: datetime) -> int:
    """Send what is left of a box in a store back to its maker; returns how many blanks."""
    actor.require(Permission.KEEP_STOCK)
    plain = stock_ledger.checked_reason(reason)
    store = stock_ledger.account(session, Place.STORE, store_id=store_id)
    parts = stock_ledger.pick(session, store, [stock_ledger.Wanted(box_id)])
    moved = stock_ledger.move(
        session, Motion.RETURN_TO_MAKER, parts, taker_id=OUTSIDE_ID, actor=actor, now=now, reason=plain
    )
    note(session, "return_to_maker", ("stock_box", box_id), actor=actor, now=now, blanks=moved, reason=plain)
    session.commit()
    return moved


def key_sets(session: Session) -> Mapping[int, str]:
    """Check value by version of every transport key set that the vault is known to hold."""
    memory = vault_memory.recall(session)
    known = {} if memory is None else memory.check_values
    return {version: value for (purpose, version), value in known.items() if purpose is KeyPurpose.BLANK_TRANSPORT}


def parse_boxes(text: str) -> tuple[BoxForm, ...]:
    """Boxes out of lines `BOX FIRST-LAST`; a box with several ranges has several lines or several ranges a line."""
    found: dict[str, list[SerialRange]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        box, _, rest = re.sub(r"[;,\t]", " ", line.strip(), count=1).partition(" ")
        ranges = parse_ranges(rest)
        if not ranges:
            raise InvalidInput(f"Line {number} names no chips: write the box, then FIRST-LAST.", field="boxes")
        found.setdefault(box, []).extend(ranges)
    return tuple(BoxForm(box, tuple(sorted(ranges))) for box, ranges in found.items())


def _check(session: Session, form: DeliveryForm) -> None:
    if not 1 <= len(form.boxes) <= BOXES_LIMIT:
        raise InvalidInput(f"A delivery has 1 to {BOXES_LIMIT} boxes: write a line for each.", field="boxes")
    if len({box.number for box in form.boxes}) != len(form.boxes):
        raise InvalidInput("A box number stands there twice: each box has its own.", field="boxes")
    for box in form.boxes:
        _text("number", box.number)
        if not box.chips:
            raise InvalidInput(f"Box {box.number} is empty: give its chips.", field="boxes")
    refuse_overlap([chips for box in form.boxes for chips in box.chips])
    if form.diversification not in DIVERSIFICATIONS:
        raise InvalidInput(f"The diversification is one of {', '.join(DIVERSIFICATIONS)}.", field="diversification")
    known = key_sets(session).get(form.transport_version)
    if known is None or known.upper() != form.check_value.strip().upper():
        raise UnknownKeySet(
            f"Transport key set {form.transport_version} with check value {form.check_value[:16]} is not in the vault: "
            "have two custodians enter the maker's key, and compare the check value with the letter.",
            version=form.transport_version,
            check_value=form.check_value,
        )


def _add_boxes(session: Session, delivery_id: int, boxes: Sequence[BoxForm]) -> dict[str, int]:
    rows = [{"number": box.number, "delivery_id": delivery_id, "blanks": box.blanks} for box in boxes]
    session.execute(insert(StockBox), rows)
    made = select(StockBox.number, StockBox.id).where(StockBox.delivery_id == delivery_id)
    return {row.number: row.id for row in session.execute(made)}


def _text(field: str, value: str) -> str:
    plain = typed(value)
    limit = _LENGTHS[field]
    if not plain or len(plain) > limit or not plain.isprintable():
        raise InvalidInput(f"This has 1 to {limit} printable characters: {field}.", field=field)
    return plain
