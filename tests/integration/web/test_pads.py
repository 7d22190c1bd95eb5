"""PINs chosen at a reader's own keys, on the pages: asked for only where a reader has keys, live words, every slip."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select

from card_io.applets.uec.layout import PinRef
from card_io.secret import Secret
from card_io.virtual.pinpad import Ended, Make, PadConnection, Prompt
from issuance.production.drivers import run_local
from issuance.production.relay import OpenedSlot
from issuance.production.sealing import open_pins
from tests.integration.web.conftest import SignIn, post
from tests.integration.web.test_unblocking import CHOSEN, NEW, digits_on, session_with
from tests.support.desk import CardOffice
from uec.domain.lifecycle import OperationKind, OperationState
from uec.services import operations
from uec.services.card_sessions import do_operation
from uec.services.views import OperationView
from uec.store.tables import Card, CardOperation, Station
from uec.web.pad_words import prompt_of

PINS = {"pin1": "730264", "pin2": "5829104"}
BARE, KEYS, VERIFIES = "Generic Reader 00", "Pin Pad 00", "Half a Pad 00"


@pytest.fixture
def station(office: CardOffice) -> Iterator[int]:
    """The window's station with a reader that has keys, one whose keys only verify, and one without."""
    with office.sessions() as session:
        found = session.scalars(select(Station).order_by(Station.id)).first()
        assert found is not None
        before, station_id = found.readers, found.id
        found.readers = [
            {"name": BARE, "card": True},
            {"name": KEYS, "card": True, "pad": ["verify", "modify"]},
            {"name": VERIFIES, "card": False, "pad": ["verify"]},
        ]
        session.commit()
    yield station_id
    with office.sessions() as session:
        session.get_one(Station, station_id).readers = before
        session.commit()


def at_pad(office: CardOffice, *slips: str | Ended, make: Make | None = None, code: str = "") -> OperationView:
    """Do what is requested at a reader with keys; the holder slips first, then types as asked."""
    with office.sessions() as session:
        operation = operations.claim_operation(session, station_ids=None, now=office.clock())
    assert operation is not None and operation.card_id is not None
    left = list(slips)

    def typed(prompt: Prompt) -> str | Ended:
        with office.sessions() as session:
            pin = str(operations.operation(session, operation.id).progress["pin"])
        return left.pop(0) if left else code if prompt is Prompt.PRESENT else PINS[pin]

    slot = OpenedSlot(lambda: PadConnection(office.chips[operation.card_id or 0], typed, make or Make()))
    return do_operation(office.desk, operation, lambda start, desk: run_local(start(), slot, desk))


def asked(client: FlaskClient, card_id: int, station: int, **fields: str) -> str:
    """The address of the work that was asked for."""
    given = {"reader": f"{station}:{KEYS}", "holder_checked": "y", "by": "reader"} | fields
    sent = post(client, f"/window/cards/{card_id}/hand-over", **given)
    assert sent.status_code == 302, sent.text
    return str(sent.location)


def test_where_no_reader_has_keys_nothing_is_asked_about_them(sign_in: SignIn, office: CardOffice) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1401)
    shown = operator.get(f"/window/cards/{card_id}/hand-over").text
    assert 'name="by"' not in shown and 'id="pin1"' in shown and "на клавишах" not in shown.lower()
    with office.sessions() as session:
        reader = f"{session.scalars(select(Station.id).order_by(Station.id)).first()}:{BARE}"
    tried = post(operator, f"/window/cards/{card_id}/hand-over", reader=reader, holder_checked="y", by="reader")
    assert tried.status_code == 400, "a choice that was not offered gets nobody around the PINs"


