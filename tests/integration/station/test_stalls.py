"""A line of two agents and four readers, with a card in each, of which something stands still or goes altogether.

Hub and agents are stopped for half a minute (longer than the hub waits for a card, and than any ping), both agents are
killed at once, the database server is stopped and started again under the hub. Nobody is blamed for any of it, and
each application ends with one good card.
"""

import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import Engine

from tests.integration.station.conftest import Network, open_network
from tests.integration.station.test_kills import end
from tests.integration.station.test_line import Line, check_line_makes
from tests.support.postgres import Server, server_programs
from uec.store.engine import make_engine, session_factory

STALL_S, AWAY_S, CARDS = 30.0, 5.0, 12
tick = threading.Event()


def stand_still(*processes: "subprocess.Popen[str] | subprocess.Popen[bytes]") -> None:
    """Stop processes for a while, as a machine that swaps or sleeps does."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    try:
        tick.wait(STALL_S)
    finally:
        for process in processes:
            process.send_signal(signal.SIGCONT)


def stalls(line: Line) -> list[Callable[[], None]]:
    """What happens to a line, in order."""

    def the_hub_stands_still() -> None:
        stand_still(line.hub)

    def both_agents_stand_still() -> None:
        stand_still(*line.agents.values())

    return [the_hub_stands_still, both_agents_stand_still, both_agents_killed(line)]


def both_agents_killed(line: Line) -> Callable[[], None]:
    def kill_both_agents() -> None:
        for name, process in list(line.agents.items()):
            end(process)
            line.start_agent(name)

    return kill_both_agents


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_what_stands_still_for_half_a_minute_costs_no_card(network_on_either: Network) -> None:
    check_line_makes(network_on_either, CARDS, stalls)


@pytest.fixture
def server() -> Iterator[Server]:
    """A database server of the test's own, in a folder that its user may enter."""
    programs = server_programs()
    assert programs is not None, "PostgreSQL is part of the test set-up"
    with TemporaryDirectory(prefix="uec-postgres-") as folder:
        opened = Server(programs, Path(folder))
        try:
            yield opened
        finally:
            opened.stop()


def restarts(server: Server, engine: Engine, line: Line) -> list[Callable[[], None]]:
    def the_database_is_away() -> None:
        server.down()
        tick.wait(AWAY_S)
        server.up()
        engine.dispose()

    return [the_database_is_away, line.kill_the_hub, both_agents_killed(line)]


@pytest.mark.nightly
@pytest.mark.postgres
@pytest.mark.timeout(600)
def test_a_database_that_is_stopped_under_the_hub_costs_no_card(server: Server, tmp_path: Path) -> None:
    url = server.dsn(server.migrated())
    engine = make_engine(url)
    with open_network(session_factory(engine), url, tmp_path) as network:
        check_line_makes(network, CARDS, lambda line: restarts(server, engine, line))
    engine.dispose()
