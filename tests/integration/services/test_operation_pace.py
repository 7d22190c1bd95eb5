"""How much of the work on a card is left, by what such work took here lately."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import CardOffice, open_card_office
from uec.domain.lifecycle import OperationKind, OperationState
from uec.services import operations
from uec.services.operation_pace import seconds_left
from uec.services.views import OperationView
from uec.store.tables import CardOperation


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def took(office: CardOffice, **seconds: int) -> None:
    """Let the operations that are done have taken so long."""
    with office.sessions() as session:
        for name, length in seconds.items():
            row = session.get_one(CardOperation, int(name.removeprefix("op")))
            assert row.started_at is not None
            end = row.started_at + timedelta(seconds=length)
            session.execute(update(CardOperation).where(CardOperation.id == row.id).values(finished_at=end))
        session.commit()


def left(office: CardOffice, operation: OperationView, after_s: float) -> int | None:
    assert operation.started_at is not None
    with office.sessions() as session:
        return seconds_left(session, operation, now=operation.started_at + timedelta(seconds=after_s))


def test_what_is_left_is_the_median_less_what_is_gone(office: CardOffice) -> None:
    made = office.make_cards(1, 2, 3)
    took(office, op1=10, op2=12, op3=300)  # one was put back after a pause
    asked = office.request(OperationKind.INSPECT, made[0])
    with office.sessions() as session:
        waiting = operations.operation(session, asked)
        running = operations.claim_operation(session, operation_id=asked, now=office.clock())
    assert running is not None and running.state is OperationState.RUNNING
    assert left(office, running, 0) is None, "no inspection was ever done"
    writing = replace(running, kind=OperationKind.PERSONALISE)
    assert [left(office, writing, after) for after in (0, 4.4, 11.9, 60)] == [12, 8, 0, 0]
    with office.sessions() as session:
        assert seconds_left(session, waiting, now=office.clock()) is None, "it has not begun"


def test_progress_begins_with_the_claim(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    asked = office.request(OperationKind.INSPECT, card_id)
    with office.sessions() as session:
        running = operations.claim_operation(session, operation_id=asked, now=office.clock())
    assert running is not None and running.progress["label"] == "find_card"
