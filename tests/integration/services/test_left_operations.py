"""Operations that nobody closed: hub or database died at the worst moment; the journal says what became of them."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.bundle import Record, RecordKind
from issuance.production.sealing import seal_pins
from tests.support.desk import LETTER, PINS, CardOffice, open_card_office
from uec.domain.errors import StoreUnavailable
from uec.domain.lifecycle import CardState, OperationKind, OperationState
from uec.services import cards, handover, journal, operations
from uec.services.journal import CardMovedOn
from uec.services.journal_writer import JournalWriter, Page
from uec.services.views import OperationView
from uec.store.tables import AuditEntry, Card, CardOperation


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def ask_to_hand_over(office: CardOffice, card_id: int) -> int:
    with office.sessions() as session:
        number = session.get_one(Card, card_id).number
        return handover.request(
            session,
            card_id,
            actor=office.staff.second_operator,
            station_id=None,
            reader=None,
            sealed_pins=seal_pins(office.desk.sealing_key.public_key, PINS | LETTER, card_number=number),
            holder_checked=True,
            now=office.clock(),
        )


def claim(office: CardOffice, operation_id: int) -> OperationView | None:
    with office.sessions() as session:
        return operations.claim_operation(session, now=office.clock(), operation_id=operation_id)


def do_and_die(office: CardOffice, operation_id: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Do all the work of an operation, and die before it can be closed."""
    claimed = claim(office, operation_id)
    assert claimed is not None
    with monkeypatch.context() as patch:
        patch.setattr(operations, "finish_operation", _die)
        patch.setattr(operations, "fail_operation", _die)
        with pytest.raises(KeyboardInterrupt):
            office.do(claimed)


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def released(office: CardOffice, operation_id: int) -> OperationView:
    with office.sessions() as session:
        assert operations.release_operations(session, [operation_id], now=office.clock()) == 1
        return operations.operation(session, operation_id)


def test_a_card_that_was_inspected_before_the_hub_died_is_done(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card_id,) = office.prepare_cards(1)
    asked = office.request(OperationKind.PERSONALISE, card_id)
    do_and_die(office, asked, monkeypatch)
    settled = released(office, asked)
    assert settled.state is OperationState.DONE
    assert settled.result["card_number"] == office.card(card_id).number and settled.result["genuine"] is True
    assert office.hand_over(card_id).state is OperationState.DONE, "nothing stands in the way of its holder"


def test_a_card_that_was_handed_over_before_the_hub_died_is_not_asked_for_pins_again(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card_id,) = office.make_cards(1)
    asked = ask_to_hand_over(office, card_id)
    do_and_die(office, asked, monkeypatch)
    settled = released(office, asked)
    assert (settled.state, settled.error_code) == (OperationState.DONE, None)
    assert settled.result["receipt"] == office.application_of(card_id).number
    assert office.card(card_id).state is CardState.ACTIVE
    with office.sessions() as session:
        assert session.get_one(CardOperation, asked).sealed_pins is None
        told = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "operation.release")).all()
    assert [details["became"] for details in told] == ["DONE"]


def test_a_card_that_was_scrapped_before_the_hub_died_is_not_written_again(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card_id,) = office.prepare_cards(1)
    asked = office.request(OperationKind.PERSONALISE, card_id)
    claimed = claim(office, asked)
    assert claimed is not None
    with office.sessions() as session:
        record = Record(RecordKind.SCRAPPED, {"reason": "data: not the prepared one"})
        actor = operations.HUB
        journal.append(session, card_id, record, operation_id=asked, actor=actor, now=office.clock())
    settled = released(office, asked)
    assert (settled.state, settled.error_code) == (OperationState.FAILED, "card-scrapped")
    assert settled.error_text is not None and "put it aside" in settled.error_text
    assert office.work() == [], "the spoiled card is in no queue"


def test_a_card_that_was_spoiled_while_it_waited_is_not_written(office: CardOffice) -> None:
    (card_id,) = office.prepare_cards(1)
    asked = office.request(OperationKind.PERSONALISE, card_id)
    with office.sessions() as session:
        cards.spoil(session, card_id, actor=office.staff.producer, reason="scratched", now=office.clock())
    assert claim(office, asked) is None
    with office.sessions() as session:
        failed = operations.operation(session, asked)
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "uec.card_not_ready")
    assert failed.error_text is not None and "put this card aside" in failed.error_text
    assert card_id not in office.chips, "no chip was touched"


def test_a_card_that_was_annulled_while_it_waited_is_not_handed_over(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    asked = ask_to_hand_over(office, card_id)
    with office.sessions() as session:
        cards.annul(session, card_id, actor=office.staff.security, reason="withdrawn", now=office.clock())
    assert claim(office, asked) is None
    with office.sessions() as session:
        assert operations.operation(session, asked).state is OperationState.FAILED


def test_a_card_that_was_annulled_in_the_reader_is_not_told_handed_over(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    claimed = claim(office, ask_to_hand_over(office, card_id))
    assert claimed is not None
    with office.sessions() as session:
        cards.annul(session, card_id, actor=office.staff.security, reason="withdrawn", now=office.clock())
    ended = office.do(claimed)
    assert (ended.state, ended.error_code) == (OperationState.FAILED, CardMovedOn.code)
    assert office.card(card_id).state is CardState.ANNULLED
    with office.sessions() as session:
        kinds = [record.kind for record in journal.records(session, card_id)]
    assert RecordKind.HANDED_OVER not in kinds
    assert kinds[-1] is RecordKind.PIN_CHANGED, "what was done to the chip is known"


def test_a_database_that_goes_leaves_the_operation_to_be_settled(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    (card_id,) = office.prepare_cards(1)
    asked = office.request(OperationKind.PERSONALISE, card_id)
    claimed = claim(office, asked)
    assert claimed is not None
    write = JournalWriter.write

    def away(writer: JournalWriter, page: Page) -> None:
        if any(row["kind"] == RecordKind.KEYS_MADE for row in page.rows):
            raise StoreUnavailable("The database is away.")
        write(writer, page)

    with monkeypatch.context() as patch:
        patch.setattr(JournalWriter, "write", away)
        with pytest.raises(StoreUnavailable):
            office.do(claimed)
    assert released(office, asked).state is OperationState.REQUESTED
    (ended,) = office.work()
    assert ended.state is OperationState.DONE, ended.error_text
    assert office.card(card_id).state is CardState.PERSONALISED
