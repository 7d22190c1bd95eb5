"""What many years say together: P50 and P90 over the runs, by point and by week, and how a year is summed up."""

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.planning.outcome import Outcome, Tally, by_point, by_week, spread, week_of
from issuance.planning.twin import _late


def year(**facts: object) -> Outcome:
    """A year of two points and three weeks in which nothing is remarkable but what is told."""
    usual: dict[str, object] = {
        "kept": 1.0,
        "late_clocks": 0.0,
        "late": np.zeros(11, dtype=np.int64),
        "lying": np.zeros((2, 3), dtype=np.int64),
        "stock_outs": np.zeros(3, dtype=np.int64),
        "by_point": Tally(np.array([10, 10]), np.array([10, 10])),
        "by_week": Tally(np.array([10, 0, 10]), np.array([10, 0, 10])),
        "handed": 20,
        "unclaimed": 0,
        "plans": 1,
        "cards": {},
    }
    return Outcome(**(usual | facts))  # type: ignore[arg-type]


@given(st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_nine_of_ten_years_are_as_good_as_p90_and_half_as_p50(queues: list[int]) -> None:
    figures = spread([year(lying=np.array([[0, one, 0], [one // 2, 0, 0]]), handed=one) for one in queues])
    for share, side in ((0.5, 0), (0.9, 1)):
        assert sum(one <= figures["queue"][side] for one in queues) >= share * len(queues)
        assert sum(one >= figures["handed"][side] for one in queues) >= share * len(queues)
        # It is a year's own figure, and no better one holds as often.
        assert {figures["queue"][side], figures["handed"][side]} <= set(queues)
        assert sum(one < figures["queue"][side] for one in queues) < share * len(queues)
        assert sum(one > figures["handed"][side] for one in queues) < share * len(queues)


def test_a_figure_s_bad_end_is_the_high_or_the_low_one() -> None:
    years = [year(kept=n / 10, late_clocks=n / 10, unclaimed=n, stock_outs=np.array([n, 1, 0])) for n in range(1, 11)]
    figures = spread(years)
    assert figures["kept"] == (0.6, 0.2)
    assert figures["late_clocks"] == (0.5, 0.9)
    assert figures["unclaimed"] == (5, 9) and figures["stock_outs"] == (6, 10)


def test_of_those_who_are_late_nine_of_ten_wait_so_many_days() -> None:
    late = np.zeros(11, dtype=np.int64)
    late[[2, 3, 10]] = 50, 40, 10
    assert year(late=late).late_days == 3
    late[3] = 39
    assert year(late=late).late_days == 10
    assert year().late_days == 0


def test_a_week_or_a_point_without_a_promise_has_no_share() -> None:
    good, bad = year(), year(by_week=Tally(np.array([10, 0, 10]), np.array([10, 0, 5])))
    assert by_week([good, bad])["kept"] == ([1, None, 1], [1, None, 0.5])
    some = year(by_week=Tally(np.array([0, 4, 0]), np.array([0, 3, 0])))
    assert by_week([good, some])["kept"] == ([1, 0.75, 1], [1, 0.75, 1]), "only years with a promise have a say"
    nobody = year(by_point=Tally(np.array([0, 10]), np.array([0, 1])))
    assert by_point([nobody])["kept"] == ([None, 0.1], [None, 0.1])


def test_queues_are_those_of_the_fullest_point_and_day() -> None:
    one = year(lying=np.array([[1, 7, 2], [3, 0, 9]]))
    assert by_week([one])["queue"][0] == [3, 7, 9]
    assert by_point([one])["queue"][0] == [7, 9] and one.queue.tolist() == [7, 9]
    other = year(lying=np.array([[5, 5, 5], [0, 0, 0]]))
    assert by_point([one, other])["queue"] == ([5, 0], [7, 9])
    assert by_week([one, other])["queue"] == ([3, 5, 5], [5, 7, 9])


@pytest.mark.parametrize(
    ("first", "days", "weeks"),
    [
        (date(2026, 12, 28), 14, 2),
        (date(2027, 1, 1), 3, 1),
        (date(2026, 12, 31), 5, 2),
        (date(2024, 2, 26), 8, 2),
    ],
)
def test_weeks_begin_on_mondays_also_over_new_year(first: date, days: int, weeks: int) -> None:
    every = [first + timedelta(days=number) for number in range(days)]
    found = week_of(every)
    assert found[0] == 0 and found[-1] == weeks - 1
    for number in range(1, days):
        assert found[number] - found[number - 1] == (every[number].weekday() == 0)


def test_a_week_without_a_working_day_is_no_week_less() -> None:
    """Between 30 December and 11 January lie ten days of holidays: the week of the 4th has its number all the same."""
    assert week_of([date(2026, 12, 30), date(2027, 1, 11)]).tolist() == [0, 2]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12), st.lists(st.integers(0, 5), min_size=12, max_size=12))
def test_everybody_s_lateness_is_counted_once(promises: list[int], offers: list[int]) -> None:
    """Against a count person by person: who is promised day p and offered on day o waits o - p days more."""
    days = len(promises)
    promised = np.cumsum(promises)
    offered = np.minimum(np.cumsum(offers[:days]), 40)
    found = _late(promised[:, None], offered[:, None])
    expected = np.zeros(days + 1, dtype=np.int64)
    for person in range(int(promised[-1])):
        waited = int(np.searchsorted(offered, person, side="right") - np.searchsorted(promised, person, side="right"))
        if waited > 0:
            expected[waited] += 1
    assert found.tolist() == expected.tolist()
