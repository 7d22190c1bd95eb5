"""One of each by the API: what its page shows, with the same permissions, the same record of the look, as problems."""

from collections.abc import Iterator
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.web.conftest import Token
from tests.support.desk import CardOffice
from tests.support.office import POLICY
from tests.support.stock import Stockroom, box, chips, open_stockroom
from uec.domain.policy import PolicyBook
from uec.services import export_jobs
from uec.store.tables import (
    Application,
    AuditEntry,
    Batch,
    Card,
    ExportFile,
)

CONSIGNMENTS = "/api/stock/consignments"


def problem(answer: Any, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), answer.text
    told: dict[str, Any] = answer.json
    assert told["detail"] and told["status"] == status
    return told


def looks(office: CardOffice, action: str) -> int:
    with office.sessions() as session:
        return session.scalar(select(func.count()).where(AuditEntry.action == action)) or 0


def test_one_application_is_shown_and_the_look_is_kept(client: FlaskClient, office: CardOffice, token: Token) -> None:
    (application_id,) = office.approve_applicants(310)
    with office.sessions() as session:
        row = session.get_one(Application, application_id)
    before, officer = looks(office, "application.view"), token("officer")
    shown = client.get(f"/api/applications/{row.id}", headers=officer)
    assert shown.status_code == 200, shown.text
    told = shown.json
    assert (told["number"], told["surname"], told["snils"]) == (row.number, row.surname, row.snils)
    assert told["state"] == row.state.value and told["point"]["id"] == row.point_id
    assert {"checks", "card_id", "decision_reason", "due_on"} <= set(told) and "secret_hash" not in told
    assert looks(office, "application.view") == before + 1
    problem(client.get("/api/applications/999999", headers=officer), 404)
    problem(client.get(f"/api/applications/{row.id}"), 401)
    problem(client.get(f"/api/applications/{row.id}", headers=token("keeper")), 403)
    problem(client.get(f"/api/applications/{row.id}", headers=token("officer", scopes=["VIEW_BATCHES"])), 403)
    assert looks(office, "application.view") == before + 1, "what is refused is no look"


def test_one_card_and_the_cards_of_its_batch(client: FlaskClient, office: CardOffice, token: Token) -> None:
    office.make_cards(311)
    with office.sessions() as session:
        card, number = session.execute(
            select(Card, Batch.number).join(Batch, Batch.id == Card.batch_id).order_by(Card.id).limit(1)
        ).one()
    before, officer = looks(office, "card.view"), token("officer")
    shown = client.get(f"/api/cards/{card.id}", headers=officer).json
    assert (shown["id"], shown["number"], shown["batch_number"]) == (card.id, card.number, number)
    assert shown["full_name"] and shown["application_id"] == card.application_id
    assert {"certificates", "journal", "operations", "chip_id"} <= set(shown)
    assert looks(office, "card.view") == before + 1
    problem(client.get(f"/api/cards/{card.id}", headers=token("planner")), 403)
    problem(client.get("/api/cards/999999", headers=officer), 404)
    planner = token("planner")
    page = client.get(f"/api/batches/{card.batch_id}/cards?limit=1", headers=planner).json
    assert page["total"] >= 1 and len(page["rows"]) == 1
    assert page["rows"][0]["batch_number"] == number and "full_name" not in page["rows"][0]
    beyond = client.get(f"/api/batches/{card.batch_id}/cards?offset=1000", headers=planner).json
    assert beyond["rows"] == [] and beyond["total"] == page["total"]
    problem(client.get("/api/batches/999999/cards", headers=planner), 404)


def test_places_in_the_plan(client: FlaskClient, office: CardOffice, token: Token) -> None:
    planner = token("planner")
    told = problem(client.get("/api/plans/newest/places/2026-9999999", headers=planner), 404)
    assert told["code"] == "uec.not_found"
    problem(client.get("/api/plans/newest/places/x?language=tlh", headers=planner), 422)
    problem(client.get("/api/plans/newest/late?kind=NOBODY", headers=planner), 422)
    problem(client.get("/api/plans/newest/late?reason=because", headers=planner), 422)
    problem(client.get("/api/plans/newest/late", headers=token("security")), 403)


