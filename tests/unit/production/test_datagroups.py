"""Data groups: what goes in comes out, the bytes are compact, what does not belong is refused without being shown."""

import hashlib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import tlv
from issuance.production.datagroups import Fact, build_data_groups, digests, read_data_group
from issuance.production.errors import InvalidCardData
from issuance.production.profile import CardProfile, load_profile

PROFILE = load_profile(Path(__file__).parents[3] / "config" / "profiles" / "uec.toml")
FACTS: dict[str, Fact] = {
    "card_number": "7800000000000014",
    "printed_name": "АННА ИВАНОВА",
    "issuer": "УОС",
    "issued_on": date(2013, 1, 9),
    "expires_on": date(2018, 1, 9),
    "surname": "Иванова",
    "name": "Анна",
    "patronymic": "Петровна",
    "sex": "F",
    "birth_date": date(1980, 2, 29),
    "birth_place": "г. Тюмень",
    "snils": "11223344595",
    "oms": "7200000000000007",
    "photo": b"\xff\xd8picture\xff\xd9",
}


def groups_of(profile: CardProfile, content: dict[int, bytes]) -> dict[str, Fact]:
    facts: dict[str, Fact] = {}
    for number, group in content.items():
        facts |= read_data_group(profile.group(number), group)
    return facts


def test_what_goes_in_comes_out() -> None:
    content = build_data_groups(PROFILE, FACTS)
    assert set(content) == {1, 2, 3, 4}
    assert groups_of(PROFILE, content) == FACTS


def test_the_bytes_are_as_documented() -> None:
    group = build_data_groups(PROFILE, FACTS)[3]
    assert group == bytes.fromhex("63 12 80 06 11223344595F 81 08 7200000000000007")


@given(
    snils=st.text("0123456789", min_size=1, max_size=20),
    surname=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80),
    birth_date=st.dates(min_value=date(1, 1, 1)),
    photo=st.binary(max_size=2000),
)
def test_any_fact_survives(snils: str, surname: str, birth_date: date, photo: bytes) -> None:
    facts = FACTS | {"snils": snils, "surname": surname, "birth_date": birth_date, "photo": photo}
    content = build_data_groups(PROFILE, facts)
    assert groups_of(PROFILE, content) == {name: fact for name, fact in facts.items() if fact != b""}
    assert (4 in content) is bool(photo)


def test_optional_facts_may_be_absent() -> None:
    facts = {name: fact for name, fact in FACTS.items() if name not in {"photo", "patronymic", "oms"}}
    content = build_data_groups(PROFILE, facts)
    assert set(content) == {1, 2, 3}
    assert groups_of(PROFILE, content) == facts


@pytest.mark.parametrize("name", ["surname", "birth_date", "snils", "expires_on"])
@pytest.mark.parametrize("gone", [None, ""])
def test_a_missing_fact_is_named(name: str, gone: str | None) -> None:
    facts = dict(FACTS)
    if gone is None:
        del facts[name]
    else:
        facts[name] = gone
    with pytest.raises(InvalidCardData, match=f"field {name} is missing") as caught:
        build_data_groups(PROFILE, facts)
    assert caught.value.field == name


@pytest.mark.parametrize(
    ("name", "fact"), [("snils", "112-233"), ("snils", "١٢٣"), ("birth_date", "1980-02-29"), ("surname", b"x")]
)
def test_an_unfit_fact_is_named_and_not_shown(name: str, fact: Fact) -> None:
    with pytest.raises(InvalidCardData) as caught:
        build_data_groups(PROFILE, FACTS | {name: fact})
    assert caught.value.field == name
    assert str(fact) not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    [
        "62 00",
        "63 00",
        "63 03 80 01 1A",
        "63 03 80 01 FF",
        "63 06 80 01 12 80 01 12",
        "63 06 80 01 12 85 01 12",
        "63 03 80 01 12 00",
        "63 05 80 01 12",
        "",
    ],
)
def test_a_group_built_otherwise_is_refused(content: str) -> None:
    with pytest.raises(InvalidCardData):
        read_data_group(PROFILE.group(3), bytes.fromhex(content))


def test_bad_text_and_bad_dates_are_refused() -> None:
    for inner in (
        tlv.encode(0x80, b"\xff\xfe"),
        tlv.encode(0x84, bytes.fromhex("19800230")),
        tlv.encode(0x84, b"\x01"),
    ):
        with pytest.raises(InvalidCardData):
            read_data_group(PROFILE.group(2), tlv.encode(0x62, inner))


def test_digests_are_those_of_the_files() -> None:
    content = build_data_groups(PROFILE, FACTS)
    assert digests(content) == {number: hashlib.sha256(data).digest() for number, data in content.items()}
    assert list(digests(dict(reversed(content.items())))) == [1, 2, 3, 4]


def test_a_picture_too_big_for_a_file_is_refused() -> None:
    with pytest.raises(InvalidCardData, match="more than the 32767"):
        build_data_groups(PROFILE, FACTS | {"photo": bytes(32_760)})
    assert len(build_data_groups(PROFILE, FACTS | {"photo": bytes(32_759)})[4]) == 0x7FFF


PIV = load_profile(Path(__file__).parents[3] / "config" / "profiles" / "piv.toml")
PRINTED: dict[str, Fact] = {
    "card_number": "7800000000000014",
    "printed_name": "IVANOVA ANNA",
    "affiliation": "CITIZEN",
    "issuer": "UEC   999900001",
    "expires_on": date(2031, 11, 22),
}


def test_what_a_piv_card_prints_has_the_form_of_its_table() -> None:
    """SP 800-73-4 part 1, table 11; what is the same on every card needs no fact."""
    facts = {name: PRINTED[name] for name in ("card_number", "printed_name", "expires_on")}
    content = build_data_groups(PIV, facts)
    assert {one.tag: one.value for one in tlv.parse(tlv.single(content[1], 0x53))} == {
        0x01: b"IVANOVA ANNA",
        0x02: b"CITIZEN",
        0x04: b"2031NOV22",
        0x05: b"7800000000000014",
        0x06: b"UEC   999900001",
    }
    assert groups_of(PIV, content) == PRINTED


def test_the_profiles_own_value_stands_before_a_fact() -> None:
    assert groups_of(PIV, build_data_groups(PIV, PRINTED | {"issuer": "another"})) == PRINTED


@given(day=st.dates())
def test_a_printed_date_survives(day: date) -> None:
    content = build_data_groups(PIV, PRINTED | {"expires_on": day})
    assert groups_of(PIV, content)["expires_on"] == day


@pytest.mark.parametrize("text", ["2031NOV2", "2031nov22", "2031NOV31", "2031XXX22", "2031NOV222", "\xd9NOV22"])
def test_what_is_no_printed_date_is_refused(text: str) -> None:
    fields = b"".join(
        tlv.encode(one.tag, text.encode("latin-1") if one.tag == 0x04 else one.value)
        for one in tlv.parse(tlv.single(build_data_groups(PIV, PRINTED)[1], 0x53))
    )
    with pytest.raises(InvalidCardData, match="expires_on"):
        read_data_group(PIV.group(1), tlv.encode(0x53, fields))


@pytest.mark.parametrize(("name", "most"), [("printed_name", 125), ("card_number", 20)])
def test_more_than_may_stand_there_is_refused(name: str, most: int) -> None:
    assert build_data_groups(PIV, PRINTED | {name: "9" * most})
    with pytest.raises(InvalidCardData, match=f"more than the {most}") as caught:
        build_data_groups(PIV, PRINTED | {name: "9" * (most + 1)})
    assert caught.value.field == name
