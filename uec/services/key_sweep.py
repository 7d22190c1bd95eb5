"""The nightly look over every key that was certified: hygiene as it is known today, and no key on two cards.

Runs over the whole table in parts by id, reads only, and leaves its findings in the audit. A list of weak keys that is
published after a card was made is found here.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.errors import UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki.hygiene import WeakKeyList, check_public_key, public_key_digest
from issuance.pki.profiles import shipped_profiles
from issuance.pki.trust import UNREADABLE
from uec.store import audit
from uec.store.tables import Certificate

PART = 1000
_REPORTED = 100
NO_LIST = WeakKeyList()


@dataclass
class Sweep:
    """What was looked at, and what was found: certificate id to finding."""

    looked_at: int = 0
    findings: dict[int, str] = field(default_factory=dict)


def sweep_keys(session: Session, *, weak_keys: WeakKeyList = NO_LIST, missing: str = "", now: datetime) -> Sweep:
    """Check every stored certificate's key again; findings go into the audit. Commits.

    `missing` is a sentence about what is missing of the list of weak keys; it stands in the audit too.
    """
    profiles, swept = shipped_profiles(), Sweep()
    for row_id, profile, digest, der in _certificates(session):
        swept.looked_at += 1
        if profile not in profiles:
            continue  # the authorities' own keys are of the vault's making
        finding = _finding(der, digest, profiles[profile].keys, weak_keys)
        if finding is not None:
            swept.findings[row_id] = finding
    for row_id in _shared(session):
        swept.findings[row_id] = "shared"
    audit.record(
        session,
        actor="system:worker",
        action="certificate.sweep",
        subject_kind="certificate",
        subject_id="all",
        details={
            "looked_at": swept.looked_at,
            "found": len(swept.findings),
            "first": {str(row_id): found for row_id, found in list(swept.findings.items())[:_REPORTED]},
            "weak_keys_known": len(weak_keys.fingerprints),
            **({"missing": missing} if missing else {}),
        },
        now=now,
    )
    session.commit()
    return swept


def _certificates(session: Session) -> Iterator[tuple[int, str, str, bytes]]:
    last = 0
    while True:
        wanted = (
            select(Certificate.id, Certificate.profile, Certificate.public_key_digest, Certificate.der)
            .where(Certificate.id > last, Certificate.der.is_not(None))
            .order_by(Certificate.id)
            .limit(PART)
        )
        rows = session.execute(wanted).all()
        if not rows:
            return
        for row_id, profile, digest, der in rows:
            yield row_id, profile, digest, der or b""
        last = rows[-1][0]


def _finding(der: bytes, digest: str, kinds: Collection[KeyAlgorithm], weak_keys: WeakKeyList) -> str | None:
    try:
        key = x509.load_der_x509_certificate(der).public_key()
        spki = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    except UNREADABLE:
        return "unreadable"
    if public_key_digest(spki) != digest:
        return "another-key"
    try:
        check_public_key(spki, kinds, weak_keys=weak_keys)
    except UnfitKey as error:
        return error.finding
    return None


def _shared(session: Session) -> list[int]:
    """Certificates on a card whose key another card has too: the database's own rule forbids it for one profile."""
    on_cards = select(Certificate.public_key_digest).where(Certificate.card_id.is_not(None))
    several = on_cards.group_by(Certificate.public_key_digest).having(
        func.count(func.distinct(Certificate.card_id)) > 1
    )
    found = select(Certificate.id).where(Certificate.public_key_digest.in_(several), Certificate.card_id.is_not(None))
    return list(session.scalars(found.order_by(Certificate.id)))
