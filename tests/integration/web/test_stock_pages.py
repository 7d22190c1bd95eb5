"""The stock's pages: a delivery, a transfer, a shift with its balance, an act of destruction, a quarantine."""

import re

import pytest
from flask.testing import FlaskClient
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.web.conftest import SignIn, post
from tests.support.desk import CardOffice
from tests.support.stock import LOT
from uec.services import stock_balance, vault_memory
from uec.store.tables import Quarantine, StockBox, StockDestruction, StockShift, StockStore, StockTransfer
from uec.web.app import create_app


def chip(serial: int) -> str:
    return f"{LOT}{serial:08x}"


@pytest.fixture(scope="module")
def remembered(office: CardOffice) -> str:
    """The check value of transport key set 1, which the office remembers."""
    vault = office.desk.bench.vault
    with office.sessions() as session:
        vault_memory.note(session, vault)
        session.commit()
    (key,) = (one for one in vault.describe() if one.ref.purpose == "blank-transport")
    return key.check_value


class People:
    """One signed-in browser for each login."""

    def __init__(self, office: CardOffice, settings) -> None:  # type: ignore[no-untyped-def]
        self.office, self.settings, self.open = office, settings, {}

    def __call__(self, login: str) -> FlaskClient:
        if login not in self.open:
            client = create_app(self.settings, clock=self.office.clock).test_client()
            answer = post(client, "/sign-in", login=login, password="синий-паром-42")
            assert answer.status_code == 302
            self.open[login] = client
        return self.open[login]

    def send(self, login: str, address: str, of: str | None = None, **fields: object) -> str:
        """Send a form (of another page, if so named), follow to the page it leads to; one that is refused stays."""
        client = self(login)
        of = of or re.sub(
            r"/(receive|dispute|issue|close|spoil|give-back|confirm|withdraw|release|settle)$", "", address
        )
        answer = post(client, address, of=of, **fields)
        if answer.status_code == 409:
            assert "Ничего не изменено" in answer.text
            return answer.text
        assert answer.status_code == 302, answer.text
        return client.get(answer.location).text


@pytest.fixture(scope="module")
def people(office: CardOffice, settings) -> People:  # type: ignore[no-untyped-def]
    return People(office, settings)


