"""Revocation lists from the database: one, in parts, and deltas; judged by the library and by OpenSSL."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.engine import VaultEngine
from issuance.pki.crl import RevocationReason, RevokedEntry, encode_entry
from tests.support.keys import make_vault
from tests.support.office import POLICY
from tests.support.pki import TODAY, Authority, lint_list, make_authority, openssl, pem
from uec.domain.lifecycle import CertificateState
from uec.services import publication
from uec.services.revocation import count_change
from uec.store.tables import Certificate, Crl, Revocation

PARTS = 4
LATER = timedelta(minutes=10)


def open_vault(folder: Path) -> VaultEngine:
    return make_vault(folder / "vault")


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[Authority]:
    with open_vault(tmp_path) as vault:
        yield make_authority(vault)


def add(
    session: Session, serials: range, *, at: datetime, expired: bool = False, parts: int | None = None
) -> dict[int, int]:
    """Held certificates; returns the revocations' ids by serial number."""
    ids = {}
    for serial in serials:
        row = Certificate(
            profile="authentication",
            serial=f"{serial:032x}",
            tbs_digest="0" * 64,
            public_key_digest=f"{serial:064x}",
            subject="CN=x",
            not_before=TODAY - timedelta(days=10),
            not_after=TODAY + timedelta(days=-1 if expired else 100),
            state=CertificateState.INTENDED,
            intended_at=at,
            crl_part=None if parts is None else serial % parts,
        )
        session.add(row)
        session.flush()
        entry = encode_entry(RevokedEntry(serial, at, RevocationReason.CERTIFICATE_HOLD))
        held = Revocation(certificate_id=row.id, reason="certificate-hold", revoked_at=at, entry_der=entry)
        session.add(held)
        count_change(session, [row], now=at)
        session.flush()
        ids[serial] = held.id
    session.commit()
    return ids


def lift(session: Session, revocation_id: int, *, at: datetime) -> Revocation:
    held = session.get_one(Revocation, revocation_id)
    count_change(session, [session.get_one(Certificate, held.certificate_id)], now=at)
    held.lifted_at = at
    session.flush()
    return held


def serials_of(der: bytes) -> set[int]:
    return {entry.serial_number for entry in x509.load_der_x509_crl(der)}


FIRST = 1 << 127


def test_every_certificate_is_in_the_list_of_its_part_only(
    sessions: sessionmaker[Session], authority: Authority
) -> None:
    with sessions() as session:
        add(session, range(FIRST, FIRST + 400), at=TODAY, parts=PARTS)
        add(session, range(FIRST + 1000, FIRST + 1010), at=TODAY, expired=True, parts=PARTS)
        add(session, range(FIRST + 2000, FIRST + 2003), at=TODAY)  # from before there were parts
        names = ["issuing", *(f"issuing-{part}" for part in range(PARTS))]
        said = publication.publish_due(session, authority.ca, policy=POLICY, now=TODAY)
        assert [line.split()[-2].replace("CRL", "issuing") for line in said] == names
        for part in (None, *range(PARTS)):
            der = publication.latest_crl(session, issuer=publication.list_name(part))
            wanted = {serial for serial in range(FIRST, FIRST + 400) if serial % PARTS == part}
            assert serials_of(der) == (wanted or set(range(FIRST + 2000, FIRST + 2003)))
            point = x509.load_der_x509_crl(der).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
            assert point.critical
            assert point.value.full_name == [x509.UniformResourceIdentifier(authority.ca.config.crl_url(part))]
        assert not publication.any_crl_due(session, policy=POLICY, now=TODAY + timedelta(minutes=5))


def test_a_change_on_one_part_makes_no_other_list_anew(sessions: sessionmaker[Session], authority: Authority) -> None:
    with sessions() as session:
        add(session, range(FIRST, FIRST + 8), at=TODAY, parts=PARTS)
        publication.publish_due(session, authority.ca, policy=POLICY, now=TODAY)
        add(session, range(FIRST + 10, FIRST + 11), at=TODAY + LATER, parts=PARTS)
        said = publication.publish_due(session, authority.ca, policy=POLICY, now=TODAY + LATER)
        assert said == [f"CRL issuing-{(FIRST + 10) % PARTS} 6"]


