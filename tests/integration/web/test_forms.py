"""The parts that need no database: drafts, limits, dates, paths, filters."""

import re
from base64 import urlsafe_b64decode
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.datastructures import MultiDict

from uec.domain.lifecycle import ApplicationEvent, BatchEvent, CardEvent, OperationEvent
from uec.domain.policy import Policy
from uec.services import intake
from uec.services.views import PointView, StationView
from uec.web import audit_words, drafts, filters, paging, sealed
from uec.web.forms.application import STEPS, ContactForm, answers_of, problems, step_of, typed_answers
from uec.web.forms.fields import DayField, PageForm
from uec.web.forms.readers import reader_choices
from uec.web.language import local_path
from uec.web.limits import MAX_KEYS, SlidingWindow, TooManyAttempts

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
KEY = b"k" * 32
RANDOM = Random(3).randbytes
POINT = PointView(4, "P1", "Пункт", "Point", "ул. Ленина, 1", 2, 50)


@given(st.dictionaries(st.sampled_from(["surname", "name", "address"]), st.text(max_size=80)))
def test_a_draft_comes_back_as_it_was(answers: dict[str, str]) -> None:
    value = drafts.seal(answers, key=KEY, now=NOW, random=RANDOM)
    found = drafts.unseal(value, key=KEY, now=NOW + timedelta(hours=1))
    assert len(bytes.fromhex(found.pop(drafts.NAME))) == drafts.NAME_BYTES
    assert found == answers


def test_a_draft_keeps_its_name_and_two_drafts_have_two() -> None:
    first, second = (
        drafts.unseal(drafts.seal({}, key=KEY, now=NOW, random=RANDOM), key=KEY, now=NOW) for _number in range(2)
    )
    assert first[drafts.NAME] != second[drafts.NAME]
    again = drafts.unseal(drafts.seal({**first, "name": "Пётр"}, key=KEY, now=NOW, random=RANDOM), key=KEY, now=NOW)
    assert again[drafts.NAME] == first[drafts.NAME]


def test_what_is_sealed_for_one_purpose_opens_nothing_else() -> None:
    value = sealed.seal(["x"], purpose="one", key=KEY, now=NOW, random=RANDOM)
    life = timedelta(hours=1)
    assert sealed.unseal(value, purpose="one", key=KEY, now=NOW, life=life) == ["x"]
    assert sealed.unseal(value, purpose="two", key=KEY, now=NOW, life=life) is None
    assert drafts.unseal(value, key=KEY, now=NOW) == {}


def test_a_mark_tells_whether_answers_are_the_same() -> None:
    answers = {"surname": "Щукин", "name": "Иван", "address": "x"}
    mark = drafts.mark_of(answers, ("surname", "name"))
    assert mark == drafts.mark_of({**answers, "address": "y"}, ("surname", "name"))
    assert mark != drafts.mark_of({**answers, "name": "Пётр"}, ("surname", "name"))
    assert drafts.mark_of({}, ("surname",)) == ""


def test_a_look_at_the_count_is_no_attempt() -> None:
    window = SlidingWindow(1, timedelta(minutes=1))
    for _number in range(3):
        window.check("a", NOW)
    window.count("a", NOW)
    with pytest.raises(TooManyAttempts):
        window.check("a", NOW)


def test_numbers_in_addresses_are_plain_digits_the_database_can_hold() -> None:
    assert paging.number("42") == 42 and paging.number(str(paging.LARGEST_ID)) == paging.LARGEST_ID
    for text in ("", "²", "-1", " 1", "1e3", str(paging.LARGEST_ID + 1), "9" * 40):
        assert paging.number(text) is None


def test_everything_the_audit_keeps_has_words(client: FlaskClient) -> None:
    machines = {"application": ApplicationEvent, "card": CardEvent, "batch": BatchEvent, "operation": OperationEvent}
    codes = {f"{kind}.{event.lower()}" for kind, events in machines.items() for event in events}
    services = Path(intake.__file__).parent
    for file in services.rglob("*.py"):
        codes |= set(re.findall(r'action="([a-z-]+[.][a-z_-]+)"', file.read_text()))
    assert len(codes) > 45 and codes <= set(audit_words.ACTIONS), codes - set(audit_words.ACTIONS)
    with client.application.test_request_context():
        assert audit_words.action("card.view") == "Просмотр карты" and audit_words.action("x.y") == "x.y"
        assert audit_words.who("staff:7", {7: "Анна"}) == "Анна" and audit_words.who("staff:8", {}) == "staff:8"
        assert audit_words.who("citizen:web", {}) == "Заявитель на сайте"
    assert audit_words.reference_of("Officer", {"officer": 3}) == "staff:3"
    assert audit_words.reference_of("2026-0000001", {}) == "citizen:2026-0000001"


def test_a_draft_shows_nothing_and_ends() -> None:
    value = drafts.seal({"surname": "Щукин"}, key=KEY, now=NOW, random=RANDOM)
    assert "Щукин".encode() not in urlsafe_b64decode(value)
    assert drafts.unseal(value, key=KEY, now=NOW + timedelta(hours=2, seconds=1)) == {}
    assert drafts.unseal(value, key=b"x" * 32, now=NOW) == {}


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=200))
def test_a_damaged_draft_is_no_draft(value: str) -> None:
    assert drafts.unseal(value, key=KEY, now=NOW) == {}


