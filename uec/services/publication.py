"""Publishes revocation lists and stop-lists: signed, numbered, kept; made anew when something changed or time runs out.

RFC 5280, section 5 (numbers rise; `nextUpdate` is kept by publishing before it comes).
"""

from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from issuance.pki.ca import CertificateAuthority
from issuance.pki.crl import build_crl
from uec.domain.errors import NotFound
from uec.domain.policy import Policy
from uec.services import numbering
from uec.store import audit
from uec.store.tables import Certificate, Crl, Revocation

ISSUING = "issuing"
PART = 10_000


def crl_due(session: Session, *, policy: Policy, now: datetime) -> bool:
    """Whether the list must be made: none yet, something changed since, or half its life is over."""
    newest = select(Crl.this_update).order_by(Crl.number.desc()).limit(1)
    published_at = session.scalar(newest)
    if published_at is None or now >= published_at + timedelta(days=policy.crl_days) / 2:
        return True
    changed = or_(Revocation.revoked_at >= published_at, Revocation.lifted_at >= published_at)
    return session.scalar(select(Revocation.id).where(changed).limit(1)) is not None


def publish_crl(session: Session, ca: CertificateAuthority, *, policy: Policy, now: datetime) -> int:
    """Sign and keep the list of everything held or revoked and not expired; returns its number."""
    (number,) = numbering.take(session, "crl")
    open_entries = (
        select(Revocation.entry_der)
        .join(Certificate, Certificate.id == Revocation.certificate_id)
        .where(Revocation.lifted_at.is_(None), Certificate.not_after >= now)
        .order_by(Revocation.id)
        .execution_options(yield_per=PART)
    )
    this_update = now.replace(microsecond=0)
    next_update = this_update + timedelta(days=policy.crl_days)
    entries = list(session.scalars(open_entries))
    der = build_crl(ca.signer, number=number, this_update=this_update, next_update=next_update, entries=entries)
    session.add(Crl(number=number, der=der, this_update=this_update, next_update=next_update, entries=len(entries)))
    audit.record(
        session,
        actor="system:publication",
        action="crl.publish",
        subject_kind="crl",
        subject_id=number,
        details={"entries": len(entries)},
        now=now,
    )
    session.commit()
    return number


def latest_crl(session: Session) -> bytes:
    """The newest list (DER); raises `NotFound` before the first."""
    der = session.scalar(select(Crl.der).order_by(Crl.number.desc()).limit(1))
    if der is None:
        raise NotFound("No revocation list has been published yet: run `uec ca crl`.", kind="Crl", id=None)
    return der
