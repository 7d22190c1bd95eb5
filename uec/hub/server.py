"""The hub process: stations connect here, card operations run here, in threads of one process.

One hub a database (`uec.hub.single`). What a dead hub left running is settled by the journal when the next one starts,
and what this one could not close while the database was away, as soon as that is back. Its sealing key lives in memory
only; the public half is published in the database for the pages that take PINs.
"""

import asyncio
import contextlib
import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, sessionmaker
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.production.sealing import SealingKey
from issuance.station.wire import (
    MESSAGE_MAX_BYTES,
    NONCE_BYTES,
    PROTOCOL,
    BadMessage,
    Challenge,
    Enrol,
    Enrolled,
    Refused,
    SignIn,
    Welcome,
    decode,
    encode,
)
from uec.domain.errors import StoreUnavailable, UecError
from uec.domain.lifecycle import OperationState
from uec.hub import enrolment
from uec.hub.dispatch import assign
from uec.hub.enrolment import StationRefused
from uec.hub.links import StationLink, plain_readers
from uec.hub.single import HubRunning, Sole, Standby, only_hub
from uec.hub.tls import server_context
from uec.hub.work import HubStopping, Workshop, perform
from uec.services import operations
from uec.services.journal_writer import JournalWriter
from uec.services.views import OperationView
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.tables import CardOperation, HubInstance, Station

CARDS_AT_ONCE = 64
LOOK_S = 0.2
HEARTBEAT_S = 5.0
SIGN_IN_S = 10.0
PING_S = 10.0
PROBE_S = 2.0
"""How long a station that seems connected may take to prove it, when another one comes with its identity."""
TRY_AGAIN_LATER = 1013
INTERNAL = "uec.hub_internal"
SORRY = "The card service made a mistake of its own: try again, and tell the administrator if it stays."

T = TypeVar("T")
log = logging.getLogger(__name__)


def system_clock() -> datetime:
    """The present moment, aware UTC."""
    return datetime.now(UTC)


def run_hub(
    settings: Settings,
    stop: threading.Event,
    *,
    clock: Callable[[], datetime] = system_clock,
    on_listening: Callable[[int], None] = lambda port: None,
    standby: Standby = Standby.REFUSE,
) -> None:
    """Be the hub until `stop` is set; raises `HubRunning`, or `OSError` when the address is taken.

    `on_listening` hears the port once stations can connect. With `Standby.WAIT` it waits for the hub that serves this
    database to end, however it ends, and then goes on with its cards by their journals.
    """
    engine = make_engine(settings.database_url)
    sessions = session_factory(engine)
    vault = VaultClient(settings.vault_socket, ClientKind.HUB)
    workshop = Workshop(settings, sessions, vault, SealingKey(), clock, os.urandom, stop, JournalWriter(sessions))
    try:
        with (
            only_hub(engine, standby=standby, stop=stop) as sole,
            _announced(sessions, workshop.sealing_key, clock) as instance,
        ):
            asyncio.run(_Hub(workshop, instance, sole).run(on_listening))
    finally:
        stop.set()
        vault.close()
        engine.dispose()


@contextlib.contextmanager
def _announced(sessions: sessionmaker[Session], key: SealingKey, clock: Callable[[], datetime]) -> Iterator[int]:
    """Put back what the last hub left, and publish this one's key; the row's id."""
    with sessions() as session:
        running = select(CardOperation.id).where(CardOperation.state == OperationState.RUNNING)
        left = list(session.scalars(running))
        if left:
            log.info("operations %s were left by the last hub; they are settled by their journals", left)
            operations.release_operations(session, left, now=clock())
    with sessions() as session:
        session.execute(delete(HubInstance))
        row = HubInstance(public_key=key.public_key, started_at=clock(), heartbeat_at=clock())
        session.add(row)
        session.commit()
        instance = row.id
    try:
        yield instance
    finally:
        # A database that is away keeps the row, which the next start takes out.
        with contextlib.suppress(StoreUnavailable), sessions() as session:
            session.execute(delete(HubInstance).where(HubInstance.id == instance))
            session.commit()


