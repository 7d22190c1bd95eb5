"""Publishes revocation lists and stop-lists: signed, numbered, kept; made anew when something changed or time runs out.

RFC 5280, section 5 (numbers rise; `nextUpdate` is kept by publishing before it comes).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.pki.ca import CertificateAuthority
from issuance.pki.crl import build_crl, build_delta
from issuance.pki.signing import Signer
from issuance.pki.stoplist import Scope, Snapshot, StopEntry, Stopped, sign
from uec.domain.errors import NotFound
from uec.domain.policy import Policy
from uec.services import crl_entries, numbering
from uec.services.revocation import CHANGES, STOP_CHANGES
from uec.store import audit
from uec.store.tables import Crl, StopListEntry, StopListSnapshot

ISSUING, ROOT = "issuing", "root"
# The series of changes that the newest list covers.
COVERED = "revocation-covered"
ROOT_CRL_DAYS = 365
# A change may be committed this much after the moment it bears; a delta repeats what the complete list may say already.
COMMITS_WITHIN = timedelta(minutes=15)
DELTA_FROM = 10_000
"""From this many entries on, changes are published as deltas between two complete lists."""


def crl_due(session: Session, *, policy: Policy, now: datetime, part: int | None = None) -> bool:
    """Whether a list must be made: none yet, something changed since, or half its life is over."""
    newest = select(Crl.this_update).where(Crl.issuer == list_name(part)).order_by(Crl.number.desc()).limit(1)
    published_at = session.scalar(newest)
    if published_at is None or not _young(published_at, policy, now):
        return True
    return not _covers(session, list_name(part))


def _young(published_at: datetime, policy: Policy, now: datetime) -> bool:
    """Whether half of a list's life is still ahead; one from the future was signed by a clock that was wrong."""
    return published_at <= now < published_at + timedelta(days=policy.crl_days) / 2


def _covers(session: Session, name: str) -> bool:
    """Whether the newest list of this name says every change that was committed."""
    return numbering.peek(session, _covered(name)) == numbering.peek(session, CHANGES)


def _cover(session: Session, name: str) -> None:
    """Note that the list being made says every change so far; waits for changes under way."""
    changes = numbering.take(session, CHANGES, count=0).start
    numbering.take(session, _covered(name), count=changes - numbering.peek(session, _covered(name)))


def _covered(name: str) -> str:
    return COVERED + name.removeprefix(ISSUING)


def any_crl_due(session: Session, *, parts: int, policy: Policy, now: datetime) -> bool:
    """Whether `publish_due` would have a look at any list."""
    return any(crl_due(session, policy=policy, now=now, part=part) for part in range(parts) or (None,))


def list_name(part: int | None, *, delta: bool = False) -> str:
    """The name a list is kept and published under: `issuing`, `issuing-3`, and `-delta` behind either."""
    return ISSUING + ("" if part is None else f"-{part}") + ("-delta" if delta else "")


def publish_due(session: Session, ca: CertificateAuthority, *, policy: Policy, now: datetime) -> list[str]:
    """Publish every list that is due: deltas when something changed, complete ones at half of their life or without.

    Returns what was published, like `CRL 7`. Where lists are small (`DELTA_FROM` entries) they are always complete.
    """
    parts: Sequence[int | None] = range(ca.config.crl_partitions) or (None,)
    said = []
    for part in parts:
        if not crl_due(session, policy=policy, now=now, part=part):
            continue
        base, delta = _newest(session, list_name(part)), list_name(part, delta=True)
        if base is not None and base.entries >= DELTA_FROM and _young(base.this_update, policy, now):
            if not _covers(session, delta):
                said.append(f"CRL {delta} {publish_delta(session, ca, base=base, part=part, now=now)}")
            continue
        name = "CRL" if part is None else f"CRL {list_name(part)}"
        said.append(f"{name} {publish_crl(session, ca, policy=policy, now=now, part=part)}")
    return said


def publish_crl(
    session: Session, ca: CertificateAuthority, *, policy: Policy, now: datetime, part: int | None = None
) -> int:
    """Sign and keep a complete list of what is revoked and held now; returns its number."""
    (number,) = numbering.take(session, "crl")
    _cover(session, list_name(part))
    entries = crl_entries.complete(session, part=part, parts=ca.config.crl_partitions, now=now)
    this_update = now.replace(microsecond=0)
    next_update = this_update + timedelta(days=policy.crl_days)
    der = build_crl(
        ca.signer,
        number=number,
        this_update=this_update,
        next_update=next_update,
        entries=entries.pieces,
        url=None if part is None else ca.config.crl_url(part),
    )
    row = Crl(issuer=list_name(part), number=number, der=der, this_update=this_update, next_update=next_update)
    _keep(session, row, entries.count, now)
    session.commit()
    return number


def publish_delta(session: Session, ca: CertificateAuthority, *, base: Crl, part: int | None, now: datetime) -> int:
    """Sign and keep what has changed since the complete list `base`; it speaks as long as that one does."""
    (number,) = numbering.take(session, "crl")
    name = list_name(part, delta=True)
    _cover(session, name)
    since = base.this_update - COMMITS_WITHIN
    entries = crl_entries.changed(session, since=since, part=part, parts=ca.config.crl_partitions, now=now)
    this_update = now.replace(microsecond=0)
    der = build_delta(
        ca.signer,
        number=number,
        base_number=base.number,
        this_update=this_update,
        next_update=base.next_update,
        entries=entries.pieces,
        url=None if part is None else ca.config.crl_url(part),
    )
    row = Crl(issuer=name, number=number, der=der, this_update=this_update, next_update=base.next_update)
    _keep(session, row, entries.count, now)
    session.commit()
    return number


def _newest(session: Session, name: str) -> Crl | None:
    return session.scalar(select(Crl).where(Crl.issuer == name).order_by(Crl.number.desc()).limit(1))


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
