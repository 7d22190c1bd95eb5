"""Nobody waits longer than a later applicant of the same class: an independent reading of a plan of 25,000 people.

The checker knows nothing of the planner: it makes everybody a row of class, card variant, point and days, and compares
people with people.
"""

from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from issuance.planning import calendar
from issuance.planning.lateness import explain
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.sample import sample_region

CALENDAR = calendar.load(Path(__file__).parents[3] / "config" / "calendar" / "russia.toml")


@pytest.fixture(scope="module")
def plan() -> Plan:
    given = sample_region(calendar=CALENDAR, start=date(2026, 1, 12), days=60, lines=5, points=15, cohort=18_000)
    return make_plan(_short_for_a_month(given))


def _short_for_a_month(given: Region) -> Region:
    """Lines make a tenth for four weeks and chips are late, so that people do wait, those with a clock too."""
    capacity, deliveries = given.supply.capacity.copy(), given.supply.deliveries.copy()
    capacity[:, 10:30] //= 10
    deliveries[:, 10:25] = 0
    return replace(given, supply=replace(given.supply, capacity=capacity, deliveries=deliveries))


def people(plan: Plan) -> dict[str, np.ndarray]:
    """Everybody, one row each: the slots of the plan are unrolled."""
    slots, _ = plan.pieces
    point, kind, variant = np.unravel_index(slots.stream, plan.region.demand.finished.shape)
    columns = {
        "point": point, "kind": kind, "variant": variant, "known": slots.known, "due": slots.due,
        "made": np.where(slots.made < 0, 0, slots.made), "left": slots.left, "promised": slots.promised,
        "place": slots.first,
    }  # fmt: skip
    rows = {name: np.repeat(values, slots.count) for name, values in columns.items()}
    within = np.arange(len(rows["place"])) - np.repeat(np.cumsum(slots.count) - slots.count, slots.count)
    return rows | {"place": rows["place"] + within}


def test_everybody_is_there_once(plan: Plan) -> None:
    rows = people(plan)
    assert len(rows["place"]) == int(plan.region.demand.known.sum()) > 20_000
    places = np.stack([rows[name] for name in ("point", "kind", "variant", "place")])
    assert len(np.unique(places, axis=1).T) == len(rows["place"])


def test_nobody_waits_longer_than_a_later_applicant_of_the_same_class(plan: Plan) -> None:
    """At each point, by class and variant: who became known earlier is made, sent and handed over no later."""
    rows = people(plan)
    queues = np.ravel_multi_index((rows["point"], rows["kind"], rows["variant"]), (99, 3, 9))
    for queue in np.unique(queues):
        mine = np.flatnonzero(queues == queue)
        order = mine[np.argsort(rows["known"][mine], kind="stable")]
        for day in ("due", "made", "left", "promised"):
            latest = np.maximum.accumulate(rows[day][order])
            earlier = rows["known"][order][1:] > rows["known"][order][:-1]
            assert (rows[day][order][1:][earlier] >= latest[:-1][earlier]).all(), day


def test_across_all_points_no_clock_is_made_before_an_older_one_that_waits(plan: Plan) -> None:
    """Lines and chips are the region's: they go by age, whatever the point. A day makes one age after the other."""
    rows = people(plan)
    days, compared = len(plan.region.days), 0
    for kind in (Kind.REMAKE, Kind.CLOCK):
        for variant in range(len(plan.region.variants)):
            mine = (rows["kind"] == kind) & (rows["variant"] == variant) & plan.region.reachable[rows["point"]]
            due, made = rows["due"][mine], np.minimum(rows["made"][mine], days)
            known = rows["known"][mine]
            for day in range(days):
                waits = (known <= day) & (made > day)
                if waits.any() and (made == day).any():
                    compared += 1
                    assert due[made == day].max() <= due[waits].min(), (kind, variant, day)
    assert compared, "clocks did wait"


def test_classes_come_in_their_order_on_every_day(plan: Plan) -> None:
    """A day that leaves a clock waiting makes no cohort card of its variant, one that leaves a remake no clock."""
    rows = people(plan)
    for variant in range(len(plan.region.variants)):
        for day in range(len(plan.region.days)):
            mine = (rows["variant"] == variant) & plan.region.reachable[rows["point"]]
            waits = mine & (rows["known"] <= day) & (rows["made"] > day)
            made = mine & (rows["made"] == day)
            if waits.any() and made.any():
                assert rows["kind"][made].max() <= rows["kind"][waits].min()


def test_any_person_s_place_is_explained_as_it_is(plan: Plan) -> None:
    rows = people(plan)
    chosen = np.random.default_rng(5).choice(len(rows["place"]), 200, replace=False)
    for row in chosen.tolist():
        told = explain(
            plan,
            point=int(rows["point"][row]),
            kind=Kind(int(rows["kind"][row])),
            variant=int(rows["variant"][row]),
            number=int(rows["place"][row]),
        )
        assert (told.known, told.due, told.promised) == tuple(
            int(rows[name][row]) for name in ("known", "due", "promised")
        )
        assert str(told.number) in told.en.replace(",", "") and told.ru


def test_the_checker_finds_an_unfair_plan(plan: Plan) -> None:
    """Two people of one queue change their days: the comparison by age falls."""
    slots, _ = plan.pieces
    promised = slots.promised.copy()
    stream = int(slots.stream[np.argmax(np.bincount(slots.stream)[slots.stream])])
    mine = np.flatnonzero(slots.stream == stream)
    promised[mine[[0, -1]]] = promised[mine[[-1, 0]]]
    unfair = replace(plan)
    unfair.__dict__["pieces"] = (replace(slots, promised=promised), plan.pieces[1])
    with pytest.raises(AssertionError, match="promised"):
        test_nobody_waits_longer_than_a_later_applicant_of_the_same_class(unfair)
