"""One office for the module; every test orders its own card."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.line import Line, make_line
from tests.unit.production.piv_line import open_line

_serials = itertools.count(1)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = make_line(tmp_path_factory.mktemp("line"))
    yield made
    made.office.vault.close()


@pytest.fixture(scope="module", params=["uec", "piv"])
def window(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """A window of each profile that has keys."""
    folder = tmp_path_factory.mktemp("window")
    if request.param == "piv":
        with open_line(folder) as line:
            yield line
        return
    line = make_line(folder)
    yield line
    line.office.vault.close()


@pytest.fixture
def serial() -> Callable[[], int]:
    """A number that no other test has."""
    return lambda: next(_serials)
