"""From an application to the end of its card, on both databases, with OpenSSL as the judge of the revocation list."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.desk import CardOffice, open_card_office
from tests.support.office import POLICY
from uec.domain.lifecycle import (
    ApplicationReason,
    ApplicationState,
    BatchState,
    CardState,
    CertificateState,
    OperationState,
)
from uec.services import authority, cards, publication
from uec.store.tables import Batch, Certificate, StopListEntry


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


def publish(office: CardOffice) -> x509.CertificateRevocationList:
    with office.sessions() as session:
        publication.publish_crl(session, office.desk.bench.ca, policy=POLICY, now=office.clock())
        return x509.load_der_x509_crl(publication.latest_crl(session))


def openssl_accepts(
    office: CardOffice,
    card_id: int,
    crl: x509.CertificateRevocationList,
    folder: Path,
    root_crl: x509.CertificateRevocationList | None = None,
) -> bool:
    """What `openssl verify -crl_check` says of the card's authentication certificate; of the chain with `root_crl`."""
    with office.sessions() as session:
        known = authority.certificates(session)
        der = session.scalars(
            select(Certificate.der).where(Certificate.card_id == card_id, Certificate.profile == "authentication")
        ).one()
    files = {"root": known.root, "issuing": known.issuing, "card": der}
    for name, content in files.items():
        pem = x509.load_der_x509_certificate(content or b"").public_bytes(Encoding.PEM)
        (folder / f"{name}.pem").write_bytes(pem)
    lists = crl.public_bytes(Encoding.PEM) + (root_crl.public_bytes(Encoding.PEM) if root_crl else b"")
    (folder / "crl.pem").write_bytes(lists)
    moment = int((office.clock() + timedelta(seconds=1)).timestamp())
    check = "-crl_check_all" if root_crl else "-crl_check"
    command = ["openssl", "verify", "-x509_strict", check, "-attime", str(moment)]
    command += ["-CAfile", "root.pem", "-untrusted", "issuing.pem", "-CRLfile", "crl.pem", "card.pem"]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0 or "certificate revoked" in ran.stderr, ran.stderr
    return ran.returncode == 0


def test_openssl_accepts_the_whole_chain_with_both_lists(office: CardOffice, tmp_path: Path) -> None:
    (card_id,) = office.make_cards(1)
    office.hand_over(card_id)
    issuing = publish(office)
    with office.sessions() as session:
        root = x509.load_der_x509_crl(publication.latest_crl(session, issuer="root"))
    assert openssl_accepts(office, card_id, issuing, tmp_path, root)


def certificate_states(office: CardOffice, card_id: int) -> set[CertificateState]:
    with office.sessions() as session:
        return set(session.scalars(select(Certificate.state).where(Certificate.card_id == card_id)))


def stop_list(office: CardOffice) -> list[tuple[str, str]]:
    with office.sessions() as session:
        rows = session.execute(select(StopListEntry.action, StopListEntry.reason).order_by(StopListEntry.seq))
        return [(action, reason) for action, reason in rows]


def test_application_to_replaced_card(office: CardOffice, tmp_path: Path) -> None:
    (card_id,) = office.make_cards(1)
    made = office.card(card_id)
    assert (made.state, office.application_of(card_id).state) == (CardState.PERSONALISED, ApplicationState.READY)
    with office.sessions() as session:
        assert session.scalars(select(Batch.state)).all() == [BatchState.CLOSED]
    assert certificate_states(office, card_id) == {CertificateState.HELD}
    assert not openssl_accepts(office, card_id, publish(office), tmp_path), "on hold until hand-over"

    handed = office.hand_over(card_id)
    assert handed.state is OperationState.DONE, handed.error_text
    assert (office.card(card_id).state, office.application_of(card_id).state) == (
        CardState.ACTIVE,
        ApplicationState.CLOSED,
    )
    assert certificate_states(office, card_id) == {CertificateState.ISSUED}
    assert openssl_accepts(office, card_id, publish(office), tmp_path)

    manager = office.staff.security
    with office.sessions() as session:
        cards.suspend(session, card_id, actor=manager, reason="holder asked", now=office.clock())
    assert not openssl_accepts(office, card_id, publish(office), tmp_path)
    with office.sessions() as session:
        cards.resume(session, card_id, actor=manager, reason="holder asked", now=office.clock())
    assert openssl_accepts(office, card_id, publish(office), tmp_path)
    with office.sessions() as session:
        cards.report_lost(session, card_id, actor=office.staff.operator, reason="stolen", now=office.clock())
    revoked = publish(office)
    assert len(revoked) == 4 and not openssl_accepts(office, card_id, revoked, tmp_path)
    with office.sessions() as session:
        receipt = cards.replace(
            session,
            card_id,
            actor=office.staff.operator,
            reason=ApplicationReason.DUPLICATE,
            policy=POLICY,
            now=office.clock(),
            random=office.desk.bench.random,
        )
    assert office.card(card_id).state is CardState.REPLACED and receipt.number.endswith("2")
    assert stop_list(office) == [("ADD", "suspend"), ("REMOVE", "resume"), ("ADD", "report_lost"), ("ADD", "replace")]
