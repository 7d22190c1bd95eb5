"""Certificates on both databases: torn anywhere, one key has one; the card's state decides; old issuers live on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from sqlalchemy import event, func, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import (
    IssuerExpired,
    RequestRefused,
    UnfitKey,
    VaultError,
    VaultFull,
    VaultLocked,
    VaultUnavailable,
)
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.pki.ca import CertificateAuthority, Tbs
from issuance.pki.crl import RevocationReason
from issuance.pki.hierarchy import create_hierarchy
from issuance.pki.possession import Proof
from issuance.production.bundle import Record, RecordKind
from tests.support.desk import SETTINGS, CardOffice, open_card_office
from tests.support.office import NOW, POLICY
from tests.support.pki import PrivateKey, proofs_of, public_keys_of, roca_modulus
from uec.domain.actors import system_actor
from uec.domain.lifecycle import CardState, CertificateState, OperationState
from uec.services import authority, cards, certification, journal, publication, revocation
from uec.services.card_sessions import anchors_of
from uec.store.tables import AuditEntry, Card, Certificate, Crl, Revocation


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path)
    yield opened
    opened.desk.bench.vault.close()


@pytest.fixture
def card_id(office: CardOffice) -> int:
    """A card that is being written."""
    office.approve_applicants(1)
    (batch_id,) = office.plan()
    office.release(batch_id)
    with office.sessions() as session:
        key = session.scalars(select(Card.id)).one()
        claimed = Record(RecordKind.CHIP_CLAIMED, {"chip_id": "00" * 10})
        journal.append(session, key, claimed, operation_id=None, actor=system_actor("test"), now=NOW)
    return key


@pytest.fixture
def keys(office: CardOffice) -> dict[str, PrivateKey]:
    """A key for every slot of the profile."""
    return {slot.name: ec.generate_private_key(ec.SECP256R1()) for slot in office.desk.bench.profile.keys}


def issue(office: CardOffice, card_id: int, keys: Mapping[str, PrivateKey], **others: bytes) -> dict[str, bytes]:
    """Ask as a card that holds these keys does, and for `others`, public keys by slot that it proves in vain."""
    made = certification.Made({**public_keys_of(keys), **others}, proofs_of(keys))
    return ask(office, card_id, made)


def ask(office: CardOffice, card_id: int, made: certification.Made) -> dict[str, bytes]:
    bench = office.desk.bench
    issuer = certification.Issuer(bench.ca, bench.profile, bench.clock(), bench.random)
    with office.sessions() as session:
        return certification.issue(session, card_id, made, issuer=issuer)


def rows(office: CardOffice) -> list[Certificate]:
    with office.sessions() as session:
        of_cards = select(Certificate).where(Certificate.card_id.is_not(None)).order_by(Certificate.id)
        return list(session.scalars(of_cards))


@pytest.mark.parametrize("point", ["before", "after"])
def test_killed_around_the_signature_the_same_certificates_are_signed(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = CertificateAuthority.sign

    def die(self: CertificateAuthority, requests: Sequence[Tbs], **rest: object) -> list[bytes]:
        if point == "after":
            sign(self, requests, **rest)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CertificateAuthority, "sign", die)
        issue(office, card_id, keys)
    intended = rows(office)
    assert [(one.state, one.der) for one in intended] == [(CertificateState.INTENDED, None)] * 4
    office.clock.advance(hours=3)
    made = issue(office, card_id, keys)
    again = rows(office)
    assert [one.serial for one in again] == [one.serial for one in intended]
    assert {one.state for one in again} == {CertificateState.HELD}
    assert issue(office, card_id, keys) == made


def test_what_was_intended_for_a_card_spoiled_meanwhile_is_never_signed(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CertificateAuthority, "sign", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        issue(office, card_id, keys)
    with office.sessions() as session:
        cards.spoil(session, card_id, actor=office.staff.producer, reason="mute", now=office.clock())
        assert session.scalar(select(func.count()).select_from(Revocation)) == 4, "one may have been signed and lost"
    with pytest.raises(RequestRefused, match="SPOILED"):
        issue(office, card_id, keys)
    assert {(one.state, one.der) for one in rows(office)} == {(CertificateState.REVOKED, None)}


def while_it_signs(patch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen once between the intent and the storing of what was signed."""
    sign, done = CertificateAuthority.sign, []

    def slowly(*given: Any, **named: Any) -> list[bytes]:
        if not done:
            done.append(True)
            happens()
        return sign(*given, **named)

    patch.setattr(CertificateAuthority, "sign", slowly)


