"""The quick writer of data groups against the plain one, over every kind of fact, right and wrong."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.production.datagroups import Fact, build_data_groups
from issuance.production.errors import InvalidCardData
from issuance.production.groups_writer import GroupsWriter, groupings, read_groupings
from issuance.production.profile import load_profile
from tests.support.line import UEC_PROFILE, card_number, facts_for

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


@given(st.lists(st.dictionaries(st.sampled_from(NAMES), ODD), min_size=1, max_size=4))
def test_columns_give_what_rows_give_or_leave_it_to_them(cards: list[dict[str, Fact | None]]) -> None:
    rows = [facts_for(card_number(1)) | changes for changes in cards]
    columns = {name: [row.get(name) for row in rows] for name in NAMES}
    plain = [outcome(lambda given: build_data_groups(PROFILE, given), row) for row in rows]  # type: ignore[arg-type]
    whole = WRITER.write_all(columns)
    if whole is not None:
        assert whole == plain


def test_ordinary_columns_need_no_rows() -> None:
    rows = [facts_for(card_number(serial)) | {"photo": b""} for serial in range(1, 6)]
    rows[2]["oms"] = rows[3]["patronymic"] = ""
    columns = {name: [row[name] for row in rows] for name in NAMES}
    assert WRITER.write_all(columns) == [build_data_groups(PROFILE, row) for row in rows]
    assert WRITER.write_all(columns | {"surname": [""] * 5}) is None
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