def test_the_holder_chooses_at_the_reader_and_no_pin_comes_to_the_office(
    sign_in: SignIn, office: CardOffice, station: int
) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1402)
    shown = operator.get(f"/window/cards/{card_id}/hand-over").text
    assert 'name="by"' in shown and f"{KEYS} (с картой, с клавишами)" in shown
    form = " ".join(shown.split())
    assert f'value="{station}:{KEYS}" selected' in form, "the reader with keys that holds a card comes first"
    page = asked(operator, card_id, station)
    with office.sessions() as session:
        sealed = session.scalars(select(CardOperation).where(CardOperation.card_id == card_id)).all()[-1].sealed_pins
        number = session.get_one(Card, card_id).number
    opened = open_pins(office.desk.sealing_key, sealed or b"", card_number=number)
    assert {name: bool(pin) for name, pin in opened.items()} == {"krp": True, "pin1": False, "pin2": False}
    done = at_pad(office)
    assert (done.state, done.result["at_reader"]) == (OperationState.DONE, True), done.error_text
    assert "Карта выдана" in operator.get(page).text
    story = operator.get(f"/office/cards/{card_id}").text
    assert story.count("ПИН выбран на считывателе") == 2
    session = session_with(office, card_id)
    session.verify_pin(PinRef.PIN1, Secret(PINS["pin1"].encode()))
    session.verify_pin(PinRef.PIN2, Secret(PINS["pin2"].encode()))


def test_the_keyboard_stays_a_choice(sign_in: SignIn, office: CardOffice, station: int) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1403)
    address = f"/window/cards/{card_id}/hand-over"
    fields = {"reader": f"{station}:{KEYS}", "holder_checked": "y", "by": "keyboard"}
    assert post(operator, address, **fields).status_code == 400, "the PINs are missing"
    assert post(operator, address, **(fields | CHOSEN)).status_code == 302
    (done,) = office.work()
    assert done.state is OperationState.DONE and done.result["at_reader"] is False


@pytest.mark.parametrize("reader", [BARE, VERIFIES])
def test_a_reader_without_such_keys_is_refused_on_the_page(
    sign_in: SignIn, office: CardOffice, station: int, reader: str
) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1404 if reader == BARE else 1405)
    fields = {"reader": f"{station}:{reader}", "holder_checked": "y", "by": "reader"}
    refused = post(operator, f"/window/cards/{card_id}/hand-over", **fields)
    assert refused.status_code == 400 and "нет своих клавиш" in refused.text
    without = post(operator, f"/window/cards/{card_id}/hand-over", **{**fields, "by": ""})
    assert without.status_code == 400 and "Выберите, где" in without.text


def test_a_reader_that_does_not_do_it_sends_the_clerk_to_the_keyboard(
    sign_in: SignIn, office: CardOffice, station: int
) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1406)
    page = asked(operator, card_id, station)
    failed = at_pad(office, make=Make(says=b"\x6b\x80"))
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "pad-unfit")
    shown = operator.get(page).text
    again = f"/window/cards/{card_id}/hand-over?by=keyboard"
    assert "Клавиши этого считывателя для этой карты не подходят" in shown and again in shown
    form = operator.get(again).text
    assert 'value="keyboard" checked' in form.replace("\n", " ").replace("  ", " ")
    fields = {"reader": f"{station}:{KEYS}", "holder_checked": "y", "by": "keyboard"} | CHOSEN
    assert post(operator, f"/window/cards/{card_id}/hand-over", **fields).status_code == 302
    (done,) = office.work()
    assert done.state is OperationState.DONE and done.result["resumed"], "the journal knew of the first attempt"


def test_a_holder_who_gives_up_is_told_so_and_may_begin_again(
    sign_in: SignIn, office: CardOffice, station: int
) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1407)
    page = asked(operator, card_id, station)
    failed = at_pad(office, *[Ended.CANCELLED] * 5)
    assert failed.error_code == "pad-given-up"
    shown = operator.get(page).text
    assert "Держатель не закончил ввод" in shown and "by=keyboard" not in shown
    asked(operator, card_id, station)
    assert at_pad(office, Ended.TIMEOUT).state is OperationState.DONE


