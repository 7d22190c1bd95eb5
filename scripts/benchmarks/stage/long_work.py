"""What lasts longer than a page over a region of full size, each in a process of its own with its seconds and memory.

A full export that lacks some of the register, the job that computes a list with its Merkle root, and the list of all
applications as CSV and as XLSX, from asking for the file to having it.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg

from scripts.benchmarks.figure import Figure, seconds
from scripts.benchmarks.stage.alone import alone

MEMORY_MB = 1024.0

FULL = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from uec.domain.actors import system_actor
from uec.services.register import import_register
from uec.store.engine import make_engine, session_factory

url, file, rejects = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
with session_factory(make_engine(url))() as session:
    told = import_register(
        session, path=file, rejects_path=rejects, actor=system_actor("bench"), now=datetime.now(UTC), full=True
    )
print(told, file=sys.stderr)
assert told.unchanged == told.rows and told.missing == int(sys.argv[4]), "whom the file lacks, and nobody else"
"""

LIST = """
import sys
from datetime import UTC, datetime
from uec.domain.actors import system_actor
from uec.domain.policy import Policy, PolicyBook
from uec.services import cohort
from uec.store.engine import make_engine, session_factory
from uec.synthetic.register import AS_OF

ways = {"actor": system_actor("bench"), "now": datetime.now(UTC)}
with session_factory(make_engine(sys.argv[1]))() as session:
    asked = cohort.ask(session, as_of=AS_OF, policy=Policy(), **ways)
    [made] = cohort.compute_asked(session, book=PolicyBook(Policy()), **ways)
assert made.id == asked.id and made.count, "a list of somebody"
print(f"{made.count} people, Merkle root {made.digest}", file=sys.stderr)
"""

TAKE_OUT = """
import re, sys, tempfile
from datetime import UTC, datetime
from pathlib import Path
from scripts.benchmarks import pages
from uec.domain.policy import Policy, PolicyBook
from uec.services import export_jobs

with tempfile.TemporaryDirectory() as folder:
    app = pages.app_of(sys.argv[1], Path(folder))
    client = pages.client_of(app, login=f"bench-{sys.argv[2]}")
    token = re.search(r'name="csrf_token" value="([^"]+)"', client.get("/office/exports").text)
    asked = client.post(f"/office/exports/applications/{sys.argv[2]}", data={"csrf_token": token[1]})
    assert asked.status_code == 302, asked.status
    sessions = app.extensions[pages.EXTENSION].sessions
    export_jobs.make_all(sessions, book=PolicyBook(Policy()), clock=lambda: datetime.now(UTC))
    ready = re.search(r"/office/exports/files/[0-9]+(?=\\")", client.get("/office/exports").text)
    answer = client.get(ready[0], buffered=False)
    size = sum(len(part) for part in answer.response)
    answer.close()
assert answer.status_code == 200 and size, answer.status
print(f"{sys.argv[2]}: {size / 1e6:.3f} MB", file=sys.stderr)
"""


def full_figures(url: str, file: Path, floor: float) -> Iterator[Figure]:
    """The register's own file once more as a full export, when the register has some that it lacks."""
    with psycopg.connect(url) as connection:
        lacking = connection.execute(b"SELECT count(*) FROM resident WHERE register_id LIKE 'TWIN-%'").fetchall()[0][0]
    value, memory = alone(FULL, url, str(file), str(file.with_name("rejects.csv")), str(lacking))
    yield Figure("emission.import.full", "s", value, floor)
    yield Figure("emission.import.full.memory", "MB", memory, goal=MEMORY_MB, at_most=True)


def list_figures(url: str) -> Iterator[Figure]:
    """The job of a list of everybody entitled, its root and all, beside the bare hashing of so many leaves."""
    with psycopg.connect(url) as connection:
        people = connection.execute(b"SELECT count(*) FROM resident").fetchall()[0][0]
    floor = seconds(lambda: _hashed(people))
    value, memory = alone(LIST, url)
    yield Figure("emission.cohort.job", "s", value, floor)
    yield Figure("emission.cohort.job.memory", "MB", memory, goal=MEMORY_MB, at_most=True)


def _hashed(people: int) -> None:
    leaf, node = b"\x00" + bytes(20), b"\x01" + bytes(64)
    for _ in range(people):
        hashlib.sha256(leaf).digest()
        hashlib.sha256(node).digest()


def export_figures(url: str) -> Iterator[Figure]:
    """The list of applications: asked for, made by a worker and taken, beside the server's own COPY of the table."""
    with psycopg.connect(url) as connection, tempfile.TemporaryFile() as file:

        def copy() -> None:
            with connection.cursor().copy(b"COPY application TO STDOUT WITH (FORMAT csv)") as out:
                file.writelines(out)

        floor = seconds(copy)
    for form in ("csv", "xlsx"):
        value, memory = alone(TAKE_OUT, url, form)
        yield Figure(f"emission.export.{form}", "s", value, floor)
        yield Figure(f"emission.export.{form}.memory", "MB", memory, goal=MEMORY_MB, at_most=True)
