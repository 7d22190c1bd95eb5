"""Whatever the region: no capacity is exceeded, nobody is served twice, classes and queues keep their order."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from issuance.planning.cost import cost_of
from issuance.planning.forward import Walk, course_of, walk
from issuance.planning.optimiser import Plan, make_plan
from issuance.planning.region import Kind, Region
from issuance.planning.relaxation import relax
from issuance.planning.replan import replan
from issuance.planning.slots import slots_of
from tests.unit.planning.regions import chance_region, regions


def check_nothing_exceeded(region: Region, walked: Walk) -> None:
    """Lines, chips, couriers, safes and windows, and that cards only move on."""
    _, batches = slots_of(region, walked)
    load = np.zeros_like(region.supply.capacity)
    np.add.at(load, (batches.line, batches.made), batches.count)
    assert (load <= region.supply.capacity).all()
    for line, variant in zip(batches.line, batches.variant, strict=True):
        assert variant in region.supply.lines[line].makes
    made = walked.made.sum(axis=(1, 2))
    chips = region.supply.chips + np.cumsum(region.supply.deliveries.T, axis=0) - np.cumsum(made, axis=0)
    assert (chips >= 0).all()
    assert (chips == walked.chips).all()
    assert (walked.left.sum(axis=(2, 3)) <= region.delivery.volume).all()
    assert not walked.left.sum(axis=(2, 3))[~region.delivery.departs.T].any()
    assert (walked.handed.sum(axis=(2, 3)) <= region.delivery.hand_over.T).all()
    rooms = np.array([place.storage for place in region.places])
    lying = walked.stock.sum(axis=(2, 3))
    there = np.maximum(rooms, region.demand.stock.sum(axis=(1, 2)))
    assert (lying <= there).all()
    known = np.cumsum(np.moveaxis(region.demand.known, -1, 0), axis=0)
    done, gone, handed = (np.cumsum(part, axis=0) for part in (walked.made, walked.left, walked.handed))
    assert (done <= known).all()
    assert (gone[0] <= region.demand.finished).all()
    assert (gone[1:] <= region.demand.finished + done[:-1]).all()
    assert (handed <= region.demand.stock + gone).all()
    assert min(part.min() for part in (walked.made, walked.left, walked.handed, walked.stock)) >= 0


def check_queues(region: Region, walked: Walk) -> None:
    """Everybody has one place, and who stands further on in a queue is never served earlier."""
    slots, _ = slots_of(region, walked)
    assert slots.count.sum() == region.demand.known.sum() + region.demand.finished.sum()
    for stream in np.unique(slots.stream):
        rows = slots.stream == stream
        ends = slots.first[rows] + slots.count[rows]
        assert slots.first[rows][0] == 0
        assert (slots.first[rows][1:] == ends[:-1]).all()
        for days in (slots.made[rows], slots.left[rows], slots.promised[rows], slots.due[rows]):
            assert (np.diff(days) >= 0).all()
    days = len(region.days)
    made = (slots.made >= 0) & (slots.made < days)
    assert (slots.made[made] >= slots.known[made]).all()
    assert (slots.left[made & (slots.left < days)] > slots.made[made & (slots.left < days)]).all()
    served = slots.promised < days
    assert (slots.promised[served] >= slots.left[served]).all()


def check_classes(region: Region, walked: Walk) -> None:
    """No cohort card of a variant is made on a day that leaves a remake or clock of it unmade, nor a clock a remake."""
    open_cards = np.cumsum(np.moveaxis(region.demand.known, -1, 0) - walked.made, axis=0)
    open_cards = open_cards[:, region.reachable].sum(axis=1)
    made = walked.made.sum(axis=1)
    for later in (Kind.CLOCK, Kind.COHORT):
        for earlier in range(later):
            assert not (open_cards[:, earlier] * made[:, later]).any()


def check(plan: Plan) -> None:
    check_nothing_exceeded(plan.region, plan.walk)
    check_queues(plan.region, plan.walk)


@given(regions)
@settings(max_examples=25, deadline=None)
def test_a_plan_exceeds_nothing_serves_nobody_twice_and_keeps_the_order(region: Region) -> None:
    plan = make_plan(region)
    check(plan)
    check_classes(region, plan.walk)


@pytest.mark.nightly
@given(regions)
@settings(max_examples=2000, deadline=None)
def test_a_plan_keeps_the_rules_in_very_many_regions(region: Region) -> None:
    plan = make_plan(region)
    check(plan)
    check_classes(region, plan.walk)
    assert plan.bound <= plan.cost.total * (1 + 1e-6) + 1e-3


@pytest.mark.slow
@given(regions, st.integers(0, 2**32))
@settings(max_examples=25, deadline=None)
def test_no_walk_beats_the_bound(region: Region, seed: int) -> None:
    """Any walk is a plan; one towards targets by chance and on trips by chance is none the programme had in mind."""
    random = np.random.default_rng(seed)
    people = int(region.demand.known[:, Kind.COHORT].sum()) + 1
    shape = (len(region.places), len(region.variants), len(region.days))
    targets = np.sort(random.integers(0, people, shape), axis=-1)
    trips = region.delivery.departs & (random.random(region.delivery.departs.shape) < 0.8)
    plan = make_plan(region)
    for tried in (region.delivery.departs, trips):
        walked = walk(course_of(region, targets=targets, trips=tried))
        check_nothing_exceeded(region, walked)
        cost = cost_of(region, walked)
        assert relax(region).bound <= cost.people * (1 + 1e-6) + 1e-3
        assert plan.bound <= cost.total * (1 + 1e-6) + 1e-3


@given(regions, st.integers(2, 6))
@settings(max_examples=15, deadline=None)
def test_finer_clusters_only_sharpen_the_bound(region: Region, clusters: int) -> None:
    coarse, fine = relax(region), relax(region, clusters=clusters)
    assert fine.bound >= coarse.bound * (1 - 2e-3) - 1e-3
    walked = walk(course_of(region, targets=fine.targets))
    assert fine.bound <= cost_of(region, walked).people * (1 + 1e-6) + 1e-3


@given(regions, st.data())
@settings(max_examples=25, deadline=None)
def test_a_new_plan_keeps_what_is_frozen_and_all_the_rules(region: Region, data: st.DataObject) -> None:
    plan = make_plan(region)
    day = data.draw(st.integers(0, len(region.days) - 1))
    frozen = data.draw(st.integers(0, 3))
    event = data.draw(st.sampled_from(["line", "chips", "more", "rush", "none"]))
    changed = region
    if event == "line":
        capacity = region.supply.capacity.copy()
        capacity[0, day + frozen :] = 0
        changed = replace(region, supply=replace(region.supply, capacity=capacity))
    elif event == "chips":
        deliveries = region.supply.deliveries.copy()
        deliveries[:, day + frozen :] = 0
        changed = replace(region, supply=replace(region.supply, deliveries=deliveries))
    elif event == "more":
        capacity = region.supply.capacity.copy()
        capacity[:, day:] = 3 * capacity[:, day:] + 5
        changed = replace(region, supply=replace(region.supply, capacity=capacity))
    elif event == "rush":
        # Remakes come up that would go before everybody; the frozen days are not theirs.
        known, due = region.demand.known.copy(), region.demand.due.copy()
        known[:, Kind.REMAKE, 0, day] += 7
        due[:, Kind.REMAKE, 0, -1] += 7
        changed = replace(region, demand=replace(region.demand, known=known, due=due))
    again = replan(plan, changed, day=day, frozen=frozen)
    check(again.plan)
    assert (again.plan.walk.made[: day + frozen] == plan.walk.made[: day + frozen]).all()
    assert (again.plan.walk.left[:day] == plan.walk.left[:day]).all()
    told = sum(one.count for one in again.moved)
    assert told <= changed.demand.known[..., : day + 1].sum() + region.demand.finished.sum()
    if event == "none":
        assert not again.moved or again.later == 0


def test_the_rules_are_checked_against_plans_that_break_them() -> None:
    """The checks themselves can fail: the same walk where couriers, windows, chips or safes hold less."""
    region = chance_region(7, days=12, points=3, variants=1, lines=2, plenty=1.0)
    plan = make_plan(region)
    assert plan.walk.left.sum() > 0
    assert plan.walk.handed.sum() > 0
    check_nothing_exceeded(region, plan.walk)
    delivery, supply = region.delivery, region.supply
    smaller = [
        replace(region, delivery=replace(delivery, volume=delivery.volume * 0)),
        replace(region, delivery=replace(delivery, hand_over=delivery.hand_over * 0)),
        replace(region, supply=replace(supply, chips=supply.chips * 0, deliveries=supply.deliveries * 0)),
        replace(region, places=tuple(replace(place, storage=0) for place in region.places)),
    ]
    for broken in smaller:
        with pytest.raises(AssertionError):
            check_nothing_exceeded(broken, plan.walk)
