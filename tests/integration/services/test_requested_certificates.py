"""Stations and staff ask with PKCS #10 requests: what is refused leaves an entry and no signature."""

import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.errors import IssuanceError, IssuerExpired, RequestRefused, UnfitKey
from issuance.keys.port import KeyPurpose
from issuance.pki.ca import CertificateAuthority
from issuance.pki.crl import RevocationReason
from tests.support.desk import CardOffice, open_card_office
from tests.support.office import POLICY
from tests.support.pki import TODAY
from uec.domain.actors import system_actor
from uec.domain.errors import NotFound
from uec.domain.lifecycle import CertificateState
from uec.services import publication
from uec.services.requested_certificates import Wanted, certify, listed, revoke
from uec.store.tables import AuditEntry, Certificate, OcspAnswer

ACTOR = system_actor("test")
Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | dsa.DSAPrivateKey


@pytest.fixture
def office(sessions: sessionmaker[Session], tmp_path: Path) -> Iterator[CardOffice]:
    opened = open_card_office(sessions, tmp_path, start=TODAY)
    yield opened
    opened.desk.bench.vault.close()


def request_of(key: Key) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Somebody Else")])
    return (
        x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    )


def ask(
    office: CardOffice, request: bytes, *, profile: str = "station", name: str = "window-7", days: int = 365
) -> bytes:
    bench = office.desk.bench
    wanted = Wanted(profile, bench.ca.config.subject(common_name=name), days)
    with office.sessions() as session:
        return certify(session, bench.ca, request, wanted, actor=ACTOR, now=office.clock(), random=bench.random)


def rows(office: CardOffice) -> list[Certificate]:
    with office.sessions() as session:
        return list(session.scalars(select(Certificate).where(Certificate.profile.in_(["station", "staff"]))))


def uses(office: CardOffice) -> int:
    return sum(info.uses for info in office.desk.bench.vault.describe(KeyPurpose.CA_ISSUING))


def test_a_station_gets_one_certificate_for_its_key(office: CardOffice, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    der = ask(office, request_of(key))
    assert ask(office, request_of(key)) == der, "the same key gets the same certificate"
    parsed = x509.load_der_x509_certificate(der)
    assert parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "window-7"
    (row,) = rows(office)
    assert (row.state, row.der) == (CertificateState.ISSUED, der)
    with office.sessions() as session:
        assert [one.id for one in listed(session)] == [row.id]
        assert session.get(OcspAnswer, row.id) is not None, "an answer about it is expected"
    bench, files = (
        office.desk.bench,
        {"leaf": der, "issuing": office.desk.bench.ca.issuing, "root": office.desk.bench.ca.root},
    )
    assert bench.ca.root
    for name, content in files.items():
        (tmp_path / name).write_bytes(x509.load_der_x509_certificate(content).public_bytes(Encoding.PEM))
    command = ["openssl", "verify", "-x509_strict", "-CAfile", "root", "-untrusted", "issuing", "leaf"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)


def unfit(finding: str) -> bytes:
    genuine, other = (request_of(ec.generate_private_key(ec.SECP256R1())) for _ in range(2))
    return {
        "foreign-curve": lambda: request_of(ec.generate_private_key(ec.SECP256K1())),
        "foreign-algorithm": lambda: request_of(dsa.generate_private_key(2048)),
        "not-allowed": lambda: request_of(rsa.generate_private_key(65537, 2048)),
        "size": lambda: request_of(rsa.generate_private_key(65537, 1024)),
        "malformed": lambda: genuine[:-1],
        "no-possession": lambda: genuine[:-20] + other[-20:],
    }[finding]()


@pytest.mark.parametrize(
    "finding", ["foreign-curve", "foreign-algorithm", "not-allowed", "size", "malformed", "no-possession"]
)
def test_an_unfit_request_is_refused_and_nothing_is_signed(office: CardOffice, finding: str) -> None:
    before = uses(office)
    with pytest.raises(UnfitKey) as caught:
        ask(office, unfit(finding))
    assert (
        caught.value.finding in {finding, "malformed"}
        if finding == "no-possession"
        else caught.value.finding == finding
    )
    assert_refused(office, caught.value, before)


def assert_refused(office: CardOffice, error: IssuanceError, before: int) -> None:
    with office.sessions() as session:
        told = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "certificate.refuse")).all()
    assert [one["code"] for one in told] == [error.code]
    assert uses(office) == before and rows(office) == []


def test_a_key_of_a_card_or_of_somebody_else_is_refused(office: CardOffice) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    ask(office, request_of(key))
    before = uses(office)
    for others in ({"name": "window-8"}, {"profile": "staff"}):
        with pytest.raises(UnfitKey) as caught:
            ask(office, request_of(key), **others)  # type: ignore[arg-type]
        assert caught.value.finding == "shared"
    assert uses(office) == before and len(rows(office)) == 1


@pytest.mark.parametrize(("profile", "days"), [("authentication", 10), ("ocsp", 10), ("station", 731), ("nothing", 1)])
def test_what_no_profile_for_requests_allows_is_refused(office: CardOffice, profile: str, days: int) -> None:
    before = uses(office)
    with pytest.raises(RequestRefused) as caught:
        ask(office, request_of(ec.generate_private_key(ec.SECP256R1())), profile=profile, days=days)
    assert_refused(office, caught.value, before)


def test_an_issuer_that_has_ended_signs_nothing(office: CardOffice) -> None:
    before, at = uses(office), office.clock.now
    office.clock.now = at + timedelta(days=9000)
    with pytest.raises(IssuerExpired) as caught:
        ask(office, request_of(ec.generate_private_key(ec.SECP256R1())))
    assert_refused(office, caught.value, before)


def test_killed_before_the_signature_the_same_certificate_comes_later(
    office: CardOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = request_of(ec.generate_private_key(ec.SECP256R1()))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(CertificateAuthority, "sign", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        ask(office, request)
    (intended,) = rows(office)
    assert (intended.state, intended.der) == (CertificateState.INTENDED, None)
    office.clock.advance(hours=3)
    made = x509.load_der_x509_certificate(ask(office, request))
    assert f"{made.serial_number:032x}" == intended.serial and made.not_valid_before_utc == intended.not_before


def test_a_revoked_one_stands_in_the_list_and_cards_are_left_alone(office: CardOffice) -> None:
    bench = office.desk.bench
    serial = x509.load_der_x509_certificate(
        ask(office, request_of(ec.generate_private_key(ec.SECP256R1())))
    ).serial_number
    with office.sessions() as session:
        revoke(session, f"{serial:x}", reason=RevocationReason.KEY_COMPROMISE, actor=ACTOR, now=office.clock())
        publication.publish_due(session, bench.ca, policy=POLICY, now=office.clock())
        entry = x509.load_der_x509_crl(publication.latest_crl(session)).get_revoked_certificate_by_serial_number(serial)
        assert entry is not None
        for unknown in (f"{serial:x}", "1234"):
            with pytest.raises(NotFound):
                revoke(session, unknown, reason=RevocationReason.SUPERSEDED, actor=ACTOR, now=office.clock())
            session.rollback()
    assert [row.state for row in rows(office)] == [CertificateState.REVOKED]
    assert replace(bench.ca.config) == bench.ca.config
