"""Pages of long lists by the row beside them: the same pages as by counting, forwards and back, on both databases."""

from itertools import chain, pairwise

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_plan_office import applicants
from tests.support.office import NOW, Office, open_office
from uec.domain.lifecycle import ApplicationState, Route
from uec.services import applications
from uec.services.seeking import Seek, ids_of
from uec.store.tables import Application

ORDER = (Application.due_on, Application.id)
SIZE = 7


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    """Thirty people whose clocks end on five days, so that many share one."""
    made = open_office(sessions)
    with sessions() as session:
        applicants(session, made, 30, route=Route.WEB)
    return made


def test_pages_beside_a_row_are_those_that_are_counted_off(sessions: sessionmaker[Session], office: Office) -> None:
    everybody = select(Application.id)
    with sessions() as session:
        counted = [list(ids_of(session, everybody, ORDER, Seek(first), limit=SIZE)) for first in range(0, 30, SIZE)]
        assert [len(page) for page in counted] == [7, 7, 7, 7, 2]
        assert sorted(chain.from_iterable(counted)) == sorted(session.scalars(everybody))
        for here, there in pairwise(counted):
            # The offset says where one is; the row beside says what is shown.
            assert list(ids_of(session, everybody, ORDER, Seek(999, after=here[-1]), limit=SIZE)) == there
            assert list(ids_of(session, everybody, ORDER, Seek(999, before=there[0]), limit=SIZE)) == here
        assert ids_of(session, everybody, ORDER, Seek(after=counted[-1][-1]), limit=SIZE) == []
        assert ids_of(session, everybody, ORDER, Seek(before=counted[0][0]), limit=SIZE) == []


def test_a_row_that_is_not_there_is_no_row_beside(sessions: sessionmaker[Session], office: Office) -> None:
    everybody = select(Application.id)
    with sessions() as session:
        counted = ids_of(session, everybody, ORDER, Seek(SIZE), limit=SIZE)
        for seek in (Seek(SIZE, after=10**6), Seek(SIZE, before=10**6)):
            assert ids_of(session, everybody, ORDER, seek, limit=SIZE) == counted


def test_a_filtered_list_goes_on_behind_a_row_that_left_it(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        first = applications.find(
            session, actor=office.officer, now=NOW, states=[ApplicationState.APPROVED], limit=SIZE
        )
        last = first.rows[-1].id
        session.get_one(Application, last).state = ApplicationState.WITHDRAWN
        session.commit()
        ways = {"states": [ApplicationState.APPROVED], "limit": SIZE, "offset": SIZE}
        behind = applications.find(session, actor=office.officer, now=NOW, after=last, **ways)
        counted = applications.find(session, actor=office.officer, now=NOW, **ways)
        assert first.keyed and behind.total == counted.total == 29
        assert not {row.id for row in behind.rows} & {row.id for row in first.rows}, "nobody is shown twice"
        assert len(behind.rows) == SIZE, "and nobody is passed over"
