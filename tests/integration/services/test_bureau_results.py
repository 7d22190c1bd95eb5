"""What a bureau does wrong: refused, recorded, nothing moves; or the one card of it is made again."""

from collections.abc import Iterator
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.records import FileKind, RecordReader, Tag
from issuance.bureau.reply import Finished, Made, NotMade, Shipped
from issuance.bureau.sealed import opened_reply, signing
from issuance.bureau.standin import identity
from issuance.bureau.standin.faults import Fault, Results, spoil, strange_signer
from tests.support.bureau import header, signed_file
from tests.support.bureau_office import BureauOffice, bring_certificate, open_bureau_office
from uec.domain.bureau import BureauRefused, CertificateUse, FileRefused, OrderedState, OrderState
from uec.domain.errors import NotAllowed, SamePerson
from uec.domain.lifecycle import ApplicationState, CardState, OperationKind
from uec.domain.stock import SealBroken
from uec.services import bureau_orders, bureaux, operations
from uec.store.tables import Application, AuditEntry, Batch, BureauKey, Card, JournalEntry, StockMovement

PEOPLE = (1, 2, 3)


pytestmark = pytest.mark.slow


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


def snapshot(bureau: BureauOffice, order_id: int) -> tuple[object, ...]:
    """Everything that a refused file may not move."""
    with bureau.office.sessions() as session:
        counted = [
            session.scalar(select(func.count()).select_from(kind)) for kind in (JournalEntry, StockMovement, BureauKey)
        ]
        cards = session.execute(select(Card.number, Card.state, Card.chip_id).order_by(Card.id)).all()
        requests = session.scalars(select(Application.state).order_by(Application.id)).all()
    row = bureau.row(order_id)
    return (*counted, *map(tuple, cards), *requests, row.state, row.version, *bureau.counts(order_id).items())


def accepted(bureau: BureauOffice, *faults: Fault, spoil: float = 0.0) -> tuple[int, Path]:
    """An order that the bureau has accepted and worked on, and its results file."""
    order_id = bureau.order(*PEOPLE)
    bureau.standin(*faults, spoil=spoil)
    acknowledgement, *results = bureau.replies()
    bureau.take(acknowledgement)
    return order_id, results[0]


def check_refused(bureau: BureauOffice, path: Path, finding: str, order_id: int) -> None:
    """The file is refused by that name, recorded with an audit entry, and nothing moved."""
    before = snapshot(bureau, order_id)
    with pytest.raises(FileRefused) as caught:
        bureau.take(path)
    assert caught.value.finding == finding, caught.value.message
    assert snapshot(bureau, order_id) == before
    assert bureau.files("name", "outcome", "finding")[-1] == (path.name, "REFUSED", finding)
    with bureau.office.sessions() as session:
        newest = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc()).limit(1)).one()
    assert (newest.action, newest.details["finding"]) == ("bureau_file.refuse", finding)


WHOLE_FILE = [
    (Fault.FOREIGN_CHIP, "foreign-chip"),
    (Fault.SAME_CHIP, "same-chip"),
    (Fault.UNKNOWN_CARD, "unknown-card"),
    (Fault.WRONG_BATCH, "wrong-batch"),
    (Fault.WRONG_ORDER, "wrong-order"),
    (Fault.WRONG_BUREAU, "wrong-bureau"),
    (Fault.WRONG_SIGNATURE, "wrong-signature"),
    (Fault.CUT_OFF, "cut-off"),
    (Fault.ALTERED_COUNT, "wrong-count"),
]


