"""Who works at a bureau's order at the same moment as somebody else: nobody waits for ever, each thing happens once.

And who is killed in any part of taking results: nothing has moved, and the same file is taken then.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.signing import OwnKey
from issuance.bureau.standin import identity
from issuance.bureau.standin.faults import Fault
from tests.integration.services.test_bureau_results import accepted, snapshot
from tests.support.bureau import signed_file
from tests.support.bureau_office import BureauOffice, bring_certificate, open_bureau_office
from tests.support.bureau_wrong import taken_apart
from tests.support.office import add_resident
from tests.support.strikes import snils_of, strike
from uec.domain.bureau import CertificateUse, FileRefused, OrderedState, OrderState
from uec.domain.lifecycle import ApplicationState, BatchState, CardState
from uec.services import (
    bureau_rejecting,
    bureau_report,
    bureau_results,
    bureau_sending,
    bureau_taking,
    bureaux,
    cards,
    withdrawal,
)
from uec.store.tables import AuditEntry, Batch

PEOPLE = (1, 2, 3, 4)
LIMIT_S = 120

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """The process ended here."""


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


def until_it_waits(bureau: BureauOffice, other: Future[Any]) -> None:
    """Until the other one stands before a lock of ours, or is through."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    deadline = time.monotonic() + LIMIT_S
    with bureau.office.sessions() as session:
        while not other.done() and not session.scalar(waiting):
            session.rollback()  # a transaction sees one state of the statistics only
            assert time.monotonic() < deadline
            time.sleep(0.01)


def many_at_once(bureau: BureauOffice) -> bool:
    """Whether the database has more than one writer at a time."""
    with bureau.office.sessions() as session:
        return session.get_bind().dialect.name == "postgresql"


def begun_within(
    patch: pytest.MonkeyPatch,
    place: tuple[Any, str],
    bureau: BureauOffice,
    pool: ThreadPoolExecutor,
    work: Callable[[], object],
) -> list[Future[Any]]:
    """Have `work` begun by another thread right after the first call of a function, and go on once it waits."""
    real, begun = getattr(*place), list[Future[Any]]()

    def beside(*given: Any, **named: Any) -> object:
        found = real(*given, **named)
        if not begun:
            begun.append(pool.submit(work))
            until_it_waits(bureau, begun[0])
        return found

    patch.setattr(*place, beside)
    return begun


def spoil(bureau: BureauOffice, card_id: int) -> None:
    office = bureau.office
    with office.sessions() as session:
        cards.spoil(session, card_id, actor=office.staff.producer, reason="bent", now=office.clock())


def annul(bureau: BureauOffice, card_id: int) -> None:
    office = bureau.office
    with office.sessions() as session:
        cards.annul(session, card_id, actor=office.staff.security, reason="refused", now=office.clock())


PLACES = {
    "locked": (bureau_results, "note_order"),
    "spoiled blanks": (bureau_results, "_write_down"),
    "cards spoiled": (bureau_rejecting, "move_found"),
    "put before": (bureau_rejecting, "_remake"),
    "a part rejected": (bureau_results, "reject_unmade"),
    "all rejected": (bureau_results, "_reject"),
    "the batch": (bureau_results, "close_if_done"),
}


@pytest.mark.postgres
@pytest.mark.parametrize("place", [pytest.param(one, marks=pytest.mark.nightly) if number % 3 else one
                                   for number, one in enumerate(PLACES)])  # fmt: skip
