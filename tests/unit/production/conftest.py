"""One office for the module; every test orders its own card."""

import itertools
from collections.abc import Callable, Iterator

import pytest

from tests.support.line import Line, make_line

_serials = itertools.count(1)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    made = make_line(tmp_path_factory.mktemp("line"))
    yield made
    made.office.vault.close()


@pytest.fixture
def serial() -> Callable[[], int]:
    """A number that no other test has."""
    return lambda: next(_serials)
