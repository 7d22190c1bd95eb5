"""An office for the commands of keys: made once, copied for each test."""

from pathlib import Path

import pytest

from tests.support.key_office import copy_of, make_office


@pytest.fixture(scope="session")
def made_office(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `uec init` leaves; nobody works in it."""
    return make_office(tmp_path_factory.mktemp("made-office"))


@pytest.fixture
def key_office(made_office: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which `uec init` has run, and in which the test works."""
    return copy_of(made_office, tmp_path, monkeypatch)