def test_signed_by_two_at_once_the_first_certificates_are_the_ones(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[dict[str, bytes]] = []
    with monkeypatch.context() as patch:
        while_it_signs(patch, lambda: first.append(issue(office, card_id, keys)))
        second = issue(office, card_id, keys)
    assert [second] == first
    assert {one.der for one in rows(office)} == set(second.values())
    assert {one.state for one in rows(office)} == {CertificateState.HELD}
    with office.sessions() as session:
        told = AuditEntry.subject_id.in_({str(one.id) for one in rows(office)})
        issued = select(func.count()).where(AuditEntry.action == "certificate.issue", told)
        assert session.scalar(issued) == session.scalar(select(func.count()).select_from(Revocation)) == len(keys)


@pytest.mark.parametrize("lost", [1, 4])
def test_what_is_revoked_while_it_is_signed_is_told_and_the_others_stand(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], monkeypatch: pytest.MonkeyPatch, lost: int
) -> None:
    def revoke() -> None:
        with office.sessions() as session:
            these = session.scalars(select(Certificate).where(Certificate.card_id == card_id).limit(lost)).all()
            revocation.revoke_all(session, these, reason=RevocationReason.KEY_COMPROMISE, now=office.clock())
            session.commit()

    while_it_signs(monkeypatch, revoke)
    with pytest.raises(RequestRefused, match="REVOKED"):
        issue(office, card_id, keys)
    found = sorted((one.state, bool(one.der)) for one in rows(office))
    assert found == [(CertificateState.HELD, True)] * (4 - lost) + [(CertificateState.REVOKED, False)] * lost
    assert [told["code"] for told in refusals(office)] == [RequestRefused.code]


@pytest.mark.parametrize("state", [CardState.PREPARED, CardState.ANNULLED])
def test_only_a_card_being_written_gets_certificates(
    office: CardOffice, keys: dict[str, PrivateKey], state: CardState
) -> None:
    office.approve_applicants(1)
    (batch_id,) = office.plan()
    office.release(batch_id)
    with office.sessions() as session:
        key = session.scalars(select(Card.id)).one()
        if state is CardState.ANNULLED:
            cards.annul(session, key, actor=office.staff.security, reason="error", now=office.clock())
    with pytest.raises(RequestRefused, match=state):
        issue(office, key, keys)
    assert rows(office) == []


def test_serials_are_random_and_never_twice(office: CardOffice, card_id: int, keys: dict[str, PrivateKey]) -> None:
    issue(office, card_id, keys)
    with office.sessions() as session:
        serials = session.scalars(select(Certificate.serial)).all()
    assert len(set(serials)) == len(serials) and all(int(serial, 16) > 2**64 for serial in serials)


def test_cards_of_an_earlier_issuing_authority_are_still_trusted(office: CardOffice) -> None:
    (card_id,) = office.make_cards(1)
    bench = office.desk.bench
    for purpose, algorithm in (
        (KeyPurpose.CA_ROOT, KeyAlgorithm.EC_P384),
        (KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256),
    ):
        bench.vault.generate(purpose, algorithm, now=NOW)
    other = create_hierarchy(bench.vault, authority.ca_config(SETTINGS), now=NOW, random=bench.random)
    with office.sessions() as session:
        # A newer authority signs now; the old one's certificate stays, as its cards do.
        authority._store(session, authority.ISSUING, other.issuing, system_actor("test"), NOW)
        session.commit()
        first, second = authority.issuing_in_use(session, now=NOW)
        assert (first, second) == (other.issuing, bench.ca.issuing)
    assert set(anchors_of(bench).issuing) == {other.issuing, bench.ca.issuing}
    assert office.hand_over(card_id).state is OperationState.DONE
    with office.sessions() as session:
        session.execute(update(Certificate).where(Certificate.card_id.is_(None)).values(not_after=NOW))
        session.commit()
        assert authority.issuing_in_use(session, now=NOW + timedelta(seconds=1)) == ()


