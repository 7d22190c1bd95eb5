"""What a scenario changes, and chances that differ: read from JSON, whatever somebody typed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.planning.chances import Chances, WrongChance, chances_from
from issuance.planning.scenario import Changes, WrongChange, changes_from

anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def test_changes_are_read() -> None:
    table = json.loads('{"intake": 2, "windows": 0.5, "shifts": {"L1": 1}, "stopped": ["L2", "L2"], "chips": 5000}')
    assert changes_from(table) == Changes(2.0, 0.5, {"L1": 1}, ("L2",), 5000)
    assert changes_from({}) == Changes()
    assert changes_from({"shifts": {"L1": 2.0}, "chips": 0.0}) == Changes(shifts={"L1": 2})


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"wishes": 1}', "wishes"),
        ('{"intake": -1}', "intake"),
        ('{"intake": 100.5}', "intake"),
        ('{"intake": "2"}', "intake"),
        ('{"intake": true}', "intake"),
        ('{"intake": null}', "intake"),
        ('{"intake": NaN}', "intake"),
        ('{"windows": Infinity}', "windows"),
        ('{"windows": [1]}', "windows"),
        ('{"shifts": 3}', "shifts"),
        ('{"shifts": ["L1"]}', "shifts"),
        ('{"shifts": {"L1": 1.5}}', "shifts"),
        ('{"shifts": {"L1": -1}}', "shifts"),
        ('{"shifts": {"L1": 11}}', "shifts"),
        ('{"shifts": {"L1": NaN}}', "shifts"),
        ('{"stopped": "L1"}', "stopped"),
        ('{"stopped": {"L1": 1}}', "stopped"),
        ('{"stopped": [1]}', "stopped"),
        ('{"chips": 1e30}', "chips"),
        ('{"chips": -0.5}', "chips"),
        ('{"chips": -Infinity}', "chips"),
    ],
)
def test_changes_that_make_no_sense_name_their_field(text: str, field: str) -> None:
    with pytest.raises(WrongChange) as wrong:
        changes_from(json.loads(text))
    assert wrong.value.facts["field"] == field and str(wrong.value).endswith(".")


@given(st.dictionaries(st.sampled_from(["intake", "windows", "shifts", "stopped", "chips", "x"]), anything))
def test_whatever_is_typed_is_read_or_refused(table: dict[str, object]) -> None:
    try:
        found = changes_from(table)
    except WrongChange:
        return
    assert all(0 <= more <= 10 for more in found.shifts.values()) and 0 <= found.chips <= 10**9


def test_chances_are_as_usual_but_for_those_named() -> None:
    assert chances_from({}) == Chances()
    assert chances_from({"no_show": 0, "strike_days": 9}) == Chances(no_show=0, strike_days=9)


@given(st.dictionaries(st.sampled_from(["no_show", "strike_days", "intake_spread", "luck"]), anything))
def test_whatever_chance_is_typed_is_taken_or_refused(table: dict[str, object]) -> None:
    try:
        found = chances_from(table)
    except WrongChance as wrong:
        assert wrong.facts["field"] in table
        return
    assert 0 <= found.no_show <= 1 and isinstance(found.strike_days, int) and 0 <= found.intake_spread <= 3
