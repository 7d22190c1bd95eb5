"""Data preparation: cards a second by one worker node and by two, beside bare hashing and signing.

The nodes are processes that take parts of 500 cards from the queue on PostgreSQL (fsync on), as `uec worker` does; the
vault is a process of its own. Cards are those of the mass profile: no photo. Rates are taken from the queue's own
record of when jobs began and ended, and what it takes to number the cards and to derive their keys is added. A node
counts until its last part is done: that it has none left while the other is at one is the batch's end, not its pace
(`two_nodes_to_the_end` has that too, from the first part's beginning to the last one's end).

What making a batch leaves to the database (vacuum, checkpoints) is done before the clock runs: beside one node it would
cost nothing, as a processor is free, and beside two it would. One and two nodes take turns in going first, often, as
machines that are shared change their pace by the second. `two_bare` says what the machine itself gives to two busy
processes beside one: two nodes cannot do better.

`processor` is how long processors worked for a card, by whose work it was, with two nodes (`value`) and with one
(`floor`). Where it grows, two nodes disturb each other; where it does not, and the rate stays behind, they wait.
"""

from __future__ import annotations

import hashlib
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from card_io.ciphers import AES_BLOCK
from card_io.secret import Secret
from issuance.keys import diversification, material
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KDF3, KeyAlgorithm
from issuance.keys.service import VaultService
from issuance.production.groups_writer import read_groupings
from scripts.benchmarks import processor
from scripts.benchmarks.beside import SPAWN, Beside
from scripts.benchmarks.figure import Figure
from scripts.benchmarks.server import ROOMY, durable_server
from tests.support.desk import SETTINGS
from tests.support.keys import PASSPHRASES, make_vault
from tests.support.office import open_office, seeded_random
from tests.support.postgres import Server
from uec.domain.actors import system_actor
from uec.domain.numbers import make_card_number
from uec.queue import run_node
from uec.services import authority, preparation
from uec.services.preparation import PART
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.worker import tools_of

RATIO_GOAL = 0.35
NODES_GOAL = 1.8
CARDS, RUNS = 60 * PART, 11
QUICK_CARDS, QUICK_RUNS = 40 * PART, 3
WARM_UP = 8 * PART  # cards a node: the database plans a statement anew for the first five times
LOOK_EVERY_S = 0.5
AES_KEY_BYTES = 16
WORKS = ("nodes", "vault", "sessions", "upkeep")
"""Whose processor time is told: the nodes', the vault's, and the database's for them and for itself."""


class Run(NamedTuple):
    """Cards a second of a batch, and the processor time of a card in microseconds by whose it was."""

    rate: float
    to_the_end: float
    spent: dict[str, float]


@dataclass
class Office:
    """An office on a private server, with residents to make cards for, and its vault's process."""

    settings: Settings
    engine: Engine  # one, and kept: looking whether jobs are left must cost nothing beside the work that is measured
    server: int  # the number of the database's first process
    vault: int

    def batch(self, cards: int) -> int:
        """A released batch of so many cards, as it lies there when its day comes."""
        with self.session() as session:
            batch_id = int(session.execute(text(_BATCH), {"cards": cards}).scalar_one())
            session.execute(text(_APPLICATIONS), {"cards": cards, "batch": batch_id})
            session.execute(text(_CARDS), {"cards": cards, "batch": batch_id})
            session.execute(text("UPDATE batch SET state = 'RELEASED' WHERE id = :batch"), {"batch": batch_id})
            session.commit()
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM (ANALYZE)"))  # or the server does it by itself, when it likes
        return batch_id

    def hand_over(self, batch_id: int) -> None:
        """Give a batch to whoever works."""
        with self.session() as session:
            preparation.hand_over(session, batch_id)
            session.commit()

    def spent(self, nodes: Sequence[Beside]) -> Counter[str]:
        """Seconds of processor time since everybody began, by whose it was."""
        ours = {"nodes": sum(processor.of_process(node.pid) for node in nodes)}
        return Counter(ours | {"vault": processor.of_process(self.vault)}) + processor.of_database(self.server)

    def seconds(self, batch_id: int, nodes: int) -> tuple[float, float]:
        """How long a node worked on a batch, and how long the batch took; the nodes must be there still."""
        with self.session() as session:
            workers, worked, took = session.execute(text(_TOOK), {"batch": str(batch_id)}).one()
            left = session.scalar(text("SELECT count(*) FROM card WHERE state <> 'PREPARED'"))
        if left or workers != nodes:
            raise LookupError(f"{left} cards were not prepared, and {workers} of {nodes} nodes took parts")
        return float(worked), float(took)

    def groups(self) -> list[list[bytes]]:
        """The data groups of a part, for the floor."""
        with self.session() as session:
            rows = session.scalars(text("SELECT groups FROM card_data ORDER BY card_id DESC LIMIT :n"), {"n": PART})
            return [list(read_groupings(bytes(row)).values()) for row in rows]

    @contextmanager
    def session(self) -> Iterator[Session]:
        with session_factory(self.engine)() as session:
            yield session


