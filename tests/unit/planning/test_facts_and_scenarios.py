"""The planning facts and what-if changes: read, defaulted, refused by name."""

import tomllib
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from issuance.planning.calendar import WorkingCalendar, load
from issuance.planning.errors import PlanningError
from issuance.planning.facts import PLENTY, Facts, OfficePoint
from issuance.planning.facts_table import KNOWN, facts_from

DAYS = tuple(date(2026, 3, 2) + timedelta(days=number) for number in range(7))
POINTS = (OfficePoint("A", "А", "A", "71000000", 30), OfficePoint("B", "Б", "B", "71000000", 20))
SAMPLE = Path(__file__).parents[3] / "config" / "samples" / "facts.toml"
TABLE = """
[[lines]]
code = "L1"
machines = 2
cards_per_hour = 10
shift_hours = 4
maintenance = [{ first = 2026-03-03, last = 2026-03-03, machines = 1 }]

[chips]
in_hand = 70
deliveries = [{ day = 2026-03-07, count = 30 }]

[courier]
weekdays = [0, 2]
cost = 9

[points.B]
weekdays = [4]
storage = 15
transit = 1
"""


def test_without_facts_lines_make_what_points_hand_over() -> None:
    supply = Facts().supply(DAYS, WorkingCalendar(), POINTS)
    assert supply.capacity.tolist() == [[50, 50, 50, 50, 50, 0, 0]]
    assert supply.chips.tolist() == [PLENTY]
    delivery = Facts().delivery(DAYS, WorkingCalendar(), POINTS)
    assert delivery.departs.sum(axis=1).tolist() == [5, 5]
    assert delivery.hand_over[:, 0].tolist() == [30, 20]
    assert [place.storage for place in Facts().places(POINTS)] == [600, 400]


def test_facts_become_arrays() -> None:
    facts = facts_from(tomllib.loads(TABLE))
    supply = facts.supply(DAYS, WorkingCalendar(), POINTS)
    assert supply.capacity.tolist() == [[80, 40, 80, 80, 80, 0, 0]]
    assert supply.lines[0].shift == 80
    # A delivery on a Saturday that is not planned counts on the next day that is.
    assert supply.deliveries.tolist() == [[0, 0, 0, 0, 0, 30, 0]]
    assert facts.supply(DAYS[:5], WorkingCalendar(), POINTS).deliveries.sum() == 0
    delivery = facts.delivery(DAYS, WorkingCalendar(), POINTS)
    assert [np.flatnonzero(row).tolist() for row in delivery.departs] == [[0, 2], [4]]
    assert delivery.transit.tolist() == [0, 1]
    assert delivery.cost.tolist() == [9, 9]
    assert [place.storage for place in facts.places(POINTS)] == [600, 15]


WEEK = (date(2026, 5, 4), date(2026, 5, 17))
RUSSIA = load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")
LINE = {"code": "L1", "machines": 1, "cards_per_hour": 5}


@pytest.mark.parametrize(
    ("table", "weekends"),
    [
        ({}, []),
        ({"lines": [LINE]}, []),
        ({"lines": [LINE | {"shifts": [1, 1, 1, 1, 1, 1, 0]}]}, [16]),
        ({"lines": [LINE | {"shifts": [1] * 7, "machines": 0}]}, []),
        ({"points": {"A": {"minutes": [480] * 5 + [240, 120]}}}, [10, 16, 17]),
        ({"points": {"A": {"minutes": [480] * 5 + [5, 5], "minutes_a_card": 12}}}, []),
        ({"courier": {"weekdays": [0, 5]}}, [16]),
        ({"points": {"A": {"stops": [date(2026, 5, 9), date(2026, 5, 17)], "stop_minutes": 60}}}, [9, 17]),
        ({"points": {"A": {"weekdays": [6], "stops": [], "minutes": [60] * 7}}}, []),
        ({"points": {"Z": {"minutes": [60] * 7}}}, []),
    ],
)
def test_weekends_are_planned_where_anybody_works_then(table: dict[str, object], weekends: list[int]) -> None:
    """9 May, a Saturday, is a holiday, on which only a mobile office that is sent stands; Monday the 11th is off."""
    days = facts_from(table).days(*WEEK, RUSSIA, POINTS)
    assert [day.day for day in days if day.weekday() >= 5] == weekends
    assert [day.day for day in days if day.weekday() < 5] == [4, 5, 6, 7, 8, 12, 13, 14, 15]


def test_the_sample_says_everything_that_can_be_said() -> None:
    table = tomllib.loads(SAMPLE.read_text(encoding="utf-8"))
    facts = facts_from(table)
    assert facts.points["P2"].mobile and facts.lines[0][1].shifts[5] == 1 and facts.in_hand == {"uec": 120_000}
    said = {
        "": set(table),
        "lines": set(table["lines"][0]),
        "maintenance": set(table["lines"][0]["maintenance"][0]),
        "chips": set(table["chips"]),
        "deliveries": set(table["chips"]["deliveries"][0]),
        "courier": set(table["courier"]),
        "points": set().union(*table["points"].values()),
        "intake": set(table["intake"]),
        "windows": set(table["windows"]),
        "bureaux": set(table["bureaux"]["b1"]),
    }
    assert said == {part: set(names) for part, names in KNOWN.items()}


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({"line": []}, "line"),
        ({"lines": [{"code": "L1", "speed": 4}]}, "speed"),
        ({"lines": [{"code": "L1"}]}, "machines"),
        ({"chips": {"deliveries": [{"day": DAYS[0]}]}}, "count"),
        ({"points": {"A": {"window": 4}}}, "window"),
        ({"courier": {"days": [1]}}, "days"),
    ],
)
def test_facts_that_are_wrong_are_named(table: dict[str, object], named: str) -> None:
    with pytest.raises(PlanningError, match=named):
        facts_from(table)
