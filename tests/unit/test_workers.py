"""Tests that share what a fixture opened stay in one worker: the groups are there, and xdist reads them."""

import os

import pytest


@pytest.fixture(scope="module")
def shared() -> list[int]:
    """What one test of this module leaves for the next one."""
    return []


@pytest.mark.parametrize("place", [1, 2, 3])
def test_tests_that_share_a_fixture_run_in_one_worker(
    request: pytest.FixtureRequest, shared: list[int], place: int
) -> None:
    shared.append(place)
    assert [mark.args for mark in request.node.iter_markers("xdist_group")] == [("unit/test_workers.py",)]
    if "PYTEST_XDIST_WORKER" in os.environ:
        assert request.node.nodeid.endswith("@unit/test_workers.py"), (
            "pytest-xdist does not know this pytest's node ids"
        )
