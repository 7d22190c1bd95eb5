"""The register at full size: its import beside a server's COPY, and a list for mass emission beside one scan.

A quick run has 200,000 residents. What costs the same at any size (a process that starts, two thousand kinds of a list,
the slots of 150 queues) is then a small share: with half as many the ratios said more about it than about the work.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from sqlalchemy.orm import Session

from scripts.benchmarks.figure import Figure, median_seconds, medians, seconds
from scripts.benchmarks.server import ROOMY, durable_server
from scripts.benchmarks.stage.alone import alone
from scripts.benchmarks.stage.long_work import list_figures
from tests.support.postgres import Server
from uec.domain.actors import system_actor
from uec.domain.policy import Policy
from uec.domain.register_row import COLUMNS
from uec.services import cohort_members
from uec.services.register import import_municipalities
from uec.store.engine import make_engine, session_factory
from uec.store.tables import Cohort
from uec.synthetic.register import AS_OF, write_municipalities, write_register

RESIDENTS, QUICK_RESIDENTS = 1_400_000, 200_000
RUNS = 3
AT_MOST, MEMORY_MB = 5.0, 1024.0

IMPORT = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from uec.domain.actors import system_actor
from uec.services.register import import_register
from uec.store.engine import make_engine, session_factory

url, file, rejects = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
with session_factory(make_engine(url))() as session:
    told = import_register(session, path=file, rejects_path=rejects, actor=system_actor("bench"), now=datetime.now(UTC))
print(told, file=sys.stderr)
assert told.imported == told.rows and not told.rejected, "a clean file"
"""

SEARCH = """
import sys
from datetime import UTC, datetime
from uec.domain.actors import system_actor
from uec.services.twin_search import search
from uec.store.engine import make_engine, session_factory

with session_factory(make_engine(sys.argv[1]))() as session:
    opened = search(session, actor=system_actor("bench"), now=datetime.now(UTC))
    session.commit()
print(f"{opened} cases of twins opened", file=sys.stderr)
assert opened >= int(sys.argv[2]), "a twin was not found"
"""
# One resident of so many is entered a second time: 0.5 %.
TWIN_EVERY = 200


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """Import of a clean file with all checks and its memory; who is entitled, how many, of which kind; the root."""
    with register_file(QUICK_RESIDENTS if quick else RESIDENTS) as (url, file):
        yield from import_figures(url, file)
        yield from cohort_figures(url)


@contextmanager
def register_file(residents: int) -> Iterator[tuple[str, Path]]:
    """A server as README asks for it, with a migrated database, and the file of a register beside it."""
    with durable_server(Server, ROOMY) as server:
        yield server.dsn(server.migrated()), _register(server.folder, residents)


def _register(home: Path, residents: int) -> Path:
    file = home / "register.csv"
    write_register(file, residents=residents, seed=1, dirty=0)
    write_municipalities(home / "municipalities.csv")
    file.chmod(0o644)  # the server reads it itself
    home.chmod(0o755)
    return file


def import_figures(url: str, file: Path) -> Generator[Figure, None, float]:
    """The whole import, as a process of its own, beside a COPY of the same file by the server; returns that floor."""
    engine = make_engine(url)
    with session_factory(engine)() as session:
        actor, now = system_actor("bench"), datetime.now(UTC)
        import_municipalities(session, path=file.with_name("municipalities.csv"), actor=actor, now=now)
    engine.dispose()
    floor = _copied(url, file)
    value, memory = alone(IMPORT, url, str(file), str(file.with_name("rejects.csv")))
    yield Figure("emission.import", "s", value, floor, AT_MOST, at_most=True)
    yield Figure("emission.import.memory", "MB", memory, goal=MEMORY_MB, at_most=True)
    return floor


def _copied(url: str, file: Path) -> float:
    """Seconds of a COPY into a table with the columns and indexes of the register's, and nothing else."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE copied (LIKE resident INCLUDING ALL)")
        for column in ("row_digest", "updated_at", "import_id"):
            connection.execute(f"ALTER TABLE copied ALTER {column} DROP NOT NULL".encode())
        options = "FORMAT csv, HEADER, DELIMITER ';', NULL ''"
        copy = f"COPY copied ({', '.join(COLUMNS)}) FROM '{file}' WITH ({options})".encode()
        took = seconds(lambda: connection.execute(copy))
        connection.execute("DROP TABLE copied")
    return took


def cohort_figures(url: str) -> Iterator[Figure]:
    """Who is entitled, stored by kind, with count and breakdown, beside the scan that any answer needs; then the job.

    The job does the same once more, in a process of its own, and prints the Merkle root.
    """
    engine = make_engine(url)
    with psycopg.connect(url, autocommit=True) as connection, session_factory(engine)() as session:
        connection.execute("VACUUM ANALYZE resident")
        scan = b"SELECT count(*), max(address) FROM resident"
        floor, took = medians([lambda: connection.execute(scan).fetchall(), lambda: _compute(session)], runs=RUNS)
    yield Figure("emission.cohort", "s", took, floor, AT_MOST, at_most=True)
    engine.dispose()
    yield from list_figures(url)


def _compute(session: Session) -> None:
    cohort_id = _list(session)
    count = cohort_members.choose(session, cohort_id, as_of=AS_OF, policy=Policy())
    shares = cohort_members.breakdown(session, cohort_id)
    if not count or count != sum(share.count for share in shares):
        raise LookupError("the breakdown is not that of the list")
    session.rollback()


def _list(session: Session) -> int:
    cohort = Cohort(number="bench", as_of=AS_OF, count=0, digest="", created_at=datetime.now(UTC))
    session.add(cohort)
    session.flush()
    return cohort.id


def twin_figures(url: str) -> Iterator[Figure]:
    """The search for twins when every 200th resident is entered twice, beside one grouping of the register."""
    with psycopg.connect(url, autocommit=True) as connection:
        twins = connection.execute(_twins().encode()).rowcount
        connection.execute(b"VACUUM ANALYZE resident")
        grouping = b"SELECT snils FROM resident GROUP BY snils HAVING count(*) > 1"
        connection.execute(b"SET work_mem = '192MB'")
        floor = median_seconds(lambda: connection.execute(grouping).fetchall(), runs=RUNS)
    value, memory = alone(SEARCH, url, str(twins))
    yield Figure("emission.twins", "s", value, floor)
    yield Figure("emission.twins.memory", "MB", memory, goal=MEMORY_MB, at_most=True)


def _twins() -> str:
    """By turns: the same SNILS under another name, the same passport, the same person under other numbers."""
    names = [name for name in (*COLUMNS, "row_digest", "updated_at", "import_id") if name != "register_id"]
    turn = f"id / {TWIN_EVERY} % 3"
    other = {
        "surname": f"CASE WHEN {turn} = 2 THEN surname ELSE surname || 'ская' END",
        "snils": f"CASE WHEN {turn} = 0 THEN snils ELSE lpad((id + 90000000000)::text, 11, '0') END",
        "doc_number": f"CASE WHEN {turn} = 1 THEN doc_number ELSE lpad((id % 1000000)::text, 6, '0') END",
        "doc_series": f"CASE WHEN {turn} = 1 THEN doc_series ELSE '0000' END",
    }
    return (
        f"INSERT INTO resident (register_id, {', '.join(names)}) SELECT 'TWIN-' || id, "
        f"{', '.join(other.get(name, name) for name in names)} FROM resident WHERE id % {TWIN_EVERY} = 0"
    )
