"""Many cards remember together: one transaction for all who wait, each page whole or refused alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import event, select
from sqlalchemy.orm import Session, sessionmaker

from issuance.production.bundle import Progress, Record, RecordKind
from tests.support.desk import CardOffice, open_card_office
from uec.domain.errors import StoreUnavailable, UecError
from uec.domain.lifecycle import BatchState, CardState, OperationKind
from uec.services import journal, operations
from uec.services.journal import TakenOver
from uec.services.journal_writer import JournalWriter, Page
from uec.services.production_office import DatabaseOffice
from uec.store.tables import Batch, Card, CardOperation, JournalEntry

CARDS = 8


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def cards(office: CardOffice) -> list[int]:
    """Prepared cards of one released batch."""
    office.approve_applicants(*range(1, CARDS + 1))
    for batch_id in office.plan():
        office.release(batch_id)
    with office.sessions() as session:
        return list(session.scalars(select(Card.id).where(Card.state == CardState.PREPARED).order_by(Card.id)))


def page(office: CardOffice, card_id: int, *kinds: RecordKind, after: int = 0) -> Page:
    records = [Record(kind, {"chip_id": f"{card_id:020x}"}) for kind in kinds]
    return Page(card_id, journal.entries(card_id, records, after=after, operation_id=None, at=office.clock()))


def kinds_of(office: CardOffice, card_id: int) -> list[RecordKind]:
    with office.sessions() as session:
        return [record.kind for record in journal.records(session, card_id)]


class Commits:
    """How many transactions a block commits."""

    def __init__(self, office: CardOffice) -> None:
        self.count = 0
        self._engine = office.sessions.kw["bind"]

    def __enter__(self) -> "Commits":
        event.listen(self._engine, "commit", self._counted)
        return self

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "commit", self._counted)

    def _counted(self, _: object) -> None:
        self.count += 1


def test_pages_that_wait_are_one_transaction(
    office: CardOffice, cards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first writes alone, and while it does the others queue: two transactions for all of them."""
    writer, entered, go_on = JournalWriter(office.sessions), threading.Event(), threading.Event()
    commit = JournalWriter._commit

    def slowly(self: JournalWriter, pages: list[Page]) -> None:
        entered.set()
        assert go_on.wait(60)
        commit(self, pages)

    monkeypatch.setattr(JournalWriter, "_commit", slowly)
    pages = [page(office, card_id, RecordKind.KEY_CHANGE_INTENT, RecordKind.WRITE_INTENT) for card_id in cards]
    with Commits(office) as commits, ThreadPoolExecutor(CARDS) as hands:
        first = hands.submit(writer.write, pages[0])
        assert entered.wait(60)
        rest = [hands.submit(writer.write, one) for one in pages[1:]]
        while len(writer._waiting) < CARDS - 1:
            threading.Event().wait(0.01)
        go_on.set()
        for done in (first, *rest):
            assert done.result(60) is None
    assert commits.count == 2
    for card_id in cards:
        assert kinds_of(office, card_id) == [RecordKind.KEY_CHANGE_INTENT, RecordKind.WRITE_INTENT]


