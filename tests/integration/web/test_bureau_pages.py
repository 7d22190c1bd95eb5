"""The bureaux' pages: a partner with its certificates, an order from drawing up to its end, files that are refused."""

from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from issuance.bureau.standin import identity
from issuance.bureau.standin.faults import Fault
from tests.browser.site import PASSWORD
from tests.integration.web.conftest import post, token_in
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.desk import CardOffice
from tests.support.web_forms import multipart
from uec.domain.bureau import OrderState
from uec.settings import Settings
from uec.store.tables import BureauOrder
from uec.web.app import create_app

ORDERS = "/office/bureaux"


class People:
    """One signed-in browser for each login."""

    def __init__(self, office: CardOffice, settings: Settings) -> None:
        self.office, self.settings = office, settings
        self.open: dict[str, FlaskClient] = {}

    def __call__(self, login: str) -> FlaskClient:
        if login not in self.open:
            client = create_app(self.settings, clock=self.office.clock).test_client()
            assert post(client, "/sign-in", login=login, password=PASSWORD).status_code == 302
            self.open[login] = client
        return self.open[login]

    def send(self, login: str, address: str, of: str, **fields: object) -> str:
        """Send a form, follow to the page it leads to."""
        client = self(login)
        answer = post(client, address, of=of, **fields)
        assert answer.status_code == 302, answer.text
        return str(client.get(answer.location).text)