def test_a_clerk_at_another_card_of_a_batch_whose_cards_are_rejected(
    bureau: BureauOffice, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """All cards are locked by their ids before anything else: the clerk comes after, and neither has to try again."""
    if not many_at_once(bureau):
        return
    monkeypatch.setattr(bureau_report, "AT_ONCE", 1)
    order_id, results = accepted(bureau, Fault.DUPLICATE_KEY)
    lost = bureau.cards(order_id)[-1]
    begun = begun_within(monkeypatch, PLACES[place], bureau, pool, lambda: spoil(bureau, lost.id))
    facts = bureau.take(results).facts
    assert facts["rejected"] == 2
    assert begun, "the place was reached"
    assert begun[0].exception(LIMIT_S) is None or "SPOILED" in str(begun[0].exception())
    office = bureau.office
    states = {card.id: office.card(card.id).state for card in bureau.cards(order_id)}
    assert states[lost.id] is CardState.SPOILED
    with office.sessions() as session:
        assert session.scalars(select(Batch.state)).one() is (
            BatchState.CLOSED if set(states.values()) == {CardState.SPOILED} else BatchState.IN_PRODUCTION
        )


@pytest.mark.postgres
def test_a_clerk_ends_the_card_of_somebody_whom_the_order_leaves_out(
    bureau: BureauOffice, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who has died is left out: the card is locked before its request, by the clerk and by the order."""
    if not many_at_once(bureau):
        return
    with bureau.office.sessions() as session:
        for number in PEOPLE:
            add_resident(session, number)
        session.commit()
    order_id = bureau.draw(bureau.batch(*PEOPLE))
    bureau.approve(order_id)
    strike(bureau.office, 1, "die")
    (first,) = [card for card in bureau.cards(order_id) if bureau.office.application_of(card.id).snils == snils_of(1)]
    begun = begun_within(monkeypatch, (bureau_sending, "move_all"), bureau, pool, lambda: annul(bureau, first.id))
    bureau.send(order_id)
    assert "ANNULLED" in str(begun[0].exception(LIMIT_S)), "the clerk was second, and hears it"
    assert bureau.row(order_id).state is OrderState.SENT
    assert bureau.counts(order_id) == {OrderedState.ORDERED: len(PEOPLE) - 1, OrderedState.RECALLED: 1}
    assert bureau.office.card(first.id).state is CardState.ANNULLED


@pytest.mark.postgres
def test_an_applicant_takes_back_what_a_bureau_has_just_accepted(
    bureau: BureauOffice, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not many_at_once(bureau):
        return
    order_id = bureau.order(*PEOPLE)
    bureau.standin()
    card, office = bureau.cards(order_id)[-1], bureau.office

    def take_back() -> None:
        with office.sessions() as session:
            withdrawal.withdraw(
                session, card.application_id, actor=office.staff.operator, reason="moved", now=office.clock()
            )

    begun = begun_within(monkeypatch, (bureau_taking, "move_all"), bureau, pool, take_back)
    assert bureau.take(bureau.replies()[0]).facts["accepted"]
    assert begun[0].exception(LIMIT_S) is not None, "its card is being written"
    assert bureau.row(order_id).state is OrderState.ACCEPTED
    assert bureau.office.application_of(card.id).state is ApplicationState.IN_PRODUCTION


def signer_of(folder: Path) -> OwnKey:
    """Who signs with the keys in a folder."""
    key = load_pem_private_key((folder / "signature.key").read_bytes(), None)
    return OwnKey(key, identity.read_certificate(folder / "signature.pem"))  # type: ignore[arg-type]


def test_two_workers_at_one_file(bureau: BureauOffice) -> None:
    """One takes it; the other hears that it was taken, and nothing is counted twice."""
    order_id, results = accepted(bureau)
    start = Barrier(2)

    def take() -> object:
        start.wait()
        try:
            return bureau.take(results)
        except FileRefused as refusal:
            return refusal.finding

    with ThreadPoolExecutor(2) as both:
        said = [one.result(LIMIT_S) for one in [both.submit(take), both.submit(take)]]
    assert len([one for one in said if not isinstance(one, str)]) == 1
    assert {one for one in said if isinstance(one, str)} <= {"taken-before", "not-awaited"}
    outcomes = [outcome for kind, outcome in bureau.files("kind", "outcome") if kind == "results"]
    assert sorted(outcomes) == ["REFUSED", "TAKEN"]
    assert bureau.counts(order_id) == {OrderedState.MADE: 3}
    assert bureau.blanks()["WORK"] == 3 and sum(bureau.blanks().values()) == 200
    with bureau.office.sessions() as session:
        told = select(AuditEntry.id).where(AuditEntry.action == "bureau_order.results")
        assert len(session.scalars(told).all()) == 1


def test_a_certificate_replaced_while_its_file_is_looked_at(
    bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is locked while proofs are checked, on SQLite neither; then the sender is looked at once more."""
    order_id, results = accepted(bureau)
    office, before = bureau.office, snapshot(bureau, order_id)
    identity.create(bureau.folder / "next", "Northern bureau", now=office.clock())
    real = bureau_taking.read

    def read(*given: Any) -> None:
        real(*given)
        bring_certificate(bureau, (bureau.folder / "next" / "signature.pem").read_bytes(), CertificateUse.SIGNATURE)
        with office.sessions() as session:
            known = bureaux.certificates(session, bureau.bureau_id)
            old = min(row.id for row in known if row.use is CertificateUse.SIGNATURE)
            bureaux.end_certificate(session, old, actor=office.staff.security, now=office.clock())

    with monkeypatch.context() as patch:
        patch.setattr(bureau_taking, "read", read)
        with pytest.raises(FileRefused) as caught:
            bureau.take(results)
    assert caught.value.finding == "certificate-not-in-use"
    assert snapshot(bureau, order_id) == before
    assert bureau.files("outcome", "finding")[-1] == ("REFUSED", "certificate-not-in-use")
    good = taken_apart(bureau, results.read_bytes())
    anew = bureau.folder / "anew.p7s"
    anew.write_bytes(signed_file(good.header, good.records, signer_of(bureau.folder / "next")))
    assert bureau.take(anew).facts["made"] == 3


PARTS = {
    "read": (bureau_taking, "read"),
    "the order beside it": (bureau_results, "note_order"),
    "judged": (bureau_results, "find_unfit"),
    "chips": (bureau_results, "_bind"),
    "journal": (bureau_results, "_enter"),
    "blanks": (bureau_results.bureau_blanks, "claim"),
    "keys": (bureau_results, "_enter_keys"),
    "rejected": (bureau_results, "_reject"),
    "consignments": (bureau_results, "_ship"),
    "complete": (bureau_results, "complete_if_done"),
    "recorded": (bureau_taking, "_record"),
}


def test_killed_in_any_part_of_results_nothing_has_moved(bureau: BureauOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id, results = accepted(bureau, Fault.NO_CARD)
    before, files = snapshot(bureau, order_id), bureau.files("name", "outcome")
    for name, place in PARTS.items():
        real, reached = getattr(*place), []

        def dies(*given: Any, _real: Callable[..., object] = real, _reached: list[str] = reached, **named: Any) -> None:
            _real(*given, **named)
            _reached.append("here")
            raise Killed

        with monkeypatch.context() as patch:
            patch.setattr(*place, dies)
            with pytest.raises(Killed):
                bureau.take(results)
        assert reached == ["here"], name
        assert (snapshot(bureau, order_id), bureau.files("name", "outcome")) == (before, files), name
    assert bureau.take(results).facts["made"] == 2
    assert bureau.counts(order_id) == {OrderedState.MADE: 2, OrderedState.REJECTED: 1}
