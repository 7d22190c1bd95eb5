"""What a card asks of the database: so many statements and commits and no more; a move is one statement."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import CardOffice, open_card_office
from uec.domain.actors import system_actor
from uec.domain.errors import IllegalMove, NotFound, Stale
from uec.domain.lifecycle import (
    ApplicationEvent,
    ApplicationState,
    CardEvent,
    CardState,
    OperationKind,
    OperationState,
)
from uec.services import moves
from uec.store.tables import Application, AuditEntry, Card

ACTOR = system_actor("test")
WRITING, GIVING = 84, 72
"""Statements for one card, from the claim of its work to the end; a stage that asks for more must say why."""
COMMITS_WRITING, COMMITS_GIVING = 9, 6


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


@contextmanager
def counted(engine: Engine) -> Iterator[Counter[str]]:
    """Statements, by their first word, and commits, while the block runs; the beginnings of transactions count not."""
    seen: Counter[str] = Counter()

    def executed(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen["statements"] += 1

    def committed(_connection: Any) -> None:
        seen["commits"] += 1

    event.listen(engine, "after_cursor_execute", executed)
    event.listen(engine, "commit", committed)
    try:
        yield seen
    finally:
        event.remove(engine, "after_cursor_execute", executed)
        event.remove(engine, "commit", committed)


def test_a_card_asks_for_no_more_than_it_must(office: CardOffice, engine: Engine) -> None:
    given, _ = office.make_cards(1, 2)
    office.hand_over(given)  # the first of an office, whose series and statements begin
    (card_id,) = office.prepare_cards(3)
    office.request(OperationKind.PERSONALISE, card_id)
    with counted(engine) as writing:
        (written,) = office.work()
    assert written.state is OperationState.DONE
    assert writing["statements"] <= WRITING and writing["commits"] <= COMMITS_WRITING, writing
    with counted(engine) as giving:
        handed = office.hand_over(card_id)
    assert handed.state is OperationState.DONE
    assert giving["statements"] <= GIVING and giving["commits"] <= COMMITS_GIVING, giving


def notes(office: CardOffice) -> list[tuple[str, int | None]]:
    with office.sessions() as session:
        rows = session.execute(select(AuditEntry.action, AuditEntry.person_id).order_by(AuditEntry.id))
        return [(action, person) for action, person in rows]


def test_a_step_is_a_state_a_version_and_an_entry_in_the_audit(office: CardOffice) -> None:
    (card_id,) = office.prepare_cards(1)
    before, told = office.card(card_id), len(notes(office))
    with office.sessions() as session:
        card = moves.card_now(session, card_id)
        assert (card.number, card.state, card.chip_id) == (before.number, CardState.PREPARED, None)
        chip = {"chip_id": "ab" * 10}
        moves.step(session, card, CardEvent.START_WRITING, actor=ACTOR, now=office.clock(), values=chip)
        assert (card.state, card.chip_id) == (CardState.WRITING, "ab" * 10), "the caller goes on with it as it is"
        moves.change(session, card, kvn=0x30, key_version=2)
        session.commit()
    after = office.card(card_id)
    assert (after.state, after.chip_id, after.kvn, after.key_version) == (CardState.WRITING, "ab" * 10, 0x30, 2)
    assert after.version == before.version + 2
    assert notes(office)[told:] == [("card.start_writing", before.resident_id)]


def test_a_step_that_the_table_does_not_have_is_refused_and_changes_nothing(office: CardOffice) -> None:
    (card_id,) = office.prepare_cards(1)
    with office.sessions() as session, pytest.raises(IllegalMove):
        card = moves.card_now(session, card_id)
        moves.step(session, card, CardEvent.HAND_OVER, actor=ACTOR, now=office.clock(), values={"activated_at": None})
    assert office.card(card_id).state is CardState.PREPARED
    with office.sessions() as session, pytest.raises(NotFound):
        moves.card_now(session, card_id + 1000)


def test_somebody_quicker_is_noticed(office: CardOffice) -> None:
    """SQLite has no row locks: what was read before is compared once more by the statement itself."""
    (card_id,) = office.prepare_cards(1)
    with office.sessions() as session:
        card = moves.card_now(session, card_id)
        session.connection().execute(update(Card.__table__).values(state=CardState.ANNULLED))  # type: ignore[arg-type]
        with pytest.raises(Stale):
            moves.step(session, card, CardEvent.START_WRITING, actor=ACTOR, now=office.clock(), values={})


def test_a_row_is_advanced_by_its_id_from_whichever_state_allows_it(office: CardOffice) -> None:
    application = office.application_of(office.prepare_cards(1)[0])
    produce, ready = ApplicationEvent.PRODUCE, ApplicationEvent.CARD_READY
    told = len(notes(office))
    with office.sessions() as session:
        moves.step_of(session, Application, application.id, produce, actor=ACTOR, now=office.clock(), values={})
        with pytest.raises(IllegalMove):
            moves.step_of(session, Application, application.id, produce, actor=ACTOR, now=office.clock(), values={})
        session.commit()
    with office.sessions() as session:
        settled = {"remake": False}
        moves.step_of(session, Application, application.id, ready, actor=ACTOR, now=office.clock(), values=settled)
        session.commit()
        found = session.get_one(Application, application.id)
        assert (found.state, found.version) == (ApplicationState.READY, application.version + 2)
    person = application.resident_id
    assert notes(office)[told:] == [("application.produce", person), ("application.card_ready", person)]
