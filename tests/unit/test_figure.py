"""A figure says by itself whether its goal is reached."""

import json
import subprocess
from pathlib import Path

import pytest

from scripts.benchmarks.figure import Figure, median_seconds
from scripts.benchmarks.run import NAMES

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("value", "floor", "goal", "at_most", "ok"),
    [
        (90.0, 100.0, 0.85, False, True),
        (80.0, 100.0, 0.85, False, False),
        (12.0, 10.0, 1.3, True, True),
        (14.0, 10.0, 1.3, True, False),
        (3.5, None, 3.0, True, False),
        (1.0, None, None, False, True),
    ],
)
def test_goal_is_compared_with_ratio_or_bare_value(
    value: float, floor: float | None, goal: float | None, at_most: bool, ok: bool
) -> None:
    assert Figure("f", "u", value, floor, goal, at_most).ok is ok


def test_line_is_one_json_object_with_the_promised_keys() -> None:
    line = Figure("cards", "a minute", 1234.5678, 2000.0, 0.5).line()
    assert json.loads(line) == {
        "name": "cards", "unit": "a minute", "value": 1235.0, "floor": 2000.0, "goal": 0.5, "ratio": 0.6173, "ok": True,
    }  # fmt: skip


def test_median_leaves_the_warm_up_out() -> None:
    calls: list[int] = []
    median_seconds(lambda: calls.append(1), runs=3)
    assert len(calls) == 4


def test_only_what_measures_is_offered() -> None:
    listed = subprocess.run(["scripts/bench", "--list"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert [line.split()[0] for line in listed.splitlines()[1:]] == NAMES
    assert {"card", "flow", "pki"} <= set(NAMES) and not {"run", "figure", "answering_card"} & set(NAMES)
