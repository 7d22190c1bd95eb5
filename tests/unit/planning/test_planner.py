"""The plan's promises as properties: capacity kept, everybody once, remakes first, nobody overtaken, lateness named."""

from collections import Counter, defaultdict
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.errors import PlanningError
from issuance.planning.planner import Demand, Plan, PlanningRules, Priority, plan

MONDAY = date(2026, 11, 23)
EVERY_WEEKDAY = WorkingCalendar()


def demand(key: int, *, point: int = 1, priority: Priority = Priority.APPLICATION, accepted: int = 0) -> Demand:
    accepted_on = MONDAY + timedelta(days=accepted)
    return Demand(key, point, priority, accepted_on, accepted_on + timedelta(days=30))


def rules(horizon_days: int = 14, batch_limit: int = 500, delivery_days: int = 0) -> PlanningRules:
    return PlanningRules(EVERY_WEEKDAY, MONDAY, horizon_days, batch_limit, delivery_days)


def test_remakes_go_first_though_accepted_last() -> None:
    queue = [demand(1), demand(2), demand(3, priority=Priority.REMAKE, accepted=9), demand(4, priority=Priority.COHORT)]
    made = plan(queue, capacity={1: 1}, used={}, rules=rules())
    assert [batch.keys for batch in made.batches] == [(3,), (1,), (2,), (4,)]
    assert [batch.day.isoformat() for batch in made.batches] == ["2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26"]


def test_weekends_are_left_out_and_used_capacity_counts() -> None:
    made = plan(
        [demand(key) for key in range(4)],
        capacity={1: 1},
        used={(1, MONDAY): 1, (1, MONDAY + timedelta(days=1)): 1},
        rules=rules(),
    )
    assert [batch.day.weekday() for batch in made.batches] == [2, 3, 4, 0]


def test_a_big_day_is_cut_into_lots() -> None:
    made = plan([demand(key) for key in range(5)], capacity={1: 10}, used={}, rules=rules(batch_limit=2))
    assert [batch.keys for batch in made.batches] == [(0, 1), (2, 3), (4,)]
    assert {batch.day for batch in made.batches} == {MONDAY}


def test_who_is_late_is_said_with_both_days() -> None:
    old = Demand(7, 1, Priority.APPLICATION, MONDAY - timedelta(days=29), MONDAY + timedelta(days=1))
    on_time = plan([old], capacity={1: 1}, used={}, rules=rules())
    assert on_time.late == ()
    slow = plan([old], capacity={1: 1}, used={}, rules=rules(delivery_days=2))
    assert [(late.key, late.promised_on, late.due_on) for late in slow.late] == [
        (7, date(2026, 11, 25), date(2026, 11, 24))
    ]


def test_no_capacity_and_beyond_the_horizon_are_told_apart() -> None:
    made = plan([demand(1), demand(2, point=2), demand(3)], capacity={1: 1}, used={}, rules=rules(horizon_days=1))
    assert {(row.key, row.reason) for row in made.unplaced} == {(2, "no_capacity"), (3, "beyond_horizon")}


@pytest.mark.parametrize("wrong", [{"horizon_days": 0}, {"batch_limit": 0}, {"delivery_days": -1}])
def test_rules_that_contradict_themselves_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(PlanningError):
        rules(**wrong)


demands = st.lists(st.tuples(st.integers(1, 3), st.sampled_from(Priority), st.integers(-40, 5)), max_size=60).map(
    lambda rows: [demand(key, point=point, priority=cls, accepted=day) for key, (point, cls, day) in enumerate(rows)]
)
capacities = st.dictionaries(st.integers(1, 3), st.integers(0, 4), max_size=3)
loads = st.dictionaries(
    st.tuples(st.integers(1, 3), st.integers(0, 9).map(lambda n: MONDAY + timedelta(days=n))), st.integers(0, 5)
)


@given(demands, capacities, loads, st.integers(1, 7))
def test_invariants(
    queue: list[Demand], capacity: dict[int, int], used: dict[tuple[int, date], int], limit: int
) -> None:
    made = plan(queue, capacity=capacity, used=used, rules=rules(batch_limit=limit))
    everybody_once(made, queue)
    load: Counter[tuple[int, date]] = Counter()
    for batch in made.batches:
        assert 0 < len(batch.keys) <= limit
        assert EVERY_WEEKDAY.is_working(batch.day)
        load[batch.point, batch.day] += len(batch.keys)
    for slot, cards in load.items():
        assert cards + used.get(slot, 0) <= capacity[slot[0]]
    nobody_overtaken(made, queue)
    assert plan(reversed(queue), capacity=capacity, used=used, rules=rules(batch_limit=limit)) == made


def everybody_once(made: Plan, queue: list[Demand]) -> None:
    keys = [key for batch in made.batches for key in batch.keys] + [row.key for row in made.unplaced]
    assert sorted(keys) == sorted(wanted.key for wanted in queue)


def nobody_overtaken(made: Plan, queue: list[Demand]) -> None:
    far = date.max
    day_of = {key: batch.day for batch in made.batches for key in batch.keys}
    at_point: dict[int, list[Demand]] = defaultdict(list)
    for wanted in queue:
        at_point[wanted.point].append(wanted)
    for waiting in at_point.values():
        days = [day_of.get(wanted.key, far) for wanted in sorted(waiting, key=lambda one: one.place_in_queue)]
        assert days == sorted(days)
