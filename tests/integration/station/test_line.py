"""A line as it is run: two agents with two readers each, whatever goes away in the middle, balance to the last card.

Office, agents and hub are processes of their own. When a third of the cards is made the network of one station is cut;
when half are made the hub is killed (SIGKILL) and started again; at three quarters an agent is killed and started
again. The robot is the operator: it takes a finished card out of its reader and puts the next blank in. And many
windows at once: stations by the hundred, connected, seen, and gone with the hub.
"""

import asyncio
import contextlib
import math
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select
from websockets.asyncio.client import ClientConnection

from card_io import globalplatform as gp
from card_io.virtual.chip import cplc_for
from issuance.production.bundle import RecordKind
from issuance.station.identity import StationKey
from issuance.station.link import hub
from issuance.station.wire import Challenge, Reader, Readers, SignIn, Welcome, decode, encode, to_sign
from tests.integration.station.conftest import WAIT_S, Hands, Network
from tests.integration.station.test_killed import start as start_hub
from tests.integration.station.test_kills import end
from tests.support.line import blank_card
from uec.domain.lifecycle import (
    ApplicationState,
    BatchState,
    CardState,
    CertificateState,
    OperationKind,
    OperationState,
)
from uec.hub.work import PUT_BACK
from uec.services import operations
from uec.store.tables import Application, Batch, Card, CardOperation, Certificate, JournalEntry, Station

READERS = (("Line A", "left"), ("Line A", "right"), ("Line B", "left"), ("Line B", "right"))
CUT_S = 2.0


class Wire:
    """The network between one station and the hub: it carries bytes, until it is cut for a while."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._ends: list[socket.socket] = []
        self._down_until = 0.0
        self.url = f"ws://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self) -> None:
        """Let everybody through again."""
        self._down_until = 0.0

    def cut(self, seconds: float = math.inf) -> None:
        """Everything on the wire is lost, and nobody gets through for so long, or until it is mended."""
        self._down_until = time.monotonic() + seconds
        for one in self._ends:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut(0)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError):
            if time.monotonic() < self._down_until:
                return
            with socket.create_connection(self._target) as far:
                self._ends += [near, far]
                back = threading.Thread(target=self._pump, args=(far, near), daemon=True)
                back.start()
                self._pump(near, far)
                back.join()

    @staticmethod
    def _pump(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@dataclass
class Line:
    """The processes of a line, and what happens to them."""

    network: Network
    hub: "subprocess.Popen[str]"
    wires: dict[str, Wire]
    agents: "dict[str, subprocess.Popen[bytes]]" = field(default_factory=dict)
    mishaps: list[str] = field(default_factory=list)

    def start_agent(self, name: str) -> None:
        """`uec station run`, through the station's own wire."""
        settings = self.network.station_settings(name)
        command = ["uec", "station", "run", "--hub", self.wires[name].url, "--readers", settings.readers]
        self.agents[name] = subprocess.Popen(
            [sys.executable, "-m", *command, "--folder", str(settings.folder)], stderr=subprocess.DEVNULL
        )

    def cut_a_network(self) -> None:
        self.wires["Line B"].cut(CUT_S)

    def kill_the_hub(self) -> None:
        self.hub.send_signal(signal.SIGKILL)
        end(self.hub)
        self.hub = start_hub(self.network)

    def kill_an_agent(self) -> None:
        end(self.agents["Line A"])
        self.start_agent("Line A")

    def close(self) -> None:
        for process in (*self.agents.values(), self.hub):
            end(process)
        for wire in self.wires.values():
            wire.close()


@dataclass
class Robot:
    """Feeds the readers until no operation is open; counts the blanks it used."""

    network: Network
    next_blank: int = 1
    lying: dict[tuple[str, str], tuple[Path, str]] = field(default_factory=dict)

    @property
    def blanks(self) -> int:
        """How many it has put in."""
        return self.next_blank - 1

    def feed(self) -> None:
        """One look at every reader."""
        done, wanted, empty = self._done_chips(), self._open(), self._seen_empty()
        for place in READERS:
            if place in self.lying and self.lying[place][1] in done:
                self.lying.pop(place)[0].unlink()
            elif place not in self.lying and wanted and place in empty:
                serial = self.next_blank
                self.next_blank += 1
                chip_id = gp.parse_cplc(cplc_for(b"chip" + serial.to_bytes(4, "big"))).chip_id.hex()
                self.lying[place] = self.network.insert(*place, serial), chip_id

    def _done_chips(self) -> set[str | None]:
        ended = (CardState.PERSONALISED, CardState.SPOILED)
        with self.network.office.sessions() as session:
            return set(session.scalars(select(Card.chip_id).where(Card.state.in_(ended))))

    def _seen_empty(self) -> set[tuple[str, str]]:
        """A card put in before the station saw the last one go would pass for that one."""
        with self.network.office.sessions() as session:
            rows = session.execute(select(Station.name, Station.readers)).all()
        full = {(name, one["name"]) for name, readers in rows for one in readers or () if one["card"]}
        return set(READERS) - full

    def _open(self) -> bool:
        """Whether anybody asks for a card."""
        with self.network.office.sessions() as session:
            rows = session.execute(select(CardOperation.state, CardOperation.progress)).all()
        return any(
            state is OperationState.REQUESTED
            or (state is OperationState.RUNNING and (progress or {}).get("label") == PUT_BACK)
            for state, progress in rows
        )


