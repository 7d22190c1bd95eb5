"""Several hubs serve one database: leases, and what becomes of stations and cards when one of them is killed."""

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.bundle import RecordKind
from issuance.production.sealing import SealingKey
from tests.integration.station.conftest import WAIT_S, Hands, Network, run_in_thread
from tests.integration.station.test_killed import SlowHands
from tests.support.desk import CardOffice, open_card_office
from tests.support.line import blank_card
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.hub.leases import LEASE_S, Lease, locks_of
from uec.hub.server import run_hub
from uec.services import journal, operations, stations
from uec.store.engine import make_engine, session_factory
from uec.store.tables import CardOperation, HubInstance, Station


@dataclass
class Watch:
    """A stopwatch that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def engine(database_url: str, request: pytest.FixtureRequest) -> Engine:
    made = make_engine(database_url)
    request.addfinalizer(made.dispose)
    return made


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return session_factory(engine)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def lease_of(engine: Engine, office: CardOffice, seed: int, watch: Watch) -> Lease:
    return Lease(
        engine,
        office.sessions,
        key=SealingKey(),
        clock=office.clock,
        random=random.Random(seed).randbytes,
        watch=watch,
    )


def running(office: CardOffice, hub_id: int | None) -> int:
    """An operation that this hub has claimed."""
    (application_id,) = office.approve_applicants(1)
    assert application_id
    for batch_id in office.plan():
        office.release(batch_id)
    asked = office.request(OperationKind.PERSONALISE, 1)
    with office.sessions() as session:
        assert operations.claim_operation(session, now=office.clock(), operation_id=asked, hub_id=hub_id)
    return asked


def state_of(office: CardOffice, operation_id: int) -> tuple[OperationState, int | None]:
    with office.sessions() as session:
        row = session.get_one(CardOperation, operation_id)
        return row.state, row.hub_id


def hubs(office: CardOffice) -> set[int]:
    with office.sessions() as session:
        return set(session.scalars(select(HubInstance.id)))


def test_hubs_live_side_by_side_and_each_gives_its_lease_back(engine: Engine, office: CardOffice) -> None:
    one, two = lease_of(engine, office, 1, Watch()), lease_of(engine, office, 2, Watch())
    with one.held(), two.held():
        assert hubs(office) == {one.hub_id, two.hub_id}
        mine = running(office, one.hub_id)
        assert two.reap() == 0 and state_of(office, mine) == (OperationState.RUNNING, one.hub_id)
        assert one.reap() == 0
    assert hubs(office) == set()


def test_a_hub_that_ended_leaves_its_work_to_the_others_at_once(engine: Engine, office: CardOffice) -> None:
    one, two = lease_of(engine, office, 1, Watch()), lease_of(engine, office, 2, Watch())
    with two.held():
        with one.held():
            mine = running(office, one.hub_id)
        assert two.reap() == 1
        assert state_of(office, mine) == (OperationState.REQUESTED, None)


def test_work_of_nobody_is_settled_by_whoever_starts(engine: Engine, office: CardOffice) -> None:
    mine = running(office, None)
    with lease_of(engine, office, 1, Watch()).held():
        assert state_of(office, mine) == (OperationState.REQUESTED, None)


def test_a_process_that_is_no_hub_keeps_what_it_began_meanwhile(engine: Engine, office: CardOffice) -> None:
    lease = lease_of(engine, office, 1, Watch())
    with lease.held():
        mine = running(office, None)
        assert lease.reap() == 0 and state_of(office, mine) == (OperationState.RUNNING, None)


def test_a_killed_hub_is_known_by_its_lock_and_a_silent_one_by_its_lease(engine: Engine, office: CardOffice) -> None:
    watch = Watch()
    dead, silent, alive = (lease_of(engine, office, seed, watch) for seed in (1, 2, 3))
    dead.renew()
    silent.renew()
    with alive.held():
        assert hubs(office) == {dead.hub_id, silent.hub_id, alive.hub_id}, "both hold their locks"
        dead._locks.let_go()  # what the system does for a killed process
        watch.now += locks_of(engine).grace_s
        mine = running(office, silent.hub_id)
        assert alive.reap() == 0
        assert hubs(office) == {silent.hub_id, alive.hub_id}
        watch.now += LEASE_S  # it holds its lock and does nothing: a machine that hangs, a network that is cut
        assert alive.reap() == 1
        assert hubs(office) == {alive.hub_id}
        assert state_of(office, mine) == (OperationState.REQUESTED, None)
        silent.renew()
        assert hubs(office) == {silent.hub_id, alive.hub_id}, "it wakes up, and is one of them again"
        silent._locks.let_go()


def test_a_hub_that_renews_is_never_taken_for_dead(engine: Engine, office: CardOffice) -> None:
    watch = Watch()
    one, two = lease_of(engine, office, 1, watch), lease_of(engine, office, 2, watch)
    with one.held(), two.held():
        for _ in range(5):
            watch.now += LEASE_S * 0.8
            one.renew()
            two.reap()
            assert one.hub_id in hubs(office)


def test_a_restarted_server_takes_no_hub_for_dead(postgres_url: str, tmp_path: Path) -> None:
    """Every advisory lock is lost with its connection; each hub takes its own again at its next beat."""
    engine, watch = make_engine(postgres_url), Watch()
    office = open_card_office(session_factory(engine), tmp_path)
    one, two = lease_of(engine, office, 1, watch), lease_of(engine, office, 2, watch)
    with one.held(), two.held():
        with psycopg.connect(postgres_url, autocommit=True) as administrator:
            held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory'"
            administrator.execute(f"SELECT pg_terminate_backend(pid) FROM ({held}) AS holder")
        watch.now += 1
        two.renew()
        two.reap()
        assert one.hub_id in hubs(office), "its row has not stood still for long"
        one.renew()
        watch.now += 3600
        one.renew()
        two.reap()
        assert one.hub_id in hubs(office)
    engine.dispose()
    office.desk.bench.vault.close()


def start(network: Network) -> "tuple[subprocess.Popen[str], str]":
    """One more hub in a process of its own, and its address."""
    settings = network.settings
    arguments = [settings.database_url, str(settings.state_dir), str(settings.vault_socket), "127.0.0.1:0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.support.hub_process", *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, f"ws://127.0.0.1:{process.stdout.readline().strip()}"


def end(*processes: "subprocess.Popen[str]") -> None:
    for process in processes:
        process.kill()
        process.wait(WAIT_S)
        if process.stdout is not None:
            process.stdout.close()


def until(network: Network, done: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(int(WAIT_S / 0.02)):
        if done():
            return
        network.check()
        tick.wait(0.02)
    raise AssertionError("it never came")


@pytest.mark.slow
def test_of_two_live_hubs_one_is_killed_and_the_other_finishes_its_card(network_on_either: Network) -> None:
    network = network_on_either
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    network.stop_hub()
    (first, one), (second, two) = start(network), start(network)
    try:
        network.url = f"{one},{two}"
        hands, card = SlowHands("left"), blank_card(1)
        network.start_station("window-1", hands)
        hands.put("left", card)
        hands.stop_when(lambda: card.faults.commands >= 30)
        asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
        hands.until_stopped(network)
        first.send_signal(signal.SIGKILL)
        first.wait(WAIT_S)
        hands.go_on()
        ended = network.wait_for(asked)
    finally:
        end(first, second)
    assert ended.state is OperationState.DONE, ended.error_text
    assert network.office.card(card_id).state is CardState.PERSONALISED
    with network.office.sessions() as session:
        kinds = [record.kind for record in journal.records(session, card_id)]
    assert kinds.count(RecordKind.CHIP_CLAIMED) == kinds.count(RecordKind.KEYS_MADE) == 1


def settle_all(network: Network, asked: list[int], wanted: int) -> None:
    """Until so many are done; one that failed says why."""

    def done() -> bool:
        views = [network.operation(one) for one in asked]
        assert not [view.error_text for view in views if view.state is OperationState.FAILED]
        return sum(view.state is OperationState.DONE for view in views) == wanted

    until(network, done)


@pytest.mark.slow
def test_two_hubs_share_a_batch_that_names_no_station(network: Network) -> None:
    """One station each; every card is made once, and both hubs made some."""
    hands = {name: Hands("left") for name in ("line-1", "line-2")}
    for name in hands:
        network.enrol(name)
    network.stop_hub()
    (first, one), (second, two) = start(network), start(network)
    try:
        for url, (name, readers) in zip((one, two), hands.items(), strict=True):
            network.url = url
            network.start_station(name, readers)
        cards = [network.prepared_card(person) for person in range(1, 7)]
        asked = [network.request(OperationKind.PERSONALISE, card_id, None, None) for card_id in cards]
        for turn in range(3):
            for number, readers in enumerate(hands.values()):
                readers.put("left", blank_card(100 + turn * 2 + number))
            settle_all(network, asked, (turn + 1) * 2)
    finally:
        end(first, second)
    with network.office.sessions() as session:
        makers = set(session.scalars(select(CardOperation.hub_id)))
    assert len(makers) == 2


@pytest.mark.slow
def test_a_station_that_moves_to_another_hub_takes_its_card_along(network: Network) -> None:
    """The network between a station and its hub breaks in the middle of a card; both hubs live on."""
    station_id, card_id = network.enrol("window-1"), network.prepared_card(1)
    hands, card = SlowHands("left"), blank_card(1)
    network.start_station("window-1", hands)
    hands.put("left", card)
    hands.stop_when(lambda: card.faults.commands >= 30)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    hands.until_stopped(network)
    leaving = network.agents.pop()
    leaving.stop.set()
    hands.go_on()
    leaving.end()
    other, two = start(network)
    try:
        network.url = two
        network.start_station("window-1", hands)
        ended = network.wait_for(asked)
        with network.office.sessions() as session:
            linked = session.scalars(select(Station.hub_id)).one()
            keys = {row.id: row.public_key for row in session.scalars(select(HubInstance))}
            told = stations.hub_public_key(session, now=network.office.clock.now, station_id=station_id)
    finally:
        end(other)
    assert ended.state is OperationState.DONE, ended.error_text
    assert linked is not None and told == keys[linked], "PINs are sealed to the hub that has the station"


@pytest.mark.slow
def test_two_machines_with_one_identity_at_two_hubs_are_told_apart(network: Network) -> None:
    """Sooner or later one of them is left, and knows why; they do not oust each other for ever."""
    network.enrol("window-1")
    network.start_station("window-1", Hands("left"))
    until(network, lambda: linked_to(network) is not None)
    other, two = start(network)
    try:
        network.url = two
        before = linked_to(network)
        network.start_station("window-1", Hands("left"))
        until_quietly(lambda: linked_to(network) not in (None, before))
        first = network.agents[0]
        until_quietly(lambda: bool(first.errors))
        assert "connected already" in str(first.errors[0])
        assert not network.agents[1].errors
        network.agents.pop(0)
        network.agents.pop().end()
    finally:
        end(other)


def until_quietly(done: Callable[[], bool]) -> None:
    tick = threading.Event()
    for _ in range(int(WAIT_S / 0.02)):
        if done():
            return
        tick.wait(0.02)
    raise AssertionError("it never came")


def linked_to(network: Network) -> int | None:
    with network.office.sessions() as session:
        return session.scalars(select(Station.hub_id)).one()


def test_a_hub_ended_while_another_one_starts_keeps_pages_going(network: Network) -> None:
    """The station's row names a hub that is gone: pages take a living one's key."""
    station_id = network.enrol("window-1")
    with network.office.sessions() as session:
        session.execute(update(Station).values(hub_id=77))
        session.commit()
        assert stations.hub_public_key(session, now=network.office.clock.now, station_id=station_id)


@pytest.mark.slow
def test_after_a_restart_a_finished_card_meets_no_other_job_and_a_begun_one_its_own(network: Network) -> None:
    """Nobody says which reader holds what: the cards do."""
    network.enrol("line-1")
    hands = SlowHands("a", "b", "c")
    network.start_station("line-1", hands)
    chips = {name: blank_card(number) for number, name in enumerate("abc", 1)}
    finished, begun, fresh = (network.prepared_card(person) for person in (1, 2, 3))
    hands.put("b", chips["b"])
    first = network.request(OperationKind.PERSONALISE, finished, None, None)
    assert network.wait_for(first).state is OperationState.DONE
    hands.put("c", chips["c"])
    hands.stop_when(lambda: chips["c"].faults.commands >= 30)
    second = network.request(OperationKind.PERSONALISE, begun, None, None)
    hands.until_stopped(network)
    network.stop_hub()
    hands.go_on()
    hands.put("a", chips["a"])
    third = network.request(OperationKind.PERSONALISE, fresh, None, None)
    fourth = network.request(OperationKind.PERSONALISE, network.prepared_card(4), None, None)
    network.start_hub()
    for asked in (second, third):
        ended = network.wait_for(asked)
        assert ended.state is OperationState.DONE, ended.error_text
    chip_ids = [network.office.card(card_id).chip_id for card_id in (finished, begun, fresh)]
    assert len(set(chip_ids)) == 3
    assert network.operation(fourth).state is OperationState.REQUESTED, "no reader holds a blank for it"
    hands.pull("b")
    until(network, lambda: len(seen(network)) == 2)
    hands.put("b", blank_card(9))
    assert network.wait_for(fourth).state is OperationState.DONE


def seen(network: Network) -> list[object]:
    with network.office.sessions() as session:
        return [one for one in session.scalars(select(Station.readers)).one() if one["card"]]


def test_a_begun_card_put_into_another_reader_is_found_there(network: Network) -> None:
    """The operator of a line moves a torn card; nobody names the reader."""
    network.enrol("line-1")
    hands, chip = SlowHands("a", "b"), blank_card(1)
    network.start_station("line-1", hands)
    card_id = network.prepared_card(1)
    hands.put("a", chip)
    hands.stop_when(lambda: chip.faults.commands >= 30)
    asked = network.request(OperationKind.PERSONALISE, card_id, None, None)
    hands.until_stopped(network)
    network.stop_hub()
    hands.pull("a")
    chip.power_off()
    hands.go_on()
    network.start_hub()
    until(network, lambda: network.operation(asked).state is OperationState.REQUESTED and not seen(network))
    hands.put("b", chip)
    ended = network.wait_for(asked)
    assert ended.state is OperationState.DONE, ended.error_text


def test_running_hubs_end_in_order(network: Network) -> None:
    """A second hub in this process: it listens on a port of its own, and leaves nothing behind."""
    listening = threading.Event()
    other = replace(network.settings, hub_listen="127.0.0.1:0")
    second = run_in_thread(run_hub, other, clock=network.office.clock, on_listening=lambda _port: listening.set())
    assert listening.wait(WAIT_S)
    with network.office.sessions() as session:
        assert len(session.scalars(select(HubInstance.id)).all()) == 2
    second.end()
    with network.office.sessions() as session:
        assert len(session.scalars(select(HubInstance.id)).all()) == 1