class _Hub:
    """The loop of one hub process."""

    def __init__(self, workshop: Workshop, instance: int, sole: Sole) -> None:
        self._workshop = workshop
        self._instance = instance
        self._sole = sole
        self._look = asyncio.Event()
        self._stranded: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._told = ""
        self._ousted: HubRunning | None = None
        self._links: dict[int, StationLink] = {}
        self._workers = ThreadPoolExecutor(CARDS_AT_ONCE, thread_name_prefix="card")

    async def run(self, on_listening: Callable[[int], None]) -> None:
        """Serve stations and dispatch until the stop."""
        host, _, port = self._workshop.settings.hub_listen.rpartition(":")
        limits = {"max_size": MESSAGE_MAX_BYTES, "ping_interval": PING_S, "ping_timeout": PING_S}
        tls = server_context(self._workshop.settings, clock=self._workshop.clock)
        async with serve(self._station, host.strip("[]"), int(port), ssl=tls, **limits) as server:  # type: ignore[arg-type]
            on_listening(server.sockets[0].getsockname()[1] if server.sockets else int(port))
            beating = asyncio.ensure_future(self._beat())
            try:
                await self._dispatch()
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
        # The links are closed now, so every running card session ends with a lost link.
        await asyncio.to_thread(self._workers.shutdown)
        if self._ousted is not None:
            raise self._ousted

    async def _dispatch(self) -> None:
        """Look for work again and again, at once when a reader changes; a database that is away is waited for."""
        while not self._workshop.stop.is_set():
            self._look.clear()
            try:
                await asyncio.to_thread(self._assign)
                self._told = ""
            except UecError as error:
                self._tell_once(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK_S)

    def _tell_once(self, error: UecError) -> None:
        """An hour without the database is one line."""
        if str(error) != self._told:
            self._told = str(error)
            log.warning("%s", error)

    def _assign(self) -> None:
        workshop = self._workshop
        self._settle()
        for operation, link, reader in assign(workshop.sessions, dict(self._links), workshop.clock):
            self._workers.submit(_performed, workshop, operation, link, reader, self._stranded)

    def _settle(self) -> None:
        """Close or put back what ended while the database was away."""
        while not self._stranded.empty():
            operation_id = self._stranded.get()
            try:
                with self._workshop.sessions() as session:
                    operations.release_operations(session, [operation_id], now=self._workshop.clock())
            except UecError:
                self._stranded.put(operation_id)
                raise

    async def _beat(self) -> None:
        """Show that hub and stations are alive; let revoked stations go."""
        while True:
            try:
                revoked = await asyncio.to_thread(self._show)
            except HubRunning as error:
                self._ousted = error
                self._workshop.stop.set()
                return
            except UecError as error:
                self._tell_once(error)
                revoked = []
            for station_id in revoked:
                await self._links.pop(station_id).dismiss()
            await asyncio.sleep(HEARTBEAT_S)

    def _show(self) -> list[int]:
        self._sole.check()
        now = self._workshop.clock()
        here = [link.station_id for link in self._links.values() if link.open]
        with self._workshop.sessions() as session:
            alive = update(HubInstance).where(HubInstance.id == self._instance).values(heartbeat_at=now)
            if session.execute(alive.returning(HubInstance.id)).first() is None:  # a database put back from a copy
                key = self._workshop.sealing_key.public_key
                row = HubInstance(id=self._instance, public_key=key, started_at=now, heartbeat_at=now)
                session.add(row)
            session.execute(update(Station).where(Station.id.in_(here)).values(last_seen_at=now))
            revoked = session.scalars(select(Station.id).where(Station.id.in_(here), Station.revoked_at.is_not(None)))
            gone = list(revoked)
            session.commit()
        return gone

    async def _station(self, socket: ServerConnection) -> None:
        """One connection: prove who you are, then report and play."""
        with contextlib.suppress(ConnectionClosed):
            try:
                async with asyncio.timeout(SIGN_IN_S):
                    link = await self._sign_in(socket)
            except StoreUnavailable:
                # No refusal: a station ends when it is refused, and comes again when it is only sent away.
                await socket.close(TRY_AGAIN_LATER, "the database is away")
                return
            except (UecError, BadMessage) as error:
                await socket.send(encode(Refused(error.code, str(error))))
                return
            except TimeoutError:
                return
            if link is None:
                return
            try:
                await self._listen(link, socket)
            except BadMessage as error:
                await socket.send(encode(Refused(error.code, str(error))))
            finally:
                link.detach(socket)
                log.info("station %s has gone", link.name)
                await asyncio.to_thread(self._report, link)

    async def _sign_in(self, socket: ServerConnection) -> StationLink | None:
        """The link of a station that proved itself; None after an enrolment."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        await socket.send(encode(Challenge(nonce.hex(), PROTOCOL)))
        match decode(await socket.recv()):
            case Enrol(code=code, public_key=public_key, signature=signature):
                key, proof = _bytes(public_key), _bytes(signature)
                station_id, name = await self._asked(
                    lambda session: enrolment.enrol(
                        session, code=code, public_key=key, nonce=nonce, signature=proof, now=self._workshop.clock()
                    )
                )
                await socket.send(encode(Enrolled(station_id, name)))
                return None
            case SignIn(station_id=station_id, nonce=own, signature=signature):
                own_nonce, proof = _bytes(own), _bytes(signature)
                name = await self._asked(
                    lambda session: enrolment.admit(
                        session, station_id=station_id, nonce=nonce, own=own_nonce, signature=proof
                    )
                )
                await self._refuse_twin(station_id)
                await socket.send(encode(Welcome(name)))
                return await self._attach(station_id, name, socket)
            case other:
                raise BadMessage(type(other).__name__)

    async def _refuse_twin(self, station_id: int) -> None:
        """Raise `StationRefused` when a station of that identity is here and answers: two would oust each other."""
        link = self._links.get(station_id)
        if link is not None and await link.answers(PROBE_S):
            raise StationRefused(
                "A machine with this station's identity is connected already: stop it there, or enrol this one by a "
                "code of its own.",
                reason="twice",
            )

    async def _attach(self, station_id: int, name: str, socket: ServerConnection) -> StationLink:
        link = self._links.setdefault(station_id, StationLink(station_id, name, asyncio.get_running_loop()))
        before = link.attach(socket)
        if before is not None:
            await before.close()
        log.info("station %s is here", name)
        return link

    async def _listen(self, link: StationLink, socket: ServerConnection) -> None:
        async for text in socket:
            if link.hear(decode(text)):
                self._look.set()
                await asyncio.to_thread(self._report, link)

    def _report(self, link: StationLink) -> None:
        """Write the readers where the pages see them."""
        values = {"readers": plain_readers(link.readers), "last_seen_at": self._workshop.clock()}
        try:
            with self._workshop.sessions() as session:
                session.execute(update(Station).where(Station.id == link.station_id).values(**values))
                session.commit()
        except UecError as error:
            log.warning("%s", error)

    async def _asked(self, ask: Callable[[Session], T]) -> T:
        def answer() -> T:
            with self._workshop.sessions() as session:
                return ask(session)

        return await asyncio.to_thread(answer)


def _bytes(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise StationRefused("The station sent no hex: install the same version on both.", reason="hex") from error


def _performed(
    workshop: Workshop, operation: OperationView, link: StationLink, reader: str, stranded: "queue.SimpleQueue[int]"
) -> None:
    """What a worker thread does; an error of ours never ends silently, and no operation stays running for nobody."""
    try:
        perform(workshop, operation, link, reader)
    except HubStopping:
        log.info("operation %d is left to the next start", operation.id)
    except StoreUnavailable as error:
        log.warning("operation %d is settled when the database is back: %s", operation.id, error)
        stranded.put(operation.id)
    except Exception:
        log.exception("operation %d ended in an error of the hub itself", operation.id)
        try:
            with workshop.sessions() as session:
                operations.fail_operation(session, operation.id, code=INTERNAL, text=SORRY, now=workshop.clock())
        except UecError:
            stranded.put(operation.id)
        raise
