"""Numbers: published examples, and properties over all of them."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stdnum import luhn

from uec.domain import numbers
from uec.domain.errors import InvalidNumber

digits = st.text("0123456789", min_size=1, max_size=18)


def digits_of(length: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=length, max_size=length)


def slow_snils_check(base: str) -> str:
    """The rule in its own words: sum of d_i * (10 - i), mod 101, 100 -> 00."""
    total = sum(int(digit) * (10 - place) for place, digit in enumerate(base, 1)) % 101
    return "00" if total == 100 else f"{total:02}"


@pytest.mark.parametrize(("base", "check"), [("112233445", "95"), ("112233458", "00"), ("087654303", "00")])
def test_snils_examples(base: str, check: str) -> None:
    assert numbers.snils_check(base) == check == slow_snils_check(base)
    assert numbers.parse_snils(f"{base[:3]}-{base[3:6]}-{base[6:]} {check}") == base + check
    assert numbers.parse_snils(numbers.format_snils(base + check)) == base + check


@given(digits_of(9))
def test_snils_check_is_the_rule(base: str) -> None:
    assert numbers.snils_check(base) == slow_snils_check(base)


@given(st.integers(1_001_999, 999_999_999), st.integers(0, 8), st.integers(1, 9))
def test_one_wrong_digit_of_a_snils_is_found(base: int, place: int, shift: int) -> None:
    right = f"{base:09}" + numbers.snils_check(f"{base:09}")
    wrong = right[:place] + str((int(right[place]) + shift) % 10) + right[place + 1 :]
    if int(wrong[:9]) > numbers.SNILS_UNCHECKED_UP_TO:
        with pytest.raises(InvalidNumber) as caught:
            numbers.parse_snils(wrong)
        assert caught.value.reason == "check_digit"
        assert caught.value.kind == "SNILS"


def test_early_snils_have_no_control_number() -> None:
    assert numbers.parse_snils("001-001-998 17") == "00100199817"
    with pytest.raises(InvalidNumber):
        numbers.parse_snils("001-001-999 17")


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "empty"), ("112-233-445", "length"), ("112-233-445 9x", "not_digits"), ("00000000000", "zero"),
     ("1.12233E+10", "not_digits"), ("１１２２３３４４５９５", "not_digits")],
)  # fmt: skip
def test_bad_snils_says_why(text: str, reason: str) -> None:
    with pytest.raises(InvalidNumber) as caught:
        numbers.parse_snils(text)
    assert caught.value.reason == reason


@given(digits)
def test_luhn_agrees_with_stdnum(base: str) -> None:
    assert numbers.luhn_check(base) == luhn.calc_check_digit(base)


@given(digits_of(16))
def test_quick_luhn_agrees_with_stdnum(number: str) -> None:
    assert numbers.is_luhn16(number) == luhn.is_valid(number)


@given(digits_of(15).filter(lambda base: int(base) > 0))
def test_oms_round_trip(base: str) -> None:
    number = base + numbers.luhn_check(base)
    assert numbers.parse_oms(" ".join(number[n : n + 4] for n in range(0, 16, 4))) == number
    with pytest.raises(InvalidNumber, match="check digit"):
        numbers.parse_oms(base + str((int(number[-1]) + 1) % 10))


def test_oms_refuses_zeros() -> None:
    with pytest.raises(InvalidNumber, match="zeros"):
        numbers.parse_oms("0" * 16)


def test_passport() -> None:
    assert numbers.parse_passport("71 10", "№ 123456".replace("№ ", "")) == ("7110", "123456")
    assert numbers.parse_document("passport", "7110", "123456") == ("7110", "123456")
    for series, number in (("711", "123456"), ("7110", "12345"), ("0010", "123456"), ("71I0", "123456")):
        with pytest.raises(InvalidNumber):
            numbers.parse_passport(series, number)


@pytest.mark.parametrize("series", ["II-ИК", "ii-ик", " XIV-АБ ", "ХI-МС", "I-AO"])
def test_birth_certificate(series: str) -> None:
    plain, number = numbers.parse_birth_certificate(series, "123456")
    assert number == "123456"
    assert numbers.parse_birth_certificate(plain, number) == (plain, number)


@pytest.mark.parametrize("series", ["", "2-ИК", "IIII-ИК", "II-И", "II ИК", "-ИК", "II-ИКК", "II-Иц1"])
def test_bad_birth_certificate(series: str) -> None:
    with pytest.raises(InvalidNumber):
        numbers.parse_birth_certificate(series, "123456")


def test_mixed_layout_of_a_certificate_becomes_canonical() -> None:
    # A Cyrillic Х in the numeral, Latin A and O in the letters.
    assert numbers.parse_birth_certificate("ХI-AO", "000001")[0] == "XI-АО"


def test_unknown_document() -> None:
    with pytest.raises(InvalidNumber, match="passport, birth_certificate"):
        numbers.parse_document("visa", "1", "2")


def test_oktmo_and_fias() -> None:
    assert numbers.parse_oktmo("71701000") == "71701000"
    assert numbers.parse_oktmo("71 701 000 001") == "71701000001"
    for text in ("7170100", "717010000", "7170100a", ""):
        with pytest.raises(InvalidNumber):
            numbers.parse_oktmo(text)
    fias = "5FD1F7A0-7C3B-4E2D-9C57-3F1F0D9F4A11"
    assert numbers.parse_fias(fias) == fias.lower()
    for text in ("5fd1f7a0", "5fd1f7a07c3b4e2d9c573f1f0d9f4a11", ""):
        with pytest.raises(InvalidNumber):
            numbers.parse_fias(text)


@given(st.uuids())
def test_every_uuid_is_a_fias_id(value: uuid.UUID) -> None:
    assert numbers.parse_fias(str(value)) == str(value)


@pytest.mark.parametrize("text", ["+79123456789", "8 (912) 345-67-89", "912 345 67 89", "+7 912 345‑67‑89"])
def test_phone_has_one_form(text: str) -> None:
    assert numbers.parse_phone(text) == "+79123456789"


def test_foreign_phone_and_nonsense() -> None:
    assert numbers.parse_phone("+49 30 901820") == "+4930901820"
    for text in ("", "12", "+7 012 345 67 89", "phone", "7,9123E+10"):
        with pytest.raises(InvalidNumber):
            numbers.parse_phone(text)


def test_email() -> None:
    assert numbers.parse_email(" ivanov@example.ru ") == "ivanov@example.ru"
    for text in (
        "ivanov",
        "ivanov@",
        "@example.ru",
        "a b@example.ru",
        "a@b",
        "a..b@example.ru",
        "a@" + "b" * 260 + ".ru",
    ):
        with pytest.raises(InvalidNumber):
            numbers.parse_email(text)


@given(st.integers(0, 10**9 - 1))
def test_card_number_round_trip(serial: int) -> None:
    number = numbers.make_card_number("964360", serial)
    assert len(number) == 16
    assert luhn.is_valid(number)
    assert numbers.parse_card_number(numbers.format_card_number(number), prefix="964360") == number


def test_card_number_refuses() -> None:
    with pytest.raises(InvalidNumber, match="new prefix"):
        numbers.make_card_number("964360", 10**9)
    number = numbers.make_card_number("964360", 1)
    with pytest.raises(InvalidNumber, match="another issuer"):
        numbers.parse_card_number(number, prefix="123456")
    with pytest.raises(InvalidNumber, match="check digit"):
        numbers.parse_card_number(number[:-1] + str((int(number[-1]) + 1) % 10))


@given(st.text(max_size=30))
def test_parsers_give_a_canonical_form_or_refuse(text: str) -> None:
    parsers = [numbers.parse_snils, numbers.parse_oms, numbers.parse_oktmo, numbers.parse_fias, numbers.parse_phone]
    for parse in [*parsers, numbers.parse_email, numbers.parse_card_number]:
        try:
            value = parse(text)
        except InvalidNumber as error:
            assert error.reason
        else:
            assert value.isascii()
            assert parse(value) == value


@given(st.text("0123456789", min_size=1, max_size=19))
def test_luhn_digit_is_that_of_another_library(base: str) -> None:
    assert numbers.luhn_check(base) == luhn.calc_check_digit(base)
