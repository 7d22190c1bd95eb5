"""The quick writer of data groups against the plain one, over every kind of fact, right and wrong."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.production import groups_writer
from issuance.production.datagroups import Fact, build_data_groups
from issuance.production.errors import InvalidCardData
from issuance.production.groups_writer import GroupsWriter, groupings, groupings_all, read_groupings
from issuance.production.profile import load_profile
from tests.support.line import PIV_PROFILE, UEC_PROFILE, card_number, facts_for

PROFILE = load_profile(UEC_PROFILE)
WRITER = GroupsWriter(PROFILE)
NAMES = [field.name for group in PROFILE.data_groups for field in group.fields]
ODD: st.SearchStrategy[Fact | None] = st.one_of(
    st.none(),
    st.text(max_size=200),
    st.text("0123456789", max_size=20),
    st.dates(),
    st.binary(max_size=300),
)


def outcome(write: object, facts: dict[str, Fact]) -> object:
    try:
        return write(facts)  # type: ignore[operator]
    except InvalidCardData as error:
        return error.field, error.reason


@given(st.dictionaries(st.sampled_from(NAMES), ODD))
def test_any_facts_give_the_same_groups_or_the_same_refusal(changes: dict[str, Fact | None]) -> None:
    facts: dict[str, Fact] = facts_for(card_number(1)) | changes  # type: ignore[assignment]
    plain = outcome(lambda given: build_data_groups(PROFILE, given), facts)
    assert outcome(WRITER.write, facts) == plain


def by_card(columns: dict[int, list[bytes]], cards: int) -> list[dict[int, bytes]]:
    return [{number: contents[card] for number, contents in columns.items()} for card in range(cards)]


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), ODD), min_size=1, max_size=4))
def test_columns_give_what_rows_give_or_leave_it_to_them(cards: list[dict[str, Fact | None]]) -> None:
    rows = [facts_for(card_number(1)) | changes for changes in cards]
    columns = {name: [row.get(name) for row in rows] for name in NAMES}
    plain = [outcome(lambda given: build_data_groups(PROFILE, given), row) for row in rows]  # type: ignore[arg-type]
    whole = WRITER.write_all(columns)
    if whole is not None:
        assert by_card(whole, len(rows)) == plain


PIV = load_profile(PIV_PROFILE)
PIV_NAMES = ["printed_name", "expires_on", "card_number"]


@given(st.lists(st.dictionaries(st.sampled_from(PIV_NAMES), ODD), min_size=1, max_size=4))
def test_values_of_the_profile_printed_dates_and_limits_are_written_alike(
    cards: list[dict[str, Fact | None]],
) -> None:
    writer = GroupsWriter(PIV)
    rows = [facts_for(card_number(1)) | changes for changes in cards]
    plain = [outcome(lambda given: build_data_groups(PIV, given), row) for row in rows]  # type: ignore[arg-type]
    assert [outcome(writer.write, row) for row in rows] == plain  # type: ignore[arg-type]
    whole = writer.write_all({name: [row.get(name) for row in rows] for name in PIV_NAMES})
    if whole is not None:
        assert by_card(whole, len(rows)) == plain


def test_cards_of_piv_need_no_rows() -> None:
    rows = [facts_for(card_number(one)) for one in range(1, 6)]
    whole = GroupsWriter(PIV).write_all({name: [row[name] for row in rows] for name in PIV_NAMES})
    assert whole is not None
    assert by_card(whole, 5) == [build_data_groups(PIV, row) for row in rows]


def ordinary(cards: int = 5) -> tuple[list[dict[str, Fact]], dict[str, list[Fact]]]:
    rows: list[dict[str, Fact]] = [facts_for(card_number(one)) | {"photo": b""} for one in range(1, cards + 1)]
    rows[2]["oms"] = rows[3]["patronymic"] = ""
    return rows, {name: [row[name] for row in rows] for name in NAMES}


def test_ordinary_columns_need_no_rows() -> None:
    rows, columns = ordinary()
    whole = WRITER.write_all(columns)
    assert whole is not None
    assert by_card(whole, 5) == [build_data_groups(PROFILE, row) for row in rows]


@pytest.mark.parametrize(
    "odd",
    [
        {"surname": [""] * 5},
        {"surname": ["Иванов", "", "Иванов", "Иванов", "Иванов"]},
        {"snils": ["12 34"] * 5},
        {"birth_date": ["1980-01-01"] * 5},
        {"photo": [b"", b"x", b"", b"", b""]},
        {"photo": [bytes(300)] * 5},
        {"printed_name": ["X" * 200, "A", "B", "C", "D"]},
    ],
    ids=["missing", "one missing", "no digits", "no date", "not all have the group", "long", "one long"],
)
def test_a_single_odd_value_leaves_all_to_the_rows(odd: dict[str, list[Fact]]) -> None:
    assert WRITER.write_all(ordinary()[1] | odd) is None


def test_a_column_that_is_not_there_leaves_all_to_the_rows() -> None:
    columns = ordinary()[1]
    assert WRITER.write_all({name: columns[name] for name in NAMES[1:]}) is None


@pytest.mark.parametrize("size", [0, 1, 0x7D, 0x7E, 0x7F, 0x80, 0xFF, 0x100, 0x7F00])
def test_every_length_around_a_longer_head(size: int) -> None:
    facts = facts_for(card_number(1)) | {"photo": bytes(size), "issuer": "x" * min(size, 300) or "x"}
    assert WRITER.write(facts) == build_data_groups(PROFILE, facts)


def test_a_date_before_the_year_1000_keeps_its_zeros() -> None:
    facts = facts_for(card_number(1)) | {"birth_date": date(1, 2, 3)}
    assert WRITER.write(facts) == build_data_groups(PROFILE, facts)


@given(st.dictionaries(st.integers(1, 16), st.binary(min_size=1, max_size=700)))
def test_groups_come_out_of_their_groupings_as_they_went_in(groups: dict[int, bytes]) -> None:
    assert read_groupings(groupings(groups)) == groups


@given(st.lists(st.binary(max_size=700), min_size=1, max_size=5), st.integers(1, 16))
def test_groupings_of_many_cards_are_those_of_each(contents: list[bytes], number: int) -> None:
    columns = {number: contents, 17: contents[::-1]}
    assert groupings_all(columns) == [groupings(card) for card in by_card(columns, len(contents))]


@given(
    st.lists(st.dates(), min_size=1, max_size=5), st.lists(st.text("0123456789", min_size=1, max_size=20), min_size=1)
)
def test_dates_and_numbers_of_a_column_are_those_of_its_values(days: list[date], numbers: list[str]) -> None:
    heads = groups_writer._heads(0x5F20)
    dates, digits = list(map(groups_writer._date, days)), list(map(groups_writer._digits, numbers))
    assert groups_writer._date_objects(days, heads) == [heads[4] + value for value in dates]
    assert groups_writer._digit_objects(numbers, heads) == [heads[len(value)] + value for value in digits]


@pytest.mark.parametrize("odd", ["12 3", "12a3", "1٣23", "", "-123"])
def test_what_is_no_number_is_found_among_numbers(odd: str) -> None:
    with pytest.raises(groups_writer._Unusual):
        groups_writer._digit_objects(["1234", odd, "5678"], groups_writer._heads(0x80))
