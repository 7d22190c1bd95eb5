"""A quarantined station or reader gets no card from the hub, and where each operation was done is remembered."""

import asyncio

from tests.integration.station.test_dispatch import ask, begun, link_of, loop, office
from tests.support.desk import CardOffice
from uec.domain.actors import system_actor
from uec.domain.lifecycle import OperationState
from uec.domain.stock import SubjectKind
from uec.services import operations, quality
from uec.store.tables import OperationPlace

__all__ = ["loop", "office"]
QUALITY = system_actor("quality")


def test_quarantined_readers_and_stations_are_passed_over(office: CardOffice, loop: asyncio.AbstractEventLoop) -> None:
    first, second = ask(office, (1, 2))
    one, two = link_of(1, loop, left=1, right=2), link_of(2, loop, left=1)
    with office.sessions() as session:
        reader = quality.impose(session, SubjectKind.READER, "1:left", reason="x", actor=QUALITY, now=office.clock())
        quality.impose(session, SubjectKind.STATION, "2", reason="x", actor=QUALITY, now=office.clock())
    assert begun(office, one, two) == [(first, 1, "right")], "the left reader and the other station get nothing"
    with office.sessions() as session:
        place = session.get_one(OperationPlace, first)
        assert (place.station_id, place.reader) == (1, "right")
        assert operations.operation(session, second).state is OperationState.REQUESTED, "it waits for another place"
        quality.release(session, reader, reason="починили", actor=QUALITY, now=office.clock())
    assert begun(office, one, two) == [(second, 1, "left")]