def with_fault(bureau: BureauOffice, order_id: int, good: Path, fault: Fault) -> Path:
    """The same results with a fault, as the stand-in would have written them."""
    row, me = bureau.row(order_id), identity.load(bureau.folder / "bureau")
    with good.open("rb") as stream, opened_reply(stream, me.signer.certificate) as records:
        reader = RecordReader(records)
        found = list(reader.records())
    results = Results(reader.header, [Made.decode(body) for tag, body in found if tag is Tag.MADE])
    spoil(results, fault, order_digest=row.digest or b"")
    signer = strange_signer(me.signer) if fault is Fault.WRONG_SIGNATURE else me.signer
    out = BytesIO()
    with signing(out.write, results.header, signer=signer, now=bureau.office.clock()) as writer:
        for made in results.made:
            writer.add(Tag.MADE, made.encode())
        writer.counts[Tag.MADE] += fault is Fault.ALTERED_COUNT
        writer.close()
    path = bureau.folder / f"{fault}.p7s"
    path.write_bytes(out.getvalue()[: len(out.getvalue()) * 2 // 3 if fault is Fault.CUT_OFF else None])
    return path


def test_a_file_that_says_anything_untrue_counts_for_nothing(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau)
    for fault, finding in WHOLE_FILE:
        path = with_fault(bureau, order_id, results, fault)
        check_refused(bureau, path, finding, order_id)
        check_refused(bureau, path, finding, order_id)  # and again, however often it comes
    assert bureau.take(results).facts["made"] == 3  # the right ones count all the same


@pytest.mark.parametrize(("fault", "finding"), [pytest.param(*one, marks=pytest.mark.nightly) for one in WHOLE_FILE])
def test_the_stand_in_does_wrong_on_demand(bureau: BureauOffice, fault: Fault, finding: str) -> None:
    order_id, results = accepted(bureau, fault)
    check_refused(bureau, results, finding, order_id)


ONE_CARD = [
    (Fault.WEAK_KEY, "roca", 1),
    (Fault.NO_PROOF, "no-possession", 1),
    (Fault.WRONG_CHECK_VALUES, "check-values", 1),
    (Fault.DUPLICATE_KEY, "duplicate-key", 2),
]


@pytest.mark.parametrize(("fault", "finding", "count"), ONE_CARD)
def test_an_unfit_card_is_made_again_and_the_others_count(
    bureau: BureauOffice, fault: Fault, finding: str, count: int
) -> None:
    order_id, results = accepted(bureau, fault)
    facts = bureau.take(results).facts
    assert (facts["made"], facts["rejected"], facts["findings"]) == (3 - count, count, {finding: count})
    assert bureau.counts(order_id) == {OrderedState.MADE: 3 - count, OrderedState.REJECTED: count}
    for card in bureau.cards(order_id, OrderedState.REJECTED):
        assert (card.state, card.chip_id) == (CardState.SPOILED, None)
        application = bureau.office.application_of(card.id)
        assert (application.state, application.remake) == (ApplicationState.APPROVED, True)
    assert bureau.row(order_id).state is OrderState.COMPLETE
    blanks = bureau.blanks()
    assert (blanks.get("WORK", 0), blanks["SPOILED"]) == (3 - count, count)
    assert sum(blanks.values()) == 200


def test_a_rejected_card_comes_first_in_the_next_plan(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau, Fault.NO_CARD)
    assert bureau.take(results).facts["not_made"] == 1
    (again,) = bureau.office.plan()
    (lost,) = bureau.cards(order_id, OrderedState.REJECTED)
    with bureau.office.sessions() as session:
        made_again = session.scalars(select(Card).where(Card.batch_id == again)).one()
        assert made_again.application_id == lost.application_id and made_again.number != lost.number


def test_results_twice_under_two_names(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau, Fault.TWICE)
    results, again = sorted((results, *bureau.replies()[2:]), key=lambda path: len(path.name))
    assert again.read_bytes() == results.read_bytes()
    bureau.take(results)
    check_refused(bureau, again, "taken-before", order_id)
    check_refused(bureau, results, "taken-before", order_id)


def test_the_same_cards_reported_in_another_file(bureau: BureauOffice) -> None:
    order_id = bureau.order(*PEOPLE)
    bureau.standin(Fault.LATE)
    acknowledgement, first = bureau.replies()
    bureau.take(acknowledgement)
    bureau.take(first)
    made = bureau.cards(order_id, OrderedState.MADE)
    assert len(made) == 2 and bureau.row(order_id).state is OrderState.ACCEPTED
    lie = reply(bureau, order_id, [(Tag.NOT_MADE, NotMade(made[0].number, "lost", "it was lost").encode())])
    check_refused(bureau, lie, "reported-before", order_id)
    bureau.standin()  # the half that was held back
    bureau.take_all()
    assert bureau.counts(order_id) == {OrderedState.MADE: 3}
    assert bureau.row(order_id).state is OrderState.COMPLETE


def reply(bureau: BureauOffice, order_id: int, records: list[tuple[Tag, bytes]], **changes: object) -> Path:
    """A well-signed results file of the bureau with these records."""
    row = bureau.row(order_id)
    with bureau.office.sessions() as session:
        batch = session.get_one(Batch, row.batch_id).number
    values = {"order": row.number, "batch": batch, "answers": row.digest, "sequence": 7} | changes
    signer = identity.load(bureau.folder / "bureau").signer
    path = bureau.folder / "reply.p7s"
    path.write_bytes(signed_file(header(FileKind.RESULTS, **values), records, signer))
    return path


def test_a_late_bureau_is_waited_for_and_its_cards_stay_away_from_our_stations(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau, Fault.LATE)
    bureau.take(results)
    (waiting,) = bureau.cards(order_id, OrderedState.ORDERED)
    office = bureau.office
    with pytest.raises(BureauRefused, match="BO-000001"):
        office.request(OperationKind.PERSONALISE, waiting.id)
    with office.sessions() as session:
        asked = operations.request_batch(
            session, waiting.batch_id, station_id=None, actor=office.staff.producer, now=office.clock()
        )
    assert asked == 2  # the two that came back
    with office.sessions() as session, pytest.raises(Exception, match="not possible in the state ACCEPTED"):
        bureau_orders.close(session, order_id, actor=bureau.keeper, now=office.clock())


def test_spoiled_blanks_are_accounted_for(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau, spoil=0.4)
    facts = bureau.take(results).facts
    assert facts["blanks_spoiled"] > 0
    blanks = bureau.blanks()
    assert blanks["SPOILED"] == facts["blanks_spoiled"] and sum(blanks.values()) == 200
    with bureau.office.sessions() as session:
        assert bureau_orders.spoiled(session, order_id) == facts["blanks_spoiled"]


def test_a_declined_order_frees_cards_and_blanks(bureau: BureauOffice) -> None:
    order_id = bureau.order(*PEOPLE)
    bureau.standin(Fault.DECLINE)
    assert bureau.take_all()[0].facts == {"accepted": False, "reason": "no capacity"}
    assert bureau.row(order_id).state is OrderState.DECLINED
    assert bureau.counts(order_id) == {OrderedState.RECALLED: 3}
    assert bureau.blanks() == {"STORE": 200}
    assert {card.state for card in bureau.cards(order_id)} == {CardState.PREPARED}
    again = bureau.draw(bureau.row(order_id).batch_id)
    assert bureau.row(again).number == "BO-000002"


def test_an_expired_certificate(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau)
    bureau.office.clock.now += timedelta(days=800)
    check_refused(bureau, results, "certificate-expired", order_id)


def test_a_certificate_that_was_withdrawn(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau)
    with bureau.office.sessions() as session:
        (mine,) = [
            row for row in bureaux.certificates(session, bureau.bureau_id) if row.use is CertificateUse.SIGNATURE
        ]
        bureaux.end_certificate(session, mine.id, actor=bureau.office.staff.security, now=bureau.office.clock())
    check_refused(bureau, results, "certificate-not-in-use", order_id)


def test_an_order_needs_certificates_that_are_valid(bureau: BureauOffice) -> None:
    batch = bureau.batch(*PEOPLE)
    bureau.office.clock.now += timedelta(days=800)
    with pytest.raises(BureauRefused) as caught:
        bureau.draw(batch)
    assert caught.value.finding == "no-certificate"


def test_results_before_the_acknowledgement_are_not_awaited(bureau: BureauOffice) -> None:
    order_id = bureau.order(*PEOPLE)
    bureau.standin()
    check_refused(bureau, bureau.replies()[1], "not-awaited", order_id)


@pytest.mark.parametrize("content", [b"", b"results.csv", b"\x30\x80", bytes(5000)])
def test_what_is_no_file_of_a_bureau(bureau: BureauOffice, content: bytes) -> None:
    order_id = bureau.order(*PEOPLE)
    path = bureau.folder / "strange.p7s"
    path.write_bytes(content)
    with pytest.raises(FileRefused):
        bureau.take(path)
    assert bureau.files("outcome", "order_id")[-1] == ("REFUSED", None)
    assert bureau.row(order_id).state is OrderState.SENT


def test_an_order_file_of_ours_is_no_reply(bureau: BureauOffice) -> None:
    order_id = bureau.order(*PEOPLE)
    check_refused(bureau, bureau.desk / "in" / "BO-000001.p7m", "not-cms", order_id)


def test_another_orders_number(bureau: BureauOffice) -> None:
    order_id, _ = accepted(bureau)
    check_refused(bureau, reply(bureau, order_id, [], order="BO-000009"), "unknown-order", order_id)


def test_finishing_what_was_not_answered(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau)
    bureau.take(results)
    card = bureau.cards(order_id)[0]
    finished = [(Tag.FINISHED, Finished(card.number, bytes.fromhex(card.chip_id or "")).encode())]
    check_refused(bureau, reply(bureau, order_id, finished), "not-awaited", order_id)


def test_a_consignment_with_a_card_that_nobody_ordered(bureau: BureauOffice) -> None:
    order_id, _ = accepted(bureau, Fault.LATE)
    sent = [(Tag.SHIPPED, Shipped("C-1", "S-1", ("9643609999999997",)).encode())]
    check_refused(bureau, reply(bureau, order_id, sent), "unknown-card", order_id)


def test_two_people_for_everything(bureau: BureauOffice) -> None:
    office = bureau.office
    order_id = bureau.draw(bureau.batch(*PEOPLE))
    planner_who_releases = type(office.staff.planner)(
        "staff",
        office.staff.planner.id,
        "Planner",
        office.staff.releaser.permissions | office.staff.producer.permissions,
    )
    with office.sessions() as session, pytest.raises(SamePerson):
        bureau_orders.approve(session, order_id, actor=planner_who_releases, now=office.clock())
    with office.sessions() as session, pytest.raises(NotAllowed):
        bureau_orders.approve(session, order_id, actor=office.staff.planner, now=office.clock())
    bureau.approve(order_id)
    bureau.send(order_id)
    bureau.standin()
    with pytest.raises(FileRefused) as caught:
        try:
            bureau.take(bureau.replies()[0], planner_who_releases)
        except SamePerson as error:
            raise FileRefused(error.message, finding="same-person", file="") from error
    assert caught.value.finding == "same-person"


def test_a_certificate_is_approved_by_another_person(bureau: BureauOffice) -> None:
    identity.create(bureau.folder / "new", "Northern bureau", now=bureau.office.clock())
    content = (bureau.folder / "new" / "signature.pem").read_bytes()
    with bureau.office.sessions() as session:
        first = bureau.office.staff.security
        row = bureaux.add_certificate(
            session, bureau.bureau_id, content, use=CertificateUse.SIGNATURE, actor=first, now=bureau.office.clock()
        )
        with pytest.raises(SamePerson):
            bureaux.approve_certificate(session, row, actor=first, now=bureau.office.clock())


def test_both_certificates_work_while_a_bureau_changes_over(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau)
    identity.create(bureau.folder / "new", "Northern bureau", now=bureau.office.clock())
    bring_certificate(bureau, (bureau.folder / "new" / "signature.pem").read_bytes(), CertificateUse.SIGNATURE)
    assert bureau.take(results).facts["made"] == 3
    assert bureau.row(order_id).state is OrderState.COMPLETE


def test_a_broken_seal_stays_shut(bureau: BureauOffice) -> None:
    order_id, results = accepted(bureau)
    bureau.take(results)
    (consignment,) = bureau.consignments()
    office = bureau.office
    with office.sessions() as session:
        with pytest.raises(SealBroken):
            bureau_orders.receive(session, consignment.id, "OTHER", actor=bureau.keeper, now=office.clock())
        session.rollback()
        with pytest.raises(BureauRefused) as caught:
            bureau_orders.close(session, order_id, actor=bureau.keeper, now=office.clock())
        assert caught.value.finding == "on-the-way"


def test_the_same_order_file_can_be_made_again(bureau: BureauOffice) -> None:
    order_id = bureau.draw(bureau.batch(*PEOPLE))
    bureau.approve(order_id)
    office, digests = bureau.office, []
    for _ in range(2):
        path = bureau.send(order_id)
        digests.append(bureau.row(order_id).digest)
        with office.sessions() as session:  # as after a crash between file and commit
            if len(digests) == 1:
                session.execute(text("DELETE FROM bureau_chip"))
                session.execute(text("DELETE FROM bureau_file"))
                drop_guard(session)
                session.commit()
        assert path.exists()
    assert digests[0] == digests[1]


def drop_guard(session: Session) -> None:
    """Set the order back to APPROVED, as if its sending had not been committed."""
    dialect = session.get_bind().dialect.name
    on = "" if dialect == "sqlite" else " ON bureau_order"
    session.execute(text(f"DROP TRIGGER guard_bureau_order_move{on}"))
    session.execute(text("UPDATE bureau_order SET state = 'APPROVED'"))
