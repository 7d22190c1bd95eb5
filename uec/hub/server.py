"""The hub process: stations connect here, card operations run here, in threads of one process.

One hub a database: a lock file in the state folder holds others off, and what a dead hub left running is put back into
the queue when the next one starts (cards are then recognised by the journal). Its sealing key lives in memory only; the
public half is published in the database for the pages that take PINs.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
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
from uec.domain.errors import UecError
from uec.domain.lifecycle import OperationState
from uec.hub import enrolment
from uec.hub.dispatch import assign
from uec.hub.enrolment import StationRefused
from uec.hub.links import StationLink, plain_readers
from uec.hub.work import HubStopping, Workshop, perform
from uec.services import operations
from uec.services.views import OperationView
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.tables import CardOperation, HubInstance, Station

CARDS_AT_ONCE = 64
LOOK_S = 0.2
HEARTBEAT_S = 5.0
SIGN_IN_S = 10.0
PING_S = 10.0
INTERNAL = "uec.hub_internal"
SORRY = "The card service made a mistake of its own: try again, and tell the administrator if it stays."

T = TypeVar("T")
log = logging.getLogger(__name__)


class HubRunning(UecError):
    """Another hub serves this database. Facts: `lock`."""

    code = "uec.hub_running"


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
    """Be the hub until `stop` is set; raises `HubRunning`, or `OSError` when the address is taken.

    `on_listening` hears the port once stations can connect.
    """
    engine = make_engine(settings.database_url)
    sessions = session_factory(engine)
    vault = VaultClient(settings.vault_socket, ClientKind.HUB)
    workshop = Workshop(settings, sessions, vault, SealingKey(), clock, os.urandom, stop)
    try:
        with _only_hub(settings.state_dir), _announced(sessions, workshop.sealing_key, clock) as instance:
            asyncio.run(_Hub(workshop, instance).run(on_listening))
    finally:
        stop.set()
        vault.close()
        engine.dispose()


@contextlib.contextmanager
def _only_hub(state_dir: Path) -> Iterator[None]:
    state_dir.mkdir(parents=True, exist_ok=True)
    path = state_dir / "hub.lock"
    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise HubRunning(
                f"Another hub is running for this installation ({path}): stop it first.", lock=str(path)
            ) from error
        yield


@contextlib.contextmanager
def _announced(sessions: sessionmaker[Session], key: SealingKey, clock: Callable[[], datetime]) -> Iterator[int]:
    """Put back what the last hub left, and publish this one's key; the row's id."""
    with sessions() as session:
        running = select(CardOperation.id).where(CardOperation.state == OperationState.RUNNING)
        left = list(session.scalars(running))
        if left:
            log.info("operations %s were left by the last hub; they go back into the queue", left)
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
        with sessions() as session:
            session.execute(delete(HubInstance).where(HubInstance.id == instance))
            session.commit()


class _Hub:
    """The loop of one hub process."""

    def __init__(self, workshop: Workshop, instance: int) -> None:
        self._workshop = workshop
        self._instance = instance
        self._links: dict[int, StationLink] = {}
        self._workers = ThreadPoolExecutor(CARDS_AT_ONCE, thread_name_prefix="card")

    async def run(self, on_listening: Callable[[int], None]) -> None:
        """Serve stations and dispatch until the stop."""
        host, _, port = self._workshop.settings.hub_listen.rpartition(":")
        limits = {"max_size": MESSAGE_MAX_BYTES, "ping_interval": PING_S, "ping_timeout": PING_S}
        async with serve(self._station, host, int(port), **limits) as server:  # type: ignore[arg-type]
            on_listening(server.sockets[0].getsockname()[1] if server.sockets else int(port))
            beating = asyncio.ensure_future(self._beat())
            try:
                await self._dispatch()
            finally:
                beating.cancel()
                await asyncio.gather(beating, return_exceptions=True)
        # The links are closed now, so every running card session ends with a lost link.
        await asyncio.to_thread(self._workers.shutdown)

    async def _dispatch(self) -> None:
        """Look for work again and again; a database that is away is waited for."""
        while not self._workshop.stop.is_set():
            try:
                await asyncio.to_thread(self._assign)
            except UecError as error:
                log.warning("%s", error)
            await asyncio.sleep(LOOK_S)

    def _assign(self) -> None:
        workshop = self._workshop
        for operation, link, reader in assign(workshop.sessions, dict(self._links), workshop.clock):
            self._workers.submit(_performed, workshop, operation, link, reader)

    async def _beat(self) -> None:
        """Show that hub and stations are alive; let revoked stations go."""
        while True:
            try:
                revoked = await asyncio.to_thread(self._show)
            except UecError as error:
                log.warning("%s", error)
                revoked = []
            for station_id in revoked:
                await self._links.pop(station_id).dismiss()
            await asyncio.sleep(HEARTBEAT_S)

    def _show(self) -> list[int]:
        now = self._workshop.clock()
        here = [link.station_id for link in self._links.values() if link.open]
        with self._workshop.sessions() as session:
            session.execute(update(HubInstance).where(HubInstance.id == self._instance).values(heartbeat_at=now))
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
                await socket.send(encode(Welcome(name)))
                return await self._attach(station_id, name, socket)
            case other:
                raise BadMessage(type(other).__name__)

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


def _performed(workshop: Workshop, operation: OperationView, link: StationLink, reader: str) -> None:
    """What a worker thread does; an error of ours never ends silently."""
    try:
        perform(workshop, operation, link, reader)
    except HubStopping:
        log.info("operation %d is left to the next start", operation.id)
    except Exception:
        log.exception("operation %d ended in an error of the hub itself", operation.id)
        with workshop.sessions() as session:
            operations.fail_operation(session, operation.id, code=INTERNAL, text=SORRY, now=workshop.clock())
        raise
