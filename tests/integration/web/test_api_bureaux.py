"""Outside bureaux by the API: what the pages do, for programs; narrow tokens, problems, and nothing that breaks it."""

from dataclasses import replace

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from sqlalchemy import select
from werkzeug.test import TestResponse

from issuance.keys.engine import VaultEngine
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import KeyPurpose, KeyRef
from tests.flow.test_bureau_life import answer
from tests.integration.web.conftest import Headers, Token
from tests.support.bureau_office import BureauOffice, open_bureau_office, rotate_master
from tests.support.desk import CardOffice
from uec.domain.bureau import Certificates
from uec.domain.permissions import Permission
from uec.services import key_rotation
from uec.settings import Settings
from uec.store.tables import Staff
from uec.web.api import tokens
from uec.web.app import create_app

BUREAUX, ORDERS, FILES = "/api/bureaux", "/api/bureaux/orders", "/api/bureaux/files"
CMS = "application/pkcs7-mime"
PAGED = {"rows", "total", "about", "offset", "limit"}
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def bureau(office: CardOffice, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> BureauOffice:
    made = open_bureau_office(office.sessions, tmp_path_factory.mktemp("bureau"), office=office)
    (settings.state_dir / "bureaux").symlink_to(made.exchange)
    return made


def send(client: FlaskClient, content: bytes, headers: Headers, name: str = "r.p7s", kind: str = CMS) -> TestResponse:
    return client.post(FILES, query_string={"name": name}, data=content, headers={**headers, "Content-Type": kind})


def check_problem(got: TestResponse, status: int, finding: str | None = None) -> None:
    assert (got.status_code, got.content_type) == (status, "application/problem+json"), got.text
    assert got.json is not None and got.json["detail"] and got.json["status"] == status
    assert got.json.get("finding") == finding, got.text


def test_an_order_by_a_program(bureau: BureauOffice, client: FlaskClient, token: Token) -> None:
    planner, releaser, producer = (token(login) for login in ("planner", "releaser", "producer"))
    bureau.batch(171, 172)
    wanted = {"batch": "B-000001", "bureau": "NORTH", "certificates": "answer", "spare": 3}
    drawn = client.post(ORDERS, json=wanted, headers=planner)
    assert drawn.status_code == 201, drawn.text
    order = drawn.json
    assert (order["state"], order["bureau"], order["batch"]) == ("DRAWN", "NORTH", "B-000001")
    assert order["key_version"] is None and len(order["blanks_given"]) == 1
    assert order["reconciliation"]["ordered"] == order["reconciliation"]["outstanding"] == 2
    assert order["reconciliation"]["blanks"] == 5
    check_problem(client.post(ORDERS, json=wanted, headers=planner), 409, "ordered-before")
    number = order["number"]
    check_problem(client.post(f"{ORDERS}/{number}/approve", headers=planner), 403)
    approved = client.post(f"{ORDERS}/{number}/approve", headers=releaser)
    assert (approved.status_code, approved.json["state"]) == (200, "APPROVED"), approved.text
    check_problem(client.post(f"{ORDERS}/{number}/approve", headers=releaser), 409)
    bureau.send(1)

    sent = client.get(f"{ORDERS}/{number}", headers=planner).json
    (file,) = sent["files"]
    assert (sent["state"], sent["key_version"], file["kind"], file["outcome"]) == ("SENT", 1, "order", "SENT")
    with client.get(f"{ORDERS}/{number}/files/{file['id']}", headers=releaser) as download:
        assert download.content_type == CMS and download.data == (bureau.desk / "in" / f"{number}.p7m").read_bytes()
        assert len(download.data) == file["size_bytes"]
    check_problem(client.get(f"{ORDERS}/{number}/files/{file['id']}", headers=planner), 403)

    bureau.standin()
    acknowledgement, results = bureau.replies()
    taken = send(client, acknowledgement.read_bytes(), producer, acknowledgement.name)
    assert (taken.status_code, taken.json["kind"], taken.json["facts"]["accepted"]) == (201, "acknowledgement", True)
    taken = send(client, results.read_bytes(), producer, results.name)
    assert (taken.json["order"], taken.json["facts"]["made"]) == (number, 2), taken.text
    check_problem(send(client, results.read_bytes(), producer, "again.p7s"), 409, "taken-before")

    answer(bureau, 1)
    made = client.get(f"{ORDERS}/{number}", headers=releaser).json
    answered = made["files"][0]
    assert answered["kind"] == "answer" and made["reconciliation"]["made"] == 2
    with client.get(f"{ORDERS}/{number}/files/{answered['id']}", headers=releaser) as download:
        assert download.data == (bureau.desk / "in" / answered["name"]).read_bytes()
    check_problem(client.get(f"{ORDERS}/{number}/files/999", headers=releaser), 404)
    refused = next(one for one in made["files"] if one["outcome"] == "REFUSED")
    assert refused["finding"] == "taken-before"
    check_problem(client.get(f"{ORDERS}/{number}/files/{refused['id']}", headers=releaser), 404)
    (bureau.desk / "in" / answered["name"]).rename(bureau.desk / "in" / "fetched")
    check_problem(client.get(f"{ORDERS}/{number}/files/{answered['id']}", headers=releaser), 404)
    (bureau.desk / "in" / "fetched").rename(bureau.desk / "in" / answered["name"])
    bureau.standin()
    finished = send(client, bureau.replies()[-1].read_bytes(), producer)
    assert finished.json["facts"]["finished"] == 2, finished.text
    done = client.get(f"{ORDERS}/{number}", headers=planner).json
    assert (done["state"], done["reconciliation"]["finished"]) == ("COMPLETE", 2)
    (consignment,) = done["consignments"]
    assert consignment["cards"] == 2 and "seal" not in consignment, "it is read off the parcel"


def test_lists(bureau: BureauOffice, client: FlaskClient, token: Token) -> None:
    planner = token("planner")
    page = client.get(f"{ORDERS}?bureau=north&state=COMPLETE&limit=1", headers=planner).json
    assert set(page) == PAGED and page["total"] == 1 and page["rows"][0]["number"] == "BO-000001"
    assert client.get(f"{ORDERS}?state=DRAWN", headers=planner).json["rows"] == []
    check_problem(client.get(f"{ORDERS}?bureau=SOUTH", headers=planner), 400)
    check_problem(client.get(f"{ORDERS}/BO-999999", headers=planner), 404)
    (one,) = client.get(BUREAUX, headers=token("security")).json
    assert (one["code"], one["state"], one["missing"]) == ("NORTH", "APPROVED", "")
    assert {(row["use"], row["state"]) for row in one["certificates"]} == {
        ("ENCRYPTION", "APPROVED"), ("SIGNATURE", "APPROVED"),
    }  # fmt: skip
    assert one["keys"] == [{"version": 1, "chips": 5, "cards": 2, "given": 0}]


def test_a_second_order_is_called_off(bureau: BureauOffice, client: FlaskClient, token: Token) -> None:
    bureau.batch(173)
    planner = token("planner")
    check_problem(client.post(ORDERS, json={"batch": "B-000002"}, headers=planner), 400)  # planned for no bureau
    drawn = client.post(ORDERS, json={"batch": "B-000002", "bureau": "NORTH"}, headers=planner).json
    assert drawn["certificates"] == Certificates.HAND_OVER
    check_problem(client.post(f"{ORDERS}/{drawn['number']}/cancel", json={}, headers=planner), 422)
    ended = client.post(f"{ORDERS}/{drawn['number']}/cancel", json={"reason": "no capacity"}, headers=planner).json
    assert (ended["state"], ended["reason"]) == ("CANCELLED", "no capacity")
    assert ended["reconciliation"]["recalled"] == 1


def test_what_is_missing_is_told_before_anybody_orders(bureau: BureauOffice, client: FlaskClient, token: Token) -> None:
    office = bureau.office
    vault = office.desk.bench.vault
    assert isinstance(vault, VaultEngine)
    vault.move(KeyRef(KeyPurpose.CARD_MASTER, 1), KeyEvent.COMPROMISE)
    with office.sessions() as session:
        key_rotation.refresh(session, vault, now=office.clock())
    planner = token("planner")
    (one,) = client.get(BUREAUX, headers=planner).json
    assert one["missing"] == "one-master"
    check_problem(
        client.post(ORDERS, json={"batch": "B-000002", "bureau": "NORTH"}, headers=planner), 409, "one-master"
    )
    rotate_master(vault, office.clock())
    with office.sessions() as session:
        key_rotation.refresh(session, vault, now=office.clock())
    assert client.get(BUREAUX, headers=planner).json[0]["missing"] == ""


@pytest.mark.parametrize(
    ("method", "address", "scope", "others"),
    [
        ("GET", BUREAUX, Permission.VIEW_BATCHES, Permission.PLAN_BATCH),
        ("GET", ORDERS, Permission.VIEW_BATCHES, Permission.PLAN_BATCH),
        ("GET", f"{ORDERS}/BO-000001", Permission.VIEW_BATCHES, Permission.PLAN_BATCH),
        ("POST", ORDERS, Permission.PLAN_BATCH, Permission.VIEW_BATCHES),
        ("POST", f"{ORDERS}/BO-000001/cancel", Permission.PLAN_BATCH, Permission.VIEW_BATCHES),
    ],
)
def test_a_token_carries_what_it_was_given(
    bureau: BureauOffice, client: FlaskClient, token: Token, method: str, address: str, scope: str, others: str
) -> None:
    assert client.open(address, method=method, json={}).status_code == 401
    narrow = client.open(address, method=method, headers=token("planner", scopes=[others]), json={})
    check_problem(narrow, 403)
    assert client.open(address, method=method, headers=token("planner", scopes=[scope]), json={}).status_code != 403


def test_a_file_needs_its_kind_and_its_size(
    bureau: BureauOffice, client: FlaskClient, token: Token, settings: Settings
) -> None:
    producer = token("producer", scopes=["PRODUCE_CARD"])
    check_problem(send(client, b"x", producer, kind="text/csv"), 415)
    check_problem(client.post(FILES, data=b"x", headers={**producer, "Content-Type": CMS}), 422)  # no name
    check_problem(send(client, b"x", token("planner")), 403)
    assert send(client, b"x", {}).status_code == 401
    check_problem(send(client, bytes(6 << 20), producer), 409, "not-cms")  # six megabytes are looked into
    few = create_app(replace(settings, bureau_file_mb=5), clock=bureau.office.clock).test_client()
    large = send(few, bytes(6 << 20), producer)
    check_problem(large, 413)
    assert "5 МБ" in large.json["detail"] and "uec bureau take" in large.json["detail"]


def test_the_description_tells_of_files(client: FlaskClient) -> None:
    described = client.get("/api/openapi.json").json
    validate(described)
    body = described["paths"][FILES]["post"]["requestBody"]
    assert body["content"] == {CMS: {"schema": {"type": "string", "contentMediaType": CMS}}} and body["required"]
    given_back = described["paths"][ORDERS + "/{number}/files/{file_id}"]["get"]["responses"]["200"]
    assert CMS in given_back["content"]
    assert "finding" in described["components"]["schemas"]["ProblemOutput"]["properties"]
    shape = described["components"]["schemas"]["OrderOutput"]["properties"]
    assert {"reconciliation", "files", "consignments", "rejected", "key_version"} <= set(shape)


@pytest.fixture(scope="module")
def results(bureau: BureauOffice) -> bytes:
    """Right results of some order, whichever tests ran before."""
    if not bureau.replies():
        bureau.order(174)
        bureau.standin()
    return bureau.replies()[1].read_bytes()


@FUZZ
@given(content=st.binary(max_size=3000), name=st.text(st.characters(codec="utf-8"), max_size=30), at=st.integers(0))
def test_no_file_breaks_it(
    bureau: BureauOffice, client: FlaskClient, results: bytes, content: bytes, name: str, at: int
) -> None:
    """Neither any bytes, nor a right file with any of them put into it."""
    headers = signed_in(client, bureau, "producer")
    place = at % len(results)
    for damaged in (content, results[:place] + content + results[place + len(content) + 1 :]):
        got = send(client, damaged, headers, name)
        assert got.status_code in {400, 409, 422}, (got.status_code, got.text)  # 400: a name with U+0000
        assert got.content_type == "application/problem+json"


def signed_in(client: FlaskClient, bureau: BureauOffice, login: str) -> Headers:
    """A token without asking for one: that is counted, and slowed down."""
    office = client.application.extensions["uec"]
    with bureau.office.sessions() as session:
        staff_id = session.scalars(select(Staff.id).where(Staff.login == login)).one()
    return {"Authorization": f"Bearer {tokens.issue(staff_id, key=office.key, now=bureau.office.clock.now)[0]}"}