def refusals(office: CardOffice) -> list[dict[str, Any]]:
    with office.sessions() as session:
        return list(session.scalars(select(AuditEntry.details).where(AuditEntry.action == "certificate.refuse")))


def uses(office: CardOffice) -> list[int]:
    return [info.uses for info in office.desk.bench.vault.describe(KeyPurpose.CA_ISSUING)]


def unfit_keys(finding: str, keys: Mapping[str, PrivateKey]) -> PrivateKey:
    return {
        "foreign-curve": lambda: ec.generate_private_key(ec.SECP521R1()),
        "not-allowed": lambda: rsa.generate_private_key(65537, 2048),
        "shared": lambda: next(iter(keys.values())),
        "exponent": lambda: rsa.generate_private_key(3, 2048),
        "size": lambda: rsa.generate_private_key(65537, 1024),
    }[finding]()


@pytest.mark.parametrize("finding", ["foreign-curve", "exponent", "size", "not-allowed", "shared"])
def test_an_unfit_key_is_refused_with_an_audit_entry_and_nothing_is_signed(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], finding: str
) -> None:
    slot = next(iter(keys))
    if finding == "not-allowed":
        slot = next(one.name for one in office.desk.bench.profile.keys if one.certificate_profile == "key-agreement")
    if finding == "shared":
        slot = list(keys)[1]
    before = uses(office)
    with pytest.raises(UnfitKey) as caught:
        issue(office, card_id, {**keys, slot: unfit_keys(finding, keys)})
    assert_refused(office, caught.value, finding, before)


def assert_refused(office: CardOffice, error: UnfitKey, finding: str, uses_before: list[int]) -> None:
    assert error.finding == finding
    (told,) = refusals(office)
    assert (told["code"], told["finding"]) == ("unfit-key", finding)
    assert uses(office) == uses_before and rows(office) == [], "nothing signed, and no intent left of what was refused"


@pytest.mark.parametrize("finding", ["malformed", "roca", "small-factor"])
def test_a_key_that_can_be_proved_by_nobody_is_refused_for_what_it_is(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], finding: str
) -> None:
    numbers = {"roca": roca_modulus, "small-factor": lambda: 3 * ((1 << 2046) + 9)}
    unfit = b"\x30\x03\x02\x01\x05"
    if finding in numbers:
        public = rsa.RSAPublicNumbers(65537, numbers[finding]()).public_key()
        unfit = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    before = uses(office)
    with pytest.raises(UnfitKey) as caught:
        issue(office, card_id, keys, **{next(iter(keys)): unfit})
    assert_refused(office, caught.value, finding, before)


@pytest.mark.parametrize("what", ["nothing", "one is missing", "swapped", "another card's challenge", "another key"])
def test_no_certificate_for_a_key_that_the_card_did_not_prove(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], what: str
) -> None:
    proofs = proofs_of(keys)
    first, second = list(keys)[:2]
    wrong: dict[str, Proof] = {
        "nothing": {},
        "one is missing": {slot: proof for slot, proof in proofs.items() if slot != second},
        "swapped": {**proofs, first: proofs[second], second: proofs[first]},
        "another card's challenge": {**proofs, first: replace(proofs[first], challenge=bytes(32))},
        "another key": {**proofs, first: proofs_of({first: ec.generate_private_key(ec.SECP256R1())})[first]},
    }[what]
    before = uses(office)
    with pytest.raises(UnfitKey) as caught:
        ask(office, card_id, certification.Made(public_keys_of(keys), wrong))
    assert_refused(office, caught.value, "no-possession", before)
    made = issue(office, card_id, keys)
    assert ask(office, card_id, certification.Made(public_keys_of(keys))) == made, "what is signed needs no proof"


def test_a_card_gets_its_certificates_in_few_statements(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey]
) -> None:
    counts = []
    for chosen in ([*keys][:1], [*keys][1:]):
        statements: list[str] = []

        def note(*args: Any, heard: list[str] = statements) -> None:
            heard.append(args[2])

        engine = office.sessions.kw["bind"]
        event.listen(engine, "before_cursor_execute", note)
        issue(office, card_id, {slot: keys[slot] for slot in chosen})
        event.remove(engine, "before_cursor_execute", note)
        counts.append(len([one for one in statements if not one.startswith("PRAGMA")]))
    assert counts[1] <= counts[0] + 1, f"three keys cost no more statements than one: {counts}"