def test_a_page_that_the_database_refuses_is_refused_alone(
    office: CardOffice, cards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    good, late = cards[:2]
    writer = JournalWriter(office.sessions)
    writer.write(page(office, late, RecordKind.WRITE_INTENT))
    again, fine = page(office, late, RecordKind.FINISH_INTENT), page(office, good, RecordKind.WRITE_INTENT)
    writer._waiting = [again]  # waits when the other comes
    writer.write(fine)
    assert isinstance(again.error, TakenOver) and again.error.facts == {"card": late}
    assert kinds_of(office, good) == [RecordKind.WRITE_INTENT]
    assert kinds_of(office, late) == [RecordKind.WRITE_INTENT], "not what came second under the same number"


def test_a_database_that_is_away_is_everybodys_error(
    office: CardOffice, cards: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = JournalWriter(office.sessions)

    def away(*_: object) -> None:
        raise StoreUnavailable("The database cannot be reached.")

    waits = page(office, cards[1], RecordKind.WRITE_INTENT)
    writer._waiting = [waits]
    with monkeypatch.context() as patch:
        patch.setattr(JournalWriter, "_commit", away)
        with pytest.raises(StoreUnavailable):
            writer.write(page(office, cards[0], RecordKind.WRITE_INTENT))
    assert isinstance(waits.error, StoreUnavailable)
    assert kinds_of(office, cards[0]) == kinds_of(office, cards[1]) == []
    writer.write(page(office, cards[0], RecordKind.WRITE_INTENT))
    assert kinds_of(office, cards[0]) == [RecordKind.WRITE_INTENT], "the writer goes on when the database is back"


def test_two_services_at_one_card_are_told_apart(office: CardOffice, cards: list[int]) -> None:
    """One that was taken for dead wakes up: its next bundle never leaves."""
    old, new = (DatabaseOffice(office.desk.bench, cards[0]) for _ in range(2))
    for desk in (old, new):
        desk.record(Record(RecordKind.KEY_CHANGE_INTENT, {"kvn": 0x30, "key_version": 1}))
    old.commit()
    new.commit()  # it has looked at the journal after the other's entry
    old.record(Record(RecordKind.WRITE_INTENT, {}))
    with pytest.raises(TakenOver):
        old.commit()
    old.record(Record(RecordKind.SCRAPPED, {"reason": "too late"}))
    with pytest.raises(TakenOver):
        old.commit()
    assert kinds_of(office, cards[0]) == [RecordKind.KEY_CHANGE_INTENT] * 2
    assert office.card(cards[0]).state is CardState.PREPARED


def test_changed_keys_and_progress_go_along(office: CardOffice, cards: list[int]) -> None:
    asked = office.request(OperationKind.PERSONALISE, cards[0])
    with office.sessions() as session:
        operations.claim_operation(session, operation_id=asked, now=office.clock())
    desk = DatabaseOffice(office.desk.bench, cards[0], operation_id=asked)
    version = office.card(cards[0]).version
    with Commits(office) as commits:
        desk.record(Record(RecordKind.KEY_CHANGED, {"kvn": 0x31, "key_version": 2}))
        desk.progress(Progress(2, 6, "write_data"))
        desk.record(Record(RecordKind.WRITE_INTENT, {}))
        assert kinds_of(office, cards[0]) == [], "nothing before it must"
        desk.commit()
    assert commits.count == 1
    card = office.card(cards[0])
    assert (card.kvn, card.key_version, card.version) == (0x31, 2, version + 1)
    with office.sessions() as session:
        shown = session.get_one(CardOperation, asked).progress
    assert shown == {"step": 2, "of": 6, "label": "write_data", "reached": "write_data"}


def test_cards_of_one_batch_begin_at_once(office: CardOffice, cards: list[int]) -> None:
    """Every first record moves its card and, the first of all, the batch: nobody waits for somebody who waits."""
    start = threading.Barrier(CARDS)

    def begin(card_id: int) -> UecError | None:
        desk = DatabaseOffice(office.desk.bench, card_id)
        desk.record(Record(RecordKind.CHIP_CLAIMED, {"chip_id": f"{card_id:020x}"}))
        desk.record(Record(RecordKind.KEY_CHANGE_INTENT, {"kvn": 0x30, "key_version": 1}))
        start.wait(60)
        try:
            desk.commit()
        except UecError as error:
            return error
        return None

    with ThreadPoolExecutor(CARDS) as hands:
        assert list(hands.map(begin, cards)) == [None] * CARDS
    with office.sessions() as session:
        assert set(session.scalars(select(Card.state))) == {CardState.WRITING}
        assert session.scalars(select(Batch.state)).one() is BatchState.IN_PRODUCTION
        assert session.query(JournalEntry).count() == 2 * CARDS


def test_a_card_costs_few_transactions(office: CardOffice, cards: list[int]) -> None:
    """Of the whole making, from the claim to the closed operation: the promise is a price, so it is counted."""
    office.request(OperationKind.PERSONALISE, cards[0])
    with Commits(office) as commits:
        (done,) = office.work()
    assert done.error_text is None
    entries = len(kinds_of(office, cards[0]))
    assert (entries, commits.count <= 11) == (9, True), commits.count
