"""The demo's stockroom: two stores, a delivery of blanks in boxes, two sent on under a seal, a shift open at the point.

Made by the same services as on the pages; the tray's blanks bear the serial numbers of this delivery.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.demo.tray import BLANK_LOT
from uec.domain.actors import Actor, system_actor
from uec.domain.stock import SerialRange, StoreKind
from uec.services import points, staff, stock_intake, stock_shifts, stock_transfers
from uec.services.stock_intake import BoxForm, DeliveryForm
from uec.services.stock_ledger import Wanted
from uec.services.stock_transfers import Found
from uec.store.tables import StockBox

BUILDER = system_actor("demo")
BOX_BLANKS, BOXES, ISSUED = 100, 4, 60


def furnish(session: Session, *, profile: str, now: datetime) -> None:
    """Enter stores, take the delivery in, send boxes to the first point and issue blanks to its shift; once."""
    if stock_intake.list_stores(session):
        return
    keeper, central = _person(session, "storekeeper"), _store(session, "C", "Центральный склад", None, now)
    version, check_value = next(iter(sorted(stock_intake.key_sets(session).items())))
    boxes = tuple(
        BoxForm(f"{number + 1:03}", (SerialRange(BLANK_LOT, number * BOX_BLANKS + 1, (number + 1) * BOX_BLANKS),))
        for number in range(BOXES)
    )
    form = DeliveryForm("Микрон", "ТН-0001", profile, version, "kdf3", check_value, central, boxes)
    stock_intake.deliver(session, form, actor=keeper, now=now)
    first, second, *_rest = session.scalars(select(StockBox.id).order_by(StockBox.number))
    point = points.list_points(session)[0]
    store = _store(session, point.code, f"Склад: {point.name_ru}", point.id, now)
    contents, seal = [Wanted(first), Wanted(second)], "ПЛ-0001"
    sent = stock_transfers.send(
        session, giver_id=central, taker_id=store, seal=seal, contents=contents, actor=keeper, now=now
    )
    stock_transfers.receive(session, sent, Found(seal, 2 * BOX_BLANKS), actor=BUILDER, now=now)
    producer = _person(session, "producer")
    shift = stock_shifts.open_shift(session, store_id=store, station_id=None, actor=producer, now=now)
    stock_shifts.issue(session, shift, [Wanted(first, ISSUED)], actor=keeper, now=now)


def _store(session: Session, code: str, name: str, point_id: int | None, now: datetime) -> int:
    kind = StoreKind.CENTRAL if point_id is None else StoreKind.POINT
    return stock_intake.add_store(
        session, code=code, name=name, kind=kind, point_id=point_id, enforced=True, actor=BUILDER, now=now
    )


def _person(session: Session, login: str) -> Actor:
    found = staff.actor_of(session, staff.find(session, login).id)
    if found is None:
        raise LookupError(login)
    return found
