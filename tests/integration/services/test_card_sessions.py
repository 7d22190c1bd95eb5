"""Card sessions over the database: evidence moves a card, a torn one goes on, nobody alone, one key one certificate."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from card_io.secret import Secret
from card_io.virtual.faults import FaultPlan
from issuance.errors import UnfitKey
from issuance.production.bundle import Record, RecordKind
from issuance.production.errors import ChipTaken
from issuance.production.sealing import seal_pins
from tests.support.desk import CardOffice, open_card_office
from tests.support.line import blank_card
from tests.support.office import add_resident, add_staff, form
from uec.domain.errors import InvalidInput, NotAllowed, NotFound, SamePerson
from uec.domain.lifecycle import (
    ApplicationState,
    BatchState,
    CardState,
    CertificateState,
    OperationKind,
    OperationState,
    Route,
)
from uec.domain.permissions import Role
from uec.services import card_lists, cards, certification, handover, journal, operations, refusals
from uec.services.operations import CardBusy, CardNotReady
from uec.store.tables import (
    Application,
    AuditEntry,
    Batch,
    Card,
    CardOperation,
    Certificate,
    JournalEntry,
    Revocation,
    StopListEntry,
)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def kinds(office: CardOffice, card_id: int) -> list[str]:
    with office.sessions() as session:
        entries = select(JournalEntry.kind).where(JournalEntry.card_id == card_id).order_by(JournalEntry.seq)
        return list(session.scalars(entries))


def test_the_journal_holds_every_intent_before_its_outcome(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    told = kinds(office, card_id)
    for intent, outcome in (
        ("chip_claimed", "key_change_intent"),
        ("key_change_intent", "key_changed"),
        ("write_intent", "keys_made"),
        ("keys_made", "finish_intent"),
        ("finish_intent", "finished"),
        ("finished", "inspected"),
    ):
        assert told.index(intent) < told.index(outcome)
    made = office.card(card_id)
    assert (made.kvn, made.key_version) == (0x30, 1) and made.personalised_at is not None


def test_the_operation_tells_how_it_ended_and_leaves_its_mark(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with office.sessions() as session:
        operation = session.scalars(select(CardOperation)).one()
        assert operation.state is OperationState.DONE and operation.result is not None
        assert operation.result["genuine"] is True and operation.result["card_id"] == card_id
        actions = set(session.scalars(select(AuditEntry.action)))
    assert {"operation.finish", "card.start_writing", "card.inspected", "certificate.issue", "batch.close"} <= actions


@pytest.mark.parametrize("tear_before", [5, 12, 18, 25])
def test_a_torn_card_is_finished_when_it_comes_back(office: CardOffice, tear_before: int) -> None:
    (card_id,) = office.prepare_cards(1)
    office.request(OperationKind.PERSONALISE, card_id)
    chip = office.chips.setdefault(card_id, blank_card(card_id))
    chip.faults = FaultPlan(tear_before=tear_before)
    (torn,) = office.work()
    assert torn.state is OperationState.FAILED and torn.error_text
    assert office.card(card_id).state in {CardState.PREPARED, CardState.WRITING}
    chip.faults = FaultPlan()
    chip.put_back()
    office.request(OperationKind.PERSONALISE, card_id)
    (again,) = office.work()
    assert again.state is OperationState.DONE, again.error_text
    assert office.card(card_id).state is CardState.PERSONALISED
    with office.sessions() as session:
        assert session.scalar(select(func.count()).where(Certificate.card_id == card_id)) == 4


def test_a_card_whose_keys_need_no_answer_is_written_in_one_round_trip(office: CardOffice) -> None:
    """Torn in its last trip it comes back: keys certified, data written, its next session computed ahead."""
    (whole,) = office.make_cards(1)
    written, inspected = office.trips(whole)[0][:3], office.trips(whole)[0][3:]
    assert (len(written), len(inspected)) == (3, 2)
    (card_id,) = office.prepare_cards(2)
    office.request(OperationKind.PERSONALISE, card_id)
    chip = office.chips.setdefault(card_id, blank_card(card_id))
    chip.faults = FaultPlan(tear_before=sum(written) - 3)
    (torn,) = office.work()
    assert torn.state is OperationState.FAILED
    chip.faults = FaultPlan()
    chip.put_back()
    office.request(OperationKind.PERSONALISE, card_id)
    (done,) = office.work()
    assert done.state is OperationState.DONE, done.error_text
    assert [len(one) for one in office.trips(card_id)] == [3, 1 + len(inspected)]
    assert office.card(card_id).state is CardState.PERSONALISED
    with office.sessions() as session:
        assert session.scalar(select(func.count()).where(Certificate.card_id == card_id)) == 4


def test_a_blank_of_another_profile_is_let_go_and_the_next_one_becomes_the_card(office: CardOffice) -> None:
    (card_id,) = office.prepare_cards(1)
    foreign = blank_card(500, kind="piv")
    for chip, state in ((foreign, OperationState.FAILED), (blank_card(501), OperationState.DONE)):
        asked = office.request(OperationKind.PERSONALISE, card_id)
        with office.sessions() as session:
            operation = operations.claim_operation(session, now=office.clock(), operation_id=asked)
        assert operation is not None
        ended = office.do(operation, chip)
        assert ended.state is state, ended.error_text
        if state is OperationState.FAILED:
            assert ended.error_code == "foreign-card"
            assert (office.card(card_id).chip_id, office.card(card_id).state) == (None, CardState.WRITING)
    assert office.card(card_id).state is CardState.PERSONALISED
    assert kinds(office, card_id).count("chip_released") == 1


def test_another_blank_cannot_take_a_begun_cards_place(office: CardOffice) -> None:
    (card_id,) = office.prepare_cards(1)
    office.request(OperationKind.PERSONALISE, card_id)
    chip = office.chips.setdefault(card_id, blank_card(card_id))
    chip.faults = FaultPlan(tear_before=18)
    office.work()
    asked = office.request(OperationKind.PERSONALISE, card_id)
    with office.sessions() as session:
        operation = operations.claim_operation(session, now=office.clock(), operation_id=asked)
    assert operation is not None
    other = office.do(operation, blank_card(77))
    assert (other.state, other.error_code) == (OperationState.FAILED, "wrong-card")


def test_a_finished_chip_is_refused_for_another_card(office: CardOffice) -> None:
    first, second = office.make_cards(1), office.prepare_cards(2)
    asked = office.request(OperationKind.PERSONALISE, second[0])
    with office.sessions() as session:
        operation = operations.claim_operation(session, now=office.clock(), operation_id=asked)
    assert operation is not None
    refused = office.do(operation, office.chips[first[0]])
    assert refused.error_code == "chip-taken"
    assert office.card(first[0]).state is CardState.PERSONALISED
    with office.sessions() as session, pytest.raises(ChipTaken) as raced:
        chip_id = office.card(first[0]).chip_id
        record = Record(RecordKind.CHIP_CLAIMED, {"chip_id": chip_id})
        journal.append(
            session,
            second[0],
            record,
            operation_id=None,
            actor=office.staff.producer,
            now=office.clock(),
        )
    assert raced.value.card_number == office.card(first[0]).number, "named, though it was bound after the admission"


def test_a_spoiled_card_loses_its_certificates_and_its_application_waits_for_another(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with office.sessions() as session:
        cards.spoil(session, card_id, actor=office.staff.producer, reason="scratched", now=office.clock())
        assert set(session.scalars(select(Certificate.state))) >= {CertificateState.REVOKED}
        assert session.scalar(select(func.count()).where(Revocation.lifted_at.is_(None))) == 4
    application = office.application_of(card_id)
    assert (application.state, application.remake) == (ApplicationState.APPROVED, True)


def test_the_same_key_gives_the_same_certificate_and_never_serves_two_cards(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    (other,) = office.prepare_cards(2)
    keys = journal_keys(office, card_id)
    bench = office.desk.bench
    issuer = certification.Issuer(bench.ca, bench.profile, bench.clock(), bench.random)
    with office.sessions() as session:
        again = certification.issue(session, card_id, certification.Made(keys), issuer=issuer)
        kept = session.scalars(select(Certificate.der).where(Certificate.card_id == card_id)).all()
        assert sorted(again.values()) == sorted(der for der in kept if der)
        with pytest.raises(UnfitKey):
            certification.issue(session, other, certification.Made(keys), issuer=issuer)
        session.rollback()
        assert session.scalar(select(func.count()).where(Certificate.card_id == other)) == 0


def journal_keys(office: CardOffice, card_id: int) -> dict[str, bytes]:
    with office.sessions() as session:
        made = next(one for one in journal.records(session, card_id) if one.kind is RecordKind.KEYS_MADE)
    return {slot: bytes.fromhex(key) for slot, key in made.facts["public_keys"].items()}  # type: ignore[attr-defined]


def test_hand_over_wipes_the_sealed_pins_and_gives_the_receipt(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    done = office.hand_over(card_id)
    assert done.state is OperationState.DONE, done.error_text
    assert done.result["receipt"] == office.application_of(card_id).number
    with office.sessions() as session:
        assert session.scalars(select(CardOperation.sealed_pins)).all() == [None, None]
        facts = [str(entry) for entry in session.scalars(select(JournalEntry.facts))]
    assert not any("2846" in text and "pin" in text for text in facts)


def test_pins_sealed_for_another_card_are_refused(office: CardOffice) -> None:
    first, second = office.make_cards(1, 2)
    with office.sessions() as session:
        number = session.get_one(Card, first).number
        sealed = seal_pins(
            office.desk.sealing_key.public_key, {"pin1": Secret(b"2846"), "pin2": Secret(b"193752")}, card_number=number
        )
        handover.request(
            session,
            second,
            actor=office.staff.second_operator,
            station_id=None,
            reader=None,
            sealed_pins=sealed,
            holder_checked=True,
            now=office.clock(),
        )
    (failed,) = office.work()
    assert (failed.state, failed.error_code) == (OperationState.FAILED, "seal-broken")
    assert office.card(second).state is CardState.PERSONALISED


def test_nobody_has_two_duties_for_one_card(office: CardOffice) -> None:
    with office.sessions() as session:
        everybody = add_staff(session, "all", Role.OPERATOR, Role.OFFICER, Role.RELEASER, Role.PRODUCER)
        session.commit()
    (made,) = office.make_cards(1)
    (waiting,) = office.prepare_cards(2)

    def ask(kind: OperationKind, card_id: int) -> None:
        with office.sessions() as session:
            operations.request_operation(
                session,
                kind=kind,
                card_id=card_id,
                station_id=None,
                reader=None,
                actor=everybody,
                now=office.clock(),
            )

    for field, verb in (("taken_by", "took"), ("decided_by", "decided")):
        with office.sessions() as session:
            for application in session.scalars(select(Application)):
                application.taken_by = application.decided_by = None
                setattr(application, field, everybody.staff_id)
            session.commit()
        with pytest.raises(SamePerson, match=verb):
            ask(OperationKind.PERSONALISE, waiting)
        with pytest.raises(SamePerson, match=verb):
            ask(OperationKind.HAND_OVER, made)
    with office.sessions() as session:
        for application in session.scalars(select(Application)):
            application.decided_by = None
        session.scalars(
            select(CardOperation).where(CardOperation.card_id == made)
        ).one().requested_by = everybody.staff_id
        session.commit()
    with pytest.raises(SamePerson, match="produced"):
        ask(OperationKind.HAND_OVER, made)


def test_what_cannot_be_asked_for(office: CardOffice) -> None:
    (made,) = office.make_cards(1)
    (waiting,) = office.prepare_cards(2)
    producer, operator = office.staff.producer, office.staff.second_operator
    cases = (
        (OperationKind.PERSONALISE, made, producer, CardNotReady),
        (OperationKind.HAND_OVER, waiting, operator, CardNotReady),
        (OperationKind.HAND_OVER, made, producer, NotAllowed),
        (OperationKind.PERSONALISE, 999, producer, NotFound),
        (OperationKind.PERSONALISE, None, producer, InvalidInput),
    )
    for kind, card_id, actor, error in cases:
        with office.sessions() as session, pytest.raises(error):
            operations.request_operation(
                session, kind=kind, card_id=card_id, station_id=None, reader=None, actor=actor, now=office.clock()
            )
    asked = office.request(OperationKind.PERSONALISE, waiting)
    with pytest.raises(CardBusy) as busy:
        office.request(OperationKind.PERSONALISE, waiting)
    assert busy.value.operation == asked
    with office.sessions() as session:
        operations.cancel_operation(session, asked, actor=producer, now=office.clock())
    assert office.work() == []
    with office.sessions() as session, pytest.raises(InvalidInput, match="holder"):
        handover.request(
            session,
            made,
            actor=operator,
            station_id=None,
            reader=None,
            sealed_pins=b"x",
            holder_checked=False,
            now=office.clock(),
        )


def test_hubs_never_claim_the_same_operation(office: CardOffice) -> None:
    for card_id in office.prepare_cards(*range(1, 7)):
        office.request(OperationKind.PERSONALISE, card_id)

    def claim(_: int) -> int | None:
        with office.sessions() as session:
            operation = operations.claim_operation(session, now=office.clock())
            return operation.id if operation else None

    with ThreadPoolExecutor(4) as pool:
        claimed = [one for one in pool.map(claim, range(10)) if one is not None]
    assert sorted(claimed) == sorted(set(claimed)) and len(claimed) == 6


def test_a_dead_hubs_operations_go_back_and_its_hand_over_asks_for_pins_again(office: CardOffice) -> None:
    (made,) = office.make_cards(1)
    (waiting,) = office.prepare_cards(2)
    writing = office.request(OperationKind.PERSONALISE, waiting)
    with office.sessions() as session:
        handing = handover.request(
            session,
            made,
            actor=office.staff.second_operator,
            station_id=None,
            reader=None,
            sealed_pins=b"sealed to the dead",
            holder_checked=True,
            now=office.clock(),
        )
        for _ in range(2):
            operations.claim_operation(session, now=office.clock())
        assert operations.release_operations(session, [writing, handing], now=office.clock()) == 2
        assert operations.operation(session, writing).state is OperationState.REQUESTED
        ended = operations.operation(session, handing)
        assert (ended.state, ended.error_code) == (OperationState.FAILED, "uec.hub_restarted")
        assert session.get_one(CardOperation, handing).sealed_pins is None


def test_whoever_refused_since_is_found_when_the_card_is_claimed(office: CardOffice) -> None:
    with office.sessions() as session:
        add_resident(session, 1)
        session.commit()
    (card_id,) = office.prepare_cards(1)
    office.request(OperationKind.PERSONALISE, card_id)
    with office.sessions() as session:
        session.scalars(select(Application)).one().route = Route.MASS
        session.commit()
        refusals.file(
            session, snils=form(1, point_id=1).snils, channel="web", actor=office.staff.operator, now=office.clock()
        )
    assert office.work() == [], "nothing is written"
    assert office.card(card_id).state is CardState.ANNULLED
    with office.sessions() as session:
        assert session.scalars(select(CardOperation.state)).all() == [OperationState.CANCELLED]


def test_the_batch_is_produced_in_order_and_closes_by_itself(office: CardOffice) -> None:
    card_ids = office.prepare_cards(1, 2, 3)
    batch_id = office.card(card_ids[0]).batch_id
    with office.sessions() as session:
        asked = operations.request_batch(
            session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
        )
        again = operations.request_batch(
            session, batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
        )
        assert (asked, again) == (3, 0)
    done = office.work()
    assert [operation.card_id for operation in done] == card_ids
    with office.sessions() as session:
        batch = session.get_one(Batch, batch_id)
        assert batch.state is BatchState.CLOSED and batch.closed_at is not None


@pytest.mark.parametrize(
    ("change", "state", "certificates", "listed"),
    [
        (("suspend",), CardState.SUSPENDED, CertificateState.HELD, ["ADD"]),
        (("suspend", "resume"), CardState.ACTIVE, CertificateState.ISSUED, ["ADD", "REMOVE"]),
        (("report_lost",), CardState.LOST, CertificateState.REVOKED, ["ADD"]),
        (("suspend", "annul"), CardState.ANNULLED, CertificateState.REVOKED, ["ADD", "ADD"]),
        (("annul", "destroy"), CardState.DESTROYED, CertificateState.REVOKED, ["ADD"]),
    ],
)
def test_the_life_of_an_active_card(
    office: CardOffice, change: tuple[str, ...], state: CardState, certificates: CertificateState, listed: list[str]
) -> None:
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    for name in change:
        with office.sessions() as session:
            getattr(cards, name)(session, card_id, actor=office.staff.security, reason="because", now=office.clock())
    assert office.card(card_id).state is state
    with office.sessions() as session:
        assert set(session.scalars(select(Certificate.state).where(Certificate.card_id == card_id))) == {certificates}
        assert session.scalars(select(StopListEntry.action).order_by(StopListEntry.seq)).all() == listed
        with pytest.raises(InvalidInput, match="reason"):
            cards.annul(session, card_id, actor=office.staff.security, reason=" ", now=office.clock())


def test_only_those_who_may_change_a_card(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    with office.sessions() as session:
        for name in ("suspend", "annul", "destroy"):
            with pytest.raises(NotAllowed):
                getattr(cards, name)(session, card_id, actor=office.staff.operator, reason="x", now=office.clock())
        cards.report_lost(session, card_id, actor=office.staff.operator, reason="stolen", now=office.clock())


def test_a_cards_page_shows_its_life_and_the_look_is_audited(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    with office.sessions() as session:
        number = session.get_one(Card, card_id).number
        page = card_lists.find(session, actor=office.staff.security, now=office.clock(), query=number)
        detail = card_lists.detail(session, card_id, actor=office.staff.security, now=office.clock())
        assert [row.id for row in page.rows] == [card_id]
        assert len(detail.certificates) == 4 and detail.journal[0].kind == "chip_claimed"
        assert [one.kind for one in detail.operations] == [OperationKind.PERSONALISE]
        looks = select(AuditEntry.action).where(AuditEntry.actor == office.staff.security.reference)
        assert sorted(session.scalars(looks)) == ["card.list", "card.view"]
        with pytest.raises(NotAllowed):
            card_lists.detail(session, card_id, actor=office.staff.producer, now=office.clock())