def test_an_issuer_that_has_ended_or_not_begun_signs_nothing(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey]
) -> None:
    before, at = uses(office), office.clock.now
    for moment in (at - timedelta(days=2), at + timedelta(days=4000)):
        office.clock.now = moment
        with pytest.raises((IssuerExpired, RequestRefused)):
            issue(office, card_id, keys)
    assert uses(office) == before
    assert len(refusals(office)) == 2
    office.clock.now = at
    assert len(issue(office, card_id, keys)) == 4, "the right clock goes on"


def test_a_clock_that_jumps_back_between_intent_and_signature_changes_nothing(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey], monkeypatch: pytest.MonkeyPatch
) -> None:
    office.clock.advance(hours=2)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CertificateAuthority, "sign", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        issue(office, card_id, keys)
    intended = [(one.serial, one.tbs_digest, one.not_before) for one in rows(office)]
    office.clock.advance(minutes=-1)
    issue(office, card_id, keys)
    assert [(one.serial, one.tbs_digest, one.not_before) for one in rows(office)] == intended


@pytest.mark.parametrize("error", [VaultLocked, VaultUnavailable, VaultFull])
def test_a_vault_that_is_locked_gone_or_full_leaves_an_intent_and_an_entry(
    office: CardOffice,
    card_id: int,
    keys: dict[str, PrivateKey],
    error: type[VaultError],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> list[bytes]:
        raise error("the vault does not sign", path="vault")

    with monkeypatch.context() as patch, pytest.raises(error):
        patch.setattr(office.desk.bench.vault, "sign", refuse)
        issue(office, card_id, keys)
    assert {(one.state, one.der) for one in rows(office)} == {(CertificateState.INTENDED, None)}
    assert [told["code"] for told in refusals(office)] == [error.code]
    assert len(issue(office, card_id, keys)) == 4, "the same intents are signed when it is back"
    assert len(rows(office)) == 4


def test_parts_take_so_many_certificates_and_never_more(office: CardOffice) -> None:
    bench = office.desk.bench
    parted = CertificateAuthority(
        bench.vault, root=bench.ca.root, issuing=bench.ca.issuing, config=replace(bench.ca.config, crl_part_entries=10)
    )
    office.desk = replace(office.desk, bench=replace(bench, ca=parted))
    office.make_cards(1, 2, 3)
    made = rows(office)
    assert [one.crl_part for one in made] == [0] * 10 + [1] * 2
    for one in made:
        points = x509.load_der_x509_certificate(one.der or b"").extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        )
        assert points.value[0].full_name == [x509.UniformResourceIdentifier(parted.config.crl_url(one.crl_part))]
    with office.sessions() as session:
        said = publication.publish_due(session, parted, policy=POLICY, now=office.clock())
        assert said == ["CRL 1", "CRL issuing-0 2", "CRL issuing-1 3"]
        listed = select(Crl.entries).order_by(Crl.number)
        assert session.scalars(listed.where(Crl.issuer != "root")).all() == [0, 10, 2]


def test_no_certificate_outlives_the_last_day_of_its_card_where_the_office_is(
    office: CardOffice, card_id: int, keys: dict[str, PrivateKey]
) -> None:
    bench = office.desk.bench
    yekaterinburg = ZoneInfo("Asia/Yekaterinburg")
    issuer = certification.Issuer(bench.ca, bench.profile, bench.clock(), bench.random, zone=yekaterinburg)
    with office.sessions() as session:
        asked = certification.Made(public_keys_of(keys), proofs_of(keys))
        made = certification.issue(session, card_id, asked, issuer=issuer)
        last_day = session.get_one(Card, card_id).expires_on
    ends = {x509.load_der_x509_certificate(der).not_valid_after_utc for der in made.values()}
    of_the_card = {end for end in ends if end.astimezone(yekaterinburg).date() == last_day}
    assert of_the_card == {datetime.combine(last_day, time(18, 59, 59), UTC)}, "five hours before midnight of UTC"
    assert max(ends) in of_the_card
