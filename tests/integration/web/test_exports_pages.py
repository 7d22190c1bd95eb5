"""Files of lists on the pages: short ones at once, long ones asked for, followed, taken and deleted; by their owner."""

import io
from collections.abc import Iterator

import openpyxl
import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, select

from tests.integration.web.conftest import SignIn, post
from tests.support.desk import CardOffice
from tests.support.office import POLICY
from uec.domain.policy import PolicyBook
from uec.services import export_jobs, exports
from uec.services.export_lists import EXPORTS
from uec.settings import Settings
from uec.store.tables import AuditEntry, ExportFile
from uec.web import export_words
from uec.web.app import create_app

FILES = "/office/exports"
LISTS = f"{FILES}/refusals"


@pytest.fixture(autouse=True)
def no_files(office: CardOffice) -> Iterator[None]:
    yield
    with office.sessions() as session:
        session.execute(delete(ExportFile))
        session.commit()


@pytest.fixture
def long_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every list is one that a worker makes."""
    monkeypatch.setattr(exports, "AT_ONCE", -1)


def work(office: CardOffice) -> None:
    made = export_jobs.make_all(office.sessions, book=PolicyBook(POLICY), clock=office.clock)
    assert made.startswith("took on 1 ")


def ask(client: FlaskClient, address: str) -> None:
    answer = post(client, address, of=address)
    assert (answer.status_code, answer.location) == (302, FILES), answer.text


@pytest.mark.parametrize(("form", "kind"), [("csv", "text/csv"), ("xlsx", "officedocument.spreadsheetml.sheet")])
def test_a_short_list_comes_at_once(sign_in: SignIn, form: str, kind: str) -> None:
    with sign_in("officer").get(f"{FILES}/applications/{form}?state=APPROVED&query=") as answer:
        assert answer.status_code == 200 and kind in answer.content_type
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Content-Disposition"].endswith(f'.{form}"')
        if form == "csv":
            assert answer.data.startswith("\ufeffНомер;Статус;".encode())
        else:
            (sheet,) = openpyxl.load_workbook(io.BytesIO(answer.data)).worksheets
            assert sheet["A1"].value == "Номер" and sheet.title == "Заявления"


@pytest.mark.usefixtures("long_lists")
def test_a_long_list_is_asked_for_followed_taken_and_deleted(
    sign_in: SignIn, client: FlaskClient, office: CardOffice
) -> None:
    clerk = sign_in("officer")
    page = clerk.get(f"{LISTS}/csv?query=R-1")
    assert page.status_code == 200 and "Поиск: R-1" in page.text and "Подготовить файл" in page.text
    ask(clerk, f"{LISTS}/csv?query=R-1")
    waits = clerk.get(FILES).text
    assert "Ждёт" in waits and 'hx-trigger="every 3s"' in waits and "Отменить" in waits
    work(office)
    ready = clerk.get(FILES).text
    assert "Готов" in ready and "hx-trigger" not in ready and "Поиск: R-1" in ready
    with office.sessions() as session:
        row = session.scalars(select(ExportFile)).one()
    with clerk.get(f"{FILES}/files/{row.id}") as answer:
        assert answer.status_code == 200 and answer.content_length == row.size_bytes == len(answer.data)
        assert answer.data.startswith("\ufeffПодтверждение;".encode())
        assert 'filename="refusals-' in answer.headers["Content-Disposition"]
    assert post(clerk, f"{FILES}/files/{row.id}/remove", of=FILES).status_code == 302
    assert clerk.get(f"{FILES}/files/{row.id}").status_code == 404
    with office.sessions() as session:
        noted = session.scalars(
            select(AuditEntry.action).where(AuditEntry.action.startswith("export.")).order_by(AuditEntry.id.desc())
        ).all()
    assert noted[:4] == ["export.remove", "export.fetch", "export.finish", "export.ask"]


@pytest.mark.usefixtures("long_lists")
def test_another_person_finds_nothing(sign_in: SignIn, settings: Settings, office: CardOffice) -> None:
    clerk = sign_in("officer")
    ask(clerk, f"{LISTS}/xlsx")
    work(office)
    with office.sessions() as session:
        export_id = session.scalars(select(ExportFile.id)).one()
    post(clerk, "/sign-out", of=FILES)
    other = sign_in("planner")
    assert "XLSX</th>" not in other.get(FILES).text
    assert other.get(f"{FILES}/files/{export_id}").status_code == 404
    assert post(other, f"{FILES}/files/{export_id}/remove", of=FILES).status_code == 404
    stranger = create_app(settings, clock=office.clock).test_client()
    assert "/sign-in" in stranger.get(f"{FILES}/files/{export_id}").location


@pytest.mark.usefixtures("long_lists")
def test_too_many_at_a_time_are_told_so_and_nonsense_is_refused(sign_in: SignIn) -> None:
    clerk = sign_in("officer")
    for state in ("", "SUBMITTED", "APPROVED", "REJECTED", "CLOSED"):
        ask(clerk, f"{FILES}/applications/csv?state={state}")
    ask(clerk, f"{LISTS}/csv")
    assert "уже готовится несколько" in clerk.get(FILES).text
    assert clerk.get(f"{FILES}/applications/csv?state=FLYING").status_code == 400
    assert clerk.get(f"{FILES}/passwords/csv").status_code == 404
    assert clerk.get(f"{FILES}/applications/pdf").status_code == 404
    assert clerk.get(f"{FILES}/audit/csv").status_code == 403
    assert clerk.get(f"{FILES}/files/99").status_code == 404


@pytest.mark.usefixtures("long_lists")
def test_who_keeps_too_many_files_is_told_to_delete_some(sign_in: SignIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export_jobs, "MOST_KEPT", 1)
    clerk = sign_in("officer")
    for form in ("csv", "xlsx"):
        ask(clerk, f"{LISTS}/{form}")
    assert "удалите ненужные" in clerk.get(FILES).text


@pytest.mark.usefixtures("long_lists")
def test_what_was_not_made_says_why(sign_in: SignIn, office: CardOffice) -> None:
    clerk = sign_in("officer")
    ask(clerk, f"{LISTS}/csv")
    with office.sessions() as session:
        row = session.scalars(select(ExportFile)).one()
        row.attempt, row.heard_at = export_jobs.ATTEMPTS, None
        session.commit()
    work(office)
    page = clerk.get(FILES).text
    assert "Не выполнено" in page and "Запросите его ещё раз" in page
    assert clerk.get(f"{FILES}/files/{row.id}").status_code == 409


def test_every_list_has_its_words(client: FlaskClient) -> None:
    with client.application.test_request_context(headers={"Accept-Language": "ru"}):
        for name in export_words.LISTS:
            wording = export_words.wording(name)
            assert wording.title and all(wording.head) and len(set(wording.head)) == len(wording.head), name
        assert {word for word in wording.words.values() if not word} == set()


@pytest.mark.parametrize(
    ("name", "filters", "said"),
    [
        ("applications", {"state": "APPROVED", "route": "MASS"}, "Статус: Одобрено, Способ подачи: Массовая эмиссия"),
        ("orders", {"state": "APPROVED"}, "Статус: Ждёт отправки"),
        ("cards", {"state": "ACTIVE", "query": "ACTIVE"}, "Статус: Действует, Поиск: ACTIVE"),
        ("late", {"kind": "1", "reason": "no_lines"}, "Класс: по заявлениям, Почему: не хватает мощности линий"),
        ("batches", {}, ""),
    ],
)
def test_a_part_of_a_list_is_said_in_its_own_words(
    client: FlaskClient, name: str, filters: dict[str, str], said: str
) -> None:
    with client.application.test_request_context(headers={"Accept-Language": "ru"}):
        assert export_words.part_of(name, filters) == said
        assert set(export_words.KINDS) >= {
            (name, one) for name, export in EXPORTS.items() for one in export.filters if one in {"state", "route"}
        }
