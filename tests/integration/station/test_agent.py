"""The agent against hubs that behave and hubs that do not, over real WebSockets."""

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from issuance.production.bundle import Fault, Send, Step
from issuance.production.signatures import signed_by
from issuance.station import wire
from issuance.station.agent import enrol, run_station
from issuance.station.errors import HubRefused
from issuance.station.identity import StationIdentity, StationKey
from issuance.station.settings import StationSettings
from issuance.station.wire import BadMessage, decode, encode, to_sign
from tests.integration.station.conftest import WAIT_S, Hands, Running, run_in_thread
from tests.support.line import blank_card
from uec.processes import free_port

NONCE = bytes(range(32))
SELECT_ISD = Step(bytes.fromhex("00A4040008A00000015100000000"), label="find_card")
Script = Callable[[ServerConnection], Coroutine[Any, Any, None]]


class ScriptedHub:
    """A hub whose every connection runs a script; an error of a script is the test's."""

    def __init__(self) -> None:
        self.port = 0
        self.connections = 0
        self.errors: list[BaseException] = []
        self._script: Script | None = None
        self._loop = asyncio.new_event_loop()
        self._ready, self._done = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=lambda: self._loop.run_until_complete(self._serve()), daemon=True)

    def start(self, script: Script) -> str:
        self._script = script
        self._thread.start()
        assert self._ready.wait(WAIT_S)
        return f"ws://127.0.0.1:{self.port}"

    async def _serve(self) -> None:
        async with serve(self._connection, "127.0.0.1", 0) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            while not self._done.is_set():
                await asyncio.sleep(0.02)

    async def _connection(self, socket: ServerConnection) -> None:
        self.connections += 1
        assert self._script is not None
        try:
            await self._script(socket)
        except Exception as error:  # noqa: BLE001 - handed to the test's thread
            self.errors.append(error)

    def stop(self) -> None:
        self._done.set()
        self._thread.join(WAIT_S)
        self._loop.close()


@pytest.fixture
def hub() -> Iterator[ScriptedHub]:
    made = ScriptedHub()
    yield made
    made.stop()


@pytest.fixture
def identity() -> StationIdentity:
    return StationIdentity(7, "window-1", StationKey.generate())


def station(folder: Path, url: str, identity: StationIdentity, hands: Hands) -> Running:
    identity.save(folder)
    settings = StationSettings(folder, url, retry_s=0.02, retry_max_s=0.1)
    return run_in_thread(run_station, settings, readers=hands)


async def welcome(socket: ServerConnection, identity: StationIdentity) -> None:
    """Let the station in as a hub does, and check its word."""
    await socket.send(encode(wire.Challenge(NONCE.hex(), wire.PROTOCOL)))
    signed_in = decode(await socket.recv())
    assert isinstance(signed_in, wire.SignIn) and signed_in.station_id == identity.station_id
    words = to_sign("sign-in", NONCE, bytes.fromhex(signed_in.nonce), identity.station_id.to_bytes(8, "big"))
    assert signed_by(identity.key.public_key, words, bytes.fromhex(signed_in.signature))
    await socket.send(encode(wire.Welcome(identity.name)))


async def heard(socket: ServerConnection, kind: type[Any]) -> Any:
    """The next message of a kind."""
    while True:
        message = decode(await socket.recv())
        if isinstance(message, kind):
            return message


def test_bundles_are_played_and_answered(hub: ScriptedHub, identity: StationIdentity, tmp_path: Path) -> None:
    hands, got, over = Hands("left", "empty"), [], threading.Event()
    hands.put("left", blank_card(1))

    async def script(socket: ServerConnection) -> None:
        await welcome(socket, identity)
        got.append(await heard(socket, wire.Readers))
        for number, reader in enumerate(("left", "empty", "unknown")):
            await socket.send(encode(wire.Play(number, reader, Send((SELECT_ISD,), fresh=True))))
            got.append(await heard(socket, wire.Played))
        await socket.send(encode(wire.Attest(9, NONCE.hex())))
        got.append(await heard(socket, wire.Attested))
        await socket.send(encode(wire.Release("left")))
        over.set()
        await socket.wait_closed()

    running = station(tmp_path, hub.start(script), identity, hands)
    assert over.wait(WAIT_S), hub.errors
    running.end()
    assert not hub.errors
    readers, left, empty, unknown, attested = got
    assert readers.readers == (wire.Reader("left", True, 1), wire.Reader("empty", False, 0))
    assert left.answers.complete and left.answers.responses[0][-2:] == b"\x90\x00"
    assert (empty.answers.fault, unknown.answers.fault) == (Fault.CARD_REMOVED, Fault.CARD_REMOVED)
    assert "no card" in empty.answers.detail
    assert attested.id == 9
    assert signed_by(identity.key.public_key, to_sign("transcript", NONCE), bytes.fromhex(attested.signature))


