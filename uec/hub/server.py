"""The hub process: stations connect here, card operations run here, in threads of one process.

Any number of hubs serve one database side by side (`uec.hub.leases`); a station is linked to one of them. What a dead
hub left running is settled by the journal by those that live or start next, and what this one could not close while the
database was away, as soon as that is back. Its sealing key lives in memory only; the public half is published in the
database for the pages that take PINs.
"""

import asyncio
import contextlib
import logging
import os
import queue
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import false, or_, select, update
from sqlalchemy.orm import Session
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
from uec.hub import enrolment
from uec.hub.dispatch import assign
from uec.hub.enrolment import StationRefused
from uec.hub.leases import BEAT_S, Lease
from uec.hub.links import StationLink, plain_readers
from uec.hub.strangers import introduce, introductions
from uec.hub.tls import server_context
from uec.hub.work import HubStopping, StationGone, Workshop, perform
from uec.services import operations
from uec.services.journal_writer import JournalWriter
from uec.services.rules import any_without_keys
from uec.services.views import OperationView
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.outage import Outage
from uec.store.tables import Station

CARDS_AT_ONCE = 64
LOOK_S = 0.2
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
) -> None:
    """Be a hub until `stop` is set, beside any others of this database; raises `OSError` when the address is taken.

    `on_listening` hears the port once stations can connect.
    """
    engine = make_engine(settings.database_url)
    sessions = session_factory(engine)
    vault = VaultClient(settings.vault_socket, ClientKind.HUB)
    key = SealingKey()
    workshop = Workshop(settings, sessions, vault, key, clock, os.urandom, stop, JournalWriter(sessions))
    try:
        lease = Lease(engine, sessions, key=key, clock=clock, random=os.urandom)
        outage = Outage(log)
        while not stop.is_set():
            try:
                with lease.held():
                    asyncio.run(_Hub(workshop, lease, outage).run(on_listening))
            except StoreUnavailable as error:  # before there was a lease
                outage.begun(error)
                stop.wait(BEAT_S)
    finally:
        stop.set()
        vault.close()
        engine.dispose()


