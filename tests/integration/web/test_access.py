"""Who may open what: every route says so itself, the default is no, and each permission opens its own routes only."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from tests.browser.site import PEOPLE
from tests.integration.web.conftest import SignIn
from tests.support.desk import CardOffice
from uec.domain.actors import Actor
from uec.domain.permissions import Permission, permissions_of
from uec.settings import Settings
from uec.web.access import Access, access_of
from uec.web.app import create_app

PUBLIC = {
    "static",
    "api-docs.openapi_json",
    "citizen.start",
    "citizen.apply",
    "citizen.step",
    "citizen.check",
    "citizen.receipt",
    "citizen.finish",
    "citizen.status",
    "citizen.refuse",
    "citizen.notice",
    "citizen.bank",
    "citizen.confirmation",
    "citizen.confirmation_pdf",
    "auth.sign_in",
    "auth.sign_out",
    "language.choose",
    "pki.index",
    "pki.certificate",
    "pki.crl",
    "pki.stop_list",
    "api.open_session",
    "api.list_points",
    "api.list_variants",
    "api.submit",
    "api.status",
    "api.published",
    "api.notice",
    "api.refuse",
    "api.choose_bank",
}


@pytest.fixture
def app(client: FlaskClient) -> Flask:
    return client.application


def rules(app: Flask) -> Iterator[Rule]:
    yield from app.url_map.iter_rules()


def _filled(rule: Rule, parts: dict[str, str]) -> str:
    """The rule with numbers and words in its gaps."""
    text = rule.rule
    for name in rule.arguments:
        for kind in ("<int:%s>", "<path:%s>", "<%s>"):
            text = text.replace(kind % name, parts.get(name, "1"))
    return text


def test_every_route_names_what_it_asks_for(app: Flask) -> None:
    silent = [rule.endpoint for rule in rules(app) if access_of(app, rule.endpoint) is None]
    assert silent == []
    public = {rule.endpoint for rule in rules(app) if (access := access_of(app, rule.endpoint)) and access.public}
    assert public == PUBLIC


def test_a_route_that_says_nothing_is_closed(settings: Settings, office: CardOffice) -> None:
    app = create_app(settings, clock=office.clock)
    app.add_url_rule("/forgotten", "forgotten", lambda: "open")
    assert app.test_client().get("/forgotten").status_code == 403


def test_nobody_enters_without_signing_in(app: Flask) -> None:
    for rule in rules(app):
        if rule.endpoint in PUBLIC:
            continue
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}:
            answer = app.test_client().open(_filled(rule, {}), method=method)
            wanted = 401 if rule.endpoint.startswith("api.") else 302
            assert answer.status_code == wanted, f"{method} {rule.rule}: {answer.status_code}"
            if wanted == 302:
                assert answer.location.startswith("/sign-in")


@pytest.mark.parametrize("login", PEOPLE)
def test_each_role_enters_its_own_routes_only(sign_in: SignIn, login: str) -> None:
    client = sign_in(login)
    app = client.application
    held = permissions_of(PEOPLE[login][1])
    for rule in rules(app):
        access = access_of(app, rule.endpoint)
        assert access is not None
        if "GET" not in (rule.methods or set()) or access.public or rule.endpoint.startswith("api."):
            continue
        answer = client.get(_filled(rule, {}))
        may = not access.permissions or bool(held & set(access.permissions))
        if may:
            assert answer.status_code in {200, 404}, f"{login} {rule.rule}: {answer.status_code}"
        else:
            assert answer.status_code == 403, f"{login} {rule.rule}: {answer.status_code}"


def test_access_admits_by_any_of_its_permissions() -> None:
    access = Access(permissions=(Permission.VIEW_AUDIT, Permission.MANAGE_STAFF))
    auditor = Actor("staff", 1, "A", frozenset({Permission.VIEW_AUDIT}))
    assert access.admits(auditor) and not access.admits(None)
    assert not access.admits(Actor("staff", 2, "B", frozenset({Permission.PLAN_BATCH})))
    assert Access(public=True).admits(None)