@pytest.fixture(scope="module")
def room(office: CardOffice, sessions: sessionmaker[Session]) -> Stockroom:
    """A central store with three boxes of ten blanks each."""
    made = open_stockroom(sessions, office.staff)
    made.deliver(*(box(f"BOX-{n}", 10 * n, 10 * n + 9) for n in range(3)))
    return made


def test_a_consignment_from_store_to_store(client: FlaskClient, room: Stockroom, token: Token) -> None:
    keeper, other = token("keeper"), token("keeper2")
    stores = {one["id"] for one in client.get("/api/stock/stores", headers=keeper).json}
    assert stores >= {room.central, room.point}
    parcel = {"giver_id": room.central, "taker_id": room.point, "seal": "A-1", "contents": [{"box": "BOX-0"}]}
    twice = parcel | {"contents": [{"box": "BOX-0", "count": 1}, {"box": "BOX-1"}, {"box": "BOX-0", "count": 2}]}
    refused = problem(client.post(CONSIGNMENTS, json=twice, headers=keeper), 400)
    assert refused["errors"]["box"].startswith("Box BOX-0 is named twice: ")
    sent = client.post(CONSIGNMENTS, json=parcel, headers=keeper)
    assert sent.status_code == 201, sent.text
    told = sent.json
    assert (told["state"], told["blanks"], told["seal"]) == ("SENT", 10, None), "the seal is read off the parcel"
    one = f"{CONSIGNMENTS}/{told['id']}"
    found = {"seal": "A-1", "blanks": 10}
    problem(client.post(f"{one}/receive", json=found, headers=keeper), 403)  # the sender
    broken = problem(client.post(f"{one}/receive", json={**found, "seal": "B-1"}, headers=other), 409)
    assert broken["code"] == "uec.seal_broken" and "A-1" not in str(broken)
    problem(client.post(f"{one}/receive", json={**found, "blanks": 9}, headers=other), 409)
    assert client.get(one, headers=other).json["seal"] is None
    received = client.post(f"{one}/receive", json=found, headers=other).json
    assert (received["state"], received["seal"], received["blanks_found"]) == ("RECEIVED", "A-1", 10)
    problem(client.post(f"{one}/receive", json=found, headers=other), 409)
    problem(client.post(CONSIGNMENTS, json=parcel, headers=keeper), 409)  # a seal is used once
    page = client.get(f"{CONSIGNMENTS}?limit=1", headers=keeper).json
    assert set(page) == {"rows", "total", "about", "offset", "limit"} and page["rows"][0]["id"] == told["id"]


def test_a_consignment_that_does_not_agree_is_settled_by_quality(
    client: FlaskClient, room: Stockroom, token: Token
) -> None:
    keeper, other, quality = token("keeper"), token("keeper2"), token("quality")
    parcel = {"giver_id": room.central, "taker_id": room.point, "contents": [{"box": "BOX-1", "count": 4}]}
    sent = client.post(CONSIGNMENTS, json={**parcel, "seal": "A-2"}, headers=keeper).json
    one = f"{CONSIGNMENTS}/{sent['id']}"
    remark = {"seal": "A-2", "blanks": 3, "remark": "one is missing"}
    assert client.post(f"{one}/dispute", json=remark, headers=other).json["state"] == "DISPUTED"
    problem(client.post(f"{one}/recall", json={"reason": "x"}, headers=keeper), 409)
    problem(client.post(f"{one}/settle", json={"missing": "nonsense", "remark": "x"}, headers=quality), 400)
    settled = client.post(f"{one}/settle", json={"missing": str(chips(10)), "remark": "lost"}, headers=quality)
    assert (settled.status_code, settled.json["state"]) == (200, "SETTLED"), settled.text
    again = client.post(CONSIGNMENTS, json={**parcel, "seal": "A-3"}, headers=keeper).json
    recalled = client.post(f"{CONSIGNMENTS}/{again['id']}/recall", json={"reason": "wrong store"}, headers=keeper)
    assert recalled.json["state"] == "RECALLED"
    problem(client.post(CONSIGNMENTS, json={**parcel, "seal": "A-4", "taker_id": room.central}, headers=keeper), 400)
    no_box = {**parcel, "seal": "A-5", "contents": [{"box": "BOX-9"}]}
    problem(client.post(CONSIGNMENTS, json=no_box, headers=keeper), 400)


