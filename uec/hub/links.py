"""Links to stations, and which reader may take which work.

`StationLink` turns a WebSocket into calls that a worker thread can wait for. A reader takes work when a card lies in it
and nothing runs there; a card that has been worked on stays with its own card number until it is taken out, so that a
finished card never meets the next job of a batch. A card that lay there before this hub knew the reader is a stranger:
it is asked who it is (`uec.hub.strangers`) before any job that names no reader may have it.
"""

import asyncio
import itertools
import threading
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass

from websockets.asyncio.server import ServerConnection
from websockets.exceptions import WebSocketException

from issuance.production.bundle import Answers, Fault, Send
from issuance.production.sighting import Sighting
from issuance.station.wire import (
    Attest,
    Attested,
    BadMessage,
    Heard,
    Message,
    Play,
    Played,
    Reader,
    Readers,
    Release,
    encode,
)

BUNDLE_TIMEOUT_S = 300.0
ATTEST_TIMEOUT_S = 5.0


@dataclass(slots=True)
class _Use:
    """What was done with a reader's card: the insertion it was, and the card of ours it was used for, or says it is."""

    insertion: int
    card_id: int | None
    busy: bool
    only_asked: bool = False


class StationLink:
    """One station, over all its connections: it keeps what its readers are used for while the network is away.

    `exchange` and the like are for worker threads; `attach`, `hear` and `detach` are for the loop.
    """

    def __init__(self, station_id: int, name: str, loop: asyncio.AbstractEventLoop) -> None:
        """A station without a connection yet; `moved` is set once it is known to be linked to another hub.

        Whoever writes down what is known of the station holds `reporting`, so that what is written last is the newest.
        """
        self.station_id = station_id
        self.name = name
        self._socket: ServerConnection | None = None
        self._loop = loop
        self._ids = itertools.count(1)
        self._waiting: dict[int, Future[Message]] = {}
        self._readers: dict[str, Reader] = {}
        self._uses: dict[str, _Use] = {}
        self._before: dict[str, _Use | None] = {}
        self._guard = threading.Lock()
        self.reporting = threading.Lock()
        self._met = False
        self._strange: dict[str, int] = {}
        self.moved = False

    @property
    def socket(self) -> ServerConnection | None:
        """The connection that the station has now."""
        return self._socket

    @property
    def open(self) -> bool:
        """Whether the station is connected."""
        return self._socket is not None

    def attach(self, socket: ServerConnection) -> ServerConnection | None:
        """The station is here (again) with this socket; the one it had before, if that was not noticed to be gone."""
        before = self._socket
        self._drop()
        self._socket, self._met = socket, False
        return before

    async def answers(self, timeout_s: float) -> bool:
        """Whether the connection that the station has answers a ping within `timeout_s`; false without one."""
        if self._socket is None:
            return False
        try:
            async with asyncio.timeout(timeout_s):
                await (await self._socket.ping())
        except (WebSocketException, TimeoutError):
            return False
        return True

    def detach(self, socket: ServerConnection) -> None:
        """This socket has gone; nothing happens when the station has another one already."""
        if self._socket is socket:
            self._drop()

    def _drop(self) -> None:
        """Whoever waits for an answer over the old socket is told that none will come."""
        with self._guard:
            self._socket, self._readers = None, {}
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(ConnectionError("the station has gone"))

    @property
    def readers(self) -> tuple[Reader, ...]:
        """As last reported."""
        with self._guard:
            return tuple(self._readers.values())

    @property
    def reported(self) -> bool:
        """Whether the station is connected and has told of its readers."""
        with self._guard:
            return self.open and self._met

    @property
    def ready(self) -> bool:
        """Whether any reader holds a card that nothing is done with just now."""
        with self._guard:
            free = [name for name, reader in self._readers.items() if reader.card]
            return self.open and any(name not in self._uses or not self._uses[name].busy for name in free)

    def take(
        self, reader: str | None, card_id: int | None, *, barred: Collection[str] = (), waits_for_own: bool = True
    ) -> str | None:
        """Take a reader for a card's work: the one named, or the first that is free and holds a card; None if none.

        A reader that holds this very card comes before all others. The `barred` ones are left alone, and so are those
        whose card nobody has met yet, unless they are named. Work that does not wait for its own card is given another
        one that lies in the named reader, so that it can refuse it in words; one that was just worked on is waited out.
        """
        with self._guard:
            if reader is not None:
                names = [reader]
            else:
                own = [name for name, use in self._uses.items() if card_id and self._holds(name, use, card_id)]
                names = own or [name for name in self._readers if not self._is_strange(name)]
            for name in names:
                use = self._uses.get(name)
                any_card = not waits_for_own and use is not None and use.only_asked
                if name not in barred and self._may_take(name, None if any_card else card_id):
                    self._before[name] = self._uses.get(name)
                    self._uses[name] = _Use(self._readers[name].insertion, self._bound(name, card_id), busy=True)
                    return name
        return None

    def _may_take(self, name: str, card_id: int | None) -> bool:
        found, use = self._readers.get(name), self._uses.get(name)
        if not self.open or found is None or not found.card:
            return False
        if use is None:
            return True
        return not use.busy and (
            found.insertion != use.insertion or None in (card_id, use.card_id) or card_id == use.card_id
        )

    def _holds(self, name: str, use: _Use, card_id: int) -> bool:
        found = self._readers.get(name)
        same = found is not None and found.card and found.insertion == use.insertion
        return same and use.card_id == card_id and not self._is_strange(name)

    @property
    def cards(self) -> set[int]:
        """Cards of ours that are known to lie in a reader here."""
        with self._guard:
            return {
                use.card_id for name, use in self._uses.items() if use.card_id and self._holds(name, use, use.card_id)
            }

    def _is_strange(self, name: str) -> bool:
        found = self._readers[name]
        return found.card and self._strange.get(name) == found.insertion

    def strangers(self, *, barred: Collection[str] = (), every: bool = False) -> list[str]:
        """Readers to be asked what lies in them; they are taken for it, until `introduce`.

        Those whose card was there when the station, or the reader itself, came (again); `every` one whose card this hub
        has not worked on, if so asked.
        """
        with self._guard:
            if not self.open:
                return []
            asked = []
            for name, found in self._readers.items():
                use = self._uses.get(name)
                strange = self._is_strange(name)
                new = use is None or (not use.busy and (strange or use.insertion != found.insertion))
                if found.card and new and name not in barred and (every or strange):
                    self._uses[name] = _Use(found.insertion, None, busy=True)
                    asked.append(name)
            return asked

    def introduce(self, reader: str, insertion: int | None, card_id: int | None) -> None:
        """The card of that insertion is known now: `card_id`, or none of ours. The reader is free again, and at once.

        Were it free before it is known whose its card is, other work could take it, and be forgotten here.
        """
        with self._guard:
            if insertion is not None:
                self._uses[reader] = _Use(insertion, card_id, busy=False, only_asked=True)
            else:
                self._uses.pop(reader, None)
            self._strange.pop(reader, None)
            self._release(reader)

    def _bound(self, name: str, card_id: int | None) -> int | None:
        """Whose the reader's card is from now on; a mere look leaves it whose it was."""
        use = self._uses.get(name)
        if card_id is None and use is not None and use.insertion == self._readers[name].insertion:
            return use.card_id
        return card_id

    def untake(self, reader: str) -> None:
        """The work that the reader was taken for is none: its card is whose it was before."""
        with self._guard:
            before = self._before.pop(reader, None)
            if before is None:
                self._uses.pop(reader, None)
            else:
                self._uses[reader] = before

    def give_back(self, reader: str) -> None:
        """The work in this reader is over; its card loses power."""
        with self._guard:
            if reader in self._uses:
                self._uses[reader].busy = False
            self._release(reader)

    def _release(self, reader: str) -> None:
        """Said under the guard, so that it goes before the first command of whoever takes the reader next."""
        asyncio.run_coroutine_threadsafe(self._send(Release(reader)), self._loop)

    def insertion(self, reader: str) -> int | None:
        """Which insertion the card that lies in that reader now is, counted by the station; None without a card."""
        with self._guard:
            found = self._readers.get(reader)
            return found.insertion if self.open and found is not None and found.card else None

    def sighting(self, reader: str) -> Sighting | None:
        """What the station saw of the card that lies in that reader now, if it was asked to look."""
        with self._guard:
            found = self._readers.get(reader)
            return Sighting.heard(found.seen) if self.open and found is not None and found.card else None

    def begin(self, reader: str) -> int | None:
        """The insertion that the work in that reader begins with, or goes on with after the card went away.

        The reader is used for that card from now on: when the work is over, it is the one that meets no other job.
        """
        insertion = self.insertion(reader)
        with self._guard:
            if insertion is not None and reader in self._uses:
                self._uses[reader].insertion = insertion
        return insertion

    def exchange(self, reader: str, bundle: Send) -> Answers:
        """Play a bundle in that reader and wait for its answers; a lost link is an answer too."""
        try:
            answer = self._ask(lambda number: Play(number, reader, bundle), BUNDLE_TIMEOUT_S)
        except (ConnectionError, FutureTimeout):
            return Answers((), complete=False, fault=Fault.LINK_LOST)
        if not isinstance(answer, Played):
            raise BadMessage(type(answer).__name__)
        return answer.answers

    def attest(self, digest: bytes) -> dict[str, object]:
        """The station's signature over a transcript's digest, as facts; nothing when it cannot be had any more."""
        try:
            answer = self._ask(lambda number: Attest(number, digest.hex()), ATTEST_TIMEOUT_S)
        except (ConnectionError, FutureTimeout):
            return {"station_id": self.station_id}
        signature = answer.signature if isinstance(answer, Attested) else ""
        return {"station_id": self.station_id, "signature": signature}

    def _ask(self, make: Callable[[int], Message], timeout_s: float) -> Message:
        number, answer = next(self._ids), Future[Message]()
        with self._guard:  # a socket that goes just now tells those who wait, and this one is among them
            if not self.open:
                raise ConnectionError("the station has gone")
            self._waiting[number] = answer
        try:
            asyncio.run_coroutine_threadsafe(self._send(make(number)), self._loop).result(timeout_s)
            return answer.result(timeout_s)
        finally:
            self._waiting.pop(number, None)

    def hear(self, message: Message) -> bool:
        """Take what the station sent; true when its readers have changed."""
        match message:
            case Readers():
                with self._guard:
                    # Of a reader that was not there a moment ago nobody knows what its card went through. One that is
                    # still being looked at counts as no card, but its insertion is told already.
                    new = {one.name: one.insertion for one in message.readers if one.name not in self._readers}
                    self._strange |= new
                    self._readers = {reader.name: reader for reader in message.readers}
                    self._met = True
                return True
            case Played() | Attested():
                waiting = self._waiting.pop(message.id, None)
                if waiting is not None:
                    waiting.set_result(message)
            case Heard():
                pass
            case _:
                raise BadMessage(type(message).__name__)
        return False

    async def _send(self, message: Message) -> None:
        if self._socket is None:
            raise ConnectionError("the station has gone")
        try:
            await self._socket.send(encode(message))
        except WebSocketException as error:
            raise ConnectionError(str(error)) from error


def plain_readers(readers: Iterable[Reader]) -> list[dict[str, object]]:
    """Readers as the pages show them."""
    return [{"name": reader.name, "card": reader.card, "pad": list(reader.pad)} for reader in readers]
