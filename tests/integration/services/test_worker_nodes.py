"""Worker nodes on PostgreSQL: killed in the middle, the database crashed under them, the vault away.

The nodes are processes of their own and die by SIGKILL. Whatever happens, every card is prepared exactly once, no
number is used twice, and what was signed fits what will be written.
"""

import asyncio
import gc
import subprocess
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from issuance.keys.service import VaultService
from issuance.pki import security_object
from issuance.pki.trust import Trust
from tests.integration.services.test_jobs import Yes
from tests.support import worker_node
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.outage import frail_server
from uec import queue as node
from uec.domain.errors import StoreUnavailable
from uec.domain.lifecycle import CardState
from uec.jobs import Tools
from uec.processes import OBJECTS_BETWEEN_COLLECTIONS, seldom_collected
from uec.queue import Hands, RecentRecipes, _pool
from uec.services import authority, batches, card_jobs, preparation, schedule
from uec.store import queue
from uec.store.engine import make_engine, session_factory
from uec.store.tables import AuditEntry, Card, CardData, ScheduledRun
from uec.store.tables.production import PreparedPart

WAIT_S = 120.0
CARDS = 40
PART = 4


@dataclass
class Nodes:
    """An office over one database, its vault's socket, and a folder for logs."""

    office: CardOffice
    url: str
    socket: Path
    log: Path

    def start(self, *stands: str) -> "subprocess.Popen[str]":
        return worker_node.start(self.url, self.socket, self.log, *stands)

    def release(self, people: int = CARDS) -> int:
        """A batch of so many cards, released: its parts are handed over in that transaction."""
        self.office.approve_applicants(*range(1, people + 1))
        (batch_id,) = self.office.plan()
        with self.office.sessions() as session:
            batches.release(session, batch_id, actor=self.office.staff.releaser, now=self.office.clock())
        return batch_id

    def count(self, state: CardState) -> int:
        with self.office.sessions() as session:
            return session.scalar(select(func.count()).where(Card.state == state)) or 0

    def jobs(self) -> dict[str, int]:
        with self.office.sessions() as session:
            return {row.status: row.jobs for row in queue.overview(session)}

    def until(self, done: Callable[[], bool]) -> None:
        """Wait, through any outage of the database."""
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                if done():
                    return
            except StoreUnavailable:
                pass
            assert time.monotonic() < deadline, self.log.read_text()[-3000:]
            time.sleep(0.1)


@contextmanager
def nodes_on(url: str, folder: Path, *, parts: int = PART) -> Iterator[Nodes]:
    engine = make_engine(url)
    office = open_card_office(session_factory(engine), folder, daily_capacity=CARDS)
    before, preparation.PART = preparation.PART, parts
    with tempfile.TemporaryDirectory(prefix="uec-") as short:
        try:
            yield Nodes(office, url, Path(short) / "v.sock", folder / "nodes.log")
        finally:
            preparation.PART = before
            office.desk.bench.vault.close()
            engine.dispose()


@pytest.fixture
def nodes(postgres_url: str, tmp_path: Path) -> Iterator[Nodes]:
    with nodes_on(postgres_url, tmp_path) as opened:
        yield opened


def require_each_card_once(nodes: Nodes, cards: int = CARDS) -> None:
    """Every card prepared once, by one part, told once, under its own number, and signed for."""
    bench = nodes.office.desk.bench
    with nodes.office.sessions() as session:
        made = session.execute(select(Card.id, Card.number, Card.state, Card.version).order_by(Card.id)).all()
        assert len(made) == cards == len({row.number for row in made})
        assert {row.state for row in made} == {CardState.PREPARED} and {row.version for row in made} == {2}
        assert list(session.scalars(select(CardData.card_id).order_by(CardData.card_id))) == [row.id for row in made]
        kept = {row.id: row for row in session.scalars(select(PreparedPart))}
        by_part = dict(session.execute(select(CardData.part_id, func.count()).group_by(CardData.part_id)).all())
        assert by_part == {part.id: part.cards for part in kept.values()}
        told = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "batch.prepare")).all()
        assert {details["part"]: details["root"] for details in told} == {p.id: p.root.hex() for p in kept.values()}
        assert len(told) == len(kept)
        trust = Trust.for_profile(
            authority.certificates(session).issuing,
            authority.ca_config(SETTINGS),
            bench.ca.profiles["document-signer"],
        )
        for row in made:
            groups = card_jobs.data_groups(session, row.id)
            signed = card_jobs.security_object(session, row.id, security_object.digests(groups))
            assert signed is not None
            security_object.verify(signed, trust, groups)


