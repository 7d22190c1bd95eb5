"""What a database costs is told apart: for those who ask, and for itself."""

import time

import psycopg

from scripts.benchmarks import processor
from tests.support.postgres import Server

LIMIT_S = 120.0
ENOUGH_S = 0.05


def _server(server: Server) -> int:
    return int((server.folder / "data" / "postmaster.pid").read_text().split()[0])


def test_what_is_asked_counts_for_the_sessions(postgres_server: Server) -> None:
    first, name = _server(postgres_server), postgres_server.empty()
    with psycopg.connect(postgres_server.dsn(name), autocommit=True) as connection:
        before, ends = processor.of_database(first), time.monotonic() + LIMIT_S
        assert set(before) == {"sessions", "upkeep"}
        while processor.of_database(first)["sessions"] < before["sessions"] + ENOUGH_S:
            assert time.monotonic() < ends, "it counts and counts, and nothing is counted"
            connection.execute("SELECT count(*) FROM generate_series(1, 100000)")
    postgres_server.drop(name)