def test_the_plan_tells_when_each_list_comes_next(sessions: sessionmaker[Session], authority: Authority) -> None:
    with sessions() as session:
        add(session, range(FIRST, FIRST + 8), at=TODAY, parts=2)
        publication.publish_due(session, authority.ca, policy=POLICY, now=TODAY)
        planned = {one.name: one for one in publication.plan(session)}
        assert list(planned) == ["issuing", "issuing-0", "issuing-1"]
        for one in planned.values():
            assert one.this_update == TODAY and one.next_update == TODAY + timedelta(days=POLICY.crl_days)
            assert one.next_edition == TODAY + timedelta(days=POLICY.crl_days) / 2
            assert one.size_bytes == len(publication.latest_crl(session, issuer=one.name))
        # At that moment, and not before, each is made again.
        half = planned["issuing"].next_edition
        before = half - timedelta(seconds=1)
        assert publication.publish_due(session, authority.ca, policy=POLICY, now=before) == []
        assert len(publication.publish_due(session, authority.ca, policy=POLICY, now=half)) == 3


def test_one_list_holds_them_all_and_openssl_takes_it(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    with open_vault(tmp_path) as vault, sessions() as session:
        whole = make_authority(vault)
        add(session, range(FIRST, FIRST + 300), at=TODAY)
        publication.publish_due(session, whole.ca, policy=POLICY, now=TODAY)
        der = publication.latest_crl(session)
        assert serials_of(der) == set(range(FIRST, FIRST + 300))
        assert session.scalars(select(Crl.entries)).all() == [300]
        listed, issuer = pem(tmp_path / "crl.pem", der), pem(tmp_path / "issuing.pem", whole.ca.issuing)
        checked = openssl("crl", "-in", listed, "-noout", "-CAfile", issuer, "-verify")
        assert "verify OK" in checked.stderr


def test_an_empty_list_is_a_list(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    with open_vault(tmp_path) as vault, sessions() as session:
        publication.publish_due(session, make_authority(vault).ca, policy=POLICY, now=TODAY)
        assert serials_of(publication.latest_crl(session)) == set()


def test_changes_of_a_long_list_are_published_as_deltas(
    sessions: sessionmaker[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "DELTA_FROM", 100)
    with open_vault(tmp_path) as vault, sessions() as session:
        ca = make_authority(vault).ca
        ids = add(session, range(FIRST, FIRST + 200), at=TODAY - timedelta(hours=1))
        assert publication.publish_due(session, ca, policy=POLICY, now=TODAY) == ["CRL 1"]
        later = TODAY + LATER
        add(session, range(FIRST + 500, FIRST + 503), at=later)
        lift(session, ids[FIRST + 7], at=later)
        session.commit()
        now = later + timedelta(minutes=1)
        assert publication.publish_due(session, ca, policy=POLICY, now=now) == ["CRL issuing-delta 3"]
        assert publication.publish_due(session, ca, policy=POLICY, now=now + timedelta(minutes=1)) == []
        delta = x509.load_der_x509_crl(publication.latest_crl(session, issuer="issuing-delta"))
        base = x509.load_der_x509_crl(publication.latest_crl(session))
        assert delta.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number == 1
        assert delta.next_update_utc == now + timedelta(hours=POLICY.crl_delta_hours) < base.next_update_utc
        reasons = {
            entry.serial_number: entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
            for entry in delta
        }
        assert reasons.pop(FIRST + 7) is x509.ReasonFlags.remove_from_crl
        assert reasons == dict.fromkeys(range(FIRST + 500, FIRST + 503), x509.ReasonFlags.certificate_hold)
        half = TODAY + timedelta(days=POLICY.crl_days) / 2
        assert publication.publish_due(session, ca, policy=POLICY, now=half) == ["CRL 4"]
        whole = serials_of(publication.latest_crl(session))
        assert whole == {*range(FIRST, FIRST + 200), *range(FIRST + 500, FIRST + 503)} - {FIRST + 7}


def test_a_hold_lifted_and_then_revoked_is_one_entry_of_the_delta(
    sessions: sessionmaker[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "DELTA_FROM", 1)
    with open_vault(tmp_path) as vault, sessions() as session:
        ca = make_authority(vault).ca
        ids = add(session, range(FIRST, FIRST + 2), at=TODAY - timedelta(hours=1))
        publication.publish_due(session, ca, policy=POLICY, now=TODAY)
        later = TODAY + timedelta(minutes=10)
        held = lift(session, ids[FIRST], at=later)
        entry = encode_entry(RevokedEntry(FIRST, later, RevocationReason.KEY_COMPROMISE))
        session.add(
            Revocation(certificate_id=held.certificate_id, reason="key-compromise", revoked_at=later, entry_der=entry)
        )
        session.commit()
        publication.publish_due(session, ca, policy=POLICY, now=later)
        delta = publication.latest_crl(session, issuer="issuing-delta")
        (only,) = x509.load_der_x509_crl(delta)
        assert only.serial_number == FIRST
        reason = only.extensions.get_extension_for_class(x509.CRLReason).value.reason
        assert reason is x509.ReasonFlags.key_compromise
        assert lint_list(pem(tmp_path / "delta.pem", delta)) == ""


def test_a_delta_is_made_with_the_list_and_again_before_it_ends(
    sessions: sessionmaker[Session], authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publication, "DELTA_FROM", 2)
    ca = authority.ca
    with sessions() as session:
        add(session, range(FIRST, FIRST + 3), at=TODAY - timedelta(hours=1))
        assert publication.publish_due(session, ca, policy=POLICY, now=TODAY) == ["CRL 1"]
        base = x509.load_der_x509_crl(publication.latest_crl(session))
        (place,) = base.extensions.get_extension_for_class(x509.FreshestCRL).value
        assert place.full_name == [x509.UniformResourceIdentifier(ca.config.delta_url())]
        first = x509.load_der_x509_crl(publication.latest_crl(session, issuer="issuing-delta"))
        assert first.extensions.get_extension_for_class(x509.DeltaCRLIndicator).value.crl_number == 1
        half = TODAY + timedelta(hours=POLICY.crl_delta_hours) / 2
        assert not publication.any_crl_due(session, policy=POLICY, now=half - timedelta(seconds=1))
        assert publication.any_crl_due(session, policy=POLICY, now=half)
        assert publication.publish_due(session, ca, policy=POLICY, now=half) == ["CRL issuing-delta 3"]
        assert publication.publish_due(session, ca, policy=POLICY, now=half) == []
        for name in ("issuing", "issuing-delta"):
            path = pem(tmp_path / f"{name}.pem", publication.latest_crl(session, issuer=name))
            assert lint_list(path) == ""


@pytest.mark.parametrize("part", [None, 2], ids=["whole", "part"])
def test_openssl_follows_the_deltas_and_the_complete_lists(
    sessions: sessionmaker[Session],
    authority: Authority,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: int | None,
) -> None:
    monkeypatch.setattr(publication, "DELTA_FROM", 1)
    issued = authority.issue(crl_part=part)
    serial = x509.load_der_x509_certificate(issued).serial_number
    name = publication.list_name(part)
    verify = (
        "verify", "-x509_strict", "-crl_check", "-extended_crl",
        "-CAfile", pem(tmp_path / "root", authority.ca.root),
        "-untrusted", pem(tmp_path / "issuing", authority.ca.issuing),
    )  # fmt: skip
    certificate = pem(tmp_path / "certificate", issued)

    def said(session: Session, *arguments: str, delta: bool) -> str:
        names = [name, f"{name}-delta"] if delta else [name]
        files = [pem(tmp_path / f"{one}.crl", publication.latest_crl(session, issuer=one)) for one in names]
        judged = openssl(*verify, *arguments, *(word for file in files for word in ("-CRLfile", file)), certificate)
        assert judged.returncode in (0, 2)
        return "good" if judged.returncode == 0 else judged.stderr.partition("lookup: ")[2].partition("\n")[0]

    def step(session: Session, at: datetime) -> None:
        session.commit()
        publication.publish_due(session, authority.ca, policy=POLICY, now=at)

    past = TODAY - timedelta(hours=2)
    with sessions() as session:
        # Others are on every list, so that it is long enough for deltas.
        add(session, range(FIRST, FIRST + 3), at=past - timedelta(hours=1), parts=None if part is None else part + 1)
        step(session, past)
        assert said(session, delta=False) == said(session, "-use_deltas", delta=True) == "good"
        row = Certificate(
            profile="authentication", serial=f"{serial:032x}", tbs_digest="", public_key_digest="", subject="",
            not_before=past, not_after=TODAY + timedelta(days=9), intended_at=past, crl_part=part,
            state=CertificateState.INTENDED,
        )  # fmt: skip
        session.add(row)
        session.flush()
        entry = encode_entry(RevokedEntry(serial, past, RevocationReason.CERTIFICATE_HOLD))
        held = Revocation(certificate_id=row.id, reason="certificate-hold", revoked_at=past, entry_der=entry)
        session.add(held)
        count_change(session, [row], now=past)
        step(session, past + LATER)
        assert said(session, delta=False) == "good", "the complete list is from before"
        assert said(session, "-use_deltas", delta=True) == "certificate revoked"
        lift(session, held.id, at=past + LATER * 2)
        step(session, past + LATER * 2)
        assert said(session, "-use_deltas", delta=True) == "good"
        held = Revocation(certificate_id=row.id, reason="key-compromise", revoked_at=past + LATER * 3, entry_der=entry)
        session.add(held)
        count_change(session, [row], now=past + LATER * 3)
        session.commit()
        publication.publish_crl(session, authority.ca, policy=POLICY, now=past + LATER * 3, part=part)
        assert said(session, delta=False) == said(session, "-use_deltas", delta=True) == "certificate revoked"
