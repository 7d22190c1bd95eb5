"""The API as an integrator meets it: a valid description, every list, narrow tokens, problems, nothing that breaks."""

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from sqlalchemy import delete

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import Token
from tests.support.desk import CardOffice
from tests.support.office import person, publish_notice
from uec.domain.permissions import Permission
from uec.store.tables import AttemptWindow, BankChoice, PublicNotice, ScheduledRun

NEVER = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


def test_the_description_is_valid(client: FlaskClient) -> None:
    described = client.get("/api/openapi.json").json
    validate(described)
    shapes = described["components"]["schemas"]
    assert set(shapes["ProblemOutput"]["properties"]) >= {"type", "title", "status", "detail", "instance", "code"}
    for path, methods in described["paths"].items():
        for method, one in methods.items():
            if method != "parameters":
                assert one["summary"].endswith("."), (method, path)


def test_the_description_serves_who_makes_a_client_of_it(client: FlaskClient) -> None:
    """Every operation has a name, every refusal the content type it comes in, every text and choice its kind."""
    described = client.get("/api/openapi.json").json
    operations = [
        one for methods in described["paths"].values() for name, one in methods.items() if name != "parameters"
    ]
    names = [one["operationId"] for one in operations]
    assert len(set(names)) == len(names) and {"openSession", "submit", "listCards"} <= set(names)
    for answer in described["components"]["responses"].values():
        assert list(answer["content"]) == ["application/problem+json"]
    asked = described["components"]["schemas"]["ApplicationInput"]["properties"]
    assert asked["surname"]["maxLength"] == 500 and asked["snils"]["example"] == "112-233-445 95"
    kinds = [
        shape["properties"]["state"]
        for shape in described["components"]["schemas"].values()
        if "state" in shape["properties"]
    ]
    assert kinds and all(kind["type"] == "string" and kind["enum"] for kind in kinds)
    assert all(word in described["info"]["description"] for word in ("Bearer", "RFC 9457", "offset", "429"))


def test_the_example_of_an_application_is_one_that_is_taken(client: FlaskClient, office: CardOffice) -> None:
    shape = client.get("/api/openapi.json").json["components"]["schemas"]["ApplicationInput"]
    example = {name: field["example"] for name, field in shape["properties"].items() if "example" in field}
    own = person(77)
    rest = {name: str(own[name]) for name in shape["required"] if name not in example and name != "point_id"}
    answer = client.post("/api/applications", json={**rest, **example, "bank": "", "point_id": office.staff.points[0]})
    assert answer.status_code == 201, answer.text


PAGED = {"rows", "total", "about", "offset", "limit"}


@pytest.mark.parametrize(
    ("login", "address", "keys"),
    [
        ("keeper", "/api/stock/balances?by=box", PAGED),
        ("keeper", "/api/stock/balances?by=batch&limit=1", PAGED),
        ("keeper", "/api/stock/balances?by=point", PAGED),
        ("officer", "/api/refusals?query=R-000001", PAGED),
    ],
)
def test_lists_come_page_by_page(client: FlaskClient, token: Token, login: str, address: str, keys: set[str]) -> None:
    answer = client.get(address, headers=token(login))
    assert answer.status_code == 200 and set(answer.json) == keys, answer.text
    assert client.get(address).status_code == 401
    assert client.get(address, headers=token("operator" if login == "keeper" else "admin")).status_code == 403


def test_jobs_are_read_and_run_by_a_program(client: FlaskClient, office: CardOffice, token: Token) -> None:
    admin, planner = token("admin"), token("planner")
    jobs = {row["name"]: row for row in client.get("/api/jobs", headers=planner).json}
    assert jobs["plan"]["every_s"] == 86_400 and jobs["plan"]["paused"] is False
    assert client.post("/api/jobs/plan/runs", headers=planner).status_code == 403
    with office.sessions() as session:
        session.execute(delete(ScheduledRun))
        session.commit()
    first, second = (client.post("/api/jobs/plan/runs", headers=admin) for _ in range(2))
    assert (first.status_code, first.json, second.json) == (202, {"new": True}, {"new": False})
    (run,) = client.get("/api/jobs/plan/runs", headers=planner).json
    assert run["started_at"] is None and run["asked_by"]
    for way in (client.get, client.post):
        assert way("/api/jobs/nonsense/runs", headers=admin).status_code == 404


