"""Addresses and bodies nobody types by mistake: each is refused in words, none is a defect (a 500)."""

import json
from datetime import timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.browser.site import PASSWORD
from tests.integration.web.conftest import SignIn, token_in
from tests.support.desk import CardOffice
from uec.web.limits import SlidingWindow

HUGE = "99999999999999999999999"
LETTERS = '"><script>alert(1)</script>'
NEVER = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize(
    ("login", "address", "status"),
    [
        ("officer", f"/office/applications/{HUGE}", 404),
        ("officer", f"/office/applications/{HUGE}/photo", 404),
        ("officer", f"/office/cards/{HUGE}", 404),
        ("officer", "/office/cards?offset=²", 200),
        ("officer", f"/office/cards?offset={HUGE}", 200),
        ("officer", "/office/cards?query=%00", 400),
        ("officer", "/office/cards?query=%27%20OR%201=1--", 200),
        ("officer", "/office/applications?query=%25", 200),
        ("officer", "/office/applications?state=NONSENSE", 200),
        ("planner", "/office/calendar?month=9999-12", 200),
        ("planner", "/office/calendar?month=0001-01", 200),
        ("planner", f"/office/calendar?point={HUGE}", 200),
        ("planner", "/office/calendar?point=²", 200),
        ("planner", f"/office/batches/{HUGE}", 404),
        ("operator2", f"/window/operations/{HUGE}", 404),
        ("operator2", f"/window/cards/{HUGE}/hand-over", 404),
        ("auditor", f"/office/audit?who=staff:{HUGE}&kind='&subject=%25", 200),
    ],
)
def test_no_address_is_a_defect(sign_in: SignIn, login: str, address: str, status: int) -> None:
    assert sign_in(login).get(address).status_code == status


def test_a_search_for_a_sign_of_sql_finds_nothing_else(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("officer")
    office.approve_applicants(40)
    assert "2026-00" in client.get("/office/applications?query=").text
    for words in ("%%%", "____", "' OR ''='", "2026%"):
        assert "2026-00" not in client.get("/office/applications", query_string={"query": words}).text.split("<main")[1]


@pytest.mark.parametrize("address", ["/office/cards", "/office/applications", "/window/"])
def test_what_was_searched_is_shown_as_text(sign_in: SignIn, address: str) -> None:
    page = sign_in("operator2").get(address, query_string={"query": LETTERS}).text
    assert LETTERS not in page and "&lt;script&gt;" in page


def test_a_number_in_the_address_of_the_status_page_is_shown_as_text(client: FlaskClient) -> None:
    page = client.get("/status", query_string={"number": LETTERS}).text
    assert LETTERS not in page and "&lt;script&gt;" in page


def test_a_sign_that_no_database_holds_is_refused(client: FlaskClient) -> None:
    token = token_in(client.get("/status").text)
    assert client.post("/status", data={"csrf_token": token, "number": "1\0", "secret": "x"}).status_code == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SURROGATES = st.text(st.characters(), max_size=5).map(lambda text: text + "\ud800")
REFUSED = {400, 401, 404, 409, 415, 422, 429}


def sent(client: FlaskClient, address: str, body: object) -> Any:
    """Send a body as ASCII JSON, so that lone surrogates travel as escapes; the count of attempts starts anew."""
    client.application.extensions["uec.api_attempts"] = SlidingWindow(60, timedelta(minutes=5))
    return client.post(address, data=json.dumps(body), content_type="application/json")


@pytest.mark.parametrize("address", ["/api/session", "/api/applications", "/api/applications/status"])
@NEVER
@given(body=JSON)
def test_any_json_is_refused_in_one_shape(client: FlaskClient, address: str, body: object) -> None:
    answer = sent(client, address, body)
    assert answer.status_code in REFUSED
    assert set(answer.json) == {"type", "title", "status", "detail", "instance", "code", "errors"}


@pytest.mark.parametrize("address", ["/api/session", "/api/applications", "/api/refusals"])
@pytest.mark.parametrize("deep", ["[", '{"a":', '{"login":['])
def test_json_of_endless_depth_is_no_json(client: FlaskClient, address: str, deep: str) -> None:
    answer = client.post(address, data=deep * 100_000, content_type="application/json")
    assert answer.status_code == 400 and answer.content_type == "application/problem+json", answer.text[:200]


@NEVER
@given(data=st.data())
def test_bodies_of_the_described_shape_never_break_the_api(client: FlaskClient, data: st.DataObject) -> None:
    described = client.get("/api/openapi.json").json
    bodies = {path: one.get("post", {}).get("requestBody", {}) for path, one in described["paths"].items()}
    routes = [
        (path, body["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[1])
        for path, body in bodies.items()
        if "application/json" in body.get("content", {})  # others are files: tests of the bureaux
    ]
    path, shape = data.draw(st.sampled_from(routes))
    fields = described["components"]["schemas"][shape]["properties"]
    body = {name: data.draw(value_of(rule) | SURROGATES, label=name) for name, rule in fields.items()}
    answer = sent(client, path, body)
    assert answer.status_code in REFUSED | {201}, answer.text


def value_of(rule: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a field's description allows, and some at its edges."""
    if "enum" in rule:
        return st.sampled_from(rule["enum"])
    if "items" in rule:
        return st.lists(value_of(rule["items"]), max_size=3)
    kind = rule.get("type", "string")
    if "integer" in kind:
        return st.integers(-(10**30), 10**30)
    if rule.get("format") == "date":
        return st.dates().map(str)
    return st.text(max_size=600)


@NEVER
@given(
    offset=st.integers(-(10**20), 10**20), limit=st.integers(-(10**20), 10**20), query=st.text(max_size=60),
    state=st.sampled_from(["", "ACTIVE", "SUBMITTED", "PLANNED", "x"]),
    path=st.sampled_from(["/api/applications", "/api/cards", "/api/batches"]),
)  # fmt: skip
def test_no_filter_of_a_list_is_a_defect(
    sign_in: SignIn, client: FlaskClient, offset: int, limit: int, query: str, state: str, path: str
) -> None:
    if "uec" not in {cookie.key for cookie in client._cookies.values()}:
        sign_in("officer")
    given_words = {"offset": offset, "limit": limit, "query": query, "state": state}
    assert client.get(path, query_string=given_words).status_code in {200, 400, 422}


@pytest.mark.parametrize("method", ["put", "delete", "patch", "trace"])
def test_methods_no_page_has(client: FlaskClient, method: str) -> None:
    answer = getattr(client, method)("/status")
    assert answer.status_code == 405 and "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("header", ["Bearer x", "Bearer", "Basic b2ZmaWNlcjp4", "Bearer \u00ff"])
def test_no_header_opens_the_api(client: FlaskClient, header: str) -> None:
    assert client.get("/api/cards", headers={"Authorization": header}).status_code == 401


def test_a_password_in_the_address_is_not_read(client: FlaskClient) -> None:
    client.get(f"/sign-in?login=officer&password={PASSWORD}")
    assert client.get("/office/").status_code == 302
