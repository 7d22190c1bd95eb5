"""Publishes revocation lists and stop-lists: signed, numbered, kept; made anew when something changed or time runs out.

RFC 5280, section 5 (numbers rise; `nextUpdate` is kept by publishing before it comes).
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.pki.ca import CertificateAuthority
from issuance.pki.crl import build_crl
from issuance.pki.signing import Signer
from issuance.pki.stoplist import Scope, Snapshot, StopEntry, Stopped, sign
from uec.domain.errors import NotFound
from uec.domain.policy import Policy
from uec.services import numbering
from uec.services.revocation import CHANGES, STOP_CHANGES
from uec.store import audit
from uec.store.tables import Certificate, Crl, Revocation, StopListEntry, StopListSnapshot

ISSUING, ROOT = "issuing", "root"
# The series of changes that the newest list covers.
COVERED = "revocation-covered"
ROOT_CRL_DAYS = 365
PART = 10_000


def crl_due(session: Session, *, policy: Policy, now: datetime) -> bool:
    """Whether the list must be made: none yet, something changed since, or half its life is over."""
    newest = select(Crl.this_update).where(Crl.issuer == ISSUING).order_by(Crl.number.desc()).limit(1)
    published_at = session.scalar(newest)
    if published_at is None or not _young(published_at, policy, now):
        return True
    return numbering.peek(session, COVERED) != numbering.peek(session, CHANGES)


def _young(published_at: datetime, policy: Policy, now: datetime) -> bool:
    """Whether half of a list's life is still ahead; one from the future was signed by a clock that was wrong."""
    return published_at <= now < published_at + timedelta(days=policy.crl_days) / 2


def publish_crl(session: Session, ca: CertificateAuthority, *, policy: Policy, now: datetime) -> int:
    """Sign and keep the list of everything held or revoked and not expired; returns its number."""
    (number,) = numbering.take(session, "crl")
    changes = numbering.take(session, CHANGES, count=0).start
    numbering.take(session, COVERED, count=changes - numbering.peek(session, COVERED))
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
    row = Crl(issuer=ISSUING, number=number, der=der, this_update=this_update, next_update=next_update)
    _keep(session, row, len(entries), now)
    session.commit()
    return number


def publish_root_crl(session: Session, signer: Signer, *, now: datetime) -> int:
    """Sign and keep the root's list, which names no certificate while no issuing authority has been revoked.

    `signer` is the root, so this is a ceremony's work and its list lives for a year; the caller commits.
    """
    (number,) = numbering.take(session, "crl-root")
    this_update = now.replace(microsecond=0)
    next_update = this_update + timedelta(days=ROOT_CRL_DAYS)
    der = build_crl(signer, number=number, this_update=this_update, next_update=next_update, entries=())
    row = Crl(issuer=ROOT, number=number, der=der, this_update=this_update, next_update=next_update)
    _keep(session, row, 0, now)
    return number


def _keep(session: Session, row: Crl, entries: int, now: datetime) -> None:
    row.entries = entries
    session.add(row)
    audit.record(
        session,
        actor="system:publication",
        action="crl.publish",
        subject_kind="crl",
        subject_id=f"{row.issuer}-{row.number}",
        details={"entries": entries},
        now=now,
    )


def latest_crl(session: Session, *, issuer: str = ISSUING) -> bytes:
    """The newest list (DER) of the issuing authority or the root; raises `NotFound` before the first."""
    newest = select(Crl.der).where(Crl.issuer == issuer).order_by(Crl.number.desc()).limit(1)
    der = session.scalar(newest)
    if der is None:
        raise NotFound("No revocation list has been published yet: run `uec ca crl`.", kind="Crl", id=None)
    return der


def stop_list_due(session: Session, *, policy: Policy, now: datetime) -> bool:
    """Whether the stop-list must be signed anew: none yet, a card added or removed since, or half its life is over."""
    newest = select(StopListSnapshot).order_by(StopListSnapshot.number.desc()).limit(1)
    snapshot = session.scalar(newest)
    if snapshot is None or not _young(snapshot.published_at, policy, now):
        return True
    return session.scalar(select(StopListEntry.seq).where(StopListEntry.seq > snapshot.last_seq).limit(1)) is not None


def publish_stop_list(session: Session, signer: Signer, *, policy: Policy, now: datetime) -> int:
    """Sign and keep the whole list as it stands; returns its number. `signer` is the document signer."""
    (number,) = numbering.take(session, "stop-list")
    numbering.take(session, STOP_CHANGES, count=0)
    last = session.scalar(select(func.max(StopListEntry.seq))) or 0
    latest = select(func.max(StopListEntry.seq)).where(StopListEntry.seq <= last).group_by(StopListEntry.card_number)
    stopped = select(StopListEntry).where(StopListEntry.seq.in_(latest), StopListEntry.action == "ADD")
    entries = tuple(
        StopEntry(Stopped(Scope.CARD, entry.card_number), entry.reason, entry.at)
        for entry in session.scalars(stopped.order_by(StopListEntry.card_number))
    )
    issued_at = now.replace(microsecond=0)
    snapshot = Snapshot(number, issued_at, issued_at + timedelta(days=policy.crl_days), entries)
    session.add(
        StopListSnapshot(
            number=number, last_seq=last, cards=len(entries), content=sign(signer, snapshot), published_at=now
        )
    )
    audit.record(
        session,
        actor="system:publication",
        action="stop-list.publish",
        subject_kind="stop-list",
        subject_id=number,
        details={"cards": len(entries)},
        now=now,
    )
    session.commit()
    return number


def latest_stop_list(session: Session) -> bytes:
    """The newest signed list (JSON); raises `NotFound` before the first."""
    newest = select(StopListSnapshot.content).order_by(StopListSnapshot.number.desc()).limit(1)
    content = session.scalar(newest)
    if content is None:
        raise NotFound("No stop-list has been published yet: run `uec ca stop-list`.", kind="StopList", id=None)
    return content
