"""Moments of the office's day: over every change of the clocks a daily job has one a day, and none is skipped."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.domain.rhythm import DAY, due_moment, next_moment

HOUR = timedelta(hours=1)
# Whole and broken offsets; clocks that change at 2, at 3, at midnight (both ways), by half an hour, or never.
ZONES = [
    "UTC",
    "Asia/Yekaterinburg",
    "Europe/Berlin",
    "America/Havana",
    "Africa/Cairo",
    "Australia/Lord_Howe",
    "Asia/Kathmandu",
    "Pacific/Auckland",
]
EVERY = [timedelta(seconds=5), timedelta(seconds=15), timedelta(minutes=1), HOUR / 4, HOUR, 6 * HOUR, DAY]


@pytest.mark.parametrize(
    ("zone", "now", "due", "then"),
    [
        # An office in the Urals: its midnight is 19:00 UTC of the day before.
        ("Asia/Yekaterinburg", "2026-03-02T09:30", "2026-03-01T19:00", "2026-03-02T19:00"),
        ("Asia/Yekaterinburg", "2026-03-01T19:00", "2026-03-01T19:00", "2026-03-02T19:00"),
        ("Asia/Yekaterinburg", "2026-03-01T18:59", "2026-02-28T19:00", "2026-03-01T19:00"),
        # Month, leap day and year.
        ("Europe/Berlin", "2028-02-29T12:00", "2028-02-28T23:00", "2028-02-29T23:00"),
        ("Europe/Berlin", "2026-12-31T23:30", "2026-12-31T23:00", "2027-01-01T23:00"),
        # A day of 23 hours, and one of 25.
        ("Europe/Berlin", "2026-03-29T12:00", "2026-03-28T23:00", "2026-03-29T22:00"),
        ("Europe/Berlin", "2026-10-25T22:59", "2026-10-24T22:00", "2026-10-25T23:00"),
        # There is no midnight: the moment of the change is it. There are two: the first is it.
        ("Africa/Cairo", "2026-04-24T12:00", "2026-04-23T22:00", "2026-04-24T21:00"),
        ("America/Havana", "2026-11-01T05:30", "2026-11-01T04:00", "2026-11-02T05:00"),
    ],
)
def test_a_daily_job_is_due_at_midnight_of_the_office(zone: str, now: str, due: str, then: str) -> None:
    at, place = datetime.fromisoformat(now).replace(tzinfo=UTC), ZoneInfo(zone)
    assert due_moment(at, DAY, place) == datetime.fromisoformat(due).replace(tzinfo=UTC)
    assert next_moment(at, DAY, place) == datetime.fromisoformat(then).replace(tzinfo=UTC)


@pytest.mark.parametrize("zone", ZONES)
def test_every_day_of_two_years_has_its_moment(zone: str) -> None:
    place, moment, days = ZoneInfo(zone), datetime(2026, 1, 1, tzinfo=UTC), []
    for _ in range(730):
        moment = next_moment(moment, DAY, place)
        days.append(moment.astimezone(place).date())
    first: date = days[0]
    assert days == [first + timedelta(days=n) for n in range(730)]


@pytest.mark.parametrize("zone", ZONES)
@given(
    every=st.sampled_from(EVERY),
    now=st.datetimes(datetime(2025, 1, 1), datetime(2032, 1, 1), timezones=st.just(UTC)),
)
def test_moments_follow_one_another_and_all_agree_on_them(zone: str, every: timedelta, now: datetime) -> None:
    place = ZoneInfo(zone)
    due, then = due_moment(now, every, place), next_moment(now, every, place)
    assert due <= now < then
    assert then - due <= every + HOUR * (every == DAY)
    assert due_moment(due, every, place) == due, "what is due is due at its own moment"
    assert due_moment(then, every, place) == then
    assert next_moment(due, every, place) == then, "nothing between"
