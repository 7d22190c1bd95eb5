"""The rule of the failure band: few false alarms inside it, caught soon outside, whatever came before."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uec.domain.errors import InvalidInput
from uec.domain.policy import Policy
from uec.domain.quality import FEWEST_FAILURES, Band, Rule, rule_of

BAND = Band()
RULE = rule_of(BAND)


def cards_until_alarm(rule: Rule, rate: float, chance: random.Random, limit: int = 400_000) -> int:
    """Simulate cards at a true failure rate until the counter reaches the threshold."""
    counter = 0
    for card in range(1, limit + 1):
        counter = max(0, counter + (rule.failure_points if chance.random() < rate else -1))
        if counter >= rule.threshold:
            return card
    return limit


def test_the_rule_of_the_policy() -> None:
    assert Policy().quality_band == BAND
    assert Rule(failure_points=10, threshold=39) == RULE


@pytest.mark.parametrize("band", [BAND, Band(0.02, 0.15), Band(0.05, 0.25), Band(0.01, 0.10, 100_000)])
def test_at_the_edge_of_the_band_a_false_alarm_is_as_rare_as_promised_and_not_much_rarer(band: Band) -> None:
    rule = rule_of(band)
    assert rule.average_run(band.allowed) >= band.false_alarm_every
    lower = Rule(rule.failure_points, rule.threshold - 1)
    smallest = rule.failure_points * (FEWEST_FAILURES - 1) + 1
    assert rule.threshold == smallest or lower.average_run(band.allowed) < band.false_alarm_every


@pytest.mark.parametrize("band", [BAND, Band(0.02, 0.15), Band(0.05, 0.25), Band(0.01, 0.10, 100_000)])
def test_far_inside_the_band_alarms_all_but_end_and_outside_they_come_soon(band: Band) -> None:
    rule = rule_of(band)
    assert rule.average_run(band.allowed / 2) > 15 * band.false_alarm_every
    assert rule.average_run(band.intolerable) < 60
    assert rule.average_run(0.5) < 15


@pytest.mark.parametrize("rate", [0.10, 0.20, 0.50])
def test_the_average_run_is_what_a_simulation_finds(rate: float) -> None:
    chance = random.Random(7)
    runs = [cards_until_alarm(RULE, rate, chance) for _ in range(2000)]
    assert sum(runs) / len(runs) == pytest.approx(RULE.average_run(rate), rel=0.08)


def test_in_band_few_of_many_readers_raise_a_false_alarm() -> None:
    """400 readers at half the edge of the band, 2,000 cards each: 736,798 cards a false alarm, so about one is due."""
    chance = random.Random(3)
    alarms = sum(cards_until_alarm(RULE, BAND.allowed / 2, chance, limit=2000) < 2000 for _ in range(400))
    assert alarms <= 6


def test_a_good_past_hides_nothing() -> None:
    broken = [True] * 4
    assert RULE.highest([False] * 100_000 + broken) >= RULE.threshold
    assert RULE.highest([False] * 100_000 + broken[:3]) < RULE.threshold


@given(st.lists(st.booleans(), max_size=300))
def test_the_counter_is_the_running_sum_less_its_lowest(failures: list[bool]) -> None:
    """The form in which the database reckons it."""
    total = lowest = highest = 0
    for failed in failures:
        total += RULE.failure_points if failed else -1
        lowest = min(lowest, total)
        highest = max(highest, total - lowest)
    assert RULE.highest(failures) == highest


@given(st.lists(st.booleans(), max_size=200), st.integers(0, 200))
def test_one_more_failure_never_helps(failures: list[bool], at: int) -> None:
    worse = [*failures[:at], True, *failures[at:]]
    assert RULE.highest(worse) >= RULE.highest(failures)


@settings(max_examples=30)
@given(st.floats(0.01, 0.2), st.floats(2.0, 6.0), st.floats(0.0, 1.0))
def test_a_higher_rate_is_caught_sooner(allowed: float, ratio: float, between: float) -> None:
    band = Band(allowed, min(allowed * ratio, 0.9), 2000)
    rule = rule_of(band)
    rate = allowed + (0.95 - allowed) * between
    assert rule.average_run(rate) <= rule.average_run(allowed) * 1.0001


def test_fewer_than_three_failures_are_never_out_of_band() -> None:
    for band in (BAND, Band(0.001, 0.9, 1), Band(0.3, 0.9, 1)):
        rule = rule_of(band)
        assert rule.highest([True] * (FEWEST_FAILURES - 1)) < rule.threshold


@pytest.mark.parametrize("values", [(0.0, 0.2), (0.3, 0.2), (0.2, 0.2), (0.1, 1.0), (-1.0, 0.5)])
def test_bands_that_are_none(values: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput):
        Band(*values)
    with pytest.raises(InvalidInput):
        Band(0.1, 0.2, 0)
