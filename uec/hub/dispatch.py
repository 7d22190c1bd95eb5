"""Which requested operation goes to which reader now.

An operation waits, requested, until its station is here and a reader of it holds a card that may serve it; it is
claimed only then, so that a queue of many cards never blocks a window.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import case, or_, select
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.errors import UecError
from uec.domain.lifecycle import OperationKind, OperationState
from uec.domain.stock import SubjectKind
from uec.hub.links import StationLink
from uec.services import operations
from uec.services.quality_refusals import imposed
from uec.services.views import OperationView
from uec.store.engine import reading
from uec.store.tables import Card, CardOperation

LOOK_AHEAD = 100
"""Requested operations that are looked at for one station in one go."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A requested operation, as far as its place matters; `reader` is None when any will do."""

    id: int
    card_id: int | None
    reader: str | None
    kind: OperationKind = OperationKind.PERSONALISE

    @property
    def waits_for_own(self) -> bool:
        """Whether another card in the reader is waited out, as on a line; at a window the clerk is told at once."""
        return self.kind is OperationKind.PERSONALISE or self.reader is None


def assign(
    sessions: sessionmaker[Session],
    links: Mapping[int, StationLink],
    clock: Callable[[], datetime],
    *,
    hub_id: int | None = None,
) -> Iterator[tuple[OperationView, StationLink, str]]:
    """Claim every operation that can begin now; each comes with its station and the reader taken for it."""
    quarantined = _quarantined(sessions) if links else set()
    for link in links.values():
        if not link.ready or (SubjectKind.STATION, str(link.station_id)) in quarantined:
            continue
        own = f"{link.station_id}:"
        barred = {name.removeprefix(own) for _, name in quarantined if name.startswith(own)}
        for wanted in _requested(sessions, link.station_id, link.cards):
            reader = link.take(wanted.reader, wanted.card_id, barred=barred, waits_for_own=wanted.waits_for_own)
            if reader is None:
                continue
            try:
                with sessions() as session:
                    claimed = operations.claim_operation(
                        session,
                        now=clock(),
                        operation_id=wanted.id,
                        place=(link.station_id, reader),
                        hub_id=hub_id,
                    )
            except UecError:
                link.untake(reader)  # the database is away: the reader must not stay taken
                raise
            if claimed is None:  # another hub was faster, or it may not be done any more
                link.untake(reader)
            else:
                log.info("operation %d (%s) goes to %s, %s", claimed.id, claimed.kind, link.name, reader)
                yield claimed, link, reader


def _quarantined(sessions: sessionmaker[Session]) -> set[tuple[SubjectKind, str]]:
    """Stations and readers that get no card now; what waits for one of them waits on."""
    with reading(sessions) as session:
        return imposed(session, (SubjectKind.STATION, SubjectKind.READER))


def _requested(sessions: sessionmaker[Session], station_id: int, cards_here: Collection[int]) -> list[Wanted]:
    """What a station may do: what a citizen waits for first, then what was meant for it, then by age.

    So a batch of thousands never stands before a hand-over at the window. A card that was begun waits, unless somebody
    named the reader, for its own chip: `cards_here` are those that lie in this station's readers.
    """
    here = or_(CardOperation.station_id == station_id, CardOperation.station_id.is_(None))
    anywhere = or_(
        CardOperation.kind != OperationKind.PERSONALISE,
        CardOperation.reader.is_not(None),
        Card.chip_id.is_(None),
        Card.id.in_(cards_here),
    )
    order = (
        case((CardOperation.kind == OperationKind.PERSONALISE, 1), else_=0),
        case((CardOperation.station_id.is_(None), 1), else_=0),
        CardOperation.id,
    )
    waiting = (
        select(CardOperation.id, CardOperation.card_id, CardOperation.reader, CardOperation.kind)
        .outerjoin(Card, Card.id == CardOperation.card_id)
        .where(CardOperation.state == OperationState.REQUESTED, here, anywhere)
    )
    with reading(sessions) as session:
        return [Wanted(*row) for row in session.execute(waiting.order_by(*order).limit(LOOK_AHEAD))]
