"""What each command loads: `--help` nothing heavy, a station neither web framework nor database."""

import subprocess
import sys

import pytest

HEAVY = ("flask", "sqlalchemy", "alembic", "cryptography", "apscheduler", "granian", "httpx", "smartcard", "rich")


def loaded_by(*arguments: str) -> set[str]:
    """The modules in memory after the command has shown its help."""
    code = (
        "import sys; from uec.cli import run; code = run(sys.argv[1:]); print('\\n'.join(sys.modules)); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in ran.stdout.split()}


def test_help_loads_nothing_heavy() -> None:
    assert not loaded_by("--help") & set(HEAVY)


@pytest.mark.parametrize("command", ["run", "enrol"])
def test_a_station_needs_neither_web_nor_database(command: str) -> None:
    assert not loaded_by("station", command, "--help") & {"flask", "sqlalchemy", "alembic", "apscheduler", "granian"}


def test_the_stations_own_code_needs_neither_web_nor_database() -> None:
    code = "import sys, issuance.station.agent, uec.cli.station; print('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {name.split(".")[0] for name in ran.stdout.split()} & {"flask", "sqlalchemy", "alembic"}
