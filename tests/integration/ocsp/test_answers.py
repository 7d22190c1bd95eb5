"""Answers signed ahead, on both databases: what is due, what a decision voids, who signs, and what is told to whom."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp as library
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import VaultUnavailable
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from issuance.pki.hierarchy import create_hierarchy
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.pki import lint_certificate, openssl, pem
from uec.domain.actors import system_actor
from uec.ocsp.desk import LOOK_AGAIN, Desk
from uec.services import authority, cards, ocsp_answers, ocsp_signers
from uec.store.tables import AuditEntry, Certificate, OcspAnswer, OcspSigner

LIFE = timedelta(hours=24)


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def desk(office: CardOffice) -> Desk:
    return Desk(office.sessions, office.desk.bench.vault, clock=office.clock)


def hand_out(office: CardOffice, person: int = 1) -> int:
    (card_id,) = office.make_cards(person)
    office.hand_over(card_id)
    return card_id


def renew(office: CardOffice) -> Sequence[datetime]:
    bench = office.desk.bench
    with office.sessions() as session:
        return ocsp_signers.renew_due(session, bench.vault, settings=SETTINGS, now=office.clock(), random=bench.random)


def sign(office: CardOffice) -> int:
    with office.sessions() as session:
        delegates = ocsp_signers.delegates(session, office.desk.bench.vault, now=office.clock())
        return ocsp_answers.sign_due(session, delegates, life=LIFE, now=office.clock())


def serial_of(office: CardOffice, card_id: int, profile: str = "authentication") -> int:
    wanted = select(Certificate.serial).where(Certificate.card_id == card_id, Certificate.profile == profile)
    with office.sessions() as session:
        return int(session.scalars(wanted).one(), 16)


def request(issuing: bytes, serial: int, *, nonce: bytes | None = None, sha256: bool = False) -> bytes:
    issuer = x509.load_der_x509_certificate(issuing)
    algorithm = hashes.SHA256() if sha256 else hashes.SHA1()
    key = issuer.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    hashed = []
    for data in (issuer.subject.public_bytes(), key):
        digest = hashes.Hash(algorithm)
        digest.update(data)
        hashed.append(digest.finalize())
    builder = library.OCSPRequestBuilder().add_certificate_by_hash(hashed[0], hashed[1], serial, algorithm)
    if nonce is not None:
        builder = builder.add_extension(x509.OCSPNonce(nonce), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def ask(
    desk: Desk, office: CardOffice, serial: int, *, nonce: bytes | None = None, sha256: bool = False
) -> library.OCSPResponse:
    data = request(office.desk.bench.ca.issuing, serial, nonce=nonce, sha256=sha256)
    return library.load_der_ocsp_response(desk.answer(data).body)


def said(answer: library.OCSPResponse) -> str:
    if answer.response_status is not library.OCSPResponseStatus.SUCCESSFUL:
        return answer.response_status.name
    return answer.certificate_status.name


def test_every_issued_certificate_has_its_answer_and_authorities_have_none(office: CardOffice) -> None:
    hand_out(office)
    assert len(renew(office)) == 1
    assert sign(office) == 5  # four on the card, and the document signer's
    with office.sessions() as session:
        stock = ocsp_answers.stock(session, now=office.clock())
        assert (stock.answers, stock.due) == (5, 0)
        about = select(Certificate.profile).join(OcspAnswer, OcspAnswer.certificate_id == Certificate.id)
        assert not {authority.ROOT, authority.ISSUING} & set(session.scalars(about))
    assert sign(office) == 0
    office.clock.now += LIFE / 2
    assert sign(office) == 5, "at half of their life they are signed again"


def test_a_card_from_its_making_to_its_end(office: CardOffice, desk: Desk) -> None:
    (card_id,) = office.make_cards(1)
    renew(office)
    security = office.staff.security
    steps = [
        (lambda: None, "REVOKED", x509.ReasonFlags.certificate_hold),
        (lambda: office.hand_over(card_id), "GOOD", None),
        (lambda: decide(cards.suspend), "REVOKED", x509.ReasonFlags.certificate_hold),
        (lambda: decide(cards.resume), "GOOD", None),
        (lambda: decide(cards.annul), "REVOKED", x509.ReasonFlags.cessation_of_operation),
    ]

    def decide(what: object) -> None:
        with office.sessions() as session:
            what(session, card_id, actor=security, reason="seen", now=office.clock())  # type: ignore[operator]

    serial = serial_of(office, card_id)
    for act, state, reason in steps:
        sign(office)
        act()
        at_once = ask(desk, office, serial)
        assert said(at_once) == state, "signed when asked, as what was signed ahead is void"
        sign(office)
        ahead = ask(desk, office, serial)
        assert said(ahead) == state
        if reason is not None and state == "REVOKED":
            assert (ahead.revocation_reason is not None) and at_once.revocation_time_utc == ahead.revocation_time_utc
    assert desk.report() == {"ahead": 6, "signed": 4}


def test_a_decision_while_the_vault_signs_is_not_overwritten(
    office: CardOffice, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    card_id = hand_out(office)
    renew(office)
    vault = office.desk.bench.vault
    real = vault.sign

    def slow(ref: KeyRef, messages: Sequence[bytes]) -> list[bytes]:
        if ref.purpose is KeyPurpose.OCSP:
            with office.sessions() as session:
                cards.suspend(session, card_id, actor=office.staff.security, reason="lost", now=office.clock())
            monkeypatch.undo()
        return real(ref, messages)

    monkeypatch.setattr(vault, "sign", slow)
    sign(office)
    serial = serial_of(office, card_id)
    with office.sessions() as session:
        assert ocsp_answers.kept(session, serial, now=office.clock()) is None, "it says good, and is not kept"
    assert said(ask(desk, office, serial)) == "REVOKED"
    assert sign(office) == 4
    with office.sessions() as session:
        assert ocsp_answers.kept(session, serial, now=office.clock()) is not None
    assert said(ask(desk, office, serial)) == "REVOKED"


def test_unknown_is_said_of_what_was_never_issued_and_of_intents(office: CardOffice, desk: Desk) -> None:
    card_id = hand_out(office)
    renew(office)
    sign(office)
    never = desk.answer(request(office.desk.bench.ca.issuing, 0x1234))
    assert said(library.load_der_ocsp_response(never.body)) == "UNKNOWN"
    assert not never.keep and ("Cache-Control", "no-store") in never.headers, "it may be issued the next moment"
    with office.sessions() as session:
        row = Certificate(
            profile="authentication", serial=f"{0x77:032x}", tbs_digest="", public_key_digest="x", subject="",
            not_before=office.clock(), not_after=office.clock() + LIFE, intended_at=office.clock(), card_id=card_id,
        )  # fmt: skip
        session.add(row)
        session.commit()
    assert said(ask(desk, office, 0x77)) == "UNKNOWN"


def test_a_nonce_and_another_hash_are_answered_by_the_vault(office: CardOffice, desk: Desk) -> None:
    serial = serial_of(office, hand_out(office))
    renew(office)
    sign(office)
    with_nonce = ask(desk, office, serial, nonce=b"n" * 32)
    assert said(with_nonce) == "GOOD"
    assert with_nonce.extensions.get_extension_for_class(x509.OCSPNonce).value.nonce == b"n" * 32
    assert said(ask(desk, office, serial, sha256=True)) == "GOOD"
    assert desk.report() == {"signed": 2}


def test_without_the_vault_answers_signed_ahead_go_on_and_the_rest_is_later(
    office: CardOffice, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    serial = serial_of(office, hand_out(office))
    renew(office)
    sign(office)

    def gone(*_: object) -> list[bytes]:
        raise VaultUnavailable("no vault", path="v")

    for name in ("sign", "describe", "public_key"):
        monkeypatch.setattr(office.desk.bench.vault, name, gone)
    assert said(ask(desk, office, serial)) == "GOOD"
    assert said(ask(desk, office, serial, nonce=b"n" * 32)) == "TRY_LATER"
    office.clock.now += LIFE
    assert said(ask(desk, office, serial)) == "TRY_LATER", "what is too old is not said any more"
    desk.answer(b"noise")
    desk.answer(b"")
    assert desk.report() == {"ahead": 1, "try-later": 2, "malformed": 2}
    assert desk.report() == {}
    with office.sessions() as session:
        told = select(AuditEntry.details).where(AuditEntry.action == "ocsp.refuse")
        assert session.scalars(told).all() == [{"try-later": 2, "malformed": 2}]


def serial_of_issuing(office: CardOffice) -> int:
    return x509.load_der_x509_certificate(office.desk.bench.ca.issuing).serial_number


def test_before_there_is_a_signer_everybody_is_told_to_try_later(office: CardOffice, desk: Desk) -> None:
    serial = serial_of(office, hand_out(office))
    assert said(ask(desk, office, serial)) == "TRY_LATER"
    renew(office)
    office.clock.now += LOOK_AGAIN
    assert said(ask(desk, office, serial)) == "GOOD"


def test_the_signer_renews_itself_before_it_ends_and_both_judges_pass_it(
    office: CardOffice, desk: Desk, tmp_path: Path
) -> None:
    serial = serial_of(office, hand_out(office))
    (first_end,) = renew(office)
    assert renew(office) == []
    sign(office)
    office.clock.now += (first_end - office.clock.now) * 2 / 3
    (second_end,) = renew(office)
    assert second_end > first_end > office.clock.now, "in time"
    assert sign(office) == 5
    with office.sessions() as session:
        first, second = session.scalars(select(OcspSigner).order_by(OcspSigner.id)).all()
        assert first.public_key_digest == second.public_key_digest, "the key is the vault's"
        assert set(session.scalars(select(OcspAnswer.signer_id))) == {second.id}
        issued = select(func.count()).where(AuditEntry.subject_kind == "ocsp-signer")
        assert session.scalar(issued) == 2
        root, issuing = (pem(tmp_path / name, der) for name, der in (
            ("root", authority.certificates(session).root), ("issuing", authority.certificates(session).issuing)
        ))  # fmt: skip
    made = pem(tmp_path / "signer", second.der or b"")
    assert lint_certificate(made) == ""
    moment = str(int(office.clock.now.timestamp()))
    judged = openssl("verify", "-x509_strict", "-attime", moment, "-CAfile", root, "-untrusted", issuing, made)
    assert judged.returncode == 0, judged.stderr
    parsed = x509.load_der_x509_certificate(second.der or b"")
    assert parsed.extensions.get_extension_for_class(x509.OCSPNoCheck)
    assert said(ask(desk, office, serial)) == "GOOD"


def test_a_new_key_of_the_vault_gets_a_new_signer(office: CardOffice) -> None:
    renew(office)
    office.desk.bench.vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=office.clock())
    with office.sessions() as session:
        ocsp_signers.vault_memory.note(session, office.desk.bench.vault)
        session.commit()
    assert len(renew(office)) == 1
    with office.sessions() as session:
        assert len(set(session.scalars(select(OcspSigner.public_key_digest)))) == 2


def test_killed_between_intent_and_signature_the_same_signer_is_made(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ocsp_signers.CertificateAuthority, "sign", die)
        renew(office)
    office.clock.advance(minutes=5)
    renew(office)
    with office.sessions() as session:
        (only,) = session.scalars(select(OcspSigner)).all()
        digest = hashes.Hash(hashes.SHA256())
        digest.update(x509.load_der_x509_certificate(only.der or b"").tbs_certificate_bytes)
        assert digest.finalize().hex() == only.tbs_digest


def test_cards_of_an_earlier_authority_are_answered_by_its_own_signer(office: CardOffice, desk: Desk) -> None:
    bench = office.desk.bench
    old_issuing, serial = bench.ca.issuing, serial_of(office, hand_out(office))
    for purpose, algorithm in (
        (KeyPurpose.CA_ROOT, KeyAlgorithm.EC_P384),
        (KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256),
    ):
        bench.vault.generate(purpose, algorithm, now=office.clock())
    other = create_hierarchy(bench.vault, authority.ca_config(SETTINGS), now=office.clock(), random=bench.random)
    with office.sessions() as session:
        ocsp_signers.vault_memory.note(session, bench.vault)
        authority._store(session, authority.ISSUING, other.issuing, system_actor("test"), office.clock())
        session.commit()
    assert len(renew(office)) == 2, "each authority delegates"
    assert sign(office) == 5
    for data, state in (
        (request(old_issuing, serial), "GOOD"),
        (request(old_issuing, serial, nonce=b"1"), "GOOD"),
        (request(other.issuing, serial), "UNKNOWN"),  # it has never issued this number
        (request(bench.ca.root, serial_of_issuing(office)), "UNAUTHORIZED"),
    ):
        answer = library.load_der_ocsp_response(desk.answer(data).body)
        assert said(answer) == state
        if state != "UNAUTHORIZED":
            (signer,) = answer.certificates
            asked = old_issuing if state == "GOOD" else other.issuing
            signer.verify_directly_issued_by(x509.load_der_x509_certificate(asked))


def test_a_clock_that_was_ahead_leaves_no_answer_behind(office: CardOffice, desk: Desk) -> None:
    serial = serial_of(office, hand_out(office))
    renew(office)
    right = office.clock.now
    office.clock.now += timedelta(days=3)
    sign(office)
    office.clock.now = right
    answer = ask(desk, office, serial)
    assert said(answer) == "GOOD" and answer.this_update_utc <= office.clock(), "signed when asked"
    assert sign(office) == 5, "and ahead again, by the right clock"
    assert ask(desk, office, serial).this_update_utc <= office.clock()


def test_answers_about_expired_certificates_are_forgotten_and_still_given(office: CardOffice, desk: Desk) -> None:
    serial = serial_of(office, hand_out(office))
    renew(office)
    sign(office)
    with office.sessions() as session:
        session.execute(update(Certificate).where(Certificate.card_id.is_not(None)).values(not_after=office.clock()))
        session.commit()
    office.clock.now += LIFE / 2
    assert sign(office) == 1
    with office.sessions() as session:
        assert session.scalar(select(func.count()).select_from(OcspAnswer)) == 1
    assert said(ask(desk, office, serial)) == "GOOD"


def test_batches_go_on_until_nothing_is_due(office: CardOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ocsp_answers, "BATCH", 2)
    hand_out(office)
    renew(office)
    with office.sessions() as session:
        delegates = ocsp_signers.delegates(session, office.desk.bench.vault, now=office.clock())
        one = ocsp_answers.sign_due(session, delegates, life=LIFE, now=office.clock(), batches=1)
        assert one == 2
        assert ocsp_answers.sign_due(session, delegates, life=LIFE, now=office.clock()) == 3
