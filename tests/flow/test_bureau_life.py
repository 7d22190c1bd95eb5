"""From a batch to cards handed over, made by an outside bureau: order, results, stock, the holder's card."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from issuance.bureau.records import RecordReader, Tag, checked
from tests.support.bureau_office import BureauOffice, open_bureau_office
from uec.domain.bureau import Certificates, OrderedState, OrderState
from uec.domain.lifecycle import ApplicationState, BatchState, CardState, OperationKind, OperationState
from uec.services import bureau_answers, bureau_orders
from uec.services.bureau_sending import Sender
from uec.services.certification import Issuer
from uec.store.tables import Batch

pytestmark = pytest.mark.slow


@pytest.fixture
def bureau(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[BureauOffice]:
    opened = open_bureau_office(sessions, tmp_path)
    yield opened
    opened.office.desk.bench.vault.close()


def finish_at_window(bureau: BureauOffice, card_id: int) -> None:
    """A window goes on with a card that came from the bureau: certificates, PINs, inspection."""
    office = bureau.office
    office.chips[card_id] = bureau.chip_of(office.card(card_id))
    office.request(OperationKind.PERSONALISE, card_id)
    (operation,) = office.work()
    assert operation.state is OperationState.DONE, operation.error_text


def openssl(*arguments: object) -> None:
    done = subprocess.run(["openssl", "cms", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def as_openssl_reads_it(bureau: BureauOffice, order: Path) -> RecordReader:
    """The order, decrypted with the bureau's key and verified against the office's certificate by `openssl cms`."""
    keys, inner, content = bureau.folder / "bureau", bureau.folder / "inner.p7s", bureau.folder / "order.bin"
    common = ("-binary", "-inform", "DER")
    openssl(
        "-decrypt", *common, "-in", order, "-inkey", keys / "encryption.key", "-recip", keys / "encryption.pem",
        "-out", inner,
    )  # fmt: skip
    openssl(
        "-verify", *common, "-in", inner, "-certfile", keys / "office.pem", "-CAfile", keys / "office.pem",
        "-partial_chain", "-no_check_time", "-purpose", "any", "-out", content,
    )  # fmt: skip
    with content.open("rb") as stream:
        return checked(stream)


def test_a_batch_made_by_a_bureau(bureau: BureauOffice) -> None:
    office = bureau.office
    order_id = bureau.order(1, 2, 3, 4)
    read = as_openssl_reads_it(bureau, bureau.desk / "in" / "BO-000001.p7m")
    assert (read.counts[Tag.CARD], read.counts[Tag.CHIP]) == (4, 6)
    assert read.digest == bureau.row(order_id).digest
    assert bureau.row(order_id).state is OrderState.SENT
    assert bureau.blanks() == {"STORE": 194, "HAND": 6}
    said = bureau.standin()
    assert any("4 made" in line for line in said), said
    assert [(taken.kind, taken.facts.get("made")) for taken in bureau.take_all()] == [
        ("acknowledgement", None),
        ("results", 4),
    ]
    assert bureau.row(order_id).state is OrderState.COMPLETE
    assert bureau.counts(order_id) == {OrderedState.MADE: 4}
    assert bureau.blanks() == {"STORE": 194, "HAND": 2, "WORK": 4}

    made = bureau.cards(order_id)
    assert {card.state for card in made} == {CardState.WRITING}
    (consignment,) = bureau.consignments()
    with office.sessions() as session:
        bureau_orders.receive(session, consignment.id, consignment.seal, actor=bureau.keeper, now=office.clock())
        bureau_orders.close(session, order_id, actor=bureau.keeper, now=office.clock())
    assert bureau.row(order_id).state is OrderState.CLOSED
    assert bureau.blanks() == {"STORE": 196, "WORK": 4}

    for card in made:
        finish_at_window(bureau, card.id)
        assert office.card(card.id).state is CardState.PERSONALISED
        assert office.hand_over(card.id).state is OperationState.DONE
        assert office.card(card.id).state is CardState.ACTIVE
        assert office.application_of(card.id).state is ApplicationState.CLOSED
    assert bureau.blanks() == {"STORE": 196, "GOOD": 4}
    with office.sessions() as session:
        assert session.get_one(Batch, made[0].batch_id).state is BatchState.CLOSED


def answer(bureau: BureauOffice, order_id: int) -> Path:
    office, bench = bureau.office, bureau.office.desk.bench
    now = office.clock()
    sender = Sender(bench.vault, bench.document_signer, bench.profile)
    issuer = Issuer(bench.ca, bench.profile, now, bench.random, "system:worker")
    with office.sessions() as session:
        assert bureau_answers.due(session) == [order_id]
        return bureau_answers.answer(
            session,
            order_id,
            folder=bureau.exchange,
            sender=sender,
            issuer=issuer,
            actor=office.staff.releaser,
            now=now,
        )


def test_certificates_written_by_the_bureau(bureau: BureauOffice) -> None:
    office = bureau.office
    order_id = bureau.order(1, 2, certificates=Certificates.ANSWER)
    bureau.standin()
    bureau.take_all()
    assert bureau.row(order_id).state is OrderState.ACCEPTED
    assert bureau.counts(order_id) == {OrderedState.MADE: 2}
    answer(bureau, order_id)
    assert bureau.counts(order_id) == {OrderedState.ANSWERED: 2}
    assert any("2 finished" in line for line in bureau.standin())
    (finished,) = bureau.take_all()
    assert finished.facts["finished"] == 2
    assert bureau.row(order_id).state is OrderState.COMPLETE
    for card in bureau.cards(order_id, OrderedState.FINISHED):
        finish_at_window(bureau, card.id)  # nothing is left to write: it is only inspected
        assert office.card(card.id).state is CardState.PERSONALISED
        assert office.hand_over(card.id).state is OperationState.DONE
    assert bureau.blanks() == {"STORE": 196, "HAND": 2, "GOOD": 2}