def test_a_token_can_be_narrower_than_its_person(client: FlaskClient, token: Token) -> None:
    narrow = token("officer", scopes=["VIEW_BATCHES"])
    assert client.get("/api/batches", headers=narrow).status_code == 200
    assert client.get("/api/applications", headers=narrow).status_code == 403
    assert client.get("/api/batches", headers=token("officer", scopes=[])).status_code == 403
    wider = token("officer", scopes=[one.value for one in Permission])
    assert client.get("/api/jobs", headers=wider).status_code == 403, "a scope gives nothing that the person has not"
    wrong = client.post("/api/session", json={"login": "officer", "password": PASSWORD, "scopes": ["ROOT"]})
    assert wrong.status_code == 422


def test_citizens_programs_file_refusals_and_choices(client: FlaskClient, office: CardOffice) -> None:
    with office.sessions() as session:
        session.execute(delete(BankChoice))
        session.execute(delete(PublicNotice))
        session.commit()
        assert client.get("/api/notice").status_code == 404
        from datetime import timedelta

        publish_notice(session, office.staff, now=office.clock.now + timedelta(days=95))
    notice = client.get("/api/notice").json
    snils = person(1300)["snils"]
    chosen = client.post("/api/bank-choices", json={"snils": snils, "bank": notice["banks"][1]})
    assert chosen.status_code == 201 and chosen.json["number"].startswith("B-")
    other = client.post("/api/bank-choices", json={"snils": snils, "bank": "Чужой банк"})
    assert other.status_code == 400 and other.json["code"] == "uec.invalid_input"
    refused = [client.post("/api/refusals", json={"snils": snils}) for _ in range(2)]
    assert [one.status_code for one in refused] == [201, 201] and refused[0].json == refused[1].json
    assert client.post("/api/refusals", json={"snils": "1"}).status_code == 400


def test_problems_are_problems(client: FlaskClient) -> None:
    for address, status in (("/api/nothing", 404), ("/api/batches", 401), ("/api/session", 405)):
        answer = client.get(address)
        assert answer.status_code == status and answer.content_type == "application/problem+json"
        assert answer.json["status"] == status and answer.json["instance"] == address and answer.json["detail"]


TEXTS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES = st.one_of(
    TEXTS, st.integers(-(10**12), 10**12).map(str), st.sampled_from(["true", "", "0", "SUBMITTED", "\0"])
)


@NEVER
@given(data=st.data())
def test_no_question_breaks_the_api(client: FlaskClient, office: CardOffice, data: st.DataObject) -> None:
    """Every operation of the description, with any value in every place, by every kind of caller."""
    described = client.get("/api/openapi.json").json
    operations = [
        (path, method, {**item, "parameters": [*methods.get("parameters", []), *item.get("parameters", [])]})
        for path, methods in described["paths"].items()
        for method, item in methods.items()
        if method != "parameters"
    ]
    path, method, operation = data.draw(st.sampled_from(operations))
    login = data.draw(st.sampled_from([None, "officer", "admin", "keeper", "planner"]))
    with office.sessions() as session:
        session.execute(delete(AttemptWindow))
        session.commit()
    headers = {}
    if login:
        from uec.web.api import tokens

        key = client.application.extensions["uec"].key
        with office.sessions() as session:
            from uec.store.tables import Staff

            staff_id = session.query(Staff.id).filter_by(login=login).one()[0]
        headers = {"Authorization": f"Bearer {tokens.issue(staff_id, key=key, now=office.clock.now)[0]}"}
    places = {one["name"]: one["in"] for one in operation["parameters"]}
    given_values = {name: data.draw(VALUES, label=name) for name in places if data.draw(st.booleans())}
    for name, where in places.items():
        if where == "path":
            path = path.replace(f"{{{name}}}", given_values.get(name, "1").replace("/", "") or "1")
    query = {name: value for name, value in given_values.items() if places[name] == "query"}
    body = data.draw(st.dictionaries(TEXTS, TEXTS, max_size=3)) if method == "post" else None
    answer = client.open(path, method=method, query_string=query, json=body, headers=headers)
    assert answer.status_code < 500, (path, query, answer.text)
    if answer.status_code >= 400:
        assert answer.content_type in {"application/problem+json", "text/html; charset=utf-8"}
