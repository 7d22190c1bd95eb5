"""A stockroom for tests: stores, people who keep them, blanks delivered; over a small office."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, Office, add_staff, open_office
from uec.domain.actors import Actor
from uec.domain.permissions import Role
from uec.domain.stock import SerialRange, StoreKind
from uec.services import stock_intake, stock_shifts
from uec.services.stock_intake import BoxForm, DeliveryForm
from uec.services.stock_ledger import Wanted
from uec.store.tables import NumberSeries, StockBox

LOT = "479005007411"
CHECK_VALUE = "A1B2C3"


@dataclass
class Stockroom:
    """The office, its stores, and one actor for each role of the stock."""

    sessions: sessionmaker[Session]
    office: Office
    keeper: Actor
    second_keeper: Actor
    quality: Actor
    producer: Actor
    second_producer: Actor
    central: int
    point: int
    now: datetime = NOW

    def deliver(self, *boxes: BoxForm, note: str = "N-1", store: int | None = None, version: int = 1) -> dict[str, int]:
        """Take boxes into a store (the central one); their ids by number."""
        form = delivery(*boxes, note=note, store_id=store or self.central, version=version)
        with self.sessions() as session:
            stock_intake.deliver(session, form, actor=self.keeper, now=self.now)
            return {box.number: box.id for box in session.query(StockBox)}

    def shift(self, *contents: Wanted, station_id: int | None = None, operator: Actor | None = None) -> int:
        """An open shift at the point, with blanks issued to it."""
        with self.sessions() as session:
            shift = stock_shifts.open_shift(
                session, store_id=self.point, station_id=station_id, actor=operator or self.producer, now=self.now
            )
            if contents:
                stock_shifts.issue(session, shift, contents, actor=self.keeper, now=self.now)
        return shift


def box(number: str, first: int, last: int, lot: str = LOT) -> BoxForm:
    """A box with one range of chips."""
    return BoxForm(number, (SerialRange(lot, first, last),))


def chips(first: int, last: int | None = None, lot: str = LOT) -> SerialRange:
    """A range of the lot all tests use."""
    return SerialRange(lot, first, first if last is None else last)


def delivery(
    *boxes: BoxForm, note: str, store_id: int, version: int = 1, check_value: str = CHECK_VALUE
) -> DeliveryForm:
    """A delivery note over boxes."""
    return DeliveryForm(
        maker="Микрон",
        note=note,
        profile="uec",
        transport_version=version,
        diversification="kdf3",
        check_value=check_value,
        store_id=store_id,
        boxes=boxes,
    )


def open_stockroom(
    sessions: sessionmaker[Session], office: Office | None = None, *, enforced: bool = True
) -> Stockroom:
    """Stores and staff over an office (a new one when none is given); transport key set 1 is known."""
    office = office or open_office(sessions)
    with sessions() as session:
        keeper, second = (add_staff(session, f"storekeeper{number}", Role.STOREKEEPER) for number in (1, 2))
        quality = add_staff(session, "quality1", Role.QUALITY)
        producer, other = (add_staff(session, f"producer{number}", Role.PRODUCER) for number in (1, 2))
        if session.get(NumberSeries, f"key:blank-transport:{CHECK_VALUE}") is None:
            session.add(NumberSeries(name="vault:test", next=1))
            session.add(NumberSeries(name=f"key:blank-transport:{CHECK_VALUE}", next=1))
        session.commit()
        central = stock_intake.add_store(
            session, code="C", name="Центральный склад", kind=StoreKind.CENTRAL, actor=keeper, now=NOW
        )
        point = stock_intake.add_store(
            session,
            code="P1",
            name="Склад МФЦ",
            kind=StoreKind.POINT,
            point_id=office.points[0],
            enforced=enforced,
            actor=keeper,
            now=NOW,
        )
    return Stockroom(sessions, office, keeper, second, quality, producer, other, central, point)