def test_readers_work_side_by_side(hub: ScriptedHub, identity: StationIdentity, tmp_path: Path) -> None:
    """Two bundles for two readers are under way at once; two for one reader are not."""
    hands, order, over = Hands("left", "right"), [], threading.Event()
    cards = {name: blank_card(number) for number, name in enumerate(("left", "right"))}
    both = threading.Barrier(2, timeout=WAIT_S)
    for name, card in cards.items():
        hands.put(name, card)
        card.timing = None
    open_card = hands._open

    def together(reader: str) -> Any:
        both.wait()  # opens only when the other reader is opening too
        return open_card(reader)

    hands._open = together  # type: ignore[method-assign]

    async def script(socket: ServerConnection) -> None:
        await welcome(socket, identity)
        for number, reader in enumerate(("left", "right")):
            await socket.send(encode(wire.Play(number, reader, Send((SELECT_ISD,), fresh=True))))
        for _ in range(2):
            order.append(await heard(socket, wire.Played))
        over.set()
        await socket.wait_closed()

    running = station(tmp_path, hub.start(script), identity, hands)
    assert over.wait(WAIT_S), hub.errors
    running.end()
    assert {played.id for played in order} == {0, 1} and all(played.answers.complete for played in order)


def test_the_link_is_made_again_and_again(hub: ScriptedHub, identity: StationIdentity, tmp_path: Path) -> None:
    over = threading.Event()

    async def script(socket: ServerConnection) -> None:
        await welcome(socket, identity)
        await heard(socket, wire.Readers)
        if hub.connections == 4:
            over.set()

    running = station(tmp_path, hub.start(script), identity, Hands("left"))
    assert over.wait(WAIT_S), hub.errors
    running.end()
    assert hub.connections >= 4


