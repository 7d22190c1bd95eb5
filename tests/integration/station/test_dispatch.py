"""Which requested operation begins where: claimed only with a card at hand, in order, never twice."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker
from websockets.asyncio.server import ServerConnection

from issuance.station.identity import StationKey
from issuance.station.wire import Reader, Readers, to_sign
from tests.support.desk import CardOffice, open_card_office
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.hub.dispatch import assign
from uec.hub.enrolment import StationRefused, admit, code_hash, enrol, new_code
from uec.hub.links import StationLink
from uec.services import operations, stations
from uec.store.tables import Card, CardOperation, Station

NONCE = bytes(32)


class Deaf:
    """A socket that swallows what is sent."""

    async def send(self, text: str) -> None:
        pass


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    with sessions() as session:  # the stations 1 and 2 that links stand for
        session.add_all([Station(name=f"station {number}", readers=[]) for number in (1, 2)])
        session.commit()
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.run_until_complete(asyncio.sleep(0))
    made.close()


def enrolled(office: CardOffice, name: str) -> int:
    code = new_code(office.desk.bench.random)
    key = StationKey.generate()
    with office.sessions() as session:
        stations.create(
            session,
            name=name,
            point_id=None,
            code_hash=code_hash(code),
            actor=office.staff.security,
            now=office.clock(),
        )
    with office.sessions() as session:
        proof = key.sign(to_sign("enrol", NONCE, key.public_key))
        station_id, _ = enrol(
            session, code=code, public_key=key.public_key, nonce=NONCE, signature=proof, now=office.clock()
        )
    return station_id


def link_of(station_id: int, loop: asyncio.AbstractEventLoop, **cards: int) -> StationLink:
    """A connected station; each reader with the number of its insertion, 0 for an empty one."""
    link = StationLink(station_id, f"station {station_id}", loop)
    link.attach(cast(ServerConnection, Deaf()))
    link.hear(Readers(tuple(Reader(name, bool(count), count) for name, count in cards.items())))
    for name in link.strangers():
        link.introduce(name, link.insertion(name), None)
    return link


def ask(
    office: CardOffice, people: tuple[int, ...], station_id: int | None = None, reader: str | None = None
) -> list[int]:
    """Operations to personalise new cards of these people."""
    office.approve_applicants(*people)
    asked = []
    for batch_id in office.plan():
        office.release(batch_id)
    with office.sessions() as session:
        cards = list(session.scalars(select(Card.id).where(Card.state == CardState.PREPARED).order_by(Card.id)))
        busy = set(session.scalars(select(CardOperation.card_id)))
    for card_id in (card_id for card_id in cards if card_id not in busy):
        with office.sessions() as session:
            asked.append(
                operations.request_operation(
                    session,
                    kind=OperationKind.PERSONALISE,
                    card_id=card_id,
                    station_id=station_id,
                    reader=reader,
                    actor=office.staff.producer,
                    now=office.clock(),
                )
            )
    return asked


def begun(office: CardOffice, *links: StationLink) -> list[tuple[int, int, str]]:
    found = assign(office.sessions, {link.station_id: link for link in links}, office.clock)
    return [(view.id, link.station_id, reader) for view, link, reader in found]


def test_the_oldest_go_first_to_whoever_has_a_card(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    first, second, third = ask(office, (1, 2, 3))
    one, two = link_of(1, loop, left=1), link_of(2, loop, left=0, right=4)
    assert begun(office, one, two) == [(first, 1, "left"), (second, 2, "right")]
    with office.sessions() as session:
        states = [operations.operation(session, number).state for number in (first, second, third)]
    assert states == [OperationState.RUNNING, OperationState.RUNNING, OperationState.REQUESTED]
    assert begun(office, one, two) == [], "both readers are busy"


def test_nothing_is_claimed_without_a_card(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    (asked,) = ask(office, (1,))
    assert begun(office) == [] == begun(office, link_of(1, loop, left=0))
    with office.sessions() as session:
        assert operations.operation(session, asked).state is OperationState.REQUESTED


def test_a_named_station_and_reader_are_kept_to(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    window = enrolled(office, "window")
    (asked,) = ask(office, (1,), station_id=window, reader="right")
    other, wrong = link_of(window + 1, loop, right=1), link_of(window, loop, left=1)
    assert begun(office, other, wrong) == []
    assert begun(office, other, link_of(window, loop, left=1, right=1)) == [(asked, window, "right")]


def test_a_queue_without_cards_does_not_block_a_window(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    line, window = enrolled(office, "line"), enrolled(office, "window")
    ask(office, (1, 2, 3), station_id=line)
    (urgent,) = ask(office, (4,), station_id=window)[-1:]
    assert begun(office, link_of(line, loop, left=0), link_of(window, loop, left=1)) == [(urgent, window, "left")]


def test_a_citizen_never_waits_behind_a_batch(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    """A look asked for last goes before a batch that anybody may write, and a batch never hides it."""
    window = enrolled(office, "window")
    ask(office, tuple(range(1, 6)))
    with office.sessions() as session:
        look = operations.request_operation(
            session,
            kind=OperationKind.READ,
            card_id=None,
            station_id=window,
            reader=None,
            actor=office.staff.operator,
            now=office.clock(),
        )
    assert begun(office, link_of(window, loop, left=1)) == [(look, window, "left")]


def test_a_stations_own_work_comes_before_anybodys(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    window = enrolled(office, "window")
    ask(office, (1, 2))
    (own,) = ask(office, (3,), station_id=window)
    assert begun(office, link_of(window, loop, left=1)) == [(own, window, "left")]


def test_what_another_hub_claimed_is_left_alone(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    (asked,) = ask(office, (1,))
    link = link_of(1, loop, left=1)
    found = assign(office.sessions, {1: link}, office.clock)
    with office.sessions() as session:
        assert operations.claim_operation(session, now=office.clock(), operation_id=asked) is not None
    assert list(found) == []
    assert link.take("left", 99) == "left", "the reader was given back"


@pytest.mark.parametrize("wrong", ["key", "signature", "nonce", "curve"])
def test_an_enrolment_that_does_not_prove_its_key_spends_no_code(office: CardOffice, wrong: str) -> None:
    code, key = new_code(office.desk.bench.random), StationKey.generate()
    with office.sessions() as session:
        stations.create(
            session,
            name="one",
            point_id=None,
            code_hash=code_hash(code),
            actor=office.staff.security,
            now=office.clock(),
        )
    proof = key.sign(to_sign("enrol", NONCE, key.public_key))
    offered = {"public_key": key.public_key, "nonce": NONCE, "signature": proof}
    spoilt = {
        "key": {"public_key": StationKey.generate().public_key},
        "signature": {"signature": proof[:-1]},
        "nonce": {"nonce": b"\x01" * 32},
        "curve": {"public_key": b"no key at all"},
    }
    with office.sessions() as session, pytest.raises(StationRefused) as caught:
        enrol(session, code=code, now=office.clock(), **(offered | spoilt[wrong]))
    assert caught.value.facts["reason"] == "key"
    with office.sessions() as session:
        station_id, name = enrol(session, code=code, now=office.clock(), **offered)
    assert name == "one"
    own = bytes(range(32))
    words = to_sign("sign-in", NONCE, own, station_id.to_bytes(8, "big"))
    with office.sessions() as session:
        assert admit(session, station_id=station_id, nonce=NONCE, own=own, signature=key.sign(words)) == "one"
        with pytest.raises(StationRefused):
            admit(session, station_id=station_id, nonce=own, own=own, signature=key.sign(words))
        kept = session.get_one(Station, station_id)
        assert kept.enrolment_code_hash is None and kept.public_key == key.public_key