Mishap = Callable[[], None]


def usual(line: Line) -> list[Mishap]:
    """What happens to a line one after the other."""
    return [line.cut_a_network, line.kill_the_hub, line.kill_an_agent]


def check_line_makes(network: Network, cards: int, mishaps: Callable[[Line], list[Mishap]] = usual) -> None:
    """Make so many cards, with three things going wrong in between, and count everything."""
    office = network.office
    names = list(dict.fromkeys(name for name, _ in READERS))
    for name in names:
        network.enrol(name)
    office.approve_applicants(*range(1, cards + 1))
    for batch_id in office.plan():
        office.release(batch_id)
        with office.sessions() as session:
            operations.request_batch(
                session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
            )
    network.stop_hub()
    port = int(network.settings.hub_listen.rpartition(":")[2])
    line = Line(network, start_hub(network), {name: Wire(port) for name in names})
    begun = time.monotonic()
    try:
        for name in names:
            line.start_agent(name)
        robot = Robot(network)
        plan = dict(zip((cards // 3, cards // 2, cards * 3 // 4), mishaps(line), strict=True))
        until(lambda: step(line, robot, plan) == cards, 200 + 3 * cards)
        balance(line, cards, robot, time.monotonic() - begun)
    finally:
        line.close()


def step(line: Line, robot: Robot, plan: dict[int, Callable[[], None]]) -> int:
    """Feed the readers; when so many cards are made, what is planned for then happens once. How many are made."""
    robot.feed()
    made = count(robot.network, CardState.PERSONALISED)
    require_no_failure(robot.network)
    for due in [at for at in plan if made >= at]:
        mishap = plan.pop(due)
        line.mishaps.append(f"{mishap.__name__} at {made}")
        mishap()
    return made


def require_no_failure(network: Network) -> None:
    with network.office.sessions() as session:
        failed = select(CardOperation.error_text).where(CardOperation.state == OperationState.FAILED)
        assert session.scalars(failed).all() == []


def count(network: Network, state: CardState) -> int:
    with network.office.sessions() as session:
        return session.scalar(select(func.count()).where(Card.state == state)) or 0


def until(done: Callable[[], bool], seconds: float) -> None:
    """Wait for something that the threads bring about."""
    deadline, tick = time.monotonic() + seconds, threading.Event()
    while not done():
        assert time.monotonic() < deadline, "the line stands still"
        tick.wait(0.1)


def balance(line: Line, cards: int, robot: Robot, seconds: float) -> None:
    """Mass balance, and nothing twice: cards, chips, keys, certificates, operations."""
    assert len(line.mishaps) == 3, line.mishaps
    sessions = line.network.office.sessions
    until(lambda: all_done(line.network), WAIT_S)  # the last operation closes a moment after its card
    with sessions() as session:
        rows = session.scalars(select(Card)).all()
        chips = [card.chip_id for card in rows]
        assert len(rows) == len(set(chips)) == cards and None not in chips
        unused = sum(1 for _, chip_id in robot.lying.values() if chip_id not in chips)
        assert robot.blanks - cards == unused, "every blank is a card or lies in a reader, untouched"
        assert set(session.scalars(select(Application.state))) == {ApplicationState.READY}
        assert set(session.scalars(select(Batch.state))) == {BatchState.CLOSED}
        done = Counter(session.scalars(select(CardOperation.state)))
        assert done == {OperationState.DONE: cards}
        certificates = session.scalars(select(Certificate).where(Certificate.card_id.is_not(None))).all()
        assert len(certificates) == len({one.public_key_digest for one in certificates}) == 4 * cards
        assert {one.state for one in certificates} == {CertificateState.HELD}
        kinds = Counter(session.scalars(select(JournalEntry.kind)))
        assert kinds[RecordKind.INSPECTED] == kinds[RecordKind.CHIP_CLAIMED] == cards
        used = Counter(session.scalars(select(JournalEntry.card_id).where(JournalEntry.kind == RecordKind.KEYS_MADE)))
        assert set(used.values()) == {1}, "no card made its keys twice"
        again = kinds[RecordKind.TRANSCRIPT] - cards
    print(
        f"2 agents, 4 readers, {cards} cards in {seconds:.0f} s; {', '.join(line.mishaps)}; balance: "
        f"{robot.blanks} blanks = {cards} cards + {unused} untouched, {len(certificates)} certificates on hold, "
        f"{done[OperationState.DONE]} operations done, 0 failed; {again} sessions were begun again"
    )


def all_done(network: Network) -> bool:
    with network.office.sessions() as session:
        return set(session.scalars(select(CardOperation.state))) == {OperationState.DONE}


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_two_agents_and_four_readers_make_a_batch(network: Network) -> None:
    check_line_makes(network, 12)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_two_agents_and_four_readers_make_two_hundred_cards(network_on_either: Network) -> None:
    check_line_makes(network_on_either, 200)


STATIONS = 200
AT_ONCE = 25
"""So many sign in at the same time: how quickly a hub lets two hundred in is not the question here."""


@dataclass
class Crowd:
    """Windows that come by the door, a few at a time, and stay until all leave."""

    door: asyncio.Semaphore
    leave: asyncio.Event
    seen: list[int]


async def window(url: str, station_id: int, key: StationKey, crowd: Crowd) -> None:
    """A station as the hub sees it: signs in, tells of an empty reader, and stays."""
    async with contextlib.AsyncExitStack() as stack:
        async with crowd.door:
            link = await stack.enter_async_context(hub(url, ""))
            await sign_in(link, station_id, key)
            crowd.seen.append(station_id)
        await crowd.leave.wait()


async def sign_in(link: ClientConnection, station_id: int, key: StationKey) -> None:
    challenge = decode(await link.recv())
    assert isinstance(challenge, Challenge)
    own = bytes(32)
    words = to_sign("sign-in", bytes.fromhex(challenge.nonce), own, station_id.to_bytes(8, "big"))
    await link.send(encode(SignIn(station_id, own.hex(), key.sign(words).hex())))
    assert isinstance(decode(await link.recv()), Welcome)
    await link.send(encode(Readers((Reader("left", card=False, insertion=0),))))


def enter(network: Network, count: int) -> dict[int, StationKey]:
    """Stations that were enrolled long ago."""
    keys = [StationKey.generate() for _ in range(count)]
    with network.office.sessions() as session:
        rows = [Station(name=f"window {place}", public_key=key.public_key) for place, key in enumerate(keys)]
        session.add_all(rows)
        session.commit()
        return {row.id: key for row, key in zip(rows, keys, strict=True)}


@pytest.mark.slow
def test_hundreds_of_windows_at_once_and_one_makes_a_card(network_on_either: Network) -> None:
    network = network_on_either
    keys, seen, leave = enter(network, STATIONS), list[int](), threading.Event()

    async def crowd() -> None:
        crowd = Crowd(asyncio.Semaphore(AT_ONCE), asyncio.Event(), seen)
        windows = [asyncio.ensure_future(window(network.url, *one, crowd)) for one in keys.items()]
        while not leave.is_set() and not any(one.done() for one in windows):
            await asyncio.sleep(0.05)
        crowd.leave.set()
        await asyncio.gather(*windows)

    station_id = network.enrol("Window 1")
    hands = Hands("left")
    card_id = network.prepared_card(1)
    errors: list[BaseException] = []

    def gather() -> None:
        try:
            asyncio.run(crowd())
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    crowding = threading.Thread(target=gather, daemon=True)
    began = time.monotonic()
    crowding.start()
    until(lambda: bool(errors) or len(seen) == STATIONS, WAIT_S)
    connected_s = time.monotonic() - began
    network.start_station("Window 1", hands)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    hands.put("left", blank_card(card_id))
    assert network.wait_for(asked).state is OperationState.DONE
    with network.office.sessions() as session:
        told = session.scalars(select(Station.readers).where(Station.id.in_(keys))).all()
    leave.set()
    crowding.join(WAIT_S)
    assert not errors and not crowding.is_alive()
    assert [readers for readers in told if readers] == [[{"name": "left", "card": False, "pad": []}]] * STATIONS
    print(f"{STATIONS} stations signed in within {connected_s:.1f} s, and a card was made beside them")
