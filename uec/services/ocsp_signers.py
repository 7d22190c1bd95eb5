"""Who signs answers about certificates: the vault's OCSP key, under a certificate that renews itself in time.

RFC 6960, section 4.2.2.2: each issuing authority delegates, so each that has not ended has a signer of its own. As with
cards, what will be signed is committed first, and the same intent gives the same certificate.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.keys.port import KeyPurpose, Vault
from issuance.pki.ca import CertificateAuthority, CertificateRequest, Tbs, new_serial
from issuance.pki.hygiene import public_key_digest
from issuance.pki.ocsp import Responder
from issuance.pki.signing import Signer
from uec.domain.errors import UecError
from uec.services import authority, vault_memory
from uec.services.applicant_secret import RandomBytes
from uec.settings import Settings
from uec.store import audit
from uec.store.tables import OcspSigner

PROFILE = "ocsp"
ACTOR = "system:ocsp"


class NoSigner(UecError):
    """No signer of answers about certificates is valid now."""

    code = "uec.no_ocsp_signer"


@dataclass(frozen=True)
class Delegate:
    """A signer ready to answer for one issuing certificate (DER); `id` is its row."""

    id: int
    issuing: bytes
    signer: Signer
    responder: Responder


def delegates(session: Session, vault: Vault, *, now: datetime) -> list[Delegate]:
    """The signers that can answer now, the newest issuing authority's first; raises what the vault raises."""
    found = []
    for issuing in authority.issuing_in_use(session, now=now):
        row = newest(session, issuing, now=now)
        if row is not None and row.der is not None:
            signer = Signer.find(vault, KeyPurpose.OCSP, row.der)
            found.append(Delegate(row.id, issuing, signer, Responder(signer, issuing)))
    return found


def newest(session: Session, issuing: bytes, *, now: datetime) -> OcspSigner | None:
    """The signer of an issuing authority that is valid now and lives longest."""
    issued = (OcspSigner.issuer == _digest(issuing), OcspSigner.der.is_not(None))
    valid = select(OcspSigner).where(*issued, OcspSigner.not_before <= now, OcspSigner.not_after > now)
    return session.scalar(valid.order_by(OcspSigner.not_after.desc(), OcspSigner.id.desc()).limit(1))


def renew_due(
    session: Session, vault: Vault, *, settings: Settings, now: datetime, random: RandomBytes
) -> Sequence[datetime]:
    """Give every issuing authority whose signer is near its end (or has none) a new one; returns until when they live.

    Two transactions each, the intent and the certificate. Raises what `open_authority` and the vault raise.
    """
    vault_memory.require(session, vault)
    known, made = authority.certificates(session), []
    for issuing in authority.issuing_in_use(session, now=now):
        if _is_due(session, issuing, vault, now):
            ca = CertificateAuthority(vault, root=known.root, issuing=issuing, config=authority.ca_config(settings))
            made.append(_renew(session, ca, now, random))
    return made


def _is_due(session: Session, issuing: bytes, vault: Vault, now: datetime) -> bool:
    """Two thirds of its life are over, or the vault has a newer key, or there is none."""
    row = newest(session, issuing, now=now)
    if row is None or now >= row.not_before + (row.not_after - row.not_before) * 2 / 3:
        return True
    return row.public_key_digest != public_key_digest(vault.public_key(vault.active(KeyPurpose.OCSP)))


def _renew(session: Session, ca: CertificateAuthority, now: datetime, random: RandomBytes) -> datetime:
    ca.signer.require_valid(now)
    key = ca.signer.vault.public_key(ca.signer.vault.active(KeyPurpose.OCSP))
    row, tbs = _intend(session, ca, key, now, random)
    session.commit()
    (der,) = ca.sign([tbs], now=now)
    row = session.get_one(OcspSigner, row.id, with_for_update=True)
    if row.der is None:
        row.der, row.issued_at = der, now
        facts = {"profile": PROFILE, "serial": row.serial, "until": row.not_after.isoformat()}
        audit.record(
            session,
            actor=ACTOR,
            action="certificate.issue",
            subject_kind="ocsp-signer",
            subject_id=row.id,
            details=facts,
            now=now,
        )
    session.commit()
    return row.not_after


def _intend(
    session: Session, ca: CertificateAuthority, key: bytes, now: datetime, random: RandomBytes
) -> tuple[OcspSigner, Tbs]:
    """The intent that an earlier run left unsigned, or a new one, and what will be signed for it."""
    left = select(OcspSigner).where(
        OcspSigner.issuer == _digest(ca.issuing),
        OcspSigner.der.is_(None),
        OcspSigner.public_key_digest == public_key_digest(key),
        OcspSigner.not_before > now - timedelta(days=1),
        OcspSigner.not_before <= now,
    )
    for row in session.scalars(left.order_by(OcspSigner.id.desc())):
        tbs = ca.prepare(_request(ca, key, int(row.serial, 16), row.not_before, row.not_after))
        if tbs.digest == row.tbs_digest:
            return row, tbs
    start = now.replace(microsecond=0)
    end = min(start + timedelta(days=ca.profiles[PROFILE].max_days), ca.signer.not_after)
    tbs = ca.prepare(_request(ca, key, new_serial(random), start, end))
    row = OcspSigner(
        issuer=_digest(ca.issuing),
        serial=tbs.serial_hex,
        tbs_digest=tbs.digest,
        public_key_digest=tbs.public_key_digest,
        not_before=start,
        not_after=end,
        intended_at=now,
    )
    session.add(row)
    session.flush()
    return row, tbs


def _request(ca: CertificateAuthority, key: bytes, serial: int, start: datetime, end: datetime) -> CertificateRequest:
    name = ca.config.subject(common_name=f"OCSP responder {start:%Y-%m-%d}")
    return CertificateRequest(PROFILE, key, name, serial, start, end)


def _digest(certificate: bytes) -> str:
    return hashlib.sha256(certificate).hexdigest()
