"""The parts of a work are timed while they are watched, and are themselves again afterwards."""

import types

import pytest

from scripts.benchmarks.stage.split import split, told


def module() -> types.ModuleType:
    made = types.ModuleType("work")
    made.count = lambda number, *, more=0: number + more  # type: ignore[attr-defined]
    made.fail = lambda: 1 // 0  # type: ignore[attr-defined]
    return made


def test_a_part_does_what_it_did_and_is_added_up() -> None:
    work = module()
    plain = work.count
    with split([("counting", work, "count"), ("failing", work, "fail")]) as took:
        assert [work.count(1), work.count(2, more=3)] == [1, 5]
        once = took["counting"]
        work.count(0)
        assert took["counting"] > once > 0 == took["failing"]
        with pytest.raises(ZeroDivisionError):
            work.fail()
    assert took["failing"] > 0
    assert work.count is plain


def test_parts_of_one_name_are_one_and_the_rest_is_told() -> None:
    work = module()
    with split([("all", work, "count"), ("all", work, "fail")]) as took:
        pass
    assert took == {"all": 0.0}
    assert told({"places": 1.25, "batches": 2.0}, 4.0) == "places 1.2, batches 2.0, the rest 0.8 s"
