"""Card variants that applicants choose: on the web, at a window and by the API; checked, told, planned and stocked."""

import re
import shutil
from dataclasses import replace
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests.browser.site import settings_in
from tests.integration.web.conftest import SignIn, token_in
from tests.integration.web.test_api import application as by_api
from tests.integration.web.test_late_forms import STEPS, fill, send, typed
from tests.support.desk import SETTINGS, CardOffice
from tests.support.office import person
from uec.domain.lifecycle import ApplicationState
from uec.services import batches, rules
from uec.settings import Settings
from uec.store.migrate import upgrade
from uec.store.tables import Application, Batch

USUAL, PLUS = "Универсальная электронная карта", "Карта с фото"


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """An office with three more card profiles: one like the usual one, one no station may make, one unreadable."""
    folder = tmp_path_factory.mktemp("office")
    config = folder / "config"
    shutil.copytree(SETTINGS.profile_dir.parent, config)
    usual = (config / "profiles" / "uec.toml").read_text()
    plus = usual.replace('name = "uec"', 'name = "plus"', 1).replace(USUAL, PLUS, 1)
    (config / "profiles" / "plus.toml").write_text(plus.replace("Universal electronic card", "Card with a photo", 1))
    (config / "profiles" / "broken.toml").write_text("name = ")
    made = replace(settings_in(folder), profile_dir=config / "profiles")
    upgrade(made.database_url)
    return made


def stored(office: CardOffice, number: int) -> Application:
    with office.sessions() as session:
        return session.scalars(select(Application).where(Application.snils == person(number)["snils"])).one()


def choose(client: FlaskClient, number: int, office: CardOffice, **choice: str) -> Any:
    """Answer all steps, the last with a choice; the answer to it."""
    for step in STEPS:
        address = f"/apply/{step}"
        page = client.get(address).text
        answer = send(client, address, page, **(typed(number, step, office) | (choice if step == "choice" else {})))
    return answer


def test_who_applies_on_the_web_chooses_a_card_and_reads_it_on_the_receipt(
    client: FlaskClient, office: CardOffice
) -> None:
    assert choose(client, 861, office, profile="plus").status_code == 302
    page = client.get("/apply/choice").text
    assert re.search(r'name="profile"[^>]*value="plus"[^>]* checked', page), "the choice stays"
    assert page.index(USUAL) < page.index(PLUS) and "piv" not in page and "broken" not in page
    last = client.get("/apply/check").text
    assert PLUS in last
    assert send(client, "/apply/check", last, consent="y").location == "/apply/receipt"
    assert PLUS in client.get("/apply/receipt").text
    assert stored(office, 861).profile == "plus"


def test_the_usual_card_is_chosen_beforehand_and_kept_as_none(client: FlaskClient, office: CardOffice) -> None:
    last = fill(client, 862, office)
    assert re.search(r'name="profile"[^>]*value="uec"[^>]* checked', client.get("/apply/choice").text)
    assert send(client, "/apply/check", last, consent="y").status_code == 302
    assert USUAL in client.get("/apply/receipt").text
    assert choose(client, 863, office, profile="uec").status_code == 302
    assert send(client, "/apply/check", client.get("/apply/check").text, consent="y").status_code == 302
    assert (stored(office, 862).profile, stored(office, 863).profile) == (None, None)


def test_a_card_that_nobody_offers_is_refused_on_every_way(client: FlaskClient, office: CardOffice) -> None:
    for name in ("piv", "broken", "../uec", "x" * 300):
        answer = choose(client, 864, office, profile=name)
        assert answer.status_code == 400 and "Выберите одну из карт списка" in answer.text
        by_program = client.post("/api/applications", json=by_api(864, office, profile=name))
        assert by_program.status_code == 400, name
        assert by_program.json["errors"]["profile"] in {"form.profile", "form.too_long"}


def test_the_api_lists_the_cards_and_takes_one(client: FlaskClient, office: CardOffice) -> None:
    known = client.get("/api/card-variants").json
    assert [one["name"] for one in known] == ["uec", "plus"]
    assert known[1] == {"name": "plus", "title_ru": PLUS, "title_en": "Card with a photo"}
    receipt = client.post("/api/applications", json=by_api(865, office, profile="plus"))
    assert receipt.status_code == 201 and receipt.json["profile"] == "plus"
    assert stored(office, 865).profile == "plus"


def test_at_a_window_too_and_the_officer_sees_it(sign_in: SignIn, office: CardOffice) -> None:
    client = sign_in("operator")
    page = client.get("/window/application").text
    assert PLUS in page
    fields = {name: value for step in STEPS for name, value in typed(866, step, office).items()}
    form_name = re.search(r'name="form_name" value="([^"]+)"', page)
    assert form_name
    answer = send(
        client,
        "/window/application",
        page,
        papers_seen="y",
        form_name=form_name.group(1),
        **fields | {"profile": "plus"},
    )
    assert answer.status_code == 200 and PLUS in answer.text and "uec-receipt__number" in answer.text
    found = stored(office, 866)
    assert found.profile == "plus"
    client.post("/sign-out", data={"csrf_token": token_in(client.get("/window/").text)})
    officer = sign_in("officer")
    assert PLUS in officer.get(f"/office/applications/{found.id}").text


def test_what_was_chosen_is_planned_in_batches_of_its_own(office: CardOffice, settings: Settings) -> None:
    with office.sessions() as session:
        for state in (ApplicationState.CHECKING, ApplicationState.CHECKED, ApplicationState.APPROVED):
            session.execute(update(Application).values(state=state))
        session.commit()
        made = rules.batch_rules(settings, today=settings.policy.day(office.clock()))
        batches.plan(session, actor=office.staff.planner, rules=made, now=office.clock())
        wanted = dict(session.execute(select(Application.snils, Application.profile)).all())
        assert set(wanted.values()) == {None, "plus"}
        assert set(session.scalars(select(Batch.profile))) == {"uec", "plus"}
