"""Which hubs serve the database now, and what becomes of the work of one that is dead.

Every hub has a row and renews it (`beats`); its lease ends when the row stands still for `LEASE_S` by the watch of
whoever looks, so no two clocks need agree. A hub also holds a lock that the system frees when its process dies (a
locked file beside SQLite, an advisory lock of a connection of its own on PostgreSQL): with the lock free, nobody waits
for the lease. A hub taken for dead that still lives does no harm: its stations are linked elsewhere, and the journal
refuses its next entry (`uec.services.journal.TakenOver`).
"""

import contextlib
import fcntl
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Protocol

from sqlalchemy import Connection, Engine, delete, select, text, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.sealing import SealingKey
from uec.domain.errors import StoreUnavailable
from uec.domain.lifecycle import OperationState
from uec.services import operations
from uec.store.engine import reading
from uec.store.tables import CardOperation, HubInstance

BEAT_S = 2.0
LEASE_S = 15.0
LOCK_CLASS = 0x75656368
ID_BYTES = 4
ID_MASK = 0x7FFFFFFF

log = logging.getLogger(__name__)


class Locks(Protocol):
    """Locks by hub that die with their holder's process."""

    grace_s: float
    """How long a row must stand still before a free lock means that its hub is dead."""

    def hold(self, hub_id: int) -> None:
        """Take this process's own lock, or see that it is held still; raises `StoreUnavailable`."""

    def is_free(self, hub_id: int) -> bool:
        """Whether nobody holds the lock of that hub."""

    def let_go(self) -> None:
        """Give the own lock back."""


def locks_of(engine: Engine) -> Locks:
    """The locks that go with the database."""
    if engine.dialect.name == "postgresql":
        return _ServerLocks(engine)
    return _FileLocks(Path(str(engine.url.database)))


class _FileLocks:
    """Locked files beside the database; the kernel frees them."""

    grace_s = 0.0

    def __init__(self, database: Path) -> None:
        self._database = database
        self._held: tuple[Path, IO[bytes]] | None = None

    def _path(self, hub_id: int) -> Path:
        return self._database.with_name(f"{self._database.name}.hub-{hub_id}")

    def hold(self, hub_id: int) -> None:
        if self._held is not None:
            return
        path = self._path(hub_id)
        with contextlib.ExitStack() as stack:
            file = stack.enter_context(path.open("ab"))
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            stack.pop_all()
        self._held = path, file

    def is_free(self, hub_id: int) -> bool:
        path = self._path(hub_id)
        try:
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return True
        except BlockingIOError:
            return False
        path.unlink(missing_ok=True)
        return True

    def let_go(self) -> None:
        if self._held is not None:
            path, file = self._held
            path.unlink(missing_ok=True)
            file.close()
            self._held = None


class _ServerLocks:
    """Advisory locks of the server; each belongs to one connection, and goes with it."""

    grace_s = 3 * BEAT_S  # after a restart of the server every hub needs a beat to take its lock again

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None

    def hold(self, hub_id: int) -> None:
        if self._connection is not None:
            try:
                self._connection.execute(text("SELECT 1"))
            except StoreUnavailable:
                self.let_go()
            else:
                return
        with contextlib.ExitStack() as stack:
            connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            stack.callback(connection.close)
            take = text("SELECT pg_try_advisory_lock(:kind, :hub)").bindparams(kind=LOCK_CLASS, hub=hub_id)
            if connection.scalar(take):  # else somebody looks at it just now, and the next beat takes it
                self._connection = connection
                stack.pop_all()

    def is_free(self, hub_id: int) -> bool:
        free = text("SELECT pg_try_advisory_xact_lock(:kind, :hub)")
        with self._engine.begin() as connection:
            return bool(connection.scalar(free, {"kind": LOCK_CLASS, "hub": hub_id}))

    def let_go(self) -> None:
        if self._connection is not None:
            self._connection.invalidate()  # back in the pool the connection would hold on to the lock
            self._connection.close()
            self._connection = None


@dataclass(slots=True)
class _Seen:
    """Another hub's row: its beats when they last changed, and when that was by this process's watch."""

    beats: int
    since: float


class Lease:
    """This hub's own lease, and its watch over the others'."""

    def __init__(
        self,
        engine: Engine,
        sessions: sessionmaker[Session],
        *,
        key: SealingKey,
        clock: Callable[[], datetime],
        random: Callable[[int], bytes],
        watch: Callable[[], float] = time.monotonic,
    ) -> None:
        """Draw a number; `take` enters it."""
        self.hub_id = int.from_bytes(random(ID_BYTES), "big") & ID_MASK
        self._sessions = sessions
        self._locks = locks_of(engine)
        self._key = key
        self._clock = clock
        self._watch = watch
        self._started_at = clock()
        self._seen: dict[int, _Seen] = {}

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Be one of the hubs within the block; what dead ones left is settled before it begins."""
        self.renew()
        self.reap()
        try:
            yield
        finally:
            # A database that is away keeps the row, which another hub takes out.
            with contextlib.suppress(StoreUnavailable), self._sessions() as session:
                session.execute(delete(HubInstance).where(HubInstance.id == self.hub_id))
                session.commit()
            self._locks.let_go()

    def renew(self) -> None:
        """Show that this hub lives; a row that was lost is entered again. Raises `StoreUnavailable`."""
        self._locks.hold(self.hub_id)
        now = self._clock()
        mine = HubInstance.id == self.hub_id
        with self._sessions() as session:
            beat = update(HubInstance).where(mine).values(beats=HubInstance.beats + 1, heartbeat_at=now)
            if session.execute(beat.returning(HubInstance.id)).first() is None:
                row = HubInstance(id=self.hub_id, public_key=self._key.public_key, beats=0)
                row.started_at, row.heartbeat_at = self._started_at, now
                session.add(row)
            session.commit()

    def reap(self) -> int:
        """Take out hubs whose lease has ended, and settle what nobody alive works on; how many operations."""
        dead = [hub_id for hub_id in self._others() if self._is_dead(hub_id)]
        owner = CardOperation.hub_id
        with self._sessions() as session:
            if dead:
                session.execute(delete(HubInstance).where(HubInstance.id.in_(dead)))
            alive = select(HubInstance.id)
            # A process that is no hub (a rehearsal, a bench) works without a lease: only what is older than us is left.
            leaseless = owner.is_(None) & (CardOperation.started_at < self._started_at)
            nobodys = (CardOperation.state == OperationState.RUNNING, leaseless | owner.not_in(alive))
            left = list(session.scalars(select(CardOperation.id).where(*nobodys).with_for_update(skip_locked=True)))
            if left:
                log.info("operations %s were left by a hub that is gone; their journals say where they go on", left)
                operations.release_operations(session, left, now=self._clock())
            session.commit()
        return len(left)

    def _others(self) -> list[int]:
        """The other hubs' rows; what stood still is remembered from look to look."""
        with reading(self._sessions) as session:
            rows = session.execute(select(HubInstance.id, HubInstance.beats)).all()
        now = self._watch()
        beats: Mapping[int, int] = {hub_id: count for hub_id, count in rows if hub_id != self.hub_id}
        self._seen = {
            hub_id: known if (known := self._seen.get(hub_id)) and known.beats == count else _Seen(count, now)
            for hub_id, count in beats.items()
        }
        return list(self._seen)

    def _is_dead(self, hub_id: int) -> bool:
        still_s = self._watch() - self._seen[hub_id].since
        return still_s >= LEASE_S or (still_s >= self._locks.grace_s and self._locks.is_free(hub_id))
