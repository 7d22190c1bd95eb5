"""Marks every test by the folder it stands in, so that `-m unit` and the like need no decorator."""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Machines are shared: how long one example takes says nothing about the code. The same examples in every run: whether a
# commit is good must not depend on which ones came up; `scripts/test --all` searches for others.
settings.register_profile("untimed", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("untimed"), derandomize=False)
# The loop that a developer keeps running asks less of each property; the whole run asks all.
settings.register_profile("loop", settings.get_profile("untimed"), max_examples=10)
settings.load_profile(os.environ.get("UEC_TEST_PROFILE", "untimed"))

pytest_plugins = ["tests.support.postgres", "tests.support.databases", "tests.support.pcsc"]

ROOT = Path(__file__).parent
KINDS = ("unit", "integration", "flow", "browser", "device")
LONGEST_ID_BYTES = 32


@pytest.hookimpl(tryfirst=True)  # xdist reads the groups in a hook of the same name, and would come first
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each test the marker named like its top folder below `tests/`, and the worker it shares with others."""
    for item in items:
        kind = item.path.relative_to(ROOT).parts[0]
        if kind in KINDS:
            item.add_marker(getattr(pytest.mark, kind))
        if "pcsc" in getattr(item, "fixturenames", ()):  # one pcscd and its readers: one worker drives them
            item.add_marker(pytest.mark.pcsc)
            item.add_marker(pytest.mark.xdist_group("pcsc"))
        elif kind == "browser":  # one browser, ended before tests of another kind run in the same worker
            item.add_marker(pytest.mark.xdist_group("browser"))
        elif shares_with_its_module(item):
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(ROOT))))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what tests have counted (`record_property("counted", ...)`), like how often a process was killed."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "counted":
                terminalreporter.write_line(f"{report.nodeid}: {value}")


def shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a fixture of the test lives as long as its module: what one test leaves there, the next one finds."""
    info = getattr(item, "_fixtureinfo", None)
    return info is not None and any(
        one.scope == "module" for definitions in info.name2fixturedefs.values() for one in definitions
    )


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name long data by its argument: data made with the clock or at random would be another test in each worker."""
    return argname if isinstance(val, bytes) and len(val) > LONGEST_ID_BYTES else None
