"""Every input of the planner counts: less of it makes the right people wait, more of it makes nobody wait longer.

Each is told as an event, which is how the page and `uec plan event` tell it, and planned by the office's own region.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import Kind
from tests.integration.services.test_plan_office import CALENDAR, TODAY, applicants
from tests.support.office import open_office
from uec.domain.lifecycle import Route
from uec.services import plan_events, plan_facts, plan_region
from uec.store.tables import Application

HORIZON_DAYS = 60
# Where the lines hold everybody back, and where the points do.
LINE_BOUND = {"lines": [{"code": "L1", "machines": 2, "cards_per_hour": 2, "shift_hours": 2}]}
POINT_BOUND = {
    "lines": [{"code": "L1", "machines": 9, "cards_per_hour": 9}],
    "points": {
        "P1": {
            "windows": 2, "minutes": [60, 60, 60, 60, 60, 0, 0], "minutes_a_card": 20, "share_percent": 50,
            "weekdays": [0, 2], "volume": 12, "storage": 14, "transit": 1,
        }
    },
}  # fmt: skip
MOBILE = {
    "lines": POINT_BOUND["lines"],
    "points": {
        "P1": {
            "stops": ["2026-03-10", "2026-03-24", "2026-04-07"], "stop_minutes": 120, "minutes_a_card": 10,
            "storage": 99, "share_percent": 100,
        }
    },
}  # fmt: skip
CHIPS = {"in_hand": {"uec": 60, "piv": 20}, "deliveries": [{"day": "2026-03-23", "count": 400}]}
STOCK_BOUND = {"lines": POINT_BOUND["lines"], "chips": CHIPS}
MAINTAINED = {"lines": [LINE_BOUND["lines"][0] | {"maintenance": [
    {"first": "2026-03-04", "last": "2026-04-03", "machines": 2}]}]}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """An input: a table, and what is said to make it `less` and `more`; whom it is about: a point, a variant or all."""

    name: str
    kind: str
    table: Mapping[str, Any]
    less: Mapping[str, str] | None
    more: Mapping[str, str] | None
    point: str = ""
    variant: str = ""
    fixed: Mapping[str, str] = field(default_factory=dict)


def line(**said: tuple[str, str]) -> Case:
    ((name, (less, more)),) = said.items()
    return Case(f"line {name}", "line", LINE_BOUND, {name: less}, {name: more}, fixed={"line": "L1"})


def point(name: str, less: str, more: str, table: Mapping[str, Any] = POINT_BOUND) -> Case:
    return Case(f"point {name}", "point", table, {name: less}, {name: more}, point="P1", fixed={"point": "P1"})


CASES = (
    line(machines=("1", "3")),
    line(cards_per_hour=("1", "3")),
    line(shift_hours=("1", "3")),
    line(shifts=("1 1 1 0 0 0 0", "1 1 1 1 1 1 0")),
    Case("shifts more", "shift", LINE_BOUND, {"more": "-1"}, {"more": "1"}, fixed={"line": "L1"}),
    Case("the week's shifts", "shift", LINE_BOUND, {"shifts": "1 1 0 0 0 0 0"}, {"shifts": "1 1 1 1 1 1 1"},
         fixed={"line": "L1"}),
    Case("a line stands still", "stop", LINE_BOUND, {"first": "2026-03-05", "last": "2026-03-12"}, None,
         fixed={"line": "L1"}),
    Case("a machine stands still", "stop", LINE_BOUND, {"first": "2026-03-05", "last": "2026-03-30", "machines": "1"},
         None, fixed={"line": "L1"}),
    Case("it works again", "resume", MAINTAINED, None, {"first": "2026-03-16"}, fixed={"line": "L1"}),
    Case("another line", "line", LINE_BOUND, None, {"machines": "1", "cards_per_hour": "5"}, fixed={"line": "L2"}),
    Case("chips in hand", "chips", STOCK_BOUND, {"count": "10"}, {"count": "150"}, fixed={"variant": "uec"},
         variant="uec"),
    Case("chips of a variant", "chips", STOCK_BOUND, {"count": "2"}, {"count": "90"}, fixed={"variant": "piv"},
         variant="piv"),
    Case("the stock's books", "chips", STOCK_BOUND, None, {}),
    Case("chips are ordered", "delivery", STOCK_BOUND, None, {"day": "2026-03-09", "count": "70"}),
    Case("a delivery's day", "late", STOCK_BOUND, {"day": "2026-04-13"}, {"day": "2026-03-11"},
         fixed={"delivery": "0"}, variant="uec"),
    Case("a delivery's number", "late", STOCK_BOUND, {"count": "30"}, {"count": "900"}, fixed={"delivery": "0"},
         variant="uec"),
    Case("a delivery never comes", "late", STOCK_BOUND, {"count": "0"}, None, fixed={"delivery": "0"}, variant="uec"),
    Case("the couriers' weekdays", "courier", POINT_BOUND, {"weekdays": "1"}, {"weekdays": "1 2 3 4 5"}),
    Case("the couriers' way", "courier", POINT_BOUND, {"transit": "6"}, {"transit": "0"}),
    Case("the couriers' volume", "courier", POINT_BOUND, {"volume": "2"}, {"volume": "900"}),
    point("weekdays", "1", "1 2 3 4 5"),
    point("weekdays", "0", "1 3 5"),
    point("transit", "7", "0"),
    point("volume", "3", "40"),
    point("storage", "3", "90"),
    point("windows", "1", "4"),
    point("minutes", "60 60 0 0 0 0 0", "60 60 60 60 60 60 0"),
    point("minutes_a_card", "60", "10"),
    point("share_percent", "20", "100"),
    point("stops", "2026-03-10", "2026-03-10 2026-03-14 2026-03-24 2026-04-07", MOBILE),
    point("stops", "0", "2026-03-10 2026-03-24 2026-04-07", MOBILE),
    point("stop_minutes", "30", "480", MOBILE),
    Case("all windows", "windows", POINT_BOUND, {"factor": "0.5"}, {"factor": "2"}),
)  # fmt: skip


ABOUT = {
    "line": "line", "shift": "line", "stop": "line", "resume": "line", "chips": "chips", "delivery": "chips",
    "late": "chips", "courier": "courier", "point": "point", "windows": "point",
}  # fmt: skip


@dataclass(frozen=True)
class Waits:
    """Days that all who wait are told to wait in all, and of each point's and each variant's people."""

    all: int
    points: Mapping[str, int]
    variants: Mapping[str, int]


def waits_of(plan: Plan) -> Waits:
    region, (slots, _) = plan.region, plan.pieces
    points, _kinds, variants = np.unravel_index(slots.stream, region.demand.finished.shape)
    # Who has no day waits past the horizon.
    days = [(day - TODAY).days for day in region.days] + [HORIZON_DAYS + 30]
    by_point: dict[str, int] = defaultdict(int)
    by_variant: dict[str, int] = defaultdict(int)
    for at in range(len(slots.count)):
        waited = int(slots.count[at]) * days[int(slots.promised[at])]
        by_point[region.places[int(points[at])].code] += waited
        by_variant[region.variants[int(variants[at])]] += waited
    return Waits(sum(by_point.values()), by_point, by_variant)


def planned(session: Session, table: Mapping[str, Any], calendar: WorkingCalendar = CALENDAR) -> Plan:
    facts = plan_facts.checked_here(session, table)
    return make_plan(
        plan_region.region_of(
            session, facts=facts, calendar=calendar, profile="uec", today=TODAY, horizon_days=HORIZON_DAYS
        )
    )


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> sessionmaker[Session]:
    """Three points that hand over ten a day, 40 people with a clock, 200 of mass emission; some want another card."""
    made = open_office(sessions, points=3, daily_capacity=10)
    with sessions() as session:
        people = applicants(session, made, 40, route=Route.WINDOW) + applicants(session, made, 200, route=Route.MASS)
        session.execute(update(Application).where(Application.id.in_(people[::6])).values(profile="piv"))
        session.commit()
    return sessions


@pytest.mark.parametrize("about", ["line", "chips", "courier", "point"])
def test_less_makes_the_right_people_wait_and_more_nobody(office: sessionmaker[Session], about: str) -> None:
    with office() as session:
        for case in CASES:
            if ABOUT[case.kind] == about:
                check(session, case)


def check(session: Session, case: Case) -> None:
    points = list(plan_region.office_points(session).values())
    usual = waits_of(planned(session, case.table))

    def told(said: Mapping[str, str]) -> Waits:
        table = plan_events.edited(case.table, case.kind, {**case.fixed, **said}, points=points)
        return waits_of(planned(session, table))

    if case.less is not None:
        less = told(case.less)
        assert less.all > usual.all, f"{case.name}: nobody noticed that there is less"
        for code in {"P1", "P2", "P3"} - {case.point} if case.point else ():
            assert less.points[code] <= usual.points[code], f"{case.name}: people of another point wait for it"
        for name in {"uec", "piv"} - {case.variant} if case.variant else ():
            assert less.variants[name] <= usual.variants[name], f"{case.name}: people of another variant wait for it"
    if case.more is not None:
        more = told(case.more)
        assert more.all <= usual.all, f"{case.name}: more of it made people wait"
        if case.less is None:
            assert more.all < usual.all, f"{case.name}: nobody noticed that there is more"


def test_days_off_and_shortened_days_count(office: sessionmaker[Session]) -> None:
    """A week off moves everybody behind it; an hour less a day moves some; a worked Saturday helps."""
    week = frozenset(TODAY + timedelta(days=number) for number in range(7, 12))
    with office() as session:
        usual = waits_of(planned(session, LINE_BOUND)).all
        for calendar, longer in (
            (WorkingCalendar(days_off=week), True),
            (WorkingCalendar(shortened_days=week), True),
            (WorkingCalendar(holidays=frozenset({(3, 10)})), True),
            (WorkingCalendar(working_days=frozenset({date(2026, 3, 7), date(2026, 3, 14)})), False),
        ):
            found = waits_of(planned(session, LINE_BOUND, calendar)).all
            assert found > usual if longer else found < usual


def test_expected_applications_push_the_cohort_back_and_dear_trips_are_fewer(office: sessionmaker[Session]) -> None:
    with office() as session:
        points = list(plan_region.office_points(session).values())

        def told(table: Mapping[str, Any], kind: str, **said: str) -> Plan:
            return planned(session, plan_events.edited(table, kind, said, points=points))

        def last_of_cohort(plan: Plan) -> int:
            return int(np.flatnonzero(plan.walk.made[:, :, Kind.COHORT].sum(axis=(1, 2)))[-1])

        alone, expecting = planned(session, LINE_BOUND), told(LINE_BOUND, "intake", factor="1.5")
        assert expecting.region.demand.known[:, Kind.CLOCK].sum() > alone.region.demand.known[:, Kind.CLOCK].sum()
        assert last_of_cohort(expecting) > last_of_cohort(alone)
        cheap, dear = (told(LINE_BOUND, "courier", cost=cost) for cost in ("0", "99.50"))
        assert dear.trips.sum() < cheap.trips.sum()
        assert cheap.region.delivery.cost.tolist() == [0.0] * 3 and dear.region.delivery.cost.tolist() == [99.5] * 3


@pytest.mark.parametrize(
    ("said", "served", "days"),
    [
        # Eighty or so people, two a day, though two idle points could serve them all in a week.
        ({"windows": 1, "minutes": [48] * 5 + [0, 0], "minutes_a_card": 12, "share_percent": 50}, True, (65, 100)),
        ({"weekdays": [0], "volume": 5}, True, (100, 160)),
        ({"storage": 4, "weekdays": [0]}, True, (120, 200)),
        ({"stops": ["2026-03-10", "2026-08-04"], "stop_minutes": 480, "minutes_a_card": 6}, True, (170, 200)),
        # What can never be served keeps the plan no longer open than the others take.
        ({"weekdays": []}, False, (31, 50)),
        ({"minutes": [0] * 7}, False, (31, 50)),
    ],
)
def test_a_plan_reaches_as_far_as_its_slowest_point_takes(
    office: sessionmaker[Session], said: Mapping[str, Any], served: bool, days: tuple[int, int]
) -> None:
    with office() as session:
        facts = plan_facts.checked({"lines": POINT_BOUND["lines"], "points": {"P1": said}})
        region = plan_region.region_of(session, facts=facts, calendar=CALENDAR, profile="uec", today=TODAY)
        assert days[0] <= (region.days[-1] - TODAY).days + 1 <= days[1]
        slots, _ = make_plan(region).pieces
        points = np.unravel_index(slots.stream, region.demand.finished.shape)[0]
        undated = {int(point) for point in points[slots.promised == len(region.days)]}
        assert undated == (set() if served else {0})
