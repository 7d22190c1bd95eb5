"""The office's pages of refusals: filed by any channel, confirmed on paper, found, taken back; each in the audit."""

import io

import pytest
from flask.testing import FlaskClient
from pypdf import PdfReader
from sqlalchemy import delete, select

from tests.integration.web.conftest import SignIn, post
from tests.support.desk import CardOffice
from tests.support.office import person
from uec.store.tables import AuditEntry, Refusal

NEW = "/office/refusals/new"


@pytest.fixture(autouse=True)
def no_refusals(office: CardOffice) -> None:
    with office.sessions() as session:
        session.execute(delete(Refusal))
        session.commit()


def file(client: FlaskClient, number: int, channel: str = "post", note: str = "") -> str:
    """File a refusal; the address of its page."""
    answer = post(client, NEW, snils=person(number)["snils"], channel=channel, note=note)
    assert answer.status_code == 302, answer.text
    return answer.location


@pytest.mark.parametrize(
    ("channel", "words"), [("post", "По почте"), ("window", "В окне"), ("portal", "Через портал государственных услуг")]
)
def test_a_clerk_files_a_refusal_and_prints_its_confirmation(sign_in: SignIn, channel: str, words: str) -> None:
    clerk = sign_in("operator")
    address = file(clerk, 2001, channel, note="вх. № 17")
    page = clerk.get(address).text
    number = address.rpartition("/")[2]
    for expected in (words, "вх. № 17", "Действует", f"Отказ принят под номером {number}"):
        assert expected in page
    paper = page.split('href="/confirmation.pdf?')[1].split('"')[0].replace("&amp;", "&")
    sheet = PdfReader(io.BytesIO(clerk.get(f"/confirmation.pdf?{paper}").data)).pages[0].extract_text()
    assert number in sheet and person(2001)["snils"] not in sheet


def test_who_refused_before_is_told_so_and_nothing_is_filed_twice(sign_in: SignIn, office: CardOffice) -> None:
    clerk = sign_in("operator")
    first = file(clerk, 2002)
    assert file(clerk, 2002, "window") == first
    assert "уже отказался раньше" in clerk.get(first).text
    with office.sessions() as session:
        assert len(session.scalars(select(Refusal.id)).all()) == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"snils": "11223344596", "channel": "post"}, "Проверьте СНИЛС"),
        ({"snils": "", "channel": "post"}, "Укажите СНИЛС"),
        ({"snils": "112-233-445 95", "channel": "pigeon"}, "govuk-error-message"),
        ({"snils": "112-233-445 95"}, "Выберите, как поступил отказ"),
        ({"snils": "112-233-445 95", "channel": "post", "note": "x" * 201}, "Сократите до 200"),
    ],
)
def test_a_wrong_form_files_nothing(sign_in: SignIn, office: CardOffice, fields: dict[str, str], words: str) -> None:
    answer = post(sign_in("operator"), NEW, **fields)
    assert answer.status_code == 400
    assert words in answer.text
    with office.sessions() as session:
        assert session.scalars(select(Refusal.id)).all() == []


def test_a_refusal_is_found_by_its_number_and_by_the_snils(sign_in: SignIn) -> None:
    clerk = sign_in("operator")
    number, other = (file(clerk, one).rpartition("/")[2] for one in (2003, 2004))
    clerk.get("/office/refusals")  # what was just filed is told once
    for query in (number, person(2003)["snils"]):
        page = clerk.get("/office/refusals", query_string={"query": query}).text
        assert number in page and other not in page
    assert other in clerk.get("/office/refusals").text
    assert "ни один отказ не подошёл" in clerk.get("/office/refusals?query=R-424242").text
    assert clerk.get("/office/refusals/R-424242").status_code == 404


def test_a_refusal_is_taken_back_once_and_with_a_reason(sign_in: SignIn, office: CardOffice) -> None:
    clerk = sign_in("operator")
    address = file(clerk, 2005)
    number = address.rpartition("/")[2]
    assert post(clerk, address, reason="  ").status_code == 400
    assert post(clerk, address, reason="заявление от 3 марта").status_code == 302
    page = clerk.get(address).text
    assert "Отозван" in page and "заявление от 3 марта" in page and "csrf_token" not in page.split("<main")[1]
    assert "confirmation.pdf" not in page, "no paper for what counts no more"
    assert post(clerk, address, of=NEW, reason="ещё раз").status_code == 409
    assert file(clerk, 2005) != address, "a later refusal has a number of its own"
    with office.sessions() as session:
        refusal = session.scalars(select(Refusal).where(Refusal.number == number)).one()
        told = select(AuditEntry.action).where(
            AuditEntry.subject_kind == "refusal", AuditEntry.subject_id == str(refusal.id)
        )
        assert {"refusal.file", "refusal.look", "refusal.withdraw"} <= set(session.scalars(told))


def test_who_may_only_look_can_neither_file_nor_take_back(sign_in: SignIn, client: FlaskClient) -> None:
    address = file(sign_in("operator"), 2006)
    post(client, "/sign-out", of="/office/refusals")
    officer = sign_in("officer")
    page = officer.get(address).text
    assert "Отозвать" not in page and NEW not in officer.get("/office/refusals").text
    assert officer.get(NEW).status_code == 403
    assert post(officer, address, of="/office/", reason="x").status_code == 403
