"""Group commit: what the cards in flight have to remember now is written by one of them, in one transaction for all.

Whoever comes while a transaction is being written leaves a page and waits; whoever is next writes all the pages that
lie there by then. So the price of a durable commit is shared by as many cards as are in flight, and a lone card pays
for no thread and no waiting. Pages are written in the order of their cards, so that no two transactions wait for each
other. A page that the database refuses is refused alone.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import bindparam, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.errors import UecError
from uec.services.journal import ENTERING, taken_over
from uec.services.operation_statements import SHOWN
from uec.store.tables import Card

_Row = Mapping[str, Any]
_KEYS = (
    update(Card.__table__)  # type: ignore[arg-type]
    .where(Card.id == bindparam("this"))
    .values(kvn=bindparam("new_kvn"), key_version=bindparam("new_version"), version=Card.version + 1)
)


@dataclass(slots=True)
class Page:
    """What one card has to remember: journal rows, the keys its chip holds now, and how far its operation is.

    `keys` are `this` (the card), `new_kvn`, `new_version`; `progress` are `this` (the operation) and `shown`.
    """

    card_id: int
    rows: Sequence[_Row] = ()
    keys: _Row | None = None
    progress: _Row | None = None
    error: UecError | None = field(default=None, init=False)
    written: bool = field(default=False, init=False)


class JournalWriter:
    """The pages of all cards of a process."""

    def __init__(self, sessions: sessionmaker[Session]) -> None:
        """Write to the database of these sessions."""
        self._sessions = sessions
        self._waiting: list[Page] = []
        self._guard = threading.Lock()
        self._turn = threading.Lock()

    def write(self, page: Page) -> None:
        """Return once the page is committed; raises `TakenOver`, or `StoreUnavailable` for the whole transaction."""
        with self._guard:
            self._waiting.append(page)
        with self._turn:
            if not page.written:
                self._write_waiting()
        if page.error is not None:
            raise page.error

    def _write_waiting(self) -> None:
        with self._guard:
            pages, self._waiting = self._waiting, []
        try:
            self._together(sorted(pages, key=lambda page: page.card_id))
        finally:
            for page in pages:
                page.written = True

    def _together(self, pages: list[Page]) -> None:
        """One transaction; when a row of it is refused, one for each page."""
        try:
            self._commit(pages)
        except IntegrityError:
            for page in pages:
                self._alone(page)
        except UecError as error:
            for page in pages:
                page.error = error

    def _alone(self, page: Page) -> None:
        try:
            self._commit([page])
        except IntegrityError:
            page.error = taken_over(page.card_id)
        except UecError as error:
            page.error = error

    def _commit(self, pages: Sequence[Page]) -> None:
        with self._sessions() as session:
            connection = session.connection()
            if keys := [page.keys for page in pages if page.keys]:
                connection.execute(_KEYS, keys)
            if rows := [row for page in pages for row in page.rows]:
                connection.execute(ENTERING, rows)
            if shown := [page.progress for page in pages if page.progress]:
                connection.execute(SHOWN, shown)
            session.commit()