def test_consignments_ask_for_their_permissions(client: FlaskClient, room: Stockroom, token: Token) -> None:
    keeper = token("keeper")
    for address in ("/api/stock/stores", CONSIGNMENTS, f"{CONSIGNMENTS}/1"):
        problem(client.get(address), 401)
        problem(client.get(address, headers=token("officer")), 403)
    problem(client.get(f"{CONSIGNMENTS}/999999", headers=keeper), 404)


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("receive", {"seal": "S-1", "blanks": 1}),
        ("dispute", {"seal": "S-1", "blanks": 1, "remark": "torn"}),
        ("settle", {"remark": "found"}),
        ("recall", {"reason": "wrong store"}),
    ],
)
def test_what_ends_a_consignment_asks_for_its_permission_and_its_fields(
    client: FlaskClient, token: Token, what: str, body: dict[str, Any]
) -> None:
    may, may_not = ("quality", "keeper") if what == "settle" else ("keeper", "quality")
    address = f"{CONSIGNMENTS}/999999/{what}"
    problem(client.post(address, json=body), 401)
    problem(client.post(address, json=body, headers=token(may_not)), 403)
    problem(client.post(address, json=body, headers=token(may)), 404)
    problem(client.post(address, json={}, headers=token(may)), 422)
    problem(client.post(address, json={**body, "extra": 1}, headers=token(may)), 422)


@pytest.fixture
def no_files(office: CardOffice) -> Iterator[None]:
    yield
    with office.sessions() as session:
        session.execute(delete(ExportFile))
        session.commit()


@pytest.mark.usefixtures("no_files")
def test_a_list_as_a_file_by_a_program(client: FlaskClient, office: CardOffice, token: Token) -> None:
    officer = token("officer")
    wanted = {"list": "refusals", "form": "csv", "filters": {"query": "R-1"}}
    asked = client.post("/api/exports", json=wanted, headers=officer)
    assert (asked.status_code, asked.json["state"], asked.json["filters"]) == (202, "WAITING", {"query": "R-1"})
    one = f"/api/exports/{asked.json['id']}"
    assert client.post("/api/exports", json=wanted, headers=officer).json["id"] == asked.json["id"]
    problem(client.get(f"{one}/file", headers=officer), 409)
    export_jobs.make_all(office.sessions, book=PolicyBook(POLICY), clock=office.clock)
    ready = client.get(one, headers=officer).json
    assert (ready["state"], ready["rows"], ready["expected"]) == ("READY", 0, 0)
    with client.get(f"{one}/file", headers=officer) as file:
        assert file.status_code == 200 and len(file.data) == ready["size_bytes"]
        assert file.content_type.startswith("text/csv")
    for address in (one, f"{one}/file"):
        problem(client.get(address), 401)
        problem(client.get(address, headers=token("planner")), 404)
        problem(client.get(address, headers=token("operator")), 403)
    assert [row["id"] for row in client.get("/api/exports", headers=officer).json] == [ready["id"]]
    assert client.get("/api/exports", headers=token("planner")).json == []
    assert client.delete(one, headers=officer).status_code == 204
    problem(client.get(one, headers=officer), 404)
    problem(client.post("/api/exports", json={"list": "passwords"}, headers=officer), 404)
    problem(client.post("/api/exports", json={"list": "audit"}, headers=officer), 403)
    problem(client.post("/api/exports", json={"list": "refusals", "form": "pdf"}, headers=officer), 422)
    problem(client.post("/api/exports", json={"list": "cards", "filters": {"state": "X"}}, headers=officer), 400)
