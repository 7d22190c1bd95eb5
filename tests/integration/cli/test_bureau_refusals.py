"""What no bureau may send, as its three ways in meet it: the command line, the page, and the API.

Each says one sentence by which somebody knows what to do; each refusal is recorded with its audit entry; nothing moves.
"""

from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.integration.cli.test_bureau_commands import PASSWORD, by, office
from tests.integration.services.test_bureau_results import snapshot
from tests.integration.web.conftest import post, token_in
from tests.support.bureau_office import BureauOffice
from tests.support.bureau_wrong import FILES, Good, taken_apart
from tests.support.web_forms import multipart
from uec.domain.bureau import OrderState
from uec.settings import load_settings
from uec.store.tables import AuditEntry, BureauFile
from uec.web.app import create_app
from uec.web.bureau_words import FINDINGS

__all__ = ["office"]  # the fixture

pytestmark = pytest.mark.slow
PAGE = "/office/bureaux"
FACES = ("command line", "page", "api")


@pytest.fixture
def client(office: BureauOffice) -> FlaskClient:
    return create_app(load_settings(Path("uec.toml")), clock=office.office.clock).test_client()


@pytest.fixture
def good(office: BureauOffice) -> Good:
    """Right results of an order that the bureau has accepted; they wait to be taken."""
    office.order(1, 2, 3)
    office.standin()
    acknowledgement, results = office.replies()
    office.take(acknowledgement)
    return taken_apart(office, results.read_bytes())


def say_on_the_command_line(name: str, content: bytes, capsys: pytest.CaptureFixture[str]) -> str:
    Path(f"{name}.p7s").write_bytes(content)
    assert by("pavel", "take", f"{name}.p7s") == 1
    said = capsys.readouterr()
    assert said.out == ""
    return said.err


def say_on_the_page(client: FlaskClient, name: str, content: bytes) -> str:
    answer = client.post(f"{PAGE}/files", **multipart(token_in(client.get(PAGE).text), content, f"{name}.p7s"))
    assert answer.status_code == 302, answer.text
    return str(client.get(answer.location).text)


def say_in_the_api(client: FlaskClient, name: str, content: bytes, token: str) -> dict[str, object]:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/pkcs7-mime"}
    answer = client.post("/api/bureaux/files", query_string={"name": f"{name}.p7s"}, data=content, headers=headers)
    assert answer.status_code == 409 and answer.content_type == "application/problem+json", answer.text
    assert answer.json is not None
    return dict(answer.json)


def test_every_wrong_file_on_every_way_in(
    office: BureauOffice, client: FlaskClient, good: Good, capsys: pytest.CaptureFixture[str]
) -> None:
    assert post(client, "/sign-in", login="pavel", password=PASSWORD).status_code == 302
    asked = {"login": "pavel", "password": PASSWORD, "scopes": ["PRODUCE_CARD"]}
    token = client.post("/api/session", json=asked).json["token"]
    before = snapshot(office, 1)
    for name, (make, finding) in FILES.items():
        content = make(good)
        line = say_on_the_command_line(name, content, capsys)
        assert line.startswith(f"refused: {name}.p7s: ") and line.count("\n") == 1, line
        page = say_on_the_page(client, name, content)
        assert f"{name}.p7s" in page and str(FINDINGS[finding]) != finding, name
        problem = say_in_the_api(client, name, content, token)
        assert (problem["code"], problem["finding"]) == ("uec.bureau_file_refused", finding), (name, problem)
        assert f"{name}.p7s" in str(problem["detail"]) and finding not in str(problem["detail"]).split()
        assert snapshot(office, 1) == before, name
        kept = office.files("name", "outcome", "finding")[-3:]
        assert kept == [(f"{name}.p7s", "REFUSED", finding)] * 3, name
    with office.office.sessions() as session:
        told = select(func.count()).where(AuditEntry.action == "bureau_file.refuse")
        assert session.scalar(told) == len(FACES) * len(FILES)
        sentences = session.scalars(select(BureauFile.sentence).where(BureauFile.outcome == "REFUSED")).all()
    assert all(sentence and len(sentence) <= 500 for sentence in sentences)
    Path("right.p7s").write_bytes(good.content)
    assert by("pavel", "take", "right.p7s") == 0, "and the right ones count all the same"
    assert office.row(1).state is OrderState.COMPLETE
    problem = say_in_the_api(client, "again", good.content, token)
    assert problem["finding"] == "taken-before"
    assert "уже принят" in say_on_the_page(client, "again", good.content)


def test_files_of_an_order_that_was_called_off(office: BureauOffice, capsys: pytest.CaptureFixture[str]) -> None:
    office.order(1, 2)
    office.standin()
    _, results = office.replies()
    cancelled = office.draw(office.batch(3))
    assert by("petr", "cancel-order", "BO-000002", "--reason", "no capacity") == 0
    row = office.row(cancelled)
    assert (row.state, row.digest) == (OrderState.CANCELLED, None)
    capsys.readouterr()
    apart = taken_apart(office, results.read_bytes())
    lie = apart.signed(order=row.number, batch="B-000002", answers=b"")
    assert "speaks of another file" in say_on_the_command_line("cancelled", lie, capsys)
    assert office.blanks() == {"STORE": 196, "HAND": 4}


def test_a_batch_that_a_bureau_makes_is_not_called_off(office: BureauOffice, client: FlaskClient) -> None:
    office.order(1)
    assert post(client, "/sign-in", login="petr", password=PASSWORD).status_code == 302
    batch = f"/office/batches/{office.row(1).batch_id}"
    answer = post(client, f"{batch}/cancel", of=batch, reason="line stopped")
    shown = client.get(answer.location).text if answer.status_code == 302 else answer.text
    assert "изготавливает бюро" in shown
    assert office.row(1).state is OrderState.SENT
