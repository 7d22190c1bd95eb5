"""Rows of the register: every fault is named, and the shortcut never knows better than the rules."""

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uec.domain.register_quick import QuickCheck
from uec.domain.register_row import COLUMNS, JOINT, RowChecker

TODAY = date(2026, 1, 15)
CHECKER = RowChecker(TODAY, frozenset({"71701000", "71644411"}))
GOOD = {
    "register_id": "71701-00000001",
    "surname": "Петрова",
    "name": "Анна-Мария",
    "patronymic": "Сергеевна",
    "birth_date": "1980-02-29",
    "birth_place": "г. Тюмень",
    "sex": "F",
    "snils": "11223344595",
    "oms": "7234963820064907",
    "doc_type": "passport",
    "doc_series": "7110",
    "doc_number": "012345",
    "doc_date": "2000-03-16",
    "doc_issuer": "ОВД Тюменской обл., 720-001",
    "oktmo": "71701000",
    "fias": "78e51061-7311-48a3-a2ce-6f447ed4d57b",
    "address": "г. Тюмень, ул. Ленина, д. 5",
    "phone": "+79123456789",
    "email": "petrova80@mail.example",
    "death_date": "",
}


def row(**changes: str) -> list[str]:
    return list((GOOD | changes).values())


def faults(**changes: str) -> list[str]:
    return [column for column, _ in CHECKER.explain(row(**changes))[1]]


def test_a_good_row_is_canonical() -> None:
    assert CHECKER.explain(row()) == (tuple(row()), [])
    assert QuickCheck(CHECKER).accept(JOINT.join(row()))
    assert tuple(GOOD) == COLUMNS


@pytest.mark.parametrize(
    ("column", "typed", "kept"),
    [
        ("surname", "  Петрова ", "Петрова"),
        ("snils", "112-233-445 95", "11223344595"),
        ("oms", "7234 9638 2006 4907", "7234963820064907"),
        ("phone", "8 (912) 345-67-89", "+79123456789"),
        ("fias", "78E51061-7311-48A3-A2CE-6F447ED4D57B", "78e51061-7311-48a3-a2ce-6f447ed4d57b"),
        ("doc_series", "71 10", "7110"),
        ("address", "г. Тюмень,  ул. Ленина", "г. Тюмень, ул. Ленина"),
        ("oms", "", ""),
        ("patronymic", "", ""),
        ("email", "", ""),
    ],
)
def test_harmless_forms_are_tidied(column: str, typed: str, kept: str) -> None:
    values, found = CHECKER.explain(row(**{column: typed}))
    assert found == []
    assert values[COLUMNS.index(column)] == kept


BAD = [
    ("register_id", ""), ("register_id", "а1"), ("register_id", "x" * 65),
    ("surname", ""), ("surname", "Петpова"), ("surname", "Petrova"), ("name", "?????"), ("name", "а" * 101),
    ("birth_date", ""), ("birth_date", "1980-02-30"), ("birth_date", "29.02.1980"), ("birth_date", "19800229"),
    ("birth_date", "1980-W09-5"), ("birth_date", "2099-01-01"), ("birth_date", "1889-12-31"), ("birth_date", "29000"),
    ("birth_place", ""), ("birth_place", "г" * 256), ("sex", "Ж"), ("sex", ""), ("sex", "М"),
    ("snils", ""), ("snils", "11223344596"), ("snils", "1,12233E+10"), ("snils", "1122334459"),
    ("oms", "7234963820064908"), ("oms", "0000000000000000"), ("doc_type", "паспорт"), ("doc_type", ""),
    ("doc_series", "711"), ("doc_series", ""), ("doc_series", "II-ФР"), ("doc_number", "12345"), ("doc_number", ""),
    ("doc_date", "1979-01-01"), ("doc_date", "1993-01-01"), ("doc_issuer", ""),
    ("oktmo", "71701"), ("oktmo", "99999000"), ("fias", "78e51061"), ("address", ""), ("address", "а\x00б"),
    ("address", "а" * 401), ("phone", "нет"), ("email", "petrova"), ("death_date", "1970-01-01"),
    ("death_date", "1999-01-01"),
]  # fmt: skip


@pytest.mark.parametrize(("column", "text"), BAD)
def test_each_fault_is_found_in_its_field(column: str, text: str) -> None:
    assert column in faults(**{column: text})
    assert not QuickCheck(CHECKER).accept(JOINT.join(row(**{column: text})))


def test_all_faults_of_a_row_are_told_in_the_order_of_columns() -> None:
    assert faults(sex="x", snils="1", surname="", death_date="x") == ["surname", "sex", "snils", "death_date"]
    assert CHECKER.explain(["a"])[1] == [("row", "1 fields instead of 20: a separator too many or too few")]


def test_children_have_birth_certificates() -> None:
    child = {
        "birth_date": "2020-05-05",
        "doc_type": "birth_certificate",
        "doc_series": "III-ФР",
        "doc_date": "2020-05-20",
    }
    assert faults(**child) == []
    assert QuickCheck(CHECKER).accept(JOINT.join(row(**child)))
    assert faults(**child | {"doc_date": "2020-05-04"}) == ["doc_date"]
    assert faults(**child | {"doc_type": "passport"}) == ["doc_series", "doc_date"]


def test_any_municipality_goes_while_none_is_known() -> None:
    assert RowChecker(TODAY).explain(row(oktmo="99999000"))[1] == []
    assert CHECKER.explain(row(oktmo="71701000001"))[1] == []


def test_the_fourteenth_birthday_of_a_leap_day_child() -> None:
    leap = {"birth_date": "2008-02-29", "doc_date": "2022-02-28"}
    assert faults(**leap) == ["doc_date"]
    assert faults(**leap | {"doc_date": "2022-03-01"}) == []


noise = st.one_of(
    st.sampled_from([text for _, text in BAD]),
    st.sampled_from(
        ["\t", " ", "\u2028", '"', "\\", "Анна  Мария", "д’Арк", "II-ИК", "XXXX-ИК", "VIIII-ИК", "0010", "2025-12-31"]
    ),
    st.text(max_size=12),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
    st.from_regex(r"[0-9]{11}|[0-9]{16}|[0-9]{6}|[0-9]{8}", fullmatch=True),
    st.from_regex(r"[XVI]{1,6}-[А-Я]{2}", fullmatch=True),
    st.from_regex(r"[А-Яа-яЁё .'-]{1,20}", fullmatch=True),
)


@settings(max_examples=500, deadline=None)
@given(st.dictionaries(st.sampled_from(COLUMNS), noise, max_size=3))
def test_the_shortcut_accepts_only_what_the_rules_leave_unchanged(changes: dict[str, str]) -> None:
    fields = row(**changes)
    if QuickCheck(CHECKER).accept(JOINT.join(fields)):
        assert CHECKER.explain(fields) == (tuple(fields), [])
