"""The agent at a window: keeps the link to the hub, tells of its readers, plays bundles, and heals itself.

It holds no card key and no personal data: what it relays it cannot read. When the link goes, every card it had loses
its power, so that nothing goes on behind the hub's back; the link is then made anew, again and again, ever more slowly
up to a limit. Readers work side by side, one bundle at a time each.
"""

import asyncio
import contextlib
import itertools
import logging
import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import replace

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import WebSocketException

from issuance.production.relay import Slot, play
from issuance.production.sighting import sight
from issuance.station.errors import HubAway, HubRefused
from issuance.station.identity import StationIdentity, StationKey
from issuance.station.link import hub
from issuance.station.readers import ReaderSet, open_readers
from issuance.station.settings import StationSettings
from issuance.station.sightings import Sightings
from issuance.station.wire import (
    NONCE_BYTES,
    PROTOCOL,
    Attest,
    Attested,
    BadMessage,
    Challenge,
    Enrol,
    Enrolled,
    Heard,
    Message,
    OtherVersion,
    Play,
    Played,
    Reader,
    Readers,
    Refused,
    Release,
    SignIn,
    Welcome,
    decode,
    encode,
    protocol_told,
    to_sign,
)

LOOK_S = 0.5
STOP_LOOK_S = 0.1
HEARD_EVERY_S = 0.25

log = logging.getLogger(__name__)


def enrol(settings: StationSettings, code: str) -> StationIdentity:
    """Make this machine a station: a new key pair, made known to the hub by the one-time code.

    The key is kept before the hub hears of it, and offered again by a second try: an answer that got lost on its way
    costs no new code. Raises `AlreadyEnrolled`, `FolderUnusable`, `HubAway`, or `HubRefused` with the hub's reason.
    """
    key = StationKey.kept(settings.folder)
    identity = asyncio.run(_enrol(settings, code, key))
    identity.save(settings.folder)
    return identity


def run_station(settings: StationSettings, stop: threading.Event, *, readers: ReaderSet | None = None) -> None:
    """Be a station until `stop` is set; raises `NotEnrolled`, `BadReaders`, `HubUnsafe` or `HubRefused`.

    `readers` takes the place of those that the settings name.
    """
    identity = StationIdentity.load(settings.folder)
    own = readers or open_readers(settings.readers)
    try:
        asyncio.run(_Agent(settings, identity, own).run(stop))
    finally:
        own.close()


async def _enrol(settings: StationSettings, code: str, key: StationKey) -> StationIdentity:
    async with hub(_addresses(settings)[0], settings.pin) as link:
        nonce = await _challenge(link)
        signature = key.sign(to_sign("enrol", nonce, key.public_key))
        await _send(link, Enrol(code, key.public_key.hex(), signature.hex()))
        answer = _accepted(decode(await link.recv()))
    if not isinstance(answer, Enrolled):
        raise BadMessage(type(answer).__name__)
    return StationIdentity(answer.station_id, answer.name, key, settings.pin.lower())


def _addresses(settings: StationSettings) -> list[str]:
    return [url.strip() for url in settings.hub_url.split(",")]


async def _challenge(link: ClientConnection) -> bytes:
    text = await link.recv()
    if (there := protocol_told(text)) != PROTOCOL:
        raise OtherVersion(there) if there is not None else BadMessage("its first word is no challenge")
    first = decode(text)
    if not isinstance(first, Challenge):
        raise BadMessage("its first word is no challenge")
    try:
        return bytes.fromhex(first.nonce)
    except ValueError as error:
        raise BadMessage("a challenge that is no hex") from error


def _accepted(message: Message) -> Message:
    if isinstance(message, Refused):
        raise HubRefused(message.reason)
    return message


async def _send(link: ClientConnection, message: Message) -> None:
    await link.send(encode(message))


