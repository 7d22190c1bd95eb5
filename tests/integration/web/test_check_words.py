"""What registers say is told in the page's language; what an outside register writes itself is left alone."""

import re

import pytest
from flask_babel import force_locale

from uec.gateways.questions import ASKED, read_answer
from uec.gateways.truth import _KEYS
from uec.settings import Settings
from uec.web.app import create_app
from uec.web.check_words import FIELDS, check_detail

ANSWERS = [
    *(f"{', '.join(keys)}: not in the register" for keys in _KEYS.values()),
    *(f"{', '.join(fields)}: differs from the register" for fields in ASKED.values()),
    "the person has died",
    "the register did not answer in time",
    "the register cannot be reached (ConnectError)",
    "the register answered with HTTP status 503",
    "the register's answer cannot be read",
    read_answer(None).detail,
]


@pytest.mark.parametrize("said", ANSWERS)
def test_an_answer_is_told_in_russian(settings: Settings, said: str) -> None:
    with create_app(settings).test_request_context(), force_locale("ru"):
        told = check_detail(said)
    assert re.findall("[a-z]{3,}", told) == [] and re.search("[а-я]", told)


def test_every_field_that_is_asked_for_has_a_name() -> None:
    assert {name for names in ASKED.values() for name in names} == set(FIELDS)


@pytest.mark.parametrize(
    "said", ["Паспорт недействителен с 2019 года", "see: other, thing", "card: not in the register"]
)
def test_words_of_the_register_itself_stay(settings: Settings, said: str) -> None:
    with create_app(settings).test_request_context(), force_locale("ru"):
        assert check_detail(said) == said
        assert check_detail(None) == ""