def test_a_pin_is_set_anew_at_the_reader(sign_in: SignIn, office: CardOffice, station: int) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1408)
    page = asked(operator, card_id, station)
    assert at_pad(office).state is OperationState.DONE
    code = digits_on(post(operator, f"/window/cards/{card_id}/letter", of=page).data)
    form = operator.get(f"/window/cards/{card_id}/unblock").text
    assert 'name="by"' in form and "код из письма он тоже вводит там" in form
    fields = {"reader": f"{station}:{KEYS}", "holder_checked": "y", "by": "reader"}
    address = f"/window/cards/{card_id}/unblock"
    assert post(operator, address, **fields).status_code == 400, "which PIN?"
    sent = post(operator, address, **fields, pin="pin1")
    assert sent.status_code == 302
    done = at_pad(office, code=code)
    assert (done.state, done.result["at_reader"]) == (OperationState.DONE, True), done.error_text
    session_with(office, card_id).verify_pin(PinRef.PIN1, Secret(PINS["pin1"].encode()))
    sent = post(operator, address, **fields, pin="pin2")
    refused = at_pad(office, code="00000000")
    assert refused.result["tries_left"] == 9
    assert "осталось попыток: 9" in operator.get(sent.location).text
    here = {"reader": f"{station}:{KEYS}", "holder_checked": "y", "by": "keyboard", "pin": "pin2", "code": code} | NEW
    assert post(operator, address, **here).status_code == 302
    (done,) = office.work()
    assert done.state is OperationState.DONE


def test_the_page_says_live_what_is_entered_how_long_and_why_once_more(
    sign_in: SignIn, office: CardOffice, station: int
) -> None:
    operator = sign_in("operator2")
    (card_id,) = office.make_cards(1409)
    page = asked(operator, card_id, station)
    seen: list[str] = []
    ends = [Ended.TIMEOUT, Ended.CANCELLED, "730265", "1"]
    with office.sessions() as session:
        operation = operations.claim_operation(session, station_ids=None, now=office.clock())
    assert operation is not None

    def typed(prompt: Prompt) -> str | Ended:
        if prompt is Prompt.NEW:
            seen.append(operator.get(f"{page}/part").text)
        with office.sessions() as session:
            pin = str(operations.operation(session, operation.id).progress["pin"])
        if prompt is Prompt.AGAIN or not ends:
            return PINS[pin]
        return ends.pop(0)

    slot = OpenedSlot(lambda: PadConnection(office.chips[card_id], typed))
    done = do_operation(office.desk, operation, lambda start, desk: run_local(start(), slot, desk))
    assert done.state is OperationState.DONE, done.error_text
    why = ["", "слишком долго", "отменён", "различались", "слишком короткий или слишком длинный", ""]
    assert len(seen) == len(why)
    for shown, words in zip(seen, why, strict=True):
        assert "Держатель вводит" in shown and words in shown and "ещё около" in shown
    assert all("от 4 до 8 цифр" in shown for shown in seen[:5]) and "от 6 до 8 цифр" in seen[5]
    assert all("ПИН1" in shown for shown in seen[:5]) and "ПИН2" in seen[5]
    assert all(pin not in shown for shown in seen for pin in PINS.values())


def test_the_seconds_run_down_and_end(office: CardOffice) -> None:
    now = office.clock()
    told = {"pin": "pin1", "digits": [4, 8], "code": True, "seconds": 30, "ended": "", "at": now.isoformat()}
    work = OperationView(
        id=1,
        kind=OperationKind.HAND_OVER,
        state=OperationState.RUNNING,
        card_id=1,
        station_id=1,
        reader=KEYS,
        requested_at=now,
        started_at=now,
        finished_at=None,
        progress=told,
        result={},
        error_code=None,
        error_text=None,
    )
    seconds = [prompt_of(work, now=now + timedelta(seconds=past)) for past in (0, 12, 30, 90)]
    assert [one.seconds for one in seconds if one] == [30, 18, 0, 0]
    assert seconds[0] is not None and len(seconds[0].steps) == 3


def test_the_pages_of_stations_tell_of_keys(sign_in: SignIn, office: CardOffice, station: int) -> None:
    shown = sign_in("security").get("/office/stations").text
    assert f"{KEYS} — с картой, с клавишами" in " ".join(shown.split())