@pytest.fixture(scope="module")
def bureau(office: CardOffice, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> BureauOffice:
    made = open_bureau_office(office.sessions, tmp_path_factory.mktemp("bureau"), office=office)
    (settings.state_dir / "bureaux").symlink_to(made.exchange)
    return made


@pytest.fixture(scope="module")
def people(office: CardOffice, settings: Settings) -> People:
    return People(office, settings)


def bring(people: People, login: str, path: Path) -> str:
    """Upload a file on the page, follow to where it leads."""
    client = people(login)
    token = token_in(client.get(ORDERS).text)
    data = {"csrf_token": token, "file": (BytesIO(path.read_bytes()), path.name)}
    answer = client.post(f"{ORDERS}/files", data=data, content_type="multipart/form-data")
    assert answer.status_code == 302, answer.text
    return str(client.get(answer.location).text)


HELD_UP = {
    "vault-unavailable": "Сообщите администратору",
    "folder": "Папка для файлов бюро недоступна",
    "unknown-lot": "Не внесено, как диверсифицируются",
    "uec.something": "Said by the office.",
}


def hold_up(bureau: BureauOffice, by: str) -> None:
    with bureau.office.sessions() as session:
        row = session.get_one(BureauOrder, 1)
        row.held_up_by, row.held_up_why = by, "Said by the office."
        session.commit()


def test_an_order_on_pages(bureau: BureauOffice, people: People) -> None:
    bureau.batch(71, 72)
    page = people("planner").get(ORDERS).text
    assert "Northern bureau" in page and "Составить заказ" in page and "Принять файл" not in page
    assert "2 карты" in page
    fields = {"batch": page.split('name="batch"')[1].split('value="')[1].split('"')[0], "bureau": bureau.bureau_id}
    drawn = people.send("planner", f"{ORDERS}/orders", ORDERS, certificates="hand-over", **fields)
    assert "Заказ составлен" in drawn and "Ждёт утверждения" in drawn and "Утвердить заказ" not in drawn
    assert "Партия уже стоит в заказе" in people.send(
        "planner", f"{ORDERS}/orders", f"{ORDERS}/orders/1", certificates="hand-over", **fields
    )
    order = f"{ORDERS}/orders/1"
    approved = people.send("releaser", f"{order}/approve", order)
    assert "Ждёт отправки" in approved and "Скачать файл" not in approved
    assert people("releaser").get(f"{order}/files/1").status_code == 404
    for by, words in HELD_UP.items():
        hold_up(bureau, by)
        shown = people("planner").get(order).text
        assert "Файл для бюро не удалось подготовить" in shown and words in shown, by
    assert "Задержан" in people("planner").get(ORDERS).text
    bureau.send(1)
    assert "не удалось" not in people("planner").get(order).text
    assert "Задержан" not in people("planner").get(ORDERS).text
    page = people("releaser").get(order).text
    assert "Скачать файл для бюро" in page and "BO-000001.p7m" in page
    with people("releaser").get(f"{order}/files/1") as download:
        assert download.data == (bureau.desk / "in" / "BO-000001.p7m").read_bytes()
    assert people("planner").get(f"{order}/files/1").status_code == 403
    assert "Скачать файл" not in people("planner").get(order).text
    assert "Версия мастер-ключа карт" in page
    assert "Чипов, ключи которых переданы" in people("security").get(f"{ORDERS}/{bureau.bureau_id}").text


def test_files_brought_on_the_page(bureau: BureauOffice, people: People) -> None:
    order = f"{ORDERS}/orders/1"
    bureau.standin(Fault.WRONG_BATCH)
    acknowledgement, wrong = bureau.replies()
    assert "Файл принят: подтверждение приёма" in bring(people, "producer", acknowledgement)
    refused = bring(people, "producer", wrong)
    assert "В нём названа не та партия" in refused and wrong.name in refused
    shown = people("producer").get(order).text
    assert "Отклонён" in shown and "запросите правильный файл" in shown
    strange = bureau.folder / "strange.p7s"
    strange.write_bytes(b"a,b,c")
    assert "не подписанный файл" in bring(people, "producer", strange)
    assert "Отклонённые файлы, не относящиеся к заказам" in people("producer").get(ORDERS).text
    assert bureau.row(1).state is OrderState.ACCEPTED
    wrong.unlink()
    (bureau.desk / "done" / "BO-000001.p7m").replace(bureau.desk / "in" / "BO-000001.p7m")
    bureau.standin()
    page = bring(people, "producer", bureau.replies()[-1])
    assert "Всё учтено" in page and "Посылки" in page
    keeper = people("keeper")
    assert 'name="seal"' in keeper.get(order).text and "SEAL-" not in keeper.get(order).text, (
        "it is read off the parcel"
    )
    assert "Посылки ещё в пути" in people.send("keeper", f"{order}/close", order)
    broken = people.send("keeper", f"{order}/receive", order, consignment=1, seal="OTHER")
    assert "Принята" not in broken
    people.send("keeper", f"{order}/receive", order, consignment=1, seal=bureau.consignments()[0].seal)
    assert "Закрыть заказ" not in people.send("keeper", f"{order}/close", order)
    assert bureau.row(1).state is OrderState.CLOSED


def test_a_partner_on_pages(bureau: BureauOffice, people: People) -> None:
    here = f"{ORDERS}/{bureau.bureau_id}"
    page = people("security").get(here).text
    assert "Шифрование" in page and "Подпись" in page and "Внести сертификат" in page
    identity.create(bureau.folder / "next", "Northern bureau", now=bureau.office.clock())
    client = people("security")
    certificate = (bureau.folder / "next" / "encryption.pem").read_bytes()
    data = {"csrf_token": token_in(client.get(here).text), "use": "ENCRYPTION", "file": (BytesIO(certificate), "e.pem")}
    answer = client.post(f"{here}/certificate", data=data, content_type="multipart/form-data")
    assert "Записано" in client.get(answer.location).text
    assert "Ждёт" in client.get(here).text
    mine = people.send("security", f"{here}/approve-certificate", here, certificate=3)
    assert "предложили сертификат" in mine and "Ждёт" in mine
    data = {"csrf_token": token_in(client.get(here).text), "use": "SIGNATURE", "file": (BytesIO(b"no"), "e.pem")}
    answer = client.post(f"{here}/certificate", data=data, content_type="multipart/form-data")
    assert answer.status_code == 302


@pytest.mark.parametrize("login", ["operator", "admin"])
def test_others_see_no_bureaux(bureau: BureauOffice, people: People, login: str) -> None:
    assert people(login).get(ORDERS).status_code == 403


def test_what_is_not_there(bureau: BureauOffice, people: People) -> None:
    assert people("planner").get(f"{ORDERS}/999").status_code == 404
    assert people("planner").get(f"{ORDERS}/orders/999").status_code == 404
    assert post(people("planner"), f"{ORDERS}/orders/1/dance", of=f"{ORDERS}/orders/1").status_code == 404
    assert post(people("planner"), f"{ORDERS}/orders", of=ORDERS, batch="x", bureau="1").status_code == 404
    bad = post(people("planner"), f"{ORDERS}/orders", of=ORDERS, batch="1", bureau="1", certificates="never")
    assert bad.status_code == 400


def test_english(bureau: BureauOffice, people: People) -> None:
    client = people("auditor")
    assert "Внешние бюро" in client.get(ORDERS).text
    client.get("/language/en")
    page = client.get(ORDERS).text
    assert "Outside bureaux" in page and "Northern bureau" in page


def test_a_large_file_of_a_bureau_is_taken_and_nothing_else_is(
    people: People, office: CardOffice, settings: Settings
) -> None:
    large = bytes(6 << 20)
    sent = upload(people("producer"), f"{ORDERS}/files", large)
    assert "не подписанный файл" in people("producer").get(sent.location).text
    stranger = create_app(settings, clock=office.clock).test_client()
    assert "/sign-in" in stranger.post(f"{ORDERS}/files", **multipart("-", large)).location, "nothing of it is read"
    assert upload(people("planner"), "/office/plan/event", large).status_code == 413
    few = People(office, replace(settings, bureau_file_mb=5))
    assert upload(few("producer"), f"{ORDERS}/files", large).status_code == 413
    assert "Файлы больше 5 МБ" in few("producer").get(ORDERS).text


def upload(client: FlaskClient, address: str, content: bytes) -> TestResponse:
    """Send a file as a form would."""
    return client.post(address, **multipart(token_in(client.get(ORDERS).text), content))