def test_a_long_time_without_the_hub_is_one_line_and_the_next_time_another(
    hub: ScriptedHub, identity: StationIdentity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nobody = f"ws://127.0.0.1:{free_port()}"
    over = threading.Event()

    async def script(link: ServerConnection) -> None:
        await welcome(link, identity)
        await heard(link, wire.Readers)
        if hub.connections == 3:
            over.set()
            await link.wait_closed()

    # Every other try finds nobody; between two links that is told once, however often it was tried.
    running = station(tmp_path, f"{nobody},{nobody},{hub.start(script)}", identity, Hands("left"))
    assert over.wait(WAIT_S), hub.errors
    running.end()
    told = [record.getMessage() for record in caplog.records if nobody in record.getMessage()]
    assert len(told) == 3, told


def test_a_card_loses_its_power_with_the_link(hub: ScriptedHub, identity: StationIdentity, tmp_path: Path) -> None:
    hands, card, over = Hands("left"), blank_card(1), threading.Event()
    hands.put("left", card)
    powered: list[bool] = []

    async def script(socket: ServerConnection) -> None:
        await welcome(socket, identity)
        if hub.connections == 1:
            await socket.send(encode(wire.Play(1, "left", Send((SELECT_ISD,), fresh=True))))
            await heard(socket, wire.Played)
            powered.append(card.powered)
        else:
            powered.append(card.powered)
            over.set()
            await socket.wait_closed()

    running = station(tmp_path, hub.start(script), identity, hands)
    assert over.wait(WAIT_S), hub.errors
    running.end()
    assert powered[:2] == [True, False]


def test_a_refusal_ends_the_agent(hub: ScriptedHub, identity: StationIdentity, tmp_path: Path) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(encode(wire.Challenge(NONCE.hex(), wire.PROTOCOL)))
        await socket.recv()
        await socket.send(encode(wire.Refused("x", "This station has been revoked: ask security.")))

    running = station(tmp_path, hub.start(script), identity, Hands())
    running.thread.join(WAIT_S)
    assert [str(error) for error in running.errors] == [
        "The hub refuses this station: This station has been revoked: ask security."
    ]
    assert isinstance(running.errors[0], HubRefused)


OLDER, NEWER = wire.PROTOCOL - 1, wire.PROTOCOL + 1
OTHERS = [
    ("nonsense", "its first word is no challenge"),
    ('{"type":"welcome","name":"x"}', "its first word is no challenge"),
    (f'{{"type":"welcome","name":"x","looks":true,"protocol":{wire.PROTOCOL}}}', "unknown key 'protocol' in version"),
    (encode(wire.Challenge(NONCE.hex(), OLDER)), f"version {OLDER} of the link, this station version {wire.PROTOCOL}"),
    (
        f'{{"type":"challenge","salt":[],"protocol":{NEWER}}}',
        f"version {NEWER} of the link, this station version {wire.PROTOCOL}",
    ),
    (encode(wire.Challenge("zz", wire.PROTOCOL)), "no hex"),
]


@pytest.mark.parametrize(("first", "words"), OTHERS)
def test_a_hub_of_another_version_is_told_once_and_the_next_one_tried(
    hub: ScriptedHub,
    identity: StationIdentity,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    first: str,
    words: str,
) -> None:
    """While the hubs are brought to another version one by one."""
    other, over = ScriptedHub(), threading.Event()

    async def of_another(socket: ServerConnection) -> None:
        await socket.send(first)
        await socket.wait_closed()

    async def script(socket: ServerConnection) -> None:
        if other.connections < 3:
            return  # away: the station comes to the other one again
        await welcome(socket, identity)
        await heard(socket, wire.Readers)
        over.set()
        await socket.wait_closed()

    try:
        url = other.start(of_another)
        running = station(tmp_path, f"{url},{hub.start(script)}", identity, Hands("left"))
        assert over.wait(WAIT_S), (hub.errors, running.errors)
        running.end()
    finally:
        other.stop()
    (told,) = [record.getMessage() for record in caplog.records if url in record.getMessage()]
    assert words in told and "Install the same version on both" in told and "Error" not in told


@pytest.mark.parametrize(("first", "words"), OTHERS)
def test_an_enrolment_at_a_hub_of_another_version_says_so(
    hub: ScriptedHub, tmp_path: Path, first: str, words: str
) -> None:
    async def script(socket: ServerConnection) -> None:
        await socket.send(first)
        await socket.wait_closed()

    with pytest.raises(BadMessage, match=words):
        enrol(StationSettings(tmp_path, hub.start(script)), "CODE")


def test_a_hub_that_is_brought_to_another_version_in_the_middle_is_left(
    hub: ScriptedHub, identity: StationIdentity, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    over = threading.Event()

    async def script(socket: ServerConnection) -> None:
        await welcome(socket, identity)
        if hub.connections == 1:
            await socket.send('{"type":"sing","id":1}')
        else:
            over.set()
        await socket.wait_closed()

    running = station(tmp_path, hub.start(script), identity, Hands("left"))
    assert over.wait(WAIT_S), (hub.errors, running.errors)
    running.end()
    assert f"no message of version {wire.PROTOCOL} of the link" in caplog.text


def test_an_enrolment_proves_the_key(hub: ScriptedHub, tmp_path: Path) -> None:
    asked: list[wire.Enrol] = []

    async def script(socket: ServerConnection) -> None:
        await socket.send(encode(wire.Challenge(NONCE.hex(), wire.PROTOCOL)))
        message = decode(await socket.recv())
        assert isinstance(message, wire.Enrol)
        asked.append(message)
        await socket.send(encode(wire.Enrolled(12, "window-12")))

    identity = enrol(StationSettings(tmp_path, hub.start(script)), "CODE")
    (message,) = asked
    key = bytes.fromhex(message.public_key)
    assert signed_by(key, to_sign("enrol", NONCE, key), bytes.fromhex(message.signature))
    assert (identity.station_id, identity.name, identity.key.public_key) == (12, "window-12", key)
    assert StationIdentity.load(tmp_path).station_id == 12
    assert message.code == "CODE"
