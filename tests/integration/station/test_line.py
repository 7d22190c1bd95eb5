"""A line as it is run: two agents with two readers each, the office restarted in the middle, balance to the last card.

The robot is the operator: it takes a finished card out of its reader and puts the next blank in. And many windows at
once: stations by the hundred, connected, seen, and gone with the hub.
"""

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from sqlalchemy import func, select

from card_io import globalplatform as gp
from card_io.virtual.chip import cplc_for
from issuance.production.bundle import RecordKind
from issuance.station.identity import StationKey
from issuance.station.link import hub
from issuance.station.wire import Challenge, Reader, Readers, SignIn, Welcome, decode, encode, to_sign
from tests.integration.station.conftest import Hands, Network
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


@dataclass
class Robot:
    """Feeds the readers until no operation is open; counts the blanks it used."""

    network: Network
    next_blank: int = 1
    restarted: bool = False
    lying: dict[tuple[str, str], tuple[Path, str]] = field(default_factory=dict)

    @property
    def blanks(self) -> int:
        """How many it has put in."""
        return self.next_blank - 1

    def feed(self) -> None:
        """One look at every reader."""
        for place in READERS:
            if place in self.lying and not self._is_done(self.lying[place][1]):
                continue
            if place in self.lying:
                self.lying.pop(place)[0].unlink()
            elif self._open() and self._is_seen_empty(*place):
                serial = self.next_blank
                self.next_blank += 1
                chip_id = gp.parse_cplc(cplc_for(b"chip" + serial.to_bytes(4, "big"))).chip_id.hex()
                self.lying[place] = self.network.insert(*place, serial), chip_id

    def _is_done(self, chip_id: str) -> bool:
        with self.network.office.sessions() as session:
            state = session.scalar(select(Card.state).where(Card.chip_id == chip_id))
        return state in (CardState.PERSONALISED, CardState.SPOILED)

    def _is_seen_empty(self, name: str, reader: str) -> bool:
        """A card put in before the station saw the last one go would pass for that one."""
        with self.network.office.sessions() as session:
            readers = session.scalar(select(Station.readers).where(Station.name == name))
        return all(not one["card"] for one in readers or () if one["name"] == reader)

    def _open(self) -> int:
        """Cards that nobody has begun, and work that asks for a card: its reader held a finished one at a restart."""
        with self.network.office.sessions() as session:
            rows = session.execute(select(CardOperation.state, CardOperation.progress)).all()
        return sum(
            state is OperationState.REQUESTED
            or (state is OperationState.RUNNING and (progress or {}).get("label") == PUT_BACK)
            for state, progress in rows
        )


def run_line(network: Network, cards: int) -> None:
    """Make so many cards, with the office gone for a moment in the middle, and count everything."""
    office = network.office
    for name in dict.fromkeys(name for name, _ in READERS):
        network.enrol(name)
        network.start_station(name)
    office.approve_applicants(*range(1, cards + 1))
    for batch_id in office.plan():
        office.release(batch_id)
        with office.sessions() as session:
            operations.request_batch(
                session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
            )
    robot = Robot(network)
    until(lambda: step(robot, cards), 60 + 7.5 * cards)
    balance(network, cards, robot)


def step(robot: Robot, cards: int) -> bool:
    """Feed the readers; restart the office once, when half of the cards are made. Whether all are."""
    robot.feed()
    robot.network.check()
    made = count(robot.network, CardState.PERSONALISED)
    if made >= cards // 2 and not robot.restarted:
        robot.network.stop_hub()
        robot.network.start_hub()
        robot.restarted = True
    return made == cards


def count(network: Network, state: CardState) -> int:
    with network.office.sessions() as session:
        return session.scalar(select(func.count()).where(Card.state == state)) or 0


def until(done: Callable[[], bool], seconds: float) -> None:
    """Wait for something that the threads bring about."""
    deadline, tick = time.monotonic() + seconds, threading.Event()
    while not done():
        assert time.monotonic() < deadline, "the line stands still"
        tick.wait(0.1)


def balance(network: Network, cards: int, robot: Robot) -> None:
    """Mass balance, and nothing twice: cards, chips, keys, certificates, operations."""
    assert robot.restarted, "the office was restarted in the middle"
    with network.office.sessions() as session:
        rows = session.scalars(select(Card)).all()
        chips = [card.chip_id for card in rows]
        assert len(rows) == len(set(chips)) == cards and None not in chips
        assert robot.blanks - cards == sum(1 for _, chip_id in robot.lying.values() if chip_id not in chips)
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


@pytest.mark.slow
def test_two_agents_and_four_readers_make_a_batch(network: Network) -> None:
    run_line(network, 12)


@pytest.mark.nightly
@pytest.mark.timeout(1800)
def test_two_agents_and_four_readers_make_two_hundred_cards(network_on_either: Network) -> None:
    run_line(network_on_either, 200)
    print("two agents, four readers, office restarted: 200 cards, balance to the last")


STATIONS = 200
CONNECT_S = 60.0


async def window(url: str, station_id: int, key: StationKey, stop: asyncio.Event, seen: list[int]) -> None:
    """A station as the hub sees it: signs in, tells of an empty reader, and stays."""
    async with hub(url, "") as link:
        challenge = decode(await link.recv())
        assert isinstance(challenge, Challenge)
        own = bytes(32)
        words = to_sign("sign-in", bytes.fromhex(challenge.nonce), own, station_id.to_bytes(8, "big"))
        await link.send(encode(SignIn(station_id, own.hex(), key.sign(words).hex())))
        assert isinstance(decode(await link.recv()), Welcome)
        await link.send(encode(Readers((Reader("left", card=False, insertion=0),))))
        seen.append(station_id)
        await stop.wait()


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
        stop = asyncio.Event()
        windows = [asyncio.ensure_future(window(network.url, *one, stop, seen)) for one in keys.items()]
        while not leave.is_set() and not any(one.done() for one in windows):
            await asyncio.sleep(0.05)
        stop.set()
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
    until(lambda: bool(errors) or len(seen) == STATIONS, CONNECT_S)
    connected_s = time.monotonic() - began
    network.start_station("Window 1", hands)
    asked = network.request(OperationKind.PERSONALISE, card_id, station_id, "left")
    hands.put("left", blank_card(card_id))
    assert network.wait_for(asked).state is OperationState.DONE
    with network.office.sessions() as session:
        told = session.scalars(select(Station.readers).where(Station.id.in_(keys))).all()
    leave.set()
    crowding.join(CONNECT_S)
    assert not errors and not crowding.is_alive()
    assert [readers for readers in told if readers] == [[{"name": "left", "card": False}]] * STATIONS
    print(f"{STATIONS} stations signed in within {connected_s:.1f} s, and a card was made beside them")
