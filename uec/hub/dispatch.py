"""Which requested operation goes to which reader now.

An operation waits, requested, until its station is here and a reader of it holds a card that may serve it; it is
claimed only then, so that a queue of many cards never blocks a window.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.lifecycle import OperationState
from uec.hub.links import StationLink
from uec.services import operations
from uec.services.views import OperationView
from uec.store.engine import reading
from uec.store.tables import CardOperation

LOOK_AHEAD = 500
"""Requested operations that are looked at in one go."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requested operation, as far as its place matters; `station_id` and `reader` are None when any will do."""

    id: int
    card_id: int | None
    station_id: int | None
    reader: str | None


def assign(
    sessions: sessionmaker[Session], links: Mapping[int, StationLink], clock: Callable[[], datetime]
) -> Iterator[tuple[OperationView, StationLink, str]]:
    """Claim every operation that can begin now; each comes with its station and the reader taken for it."""
    if not any(link.open for link in links.values()):
        return
    for wanted in _requested(sessions):
        place = _place(wanted, links)
        if place is None:
            continue
        link, reader = place
        with sessions() as session:
            claimed = operations.claim_operation(session, now=clock(), operation_id=wanted.id)
        if claimed is None:
            link.give_back(reader)
        else:
            log.info("operation %d (%s) goes to %s, %s", claimed.id, claimed.kind, link.name, reader)
            yield claimed, link, reader


def _requested(sessions: sessionmaker[Session]) -> list[Wanted]:
    columns = (CardOperation.id, CardOperation.card_id, CardOperation.station_id, CardOperation.reader)
    waiting = select(*columns).where(CardOperation.state == OperationState.REQUESTED).order_by(CardOperation.id)
    with reading(sessions) as session:
        return [Wanted(*row) for row in session.execute(waiting.limit(LOOK_AHEAD))]


def _place(wanted: Wanted, links: Mapping[int, StationLink]) -> tuple[StationLink, str] | None:
    """The first reader that may take it."""
    if wanted.station_id is None:
        candidates = list(links.values())
    else:
        candidates = [links[wanted.station_id]] if wanted.station_id in links else []
    for link in candidates:
        reader = link.take(wanted.reader, wanted.card_id)
        if reader is not None:
            return link, reader
    return None
