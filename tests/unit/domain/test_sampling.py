"""The sample of a batch: exact chances, the edges, and the smallest that is enough."""

import math
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.domain.errors import InvalidInput
from uec.domain.sampling import SamplingPlan

PLAN = SamplingPlan()


def escape(cards: int, bad: int, sample: int) -> float:
    """The chance that a sample meets none of the bad ones, by counting."""
    return comb(cards - bad, sample) / comb(cards, sample)


@pytest.mark.parametrize(("cards", "sample"), [(0, 0), (1, 1), (2, 2), (10, 9), (50, 27), (500, 43), (5000, 45)])
def test_how_many_are_looked_at(cards: int, sample: int) -> None:
    assert PLAN.sample_size(cards) == sample


@given(st.integers(1, 600), st.floats(0.01, 0.5), st.floats(0.5, 0.99))
def test_the_sample_is_the_smallest_that_notices(cards: int, limit: float, certainty: float) -> None:
    sample, bad = SamplingPlan(limit, certainty).sample_size(cards), math.ceil(cards * limit)
    assert 1 <= sample <= cards
    assert escape(cards, bad, sample) <= (1 - certainty) * (1 + 1e-9)
    assert sample == 1 or escape(cards, bad, sample - 1) >= (1 - certainty) * (1 - 1e-9)


@given(st.integers(0, 2000))
def test_a_larger_share_or_less_certainty_needs_no_more(cards: int) -> None:
    sample = PLAN.sample_size(cards)
    assert SamplingPlan(limit=0.10).sample_size(cards) <= sample
    assert SamplingPlan(certainty=0.80).sample_size(cards) <= sample


@pytest.mark.parametrize("wrong", [(0.0, 0.9), (1.0, 0.9), (0.05, 0.0), (0.05, 1.0), (-1, 0.5)])
def test_a_plan_without_sense_is_refused(wrong: tuple[float, float]) -> None:
    with pytest.raises(InvalidInput):
        SamplingPlan(*wrong)