_BATCH = """
    INSERT INTO batch (number, state, planned_for, point_id, profile, transport, planned_at, version)
    SELECT 'B-' || (SELECT count(*) FROM batch) || '-' || :cards, 'PLANNED', DATE '2026-03-02', min(id), 'uec', 'pcsc',
           now(), 1
    FROM issuance_point RETURNING id
"""
_APPLICATIONS = """
    INSERT INTO application (number, route, reason, state, surname, name, patronymic, birth_date, birth_place, sex,
        snils, oms, doc_type, doc_series, doc_number, doc_date, doc_issuer, address, point_id, secret_hash,
        submitted_at, due_on, remake, version)
    SELECT :batch || '-' || i, 'WEB', 'FIRST', 'SUBMITTED',
        (ARRAY['Иванов', 'Верхнеозёрский', 'Щукина', 'Юрьев'])[1 + i % 4], (ARRAY['Иван', 'Анастасия'])[1 + i % 2],
        'Александрович', DATE '1950-01-01' + (i * 37) % 20000, 'г. Тюмень', 'M', lpad(i::text, 11, '0'),
        lpad(i::text, 16, '0'), 'passport', '7110', '123456', DATE '2010-05-05', 'УФМС России', 'ул. Ленина, 1',
        (SELECT min(id) FROM issuance_point), '', now(), DATE '2026-04-01', false, 1
    FROM generate_series(1, :cards) AS i
"""
_CARDS = """
    INSERT INTO card (number, application_id, batch_id, state, profile, printed_name, expires_on, version)
    SELECT '964360' || lpad(id::text, 10, '0'), id, :batch, 'PLANNED', 'uec', 'IVANOV IVAN', DATE '2031-03-02', 1
    FROM application ORDER BY id DESC LIMIT :cards
"""
_TOOK = """
    SELECT count(*), avg(ended) - min(began), max(ended) - min(began)
    FROM (
        SELECT extract(epoch FROM min(event.at) FILTER (WHERE event.type = 'started')) AS began,
            extract(epoch FROM max(event.at) FILTER (WHERE event.type = 'succeeded')) AS ended
        FROM procrastinate.procrastinate_events AS event
        JOIN procrastinate.procrastinate_jobs AS job ON job.id = event.job_id
        WHERE job.args ->> 'batch_id' = :batch GROUP BY job.worker_id
    ) AS worked
"""


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """Cards a second of one node beside the floor, and of two nodes beside one."""
    cards, runs = (QUICK_CARDS, QUICK_RUNS) if quick else (CARDS, RUNS)
    with _office() as office, ProcessPoolExecutor(2, SPAWN) as pool:
        _prepared(office, PART, nodes=1)  # gives the floor its data groups
        floors, both = [], []
        runs_of: dict[int, list[Run]] = {1: [], 2: []}
        for run in range(runs):  # in turn, so that whatever else the machine does weighs on all alike
            groups = office.groups()
            floors += pool.map(_bare, [groups])
            both.append(sum(pool.map(_bare, [groups, groups])))
            for nodes in (1, 2) if run % 2 else (2, 1):
                runs_of[nodes].append(_prepared(office, cards, nodes=nodes))
        floor, two_floors = statistics.median(floors), statistics.median(both)
        one, two = (statistics.median(run.rate for run in runs_of[nodes]) for nodes in (1, 2))
        yield Figure("preparation.cards", "cards/s", one, floor, RATIO_GOAL)
        yield Figure("preparation.two_nodes", "cards/s", two, one, NODES_GOAL)
        whole = [statistics.median(run.to_the_end for run in runs_of[nodes]) for nodes in (1, 2)]
        yield Figure("preparation.two_nodes_to_the_end", "cards/s", whole[1], whole[0])
        yield Figure("preparation.two_bare", "cards/s", two_floors, floor)
        for work in WORKS:
            one, two = (statistics.median(run.spent[work] for run in runs_of[nodes]) for nodes in (1, 2))
            yield Figure(f"preparation.processor.{work}", "us/card", two, one)


