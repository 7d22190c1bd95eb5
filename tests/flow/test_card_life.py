"""From an application to the end of its card, on both databases, with OpenSSL as the judge of the revocation list."""

import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import func, select
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
from uec.store.tables import Batch, Card, Certificate, StopListEntry


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


ISSUED, REVOKED, HELD = CertificateState.ISSUED, CertificateState.REVOKED, CertificateState.HELD
# What happens to an active card, or to one not handed over yet ("waits"), one thing after the other; what it comes to:
# the card, its certificates, entries of the list, and whether the stop-list names the card in the end.
LIVES = [
    (("suspend",), CardState.SUSPENDED, HELD, 4, True),
    (("suspend", "resume"), CardState.ACTIVE, ISSUED, 0, False),
    (("suspend", "resume", "suspend", "annul"), CardState.ANNULLED, REVOKED, 4, True),
    (("suspend", "report_lost"), CardState.LOST, REVOKED, 4, True),
    (("annul", "destroy"), CardState.DESTROYED, REVOKED, 4, True),
    (("report_lost", "annul"), CardState.ANNULLED, REVOKED, 4, True),
    (("suspend", "replace"), CardState.REPLACED, REVOKED, 4, True),
    (("report_lost", "replace", "destroy"), CardState.DESTROYED, REVOKED, 4, True),
    (("waits", "spoil", "destroy"), CardState.DESTROYED, REVOKED, 4, True),
    (("waits", "report_lost"), CardState.LOST, REVOKED, 4, True),
    (("waits", "annul"), CardState.ANNULLED, REVOKED, 4, True),
]


@pytest.mark.parametrize(("events", "state", "certificates", "entries", "stopped"), LIVES)
def test_lists_and_openssl_follow_every_life(
    office: CardOffice,
    tmp_path: Path,
    events: tuple[str, ...],
    state: CardState,
    certificates: CertificateState,
    entries: int,
    stopped: bool,
) -> None:
    (card_id,) = office.make_cards(1)
    if events[0] != "waits":
        office.hand_over(card_id)
    for name in events:
        live(office, card_id, name)
        crl = publish(office)
        good = certificate_states(office, card_id) == {ISSUED}
        assert openssl_accepts(office, card_id, crl, tmp_path) is good, name
    assert (office.card(card_id).state, certificate_states(office, card_id)) == (state, {certificates})
    assert len(crl) == entries, "a hold that became a revocation stands there once"
    assert (stop_list(office)[-1:] or [("REMOVE", "")])[0][0] == ("ADD" if stopped else "REMOVE")
    with office.sessions() as session:
        living = (CardState.PERSONALISED, CardState.ACTIVE, CardState.SUSPENDED)
        count = session.scalar(select(func.count()).select_from(Card).where(Card.state.in_(living)))
    assert count == (1 if state in living else 0)


def live(office: CardOffice, card_id: int, name: str) -> None:
    with office.sessions() as session:
        if name == "replace":
            cards.replace(
                session,
                card_id,
                actor=office.staff.operator,
                reason=ApplicationReason.DUPLICATE,
                policy=POLICY,
                now=office.clock(),
                random=office.desk.bench.random,
            )
        elif name != "waits":
            actor = office.staff.producer if name == "spoil" else office.staff.security
            getattr(cards, name)(session, card_id, actor=actor, reason=name, now=office.clock())
