"""The Russian production calendar as shipped, the rule for years without a decree, and files that hold nonsense."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.planning.calendar import WorkingCalendar, from_table, load
from issuance.planning.errors import CalendarError

RUSSIA = load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")

# The official norms: working days of a five-day week in a month.
WORKING_DAYS_2025 = (17, 20, 21, 22, 18, 19, 23, 21, 22, 23, 19, 22)
WORKING_DAYS_2026 = (15, 19, 21, 22, 19, 21, 23, 21, 22, 22, 20, 22)


# And hours of a week of forty hours, with shortened days.
HOURS_2025 = (136, 160, 167, 175, 144, 151, 184, 168, 176, 184, 151, 176)
HOURS_2026 = (120, 152, 168, 175, 151, 167, 184, 168, 176, 176, 159, 176)


def days_of(year: int, month: int) -> int:
    first = date(year, month, 1)
    last = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
    return len(list(RUSSIA.between(first, last)))


@pytest.mark.parametrize(("year", "norm"), [(2025, WORKING_DAYS_2025), (2026, WORKING_DAYS_2026)])
def test_shipped_years_have_the_official_number_of_working_days(year: int, norm: tuple[int, ...]) -> None:
    assert tuple(days_of(year, month) for month in range(1, 13)) == norm


@pytest.mark.parametrize(("year", "norm"), [(2025, HOURS_2025), (2026, HOURS_2026)])
def test_shipped_years_have_the_official_number_of_working_hours(year: int, norm: tuple[int, ...]) -> None:
    hours = [0] * 12
    for day in RUSSIA.between(date(year, 1, 1), date(year, 12, 31)):
        hours[day.month - 1] += 7 if RUSSIA.is_shortened(day) else 8
    assert tuple(hours) == norm


@pytest.mark.parametrize(
    ("day", "shortened"),
    [
        ("2025-03-07", True),
        ("2025-11-01", True),  # worked in place of 3 November, the eve of a holiday
        ("2025-11-03", False),  # a day off is not shortened
        ("2026-02-20", False),  # a weekend lies between it and the holiday
        ("2026-05-08", True),
        ("2026-12-30", False),  # 31 December is a moved day off, no holiday
        ("2027-12-31", True),
    ],
)
def test_days_that_are_an_hour_shorter(day: str, shortened: bool) -> None:
    assert RUSSIA.is_shortened(date.fromisoformat(day)) is shortened


def test_only_years_with_a_decree_are_known_to_have_one() -> None:
    assert RUSSIA.decreed >= {2025, 2026}
    assert not WorkingCalendar().decreed


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2025-11-01", True),  # a Saturday made a working day
        ("2025-11-03", False),
        ("2025-02-24", True),  # the holiday of Sunday 23 February was moved to May
        ("2025-05-08", False),
        ("2026-01-09", False),
        ("2026-03-09", False),  # 8 March is a Sunday: the rule moves it
        ("2026-05-11", False),
        ("2026-12-31", False),
        ("2027-05-03", False),  # 1 May 2027 is a Saturday; no decree entered, the rule alone
        ("2027-01-11", True),
    ],
)
def test_days_that_surprise(day: str, worked: bool) -> None:
    assert RUSSIA.is_working(date.fromisoformat(day)) is worked


def test_two_holidays_on_a_weekend_do_not_share_one_day() -> None:
    calendar = WorkingCalendar(holidays=frozenset({(8, 1), (8, 2)}))  # Saturday and Sunday in 2026
    assert [calendar.is_working(date(2026, 8, day)) for day in (3, 4, 5)] == [False, False, True]


def test_after_counts_working_days_only() -> None:
    assert RUSSIA.after(date(2025, 12, 30), 1) == date(2026, 1, 12)
    assert RUSSIA.after(date(2026, 1, 1), 0) == date(2026, 1, 12)


@given(st.dates(date(2013, 1, 1), date(2030, 12, 20)))
def test_the_next_working_day_is_working_and_nearest(day: date) -> None:
    following = RUSSIA.next_working(day)
    assert day <= following and RUSSIA.is_working(following)
    assert not list(RUSSIA.between(day, following - timedelta(days=1)))


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ({"holydays": []}, "holydays"),
        ({"years": {"2026": {"off": []}}}, "off"),
        ({"years": {"2026": {"days_off": ["2025-01-09"]}}}, "own year"),
        ({"years": {"2026": {"days_off": ["9 January"]}}}, "YYYY-MM-DD"),
        ({"years": {"2026": {"shortened_days": ["2026-13-09"]}}}, "YYYY-MM-DD"),
        ({"years": {"MMXXVI": {}}}, "not a year"),
        ({"holidays": ["13-40"]}, "13-40"),
    ],
)
def test_a_calendar_with_a_wrong_entry_is_refused_by_name(table: dict[str, object], part: str) -> None:
    with pytest.raises(CalendarError, match=part):
        from_table(table)


def test_a_missing_file_says_which(tmp_path: Path) -> None:
    with pytest.raises(CalendarError, match="nowhere"):
        load(tmp_path / "nowhere.toml")