def test_the_whole_way_of_a_blank_on_pages(
    people: People, sessions: sessionmaker[Session], remembered: str, office: CardOffice
) -> None:
    assert "Склад заведён" in people.send("keeper", "/office/stock", code="C", name="Главный", place="central")
    point = f"point-{office.staff.points[1]}"
    assert "Склад заведён" in people.send("keeper", "/office/stock", code="P2", name="Заречный", place=point)
    answer = post(people("keeper"), "/office/stock", code="P2", name="Ещё раз", place=point)
    assert answer.status_code == 400 and "Такой склад уже есть" in answer.text

    with sessions() as session:
        central, at_point = (session.query(StockStore).filter_by(code=code).one().id for code in ("C", "P2"))
    note = {
        "maker": "Микрон", "note": "77-Б", "profile": "uec", "store_id": central, "transport_version": 1,
        "diversification": "kdf3", "check_value": remembered, "boxes": f"17 {chip(1)}-{chip(100)}",
    }  # fmt: skip
    wrong = post(people("keeper"), "/office/stock/delivery", **(note | {"check_value": "000000"}))
    assert wrong.status_code == 400 and "Такого набора ключей в хранилище нет" in wrong.text
    wrong = post(people("keeper"), "/office/stock/delivery", **(note | {"boxes": f"17 {chip(9)}-{chip(1)}"}))
    assert wrong.status_code == 400
    assert "Поставка принята" in people.send("keeper", "/office/stock/delivery", **note)
    again = post(people("keeper"), "/office/stock/delivery", **(note | {"note": "78", "boxes": f"18 {chip(100)}"}))
    assert again.status_code == 400 and "уже есть на складе" in again.text

    with sessions() as session:
        box = session.query(StockBox).one().id
    sent = people.send("keeper", "/office/stock/transfers", giver=central, taker=at_point, seal="ПЛ-5", box=box)
    assert "Отправление в пути" in sent
    with sessions() as session:
        transfer = session.query(StockTransfer).one().id
    here = f"/office/stock/transfers/{transfer}"
    broken = people.send("keeper2", f"{here}/receive", seal="ПЛ-6", blanks="100")
    assert "Пломба не та" in broken
    assert 'value="ПЛ-6"' in broken and "ПЛ-5" not in broken, "the seal put on is not told before it is read"
    assert "ПЛ-5" not in people("keeper2").get("/office/stock/transfers").text
    short = people.send("keeper2", f"{here}/receive", seal="ПЛ-5", blanks="99")
    assert "Вы насчитали 99, а отправлено 100" in short
    assert "Записано" in people.send("keeper2", f"{here}/receive", seal="ПЛ-5", blanks="100")
    own = people.send("keeper", f"{here}/receive", of="/office/stock", seal="ПЛ-5", blanks="100")
    assert "Что-то изменилось" in own and "Принято полностью" in own, "received already"
    back = people("keeper").get(f"{here}/receive")
    assert back.status_code == 302 and back.location == here, "a form that was refused can be reloaded"

    assert "Ваша смена открыта" in people.send("producer", "/office/shifts", store=at_point, station="")
    assert "уже открыта смена" in people.send("producer", "/office/shifts", store=at_point, station="")
    with sessions() as session:
        shift = f"/office/shifts/{session.query(StockShift).one().id}"
    people.send("keeper", f"{shift}/issue", box=box, **{f"count-{box}": "3", f"seen-{box}": "100"})
    twice = people.send("keeper", f"{shift}/issue", box=box, **{f"count-{box}": "3", f"seen-{box}": "100"})
    assert "теперь лежит 97, а не 100" in twice, "sent twice, done once"
    assert 'name="seen-' in people("keeper").get(shift).text
    assert "откладывать нечего" in people.send("keeper", f"{shift}/set-aside", of=shift)
    page = people.send("producer", f"{shift}/close")
    assert "не учтено 3 заготовки" in page or "не учтены 3 заготовки" in page
    assert f"{chip(1)}-{chip(3)}" in page
    for typed, said in (
        (chip(2)[:-1], "не серийный номер чипа"),
        (f"{chip(3)}-{chip(2)}", "от меньшего номера к большему"),
        (f"{chip(2)}-{'0' * 20}", "из разных партий"),
        (chip(50), "Здесь нет части этих чипов"),
        ("", "Назовите чипы"),
    ):
        wrong = people.send("producer", f"{shift}/spoil", chips=typed, reason="царапина")
        assert said in wrong and 'value="царапина"' in wrong, typed
        assert f'value="{typed}"' in wrong
    assert "Записано" in people.send("producer", f"{shift}/spoil", chips=chip(2), reason="царапина")
    assert "Напишите причину" in people.send("producer", f"{shift}/spoil", chips=chip(1), reason="")
    many = people.send("keeper", f"{shift}/give-back", box=box, **{f"count-{box}": "5"})
    assert "Столько заготовок там нет" in many
    part = people("producer").get(f"{shift}/part").text
    assert "hx-get" in part and "Не учтено" in part
    assert "Записано" in people.send("quality", f"{shift}/miss", of=shift, chips=chip(3), reason="искали везде")
    assert "отсутствует" in people("producer").get(f"{shift}/part").text
    people.send("keeper", f"{shift}/give-back", box=box)
    assert "Смена закрыта" in people.send("producer", f"{shift}/close")

    again = people.send("producer", f"{shift}/close", of="/office/shifts")
    assert "Что-то изменилось" in again and "Смена закрыта" in again

    store = f"/office/stock/where/point/{at_point}"
    assert "нашлись" not in people("keeper").get(store).text, "quality says what is found"
    wrong = people.send("quality", f"{store}/found", of=store, chips=chip(1), reason="под столом")
    assert "Здесь нет части этих чипов" in wrong and 'value="под столом"' in wrong
    assert people("quality").get(f"{store}/found").location == store
    found = people.send("quality", f"{store}/found", of=store, chips=chip(3), reason="под столом")
    assert "1 заготовка снова на складе" in found and "нашлись" not in found

    act = people.send("keeper", "/office/stock/destruction", store=at_point, method="шредер 4-го класса")
    assert "Акт составлен" in act and "царапина" in act
    with sessions() as session:
        act_id = session.query(StockDestruction).one().id
    alone = people.send("keeper", f"/office/stock/destruction/{act_id}/confirm")
    assert "коллег" in alone and "ждёт второго" in alone.lower()
    done = people.send("quality", f"/office/stock/destruction/{act_id}/confirm")
    assert "Уничтожена 1 карта" in done
    for address in (
        "/office/stock", "/office/stock/boxes", "/office/stock/balance/batch", "/office/stock/balance/shift",
        "/office/stock/balance/point", f"/office/stock/where/box/{box}", f"/office/stock/where/point/{at_point}",
    ):  # fmt: skip
        page = people("quality").get(address)
        assert page.status_code == 200, address
    assert "шредер" not in people("quality").get(f"/office/stock/where/box/{box}").text
    with sessions() as session:
        assert stock_balance.verify(session) == []


def test_an_operator_sees_their_own_shift_only(people: People, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        shift = session.query(StockShift).first()
        assert shift is not None
    assert people("producer").get(f"/office/shifts/{shift.id}").status_code == 200
    assert people("operator").get(f"/office/shifts/{shift.id}").status_code == 403
    assert shift.number not in people("operator").get("/office/shifts").text
    assert shift.number in people("auditor").get("/office/shifts").text


def test_quarantine_by_hand_and_release(people: People, sessions: sessionmaker[Session]) -> None:
    assert "Выберите, что отправить" in people.send("quality", "/office/quality", subject="LOT", lot="xyz", reason="x")
    assert "Напишите причину" in people.send("quality", "/office/quality", subject="LOT", lot=LOT, reason="")
    assert "Отправлено в карантин" in people.send("quality", "/office/quality", subject="LOT", lot=LOT, reason="партия")
    assert "Уже в карантине" in people.send("quality", "/office/quality", subject="LOT", lot=LOT, reason="партия")
    with sessions() as session:
        row = session.query(Quarantine).one()
    page = people("quality").get(f"/office/quality/{row.id}").text
    assert LOT in page and "партия" in page
    here = f"/office/quality/{row.id}/release"
    assert "Карантин снят" in people.send("quality", here, reason="проверено")
    assert post(people("quality"), here, of="/office/quality", reason="ещё раз").status_code == 409
    assert post(people("keeper"), here, of="/office/stock", reason="сам").status_code == 403


def test_english_pages_are_english(sign_in: SignIn) -> None:
    client = sign_in("keeper")
    client.get("/language/en")
    page = client.get("/office/stock").text
    assert "Stock of blank cards" in page and "Нет" not in page