def _bare(groups: list[list[bytes]]) -> float:
    """Cards a second when the data groups are only hashed, and one signature a card is only made."""
    key, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    message = bytes(105)
    count, ends = 0, time.perf_counter() + 0.5
    started = time.perf_counter()
    while time.perf_counter() < ends:
        for contents in groups:
            for content in contents:
                hashlib.sha256(content).digest()
            key.sign(message, algorithm)
        count += len(groups)
    return count / (time.perf_counter() - started)


def _prepared(office: Office, cards: int, *, nodes: int) -> Run:
    """A batch prepared by so many nodes, started before its jobs are there."""
    running = [Beside(_node, office.settings) for _ in range(nodes)]
    try:
        for node in running:
            node.wait()
        for some in (nodes * WARM_UP, cards):  # a new process has everything to load and to look up once
            batch_id = office.batch(some)
            before = office.spent(running)
            office.hand_over(batch_id)
            while _jobs_left(office):
                time.sleep(LOOK_EVERY_S)
            spent = office.spent(running) - before
        worked, took = office.seconds(batch_id, nodes)
    finally:
        for node in running:
            node.close()
    more = _numbers_and_keys(cards) / nodes
    return Run(cards / (worked + more), cards / (took + more), {work: spent[work] / cards * 1e6 for work in WORKS})


def _numbers_and_keys(cards: int) -> float:
    """Seconds for what other services do of a card's preparation: its number (planning) and its keys (the vault).

    Keys are derived from what the chip says of itself, so in an office not before the chip is there.
    """
    key = bytes(range(AES_KEY_BYTES))
    master = diversification.Master(
        AES_KEY_BYTES, AES_BLOCK, lambda _: [], material.encryptor(Secret(key), KeyAlgorithm.AES_128)
    )
    started = time.perf_counter()
    for first in range(0, cards, PART):
        numbers = [make_card_number("964360", serial) for serial in range(first, first + PART)]
        diversification.static_keys(master, KDF3, [number[-10:].encode() for number in numbers])
    return time.perf_counter() - started


def _jobs_left(office: Office) -> int:
    with office.session() as session:
        return (
            session.scalar(
                text("SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status IN ('todo', 'doing')")
            )
            or 0
        )


def _node(ready: Callable[[], None], stop: Event, settings: Settings) -> None:
    with tools_of(settings) as tools:
        ready()
        run_node(tools, stop=stop)


def _vault(ready: Callable[[], None], stop: Event, folder: Path, socket: Path) -> None:
    with FileVault.unlock(folder, PASSPHRASES) as vault, VaultService(vault, socket):
        ready()
        stop.wait()


@contextmanager
def _office() -> Iterator[Office]:
    with durable_server(Server, ROOMY) as server, tempfile.TemporaryDirectory(prefix="uec-") as short:
        socket, vault_folder = Path(short) / "v.sock", Path(short) / "vault"
        settings = replace(SETTINGS, database_url=server.dsn(server.migrated()), vault_socket=socket)
        _furnish(settings, vault_folder)
        vault = Beside(_vault, vault_folder, socket)
        engine = make_engine(settings.database_url)
        try:
            vault.wait()
            first = (server.folder / "data" / "postmaster.pid").read_text().partition("\n")[0]
            yield Office(settings, engine, int(first), vault.pid)
        finally:
            engine.dispose()
            vault.close()


def _furnish(settings: Settings, vault_folder: Path) -> None:
    engine, now = make_engine(settings.database_url), datetime.now(UTC) - timedelta(hours=1)
    open_office(session_factory(engine))
    with make_vault(vault_folder) as vault, session_factory(engine)() as session:
        authority.create(
            session, vault, settings=settings, actor=system_actor("bench"), now=now, random=seeded_random()
        )
        session.commit()
    engine.dispose()