def test_a_draft_that_would_not_fit_says_so() -> None:
    noise = RANDOM(4000).hex()
    with pytest.raises(drafts.DraftTooLong, match="shorten"):
        drafts.seal({"address": noise}, key=KEY, now=NOW, random=RANDOM)


def test_the_window_of_attempts_slides() -> None:
    window = SlidingWindow(2, timedelta(minutes=1))
    window.count("a", NOW)
    window.count("a", NOW + timedelta(seconds=30))
    with pytest.raises(TooManyAttempts) as refused:
        window.count("a", NOW + timedelta(seconds=40))
    assert refused.value.retry_after_s == 20
    window.count("b", NOW + timedelta(seconds=40))
    window.count("a", NOW + timedelta(seconds=61))
    window.forget("a")
    window.count("a", NOW + timedelta(seconds=61))


def test_the_count_of_attempts_stays_small() -> None:
    window = SlidingWindow(1, timedelta(minutes=1))
    for number in range(MAX_KEYS + 10):
        window.count(str(number), NOW)
    window.count("0", NOW)  # forgotten, so counted anew
    with pytest.raises(TooManyAttempts):
        window.count(str(MAX_KEYS + 9), NOW)


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("/office/", True),
        ("/office/cards?query=1", True),
        (None, False),
        ("", False),
        ("https://evil.example", False),
        ("//evil.example", False),
        ("/\\evil.example", False),
        ("/a\nb", False),
        ("office", False),
    ],
)
def test_only_paths_of_this_site_are_followed(address: str | None, kept: bool) -> None:
    assert local_path(address, "/fallback") == (address if kept else "/fallback")


class OneDay(PageForm):
    """A form with a date."""

    day = DayField("Day")


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (("29", "2", "2024"), date(2024, 2, 29)),
        (("29", "2", "2023"), None),
        (("1", "13", "2023"), None),
        (("1", "1", "23"), None),
        (("x", "1", "2023"), None),
        (("", "", ""), None),
        ((" 5 ", "05", "1999"), date(1999, 5, 5)),
    ],
)
def test_a_date_in_three_boxes(client: FlaskClient, parts: tuple[str, str, str], expected: date | None) -> None:
    names = ("day-day", "day-month", "day-year")
    with client.application.test_request_context():
        form = OneDay(MultiDict(zip(names, parts, strict=True)), meta={"csrf": False})
        assert form.validate() is (expected is not None)
        assert form.day.data == expected
        assert form.day.parts == tuple(part.strip() for part in parts)


def test_each_question_belongs_to_one_step() -> None:
    assert list(STEPS) == ["person", "document", "contact", "choice"]
    assert step_of("snils") == "document" and step_of("bank") == "choice" and step_of("unknown") == "person"


def test_answers_become_texts_and_back(client: FlaskClient) -> None:
    with client.application.test_request_context():
        given_data = MultiDict({"address": " г. Озёрск ", "phone": "+7", "email": ""})
        form = ContactForm(given_data, meta={"csrf": False})
        assert answers_of(form) == {"address": "г. Озёрск", "phone": "+7", "email": ""}
    typed = typed_answers({"birth_date": "1985-03-27", "point_id": "4"})
    assert typed["birth_date"] == date(1985, 3, 27) and typed["point_id"] == 4
    assert typed_answers({"point_id": "x"})["point_id"] is None


def test_problems_name_all_fields_of_an_empty_form() -> None:
    found = problems({}, points=[POINT], variants=(), photo=None, today=NOW.date(), policy=Policy())
    assert {"surname", "name", "birth_date", "snils", "doc_date", "address", "point_id", "sex"} <= set(found)
    assert found["point_id"] == "form.point_id" and found["birth_date"] == "form.required"


def test_readers_with_a_card_come_first(client: FlaskClient) -> None:
    readers = ({"name": "A", "card": False}, {"name": "B", "card": True})
    stations = [
        StationView(1, "Окно 1", 1, True, NOW, readers),
        StationView(2, "Окно 2", 1, False, None, readers),
        StationView(3, "Окно 3", 1, True, NOW, ()),
    ]
    with client.application.test_request_context():
        values = [value for value, _text in reader_choices(stations)]
    assert values == ["1:B", "1:A", "3:"]


def test_values_as_people_write_them(client: FlaskClient) -> None:
    with client.application.test_request_context():
        assert filters.card_number("9643600000000019") == "9643 6000 0000 0019"
        assert filters.card_number(None) == ""
        assert filters.snils("11223344595") == "112-233-445 95" and filters.snils("12") == "12"
        assert filters.document("passport 7110 000020").startswith("Паспорт 7110")
        assert filters.facts({"chip": "a" * 40, "keys": {"x": 1, "y": 2}, "done": True, "none": None}) == (
            f"chip: {'a' * 24}…, keys: × 2, done: да"
        )
