"""Names: the passport's Latin letters, and what is no name."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.domain.names import InvalidName, full_name, parse_name, printed_name, transliterate

words = st.text("АБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯабвгдеёжзийклмнопрстуфхцчшщъыьэюя", min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("russian", "latin"),
    [("Щербаков", "SHCHERBAKOV"), ("Юлия", "IULIIA"), ("Подъячев", "PODIEIACHEV"), ("Хабиб", "KHABIB"),
     ("Цой", "TSOI"), ("Эльвира", "ELVIRA"), ("Жолобов", "ZHOLOBOV"), ("Пётр", "PETR"),
     ("Мамин-Сибиряк", "MAMIN-SIBIRIAK"), ("Гейдар оглы", "GEIDAR OGLY")],
)  # fmt: skip
def test_icao_table(russian: str, latin: str) -> None:
    assert transliterate(russian) == latin


@given(words)
def test_every_cyrillic_word_has_a_latin_form(word: str) -> None:
    assert re.fullmatch("[A-Z]*", transliterate(word))
    assert parse_name(word) == word


@given(words, words, st.integers(10, 40))
def test_printed_name_fits(surname: str, name: str, width: int) -> None:
    printed = printed_name(surname, name, width=width)
    assert len(printed) <= width
    assert printed[: width // 3] == transliterate(surname)[: width // 3] or len(transliterate(surname)) < width // 3


def test_long_names_shrink_from_the_end() -> None:
    assert printed_name("Иванов", "Иван") == "IVANOV IVAN"
    assert printed_name("Константинопольский", "Александр") == "KONSTANTINOPOLSKII A"
    assert printed_name("Задунайский", "Анна Мария Виктория") == "ZADUNAISKII ANNA M V"
    assert printed_name("Щ" * 20, "Ян") == "SHCH" * 6 + " I"


def test_latin_sign_without_rule() -> None:
    with pytest.raises(InvalidName) as caught:
        transliterate("Иван2")
    assert caught.value.reason == "signs"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("  ", "empty"), ("Ивaнов", "mixed_letters"), ("Ivanov", "latin"), ("Иванов1", "signs"), ("#ИМЯ?", "signs"),
     ("а" * 101, "length"), ("Ива\x00нов", "signs"), ("-", "signs")],
)  # fmt: skip
def test_no_name(text: str, reason: str) -> None:
    with pytest.raises(InvalidName) as caught:
        parse_name(text)
    assert caught.value.reason == reason


def test_spaces_are_tidied_and_full_name_is_joined() -> None:
    assert parse_name("  Анна   Мария ") == "Анна Мария"
    assert full_name("Иванов", "Иван", "Иванович") == "Иванов Иван Иванович"
    assert full_name("Ким", "Чен", None) == "Ким Чен"