def test_releasing_a_batch_hands_its_parts_over_in_the_same_transaction(nodes: Nodes) -> None:
    nodes.release(10)
    assert nodes.jobs() == {"todo": 3}
    with nodes.office.sessions() as session:
        kept = session.scalars(text("SELECT args FROM procrastinate.procrastinate_jobs ORDER BY id")).all()
        ids = list(session.scalars(select(Card.id).order_by(Card.id)))
    assert [(one["first"], one["last"]) for one in kept] == [(ids[0], ids[3]), (ids[4], ids[7]), (ids[8], ids[9])]


def test_a_release_that_fails_hands_nothing_over(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    nodes.office.approve_applicants(1)
    (batch_id,) = nodes.office.plan()

    def fail(_session: Session) -> None:
        raise StoreUnavailable("gone")

    with nodes.office.sessions() as session:
        monkeypatch.setattr(session, "commit", lambda: fail(session))
        with pytest.raises(StoreUnavailable):
            batches.release(session, batch_id, actor=nodes.office.staff.releaser, now=nodes.office.clock())
    assert nodes.jobs() == {}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_nodes_killed_in_the_middle_prepare_every_card_once(nodes: Nodes) -> None:
    with VaultService(nodes.office.desk.bench.vault, nodes.socket):
        nodes.release()
        running = []
        try:
            for _ in range(2):  # half the kills strike before the rows are written, half between them and their commit
                running = [nodes.start("before"), nodes.start("after")]
                for victim in running:
                    assert victim.stdout is not None
                    assert victim.stdout.readline() == "in the middle\n", nodes.log.read_text()[-3000:]
                for victim in running:
                    worker_node.end(victim)
            assert nodes.count(CardState.PREPARED) == 0
            running = [nodes.start(), nodes.start()]
            nodes.until(lambda: nodes.count(CardState.PREPARED) == CARDS and set(nodes.jobs()) == {"succeeded"})
        finally:
            for node in running:
                worker_node.end(node)
    require_each_card_once(nodes)
    with nodes.office.sessions() as session:
        again = session.scalar(text("SELECT sum(attempts) FROM procrastinate.procrastinate_jobs"))
    assert again >= CARDS / PART + 4, "each kill struck a job, which was done a second time"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_database_crashes_under_the_nodes_and_the_work_goes_on(tmp_path: Path) -> None:
    with frail_server() as server, nodes_on(server.dsn(server.migrated()), tmp_path) as nodes:
        with VaultService(nodes.office.desk.bench.vault, nodes.socket):
            nodes.release()
            running = [nodes.start(), nodes.start()]
            try:
                for crash in (1, 2):
                    nodes.until(lambda: nodes.count(CardState.PREPARED) >= crash * 2 * PART)  # noqa: B023
                    server.crash()
                    time.sleep(0.5)
                    server.come_back()
                nodes.until(lambda: nodes.count(CardState.PREPARED) == CARDS and set(nodes.jobs()) == {"succeeded"})
                assert [node.poll() for node in running] == [None, None], "a node ended with the database"
            finally:
                for node in running:
                    worker_node.end(node)
        require_each_card_once(nodes)


@pytest.mark.slow
def test_a_part_waits_for_a_vault_that_is_away(nodes: Nodes) -> None:
    nodes.release(8)
    node = nodes.start()
    try:
        nodes.until(lambda: "vault" in nodes.log.read_text() and nodes.jobs() == {"todo": 2})
        assert nodes.count(CardState.PLANNED) == 8
        with VaultService(nodes.office.desk.bench.vault, nodes.socket):
            nodes.until(lambda: nodes.jobs() == {"succeeded": 2})
    finally:
        worker_node.end(node)
    require_each_card_once(nodes, 8)


@pytest.mark.slow
def test_the_scheduler_only_hands_over_and_a_node_does_it(nodes: Nodes) -> None:
    with nodes.office.sessions() as session:
        due_at = nodes.office.clock()
        assert schedule.trigger(session, "sweep", due_at, now=nodes.office.clock())
        assert not schedule.trigger(session, "sweep", nodes.office.clock(), now=nodes.office.clock()), "one waits"
    assert nodes.jobs() == {"todo": 1}
    node = nodes.start()
    try:
        nodes.until(lambda: nodes.jobs() == {"succeeded": 1})
    finally:
        worker_node.end(node)
    with nodes.office.sessions() as session:
        run = session.scalars(select(ScheduledRun)).one()
        assert run.finished_at is not None and (run.outcome or "").startswith("forgot 0 runs, 0 jobs")


def test_a_run_whose_job_was_lost_is_handed_over_again(nodes: Nodes) -> None:
    with nodes.office.sessions() as session:
        schedule.trigger(session, "sweep", nodes.office.clock(), now=nodes.office.clock())
        session.execute(text("DELETE FROM procrastinate.procrastinate_jobs"))
        session.commit()
        assert not schedule.trigger(session, "sweep", nodes.office.clock(), now=nodes.office.clock())
    assert nodes.jobs() == {"todo": 1}


def test_parts_nobody_has_are_handed_over_by_the_rhythm(nodes: Nodes) -> None:
    batch_id = nodes.release(10)
    with nodes.office.sessions() as session:
        assert preparation.hand_over(session, batch_id) == 0, "all are waiting"
        session.execute(text("DELETE FROM procrastinate.procrastinate_jobs WHERE id = 2"))
        session.commit()
        assert preparation.hand_over(session, batch_id) == 1
        session.rollback()


def test_a_connection_the_server_has_closed_is_not_taken_from_the_pool(postgres_url: str) -> None:
    async def look() -> None:
        async with _pool(conninfo=postgres_url, min_size=1, max_size=1, open=False) as pool:
            async with pool.connection() as connection:
                assert connection.autocommit
                await connection.execute("SELECT 1")
                first = connection.info.backend_pid
            with psycopg.connect(postgres_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [first])
            async with pool.connection() as connection:
                found = await (await connection.execute("SELECT pg_backend_pid()")).fetchone()
                assert found is not None and found[0] != first

    asyncio.run(look())


def test_a_living_worker_gives_back_what_is_not_in_its_hands(nodes: Nodes) -> None:
    nodes.release(12)
    with nodes.office.sessions() as session:
        worker = session.scalar(text("SELECT worker_id FROM procrastinate.procrastinate_register_worker_v1()"))
        session.execute(
            text("UPDATE procrastinate.procrastinate_jobs SET status = 'doing', worker_id = :worker WHERE id < 3"),
            {"worker": worker},
        )
        session.commit()
        hands = Hands(worker_id=worker, jobs={1})
        assert hands.give_back(session) == 0, "it may be on its way at one look"
        assert nodes.jobs() == {"doing": 2, "todo": 1}
        assert hands.give_back(session) == 1
        assert queue.doing(session, worker) == {1}
        assert hands.give_back(session) == 0
    assert nodes.jobs() == {"doing": 1, "todo": 2}


def test_a_node_looks_for_garbage_seldom_and_still_finds_it() -> None:
    class Circle:
        def __init__(self) -> None:
            self.itself = self

    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with seldom_collected():
        assert gc.get_threshold() == (OBJECTS_BETWEEN_COLLECTIONS, *before[1:])
        assert gc.get_freeze_count() > frozen
        gone = weakref.ref(Circle())
        gc.collect()
        assert gone() is None
    assert gc.get_threshold() == before and gc.get_freeze_count() == 0


def test_a_recipe_is_looked_up_anew_after_a_while(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = nodes.office.desk.bench
    tools = Tools(SETTINGS, nodes.office.sessions, bench.vault, Yes(), nodes.office.clock, bench.random)
    recipes, looked = RecentRecipes(tools), []
    whole = node.recipe_of
    monkeypatch.setattr(node, "RECENT_S", 3600.0)
    monkeypatch.setattr(node, "recipe_of", lambda *given: looked.append(given[2]) or whole(*given))
    with nodes.office.sessions() as session:
        first = recipes.of(session, "uec")
        assert recipes.of(session, "uec") is first and recipes.of(session, "piv") is not first
        assert looked == ["uec", "piv"]
        recipes.kept["uec"] = (time.monotonic() - 3601.0, first)
        assert recipes.of(session, "uec") == first
        assert looked == ["uec", "piv", "uec"]