class _Agent:
    """One station's life."""

    def __init__(self, settings: StationSettings, identity: StationIdentity, readers: ReaderSet) -> None:
        self._settings = settings
        self._identity = identity
        self._readers = readers
        self._now: tuple[Reader, ...] | None = None
        self._changed = asyncio.Event()
        self._slots: dict[str, tuple[Slot, asyncio.Lock]] = {}
        self._blind: Exception | None = None
        self._told: dict[str, str] = {}
        self._sightings = Sightings()

    async def run(self, stop: threading.Event) -> None:
        """Until `stop`; a refusal by the hub ends it too."""
        loop = asyncio.get_running_loop()
        watcher = threading.Thread(target=self._watch, args=(stop, loop), name="readers", daemon=True)
        watcher.start()
        life = asyncio.ensure_future(self._live())
        stopping = asyncio.ensure_future(_until(stop))
        try:
            await asyncio.wait({life, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.set()
            for task in (life, stopping):
                task.cancel()
            await asyncio.gather(life, stopping, return_exceptions=True)
            await asyncio.to_thread(watcher.join)
        if self._blind is not None:
            raise self._blind
        if not life.cancelled() and life.exception() is not None:
            raise life.exception() or RuntimeError

    def _watch(self, stop: threading.Event, loop: asyncio.AbstractEventLoop) -> None:
        """Look at the readers, in a thread of its own; a station that cannot look any more ends and says why."""
        try:
            while not stop.is_set():
                found = self._readers.look(LOOK_S)
                if found != self._now:
                    self._now = found
                    loop.call_soon_threadsafe(self._changed.set)
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._blind = error
            stop.set()

    async def _live(self) -> None:
        """Link after link."""
        pause = self._settings.retry_s
        pin = self._settings.pin or self._identity.hub_pin
        for url in itertools.cycle(_addresses(self._settings)):
            begun = time.monotonic()
            try:
                async with hub(url, pin) as link:
                    await self._session(link, url, pin)
            except HubAway as error:
                self._tell_once(url, error.cause, str(error))
            except BadMessage as error:  # while hubs are brought to another version, the next one may do
                self._tell_once(url, str(error), f"{url}: {error}")
            finally:
                await self._let_all_go()
            if time.monotonic() - begun > self._settings.retry_max_s:
                pause = self._settings.retry_s
            # Not in step: hundreds of stations lose a hub that is restarted in one moment.
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, self._settings.retry_max_s)

    def _tell_once(self, url: str, cause: str, words: str) -> None:
        """An hour without the hub is one line."""
        if self._told.get(url) != cause:
            self._told[url] = cause
            log.warning("%s", words)

    async def _session(self, link: ClientConnection, url: str, pin: str) -> None:
        nonce, own = await _challenge(link), secrets.token_bytes(NONCE_BYTES)
        words = to_sign("sign-in", nonce, own, self._identity.station_id.to_bytes(8, "big"))
        await _send(link, SignIn(self._identity.station_id, own.hex(), self._identity.key.sign(words).hex()))
        welcome = _accepted(decode(await link.recv()))
        if not isinstance(welcome, Welcome):
            raise BadMessage("no welcome")
        self._keep(pin)
        self._told.clear()
        log.info("station %s is linked to %s", self._identity.name, url)
        self._changed.set()
        telling = asyncio.ensure_future(self._tell(link, looks=welcome.looks))
        work: set[asyncio.Future[None]] = set()
        try:
            async for text in link:
                task = asyncio.ensure_future(self._obey(_accepted(decode(text)), link))
                work.add(task)
                task.add_done_callback(work.discard)
        finally:
            telling.cancel()
            # A bundle that a reader is busy with is played to its end: a thread cannot be called off.
            await asyncio.gather(telling, *work, return_exceptions=True)
        raise HubAway(url, "closed")

    def _keep(self, pin: str) -> None:
        """Pin from now on what the hub has just been found to answer with: it was given a new key, or a second one."""
        if pin != self._identity.hub_pin:
            self._identity = replace(self._identity, hub_pin=pin)
            with contextlib.suppress(OSError):  # a full disk costs no link: the next start wants --pin again
                self._identity.save(self._settings.folder)

    async def _tell(self, link: ClientConnection, *, looks: bool) -> None:
        """Send the readers whenever they change, and once at the beginning.

        A hub that `looks` at cards hears of one once it was looked at: what was seen goes with it.
        """
        asked: set[asyncio.Future[None]] = set()
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                if self._now is None:
                    continue
                for reader in self._now if looks else ():
                    if reader.card and not self._sightings.has(reader):
                        self._sightings.begin(reader)
                        task = asyncio.ensure_future(self._sight(reader))
                        asked.add(task)
                        task.add_done_callback(asked.discard)
                await _send(link, Readers(tuple(map(self._sightings.shown, self._now)) if looks else self._now))
        finally:
            await asyncio.gather(*asked, return_exceptions=True)

    async def _sight(self, reader: Reader) -> None:
        """Look at a card that was put in, on a connection of its own, while nothing else is done in its reader."""
        seen = None
        try:
            async with self._slot(reader.name)[1]:
                seen = await asyncio.to_thread(sight, self._readers.slot(reader.name))
        finally:
            self._sightings.end(reader, seen)
            self._changed.set()

    async def _obey(self, message: Message, link: ClientConnection) -> None:
        """Do one thing the hub asks for; an answer that finds the link gone is lost with it."""
        with contextlib.suppress(WebSocketException):
            match message:
                case Play():
                    await self._play(message, link)
                case Release():
                    await self._let_go(message.reader)
                case Attest():
                    await self._attest(message, link)
                case _:
                    log.error("the hub sent %s, which is nothing for a station", type(message).__name__)

    async def _play(self, order: Play, link: ClientConnection) -> None:
        slot, turn = self._slot(order.reader)
        loop = asyncio.get_running_loop()
        async with turn:
            on_step = _sparingly(lambda step: self._heard(loop, link, Heard(order.id, step)))
            answers = await asyncio.to_thread(play, slot, order.bundle, on_step=on_step)
        await _send(link, Played(order.id, answers))

    @staticmethod
    def _heard(loop: asyncio.AbstractEventLoop, link: ClientConnection, heard: Heard) -> None:
        """Progress is worth nothing when the link is gone: that shows elsewhere."""

        async def tell() -> None:
            with contextlib.suppress(WebSocketException):
                await _send(link, heard)

        asyncio.run_coroutine_threadsafe(tell(), loop)

    async def _attest(self, order: Attest, link: ClientConnection) -> None:
        signature = self._identity.key.sign(to_sign("transcript", bytes.fromhex(order.digest)))
        await _send(link, Attested(order.id, signature.hex()))

    def _slot(self, reader: str) -> tuple[Slot, asyncio.Lock]:
        if reader not in self._slots:
            self._slots[reader] = (self._readers.slot(reader), asyncio.Lock())
        return self._slots[reader]

    async def _let_go(self, reader: str) -> None:
        slot, turn = self._slot(reader)
        async with turn:
            await asyncio.to_thread(slot.close)

    async def _let_all_go(self) -> None:
        for reader in tuple(self._slots):
            await self._let_go(reader)


def _sparingly(tell: Callable[[int], None]) -> Callable[[int, str], None]:
    """At most a few times a second."""
    last = time.monotonic()

    def on_step(step: int, label: str) -> None:
        nonlocal last
        if time.monotonic() - last >= HEARD_EVERY_S:
            last = time.monotonic()
            tell(step)

    return on_step


async def _until(stop: threading.Event) -> None:
    while not stop.is_set():
        await asyncio.sleep(STOP_LOOK_S)