class _Hub:
    """The loop of one hub process."""

    def __init__(self, workshop: Workshop, lease: Lease, outage: Outage) -> None:
        self._workshop = workshop
        self._lease = lease
        self._look = asyncio.Event()
        self._stranded: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._told = ""
        self._outage = outage
        self._links: dict[int, StationLink] = {}
        self._partings: set[asyncio.Future[None]] = set()
        self._workers = ThreadPoolExecutor(CARDS_AT_ONCE, thread_name_prefix="card")

    async def run(self, on_listening: Callable[[int], None]) -> None:
        """Serve stations and dispatch until the stop."""
        self._loop = asyncio.get_running_loop()
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
                await asyncio.gather(beating, *self._partings, return_exceptions=True)
        # The links are closed now, so every running card session ends with a lost link.
        await asyncio.to_thread(self._workers.shutdown)

    async def _dispatch(self) -> None:
        """Look for work again and again, at once when a reader changes; a database that is away is waited for."""
        while not self._workshop.stop.is_set():
            self._look.clear()
            try:
                await asyncio.to_thread(self._assign)
                self._told = ""
            except StoreUnavailable as error:
                log.debug("no work is given out, as the beat tells: %s", error)
            except UecError as error:
                self._tell_once(error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._look.wait(), LOOK_S)

    def _tell_once(self, error: UecError) -> None:
        """What is found at every look is one line."""
        if str(error) != self._told:
            self._told = str(error)
            log.warning("%s", error)

    def _assign(self) -> None:
        workshop = self._workshop
        self._settle()
        links = dict(self._links)
        for link, reader in introductions(workshop.sessions, links):
            self._workers.submit(self._introduced, link, reader)
        for operation, link, reader in assign(workshop.sessions, links, workshop.clock, hub_id=self._lease.hub_id):
            self._workers.submit(_performed, workshop, operation, link, reader, self._stranded)

    def _introduced(self, link: StationLink, reader: str) -> None:
        introduce(self._workshop, link, reader)
        self._loop.call_soon_threadsafe(self._look.set)

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
        """Show that hub and stations are alive, look after dead hubs' work, and let go whom this hub has no more."""
        while True:
            try:
                for link, socket, refusal in await asyncio.to_thread(self._show):
                    self._part(link, socket, refusal)
                self._outage.over()
            except StoreUnavailable as error:
                self._outage.begun(error)
            except UecError as error:
                self._tell_once(error)
            await asyncio.sleep(BEAT_S)

    def _show(self) -> list[tuple[StationLink, ServerConnection | None, StationRefused]]:
        """Renew the lease; the links to end: each with its socket, and what its station is told."""
        self._lease.renew()
        self._lease.reap()
        links = {station_id: (link, link.socket) for station_id, link in tuple(self._links.items())}
        here = [station_id for station_id, (_, socket) in links.items() if socket is not None]
        elsewhere = Station.hub_id.is_not(None) & (Station.hub_id != self._lease.hub_id)
        gone = select(Station.id, Station.revoked_at).where(
            Station.id.in_(links), or_(Station.revoked_at.is_not(None), elsewhere)
        )
        with self._workshop.sessions() as session:
            seen = update(Station).where(Station.id.in_(here), Station.hub_id == self._lease.hub_id)
            session.execute(seen.values(last_seen_at=self._workshop.clock()))
            rows = session.execute(gone).all()
            session.commit()
        return [
            (*links[station_id], enrolment.revoked() if revoked_at is not None else enrolment.twin())
            for station_id, revoked_at in rows
        ]

    def _part(self, link: StationLink, socket: ServerConnection | None, refusal: StationRefused) -> None:
        """A station that was revoked, or is linked to another hub by now; one that still answers here is told."""
        if link.socket is not socket:
            return  # it came back while the database was asked
        link.moved = True
        self._links.pop(link.station_id, None)
        if socket is not None:
            parting = asyncio.ensure_future(_dismiss(socket, encode(Refused(refusal.code, str(refusal)))))
            self._partings.add(parting)
            parting.add_done_callback(self._partings.discard)

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
                await asyncio.to_thread(self._take_station, station_id)
                looks = await asyncio.to_thread(any_without_keys, self._workshop.settings)
                await socket.send(encode(Welcome(name, looks)))
                return await self._attach(station_id, name, socket)
            case other:
                raise BadMessage(type(other).__name__)

    async def _refuse_twin(self, station_id: int) -> None:
        """Raise `StationRefused` when a station of that identity is here and answers: two would oust each other."""
        link = self._links.get(station_id)
        if link is not None and await link.answers(PROBE_S):
            raise enrolment.twin()

    def _take_station(self, station_id: int) -> None:
        """The station is this hub's from now on; one that had it learns so by its next beat."""
        with self._workshop.sessions() as session:
            session.execute(update(Station).where(Station.id == station_id).values(hub_id=self._lease.hub_id))
            session.commit()

    async def _attach(self, station_id: int, name: str, socket: ServerConnection) -> StationLink:
        link = self._links.setdefault(station_id, StationLink(station_id, name, self._loop))
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
        """Write the readers where the pages see them; of a station that is linked elsewhere the other hub tells.

        A station that came back while its going was written down is nobody's in the database, and taken again.
        """
        hub_id = self._lease.hub_id
        try:
            with link.reporting, self._workshop.sessions() as session:
                here = link.open
                free = Station.hub_id.is_(None) if here else false()
                mine = (Station.id == link.station_id, (Station.hub_id == hub_id) | free)
                told = {"readers": plain_readers(link.readers), "last_seen_at": self._workshop.clock()}
                session.execute(update(Station).where(*mine).values(**told, hub_id=hub_id if here else None))
                session.commit()
        except StoreUnavailable as error:
            log.debug("what lies in the readers of %s is not shown: %s", link.name, error)
        except UecError as error:
            self._tell_once(error)

    async def _asked(self, ask: Callable[[Session], T]) -> T:
        def answer() -> T:
            with self._workshop.sessions() as session:
                return ask(session)

        return await asyncio.to_thread(answer)


async def _dismiss(socket: ServerConnection, words: str) -> None:
    with contextlib.suppress(ConnectionClosed):
        await socket.send(words)
    await socket.close()


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
    except StationGone:
        log.info("operation %d waits for station %s, here or at another hub", operation.id, link.name)
        stranded.put(operation.id)
    except StoreUnavailable as error:
        log.info("operation %d is settled when the database is back: %s", operation.id, error)
        stranded.put(operation.id)
    except Exception:
        log.exception("operation %d ended in an error of the hub itself", operation.id)
        try:
            with workshop.sessions() as session:
                operations.fail_operation(session, operation.id, code=INTERNAL, text=SORRY, now=workshop.clock())
        except UecError:
            stranded.put(operation.id)
        raise
