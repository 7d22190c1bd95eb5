"""The policy: ages, clocks, and its dated versions."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.domain.errors import InvalidSettings
from uec.domain.policy import Policy, add_years, age_on, load_policy, rule_of


@given(st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 110))
def test_age_turns_on_the_birthday(birth_date: date, years: int) -> None:
    birthday = add_years(birth_date, years)
    leap_baby = (birth_date.month, birth_date.day) == (2, 29) and birthday.day == 28
    assert age_on(birth_date, birthday + timedelta(days=int(leap_baby))) == years
    assert age_on(birth_date, birthday - timedelta(days=1)) == years - 1


def test_defaults_are_those_of_the_law() -> None:
    policy = Policy()
    assert policy.due_on(date(2014, 6, 1)) == date(2014, 7, 1)
    assert policy.expires_on(date(2014, 6, 1)) == date(2019, 5, 31)
    assert policy.expires_on(date(2016, 2, 29)) == date(2021, 2, 27)
    assert policy.needs_representative(date(2000, 6, 2), date(2014, 6, 1))
    assert not policy.needs_representative(date(2000, 6, 1), date(2014, 6, 1))
    assert policy.applications_open(date(2013, 1, 1))
    assert not policy.applications_open(date(2012, 12, 31))
    assert policy.mass_emission_open(date(2014, 1, 1))
    assert not policy.mass_emission_open(date(2013, 12, 31))


def test_changes_build_on_each_other_whatever_their_order() -> None:
    changes = [{"from": date(2016, 1, 1), "production_days": 20}, {"from": date(2015, 1, 1), "entitled_age_years": 16}]
    book = load_policy({"validity_years": 3, "changes": changes, "pin1_digits": [4, 6]})
    assert book.on(date(2014, 12, 31)) == book.first
    assert (book.first.validity_years, book.first.pin1_digits) == (3, (4, 6))
    assert book.on(date(2015, 1, 1)).entitled_age_years == 16
    assert book.on(date(2015, 12, 31)).production_days == 30
    assert book.on(date(2030, 1, 1)) == Policy(
        validity_years=3, pin1_digits=(4, 6), entitled_age_years=16, production_days=20
    )


def test_a_rule_is_in_force_from_local_midnight() -> None:
    book = load_policy({"changes": [{"from": date(2015, 1, 1), "production_days": 20}]}, zone=ZoneInfo("Asia/Tokyo"))
    eve, day = datetime(2014, 12, 31, 14, 59, tzinfo=UTC), datetime(2014, 12, 31, 15, 0, tzinfo=UTC)
    assert (book.day(eve), book.at(eve).production_days) == (date(2014, 12, 31), 30)
    assert (book.day(day), book.at(day).production_days) == (date(2015, 1, 1), 20)
    assert book.at(day).day(day) == date(2015, 1, 1), "every version keeps the calendar"
    assert Policy().day(day) == date(2014, 12, 31)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"validity": 5}, "policy.validity is not a rule"),
        ({"zone": "UTC"}, "policy.zone is not a rule"),
        ({"validity_years": "5"}, "must be of the kind int"),
        ({"validity_years": True}, "must be of the kind int"),
        ({"changes": [{"validity_years": 4}]}, "needs `from"),
        ({"changes": [{"from": date(2015, 1, 1), "nonsense": 4}]}, "policy.changes.nonsense"),
    ],
)
def test_bad_policy_is_refused(values: dict[str, object], sentence: str) -> None:
    with pytest.raises(InvalidSettings, match=sentence):
        load_policy(values)


def test_amended_lays_dated_rules_over_the_book() -> None:
    book = load_policy({"production_days": 40, "changes": [{"from": date(2026, 6, 1), "storage_days": 90}]})
    amended = book.amended([(date(2026, 3, 1), {"production_days": 20}), (date(2026, 6, 1), {"validity_years": 10})])
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 5, 31), date(2026, 6, 1)]
    found = [(p.production_days, p.storage_days, p.validity_years) for p in map(amended.on, days)]
    assert found == [(40, 180, 5), (20, 180, 5), (20, 180, 5), (20, 90, 10)]
    assert book.on(days[1]).production_days == 40, "the book itself stays as it was"


def test_of_two_rules_of_one_day_the_later_counts() -> None:
    book = load_policy({}).amended([(date(2026, 1, 1), {"crl_days": 4}), (date(2026, 1, 1), {"crl_days": 5})])
    assert book.on(date(2026, 1, 1)).crl_days == 5


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("production_days", " 20 ", 20),
        ("mass_emission_from", "2027-01-01", date(2027, 1, 1)),
        ("mass_emission_from", "01.01.2027", date(2027, 1, 1)),
        ("default_bank", "Банк ", "Банк"),
    ],
)
def test_rules_are_read_as_typed(name: str, text: str, value: object) -> None:
    assert rule_of(name, text) == value
