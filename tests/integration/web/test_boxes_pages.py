"""Boxes to choose from where a store has more than a page shows: found by their number, or named by it."""

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.web.conftest import SignIn, post
from tests.support.desk import CardOffice
from tests.support.stock import Stockroom, box, open_stockroom
from uec.services import stock_shifts, stock_transfers
from uec.services.stock_ledger import Wanted
from uec.store.tables import StockBox, StockStore, StockTransfer

HERE = "/office/stock/transfers"
MANY = 60


@pytest.fixture(scope="module")
def room(office: CardOffice, sessions: sessionmaker[Session]) -> Stockroom:
    """A central store with sixty boxes of two blanks each."""
    made = open_stockroom(sessions, office.staff)
    made.deliver(*(box(f"BOX-{n:03}", 2 * n, 2 * n + 1) for n in range(MANY)))
    return made


@pytest.fixture
def keeper(sign_in: SignIn, room: Stockroom) -> FlaskClient:
    client = sign_in("keeper")
    client.get("/language/en")
    return client


@pytest.fixture
def send(keeper: FlaskClient, room: Stockroom) -> Callable[..., str]:
    """Send what a form names from the central store, follow to the page it leads to."""

    def go(**fields: object) -> str:
        address = f"{HERE}?giver={room.central}"
        answer = post(keeper, address, giver=room.central, taker=room.point, **{"seal": "S-1", **fields})
        if answer.status_code == 409:
            return answer.text
        assert answer.status_code == 302
        return keeper.get(answer.location).text

    return go


def shown(page: str) -> list[str]:
    return re.findall(r'<label class="govuk-label govuk-checkboxes__label"[^>]*>([^<]+)</label>', page)


def test_a_page_shows_some_boxes_and_says_how_many_there_are(keeper: FlaskClient, room: Stockroom) -> None:
    page = keeper.get(f"{HERE}?giver={room.central}").text
    assert len(shown(page)) == 50 and "50 of 60 boxes are shown" in page
    assert shown(keeper.get(f"{HERE}?giver={room.central}&box=055").text) == ["BOX-055"]
    few = keeper.get(f"{HERE}?giver={room.central}&box=box-05").text
    assert shown(few) == [f"BOX-{n:03}" for n in range(50, 60)] and "boxes are shown" not in few


@pytest.mark.parametrize("named", ["nothing", "%", "_", "'", "\\", "x" * 500])
def test_a_number_that_no_box_has(keeper: FlaskClient, room: Stockroom, named: str) -> None:
    answer = keeper.get(HERE, query_string={"giver": room.central, "box": named})
    assert answer.status_code == 200 and shown(answer.text) == []
    assert "No box here has this in its number." in answer.text
    assert "Whole boxes by their numbers" in answer.text, "they can still be named"


def test_boxes_are_sent_by_their_numbers_and_beside_those_ticked(
    send: Callable[..., str], sessions: sessionmaker[Session], room: Stockroom
) -> None:
    with sessions() as session:
        ids = dict(session.execute(select(StockBox.number, StockBox.id)).all())
    wrong = send(numbers="BOX-059\nBOX-777")
    assert "There is no box of one of these numbers" in wrong and "BOX-059\nBOX-777</textarea>" in wrong
    assert "Choose at least one box" in send(numbers=" \n ")
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(StockTransfer)) == 0
    # A scanner ends each number with a line; one box is read twice, another is ticked as well.
    lines = "BOX-059\r\nBOX-058\r\nBOX-059\r\nBOX-000\r\n"
    page = send(numbers=lines, box=ids["BOX-000"], **{f"count-{ids['BOX-000']}": "1"})
    assert "The consignment is on its way." in page
    with sessions() as session:
        sent = session.scalars(select(StockTransfer)).one()
        lying = sorted((held.box_id, held.chips.blanks) for held in stock_transfers.content(session, sent.id))
        assert lying == sorted([(ids["BOX-000"], 1), (ids["BOX-058"], 2), (ids["BOX-059"], 2)])
    assert "There are not so many blanks there. Look at what lies there and ask for fewer." in send(
        numbers="BOX-059", seal="S-8"
    ), "it has gone"
    again = send(numbers="BOX-057")
    assert "Seal S-1 was put on consignment" in again and 'value="S-1"' in again, "what was typed stands there still"


def test_consignments_are_paged_newest_first(
    keeper: FlaskClient, sessions: sessionmaker[Session], room: Stockroom
) -> None:
    with sessions() as session:
        spare = session.scalars(select(StockBox.id).where(StockBox.number == "BOX-010")).one()
        before = session.scalar(select(func.count()).select_from(StockTransfer)) or 0
        for number in range(26 - before):
            way = (room.central, room.point) if number % 2 == 0 else (room.point, room.central)
            sent = stock_transfers.send(
                session, giver_id=way[0], taker_id=way[1], seal=f"S-2-{number}", contents=[Wanted(spare)],
                actor=room.keeper, now=room.now,
            )  # fmt: skip
            found = stock_transfers.Found(f"S-2-{number}", 2)
            stock_transfers.receive(session, sent, found, actor=room.second_keeper, now=room.now)
        numbers = session.scalars(select(StockTransfer.number).order_by(StockTransfer.id)).all()
    first, second = keeper.get(HERE).text, keeper.get(f"{HERE}?offset=25").text
    assert numbers[-1] in first and numbers[0] not in first
    assert numbers[0] in second and numbers[-1] not in second
    assert "offset=25" in first


def test_a_shift_is_issued_boxes_of_a_large_store(
    keeper: FlaskClient, sessions: sessionmaker[Session], room: Stockroom
) -> None:
    with sessions() as session:
        central = session.get_one(StockStore, room.central)
        shift = stock_shifts.open_shift(
            session, store_id=central.id, station_id=None, actor=room.producer, now=room.now
        )
    address = f"/office/shifts/{shift}"
    page = keeper.get(address).text
    assert len(shown(page)) == 50 and "boxes are shown" in page
    assert shown(keeper.get(f"{address}?box=041").text) == ["BOX-041"]
    answer = post(keeper, f"{address}/issue", of=address, numbers="BOX-057")
    assert answer.status_code == 302
    assert shown(keeper.get(f"{address}?box=057").text) == ["BOX-057"], "in hand, and no more in the store"
