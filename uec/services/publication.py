"""Publishes revocation lists and stop-lists: signed, numbered, kept; made anew when something changed or time runs out.

RFC 5280, section 5 (numbers rise; `nextUpdate` is kept by publishing before it comes).
"""

from dataclasses import dataclass
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
from uec.services.revocation import STOP_CHANGES, changes_of
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


@dataclass(frozen=True)
class Planned:
    """The newest edition of a list, how long it speaks, and when the next one is made even if nothing changes."""

    name: str
    number: int
    entries: int
    size_bytes: int
    this_update: datetime
    next_update: datetime
    next_edition: datetime


def list_name(part: int | None, *, delta: bool = False) -> str:
    """The name a list is kept and published under: `issuing`, `issuing-3`, and `-delta` behind either."""
    return ISSUING + ("" if part is None else f"-{part}") + ("-delta" if delta else "")


def any_crl_due(session: Session, *, policy: Policy, now: datetime) -> bool:
    """Whether `publish_due` would have a look at any list."""
    return any(
        crl_due(session, policy=policy, now=now, part=part) or _delta_due(session, part, now)
        for part in crl_entries.parts(session)
    )


def crl_due(session: Session, *, policy: Policy, now: datetime, part: int | None = None) -> bool:
    """Whether a list must be made: none yet, something changed since, or half its life is over."""
    newest = _newest(session, list_name(part))
    if newest is None or not _young(newest, now):
        return True
    return not _covers(session, part, list_name(part)) and not _covers(session, part, list_name(part, delta=True))


def _delta_due(session: Session, part: int | None, now: datetime) -> bool:
    """Whether the standing delta of a list has half its life over; it promised to be there."""
    base, delta = _newest(session, list_name(part)), _newest(session, list_name(part, delta=True))
    if base is None or delta is None or base.entries < DELTA_FROM or delta.next_update >= base.next_update:
        return False
    return not _young(delta, now)


def _young(edition: Crl, now: datetime) -> bool:
    """Whether half of a list's life is still ahead; one from the future was signed by a clock that was wrong."""
    life = edition.next_update - edition.this_update
    return edition.this_update <= now < edition.this_update + life / 2


def _covers(session: Session, part: int | None, name: str) -> bool:
    """Whether the newest list of this name says every change that was committed."""
    return numbering.peek(session, _covered(name)) == numbering.peek(session, changes_of(part))


def _changes_so_far(session: Session, part: int | None) -> int:
    """The number of the next change of a list, once all under way are committed. Commits, so that none waits for us."""
    changes = numbering.take(session, changes_of(part), count=0).start
    session.commit()
    return changes


def _cover(session: Session, name: str, changes: int) -> None:
    """Note that the list being made says every change before this number."""
    numbering.take(session, _covered(name), count=changes - numbering.peek(session, _covered(name)))


def _covered(name: str) -> str:
    return COVERED + name.removeprefix(ISSUING)


def publish_due(session: Session, ca: CertificateAuthority, *, policy: Policy, now: datetime) -> list[str]:
    """Publish every list that is due: deltas when something changed, complete ones at half of their life or without.

    Returns what was published, like `CRL 7`. Where lists are small (`DELTA_FROM` entries) they are always complete.
    """
    said = []
    for part in crl_entries.parts(session):
        wanted = crl_due(session, policy=policy, now=now, part=part)
        if not wanted and not _delta_due(session, part, now):
            continue
        base = _newest(session, list_name(part))
        if base is not None and base.entries >= DELTA_FROM and _young(base, now):
            number = publish_delta(session, ca, base=base, part=part, policy=policy, now=now)
            said.append(f"CRL {list_name(part, delta=True)} {number}")
            continue
        name = "CRL" if part is None else f"CRL {list_name(part)}"
        said.append(f"{name} {publish_crl(session, ca, policy=policy, now=now, part=part)}")
    return said


def publish_crl(
    session: Session, ca: CertificateAuthority, *, policy: Policy, now: datetime, part: int | None = None
) -> int:
    """Sign and keep a complete list of what is revoked and held now; returns its number.

    A long one names the place of its deltas, and the first delta, which says little or nothing, is made with it.
    """
    changes = _changes_so_far(session, part)
    (number,) = numbering.take(session, "crl")
    _cover(session, list_name(part), changes)
    entries = crl_entries.complete(session, part=part, now=now)
    this_update = now.replace(microsecond=0)
    next_update = this_update + timedelta(days=policy.crl_days)
    der = build_crl(
        ca.signer,
        number=number,
        this_update=this_update,
        next_update=next_update,
        entries=entries.pieces,
        url=_scope(session, ca, part),
        delta_url=ca.config.delta_url(part) if entries.count >= DELTA_FROM else None,
    )
    row = Crl(issuer=list_name(part), number=number, der=der, this_update=this_update, next_update=next_update)
    _keep(session, row, entries.count, now)
    if entries.count >= DELTA_FROM:
        session.flush()
        _delta(session, ca, row, part, changes, policy, now)
    session.commit()
    return number


def publish_delta(
    session: Session, ca: CertificateAuthority, *, base: Crl, part: int | None, policy: Policy, now: datetime
) -> int:
    """Sign and keep what has changed since the complete list `base`; returns its number."""
    number = _delta(session, ca, base, part, _changes_so_far(session, part), policy, now)
    session.commit()
    return number


def _delta(
    session: Session,
    ca: CertificateAuthority,
    base: Crl,
    part: int | None,
    changes: int,
    policy: Policy,
    now: datetime,
) -> int:
    (number,) = numbering.take(session, "crl")
    name = list_name(part, delta=True)
    _cover(session, name, changes)
    entries = crl_entries.changed(session, since=base.this_update - COMMITS_WITHIN, part=part, now=now)
    this_update = now.replace(microsecond=0)
    # It is fetched more often than the complete list, and never speaks longer.
    next_update = min(base.next_update, this_update + timedelta(hours=policy.crl_delta_hours))
    der = build_delta(
        ca.signer,
        number=number,
        base_number=base.number,
        this_update=this_update,
        next_update=next_update,
        entries=entries.pieces,
        url=_scope(session, ca, part),
    )
    row = Crl(issuer=name, number=number, der=der, this_update=this_update, next_update=next_update)
    _keep(session, row, entries.count, now)
    return number


def _scope(session: Session, ca: CertificateAuthority, part: int | None) -> str | None:
    """The place a list speaks for, where it does not speak for all certificates (RFC 5280, section 5.2.5)."""
    return ca.config.crl_url(part) if part is not None or len(crl_entries.parts(session)) > 1 else None


def plan(session: Session) -> list[Planned]:
    """What is published now, by name: the newest edition of each list and when the next one comes."""
    newest = select(Crl.issuer, func.max(Crl.number).label("number")).group_by(Crl.issuer).subquery()
    size = func.length(Crl.der)
    wanted = select(Crl.issuer, Crl.number, Crl.entries, size, Crl.this_update, Crl.next_update).join(
        newest, (newest.c.issuer == Crl.issuer) & (newest.c.number == Crl.number)
    )
    rows = session.execute(wanted.order_by(Crl.issuer)).all()
    return [
        Planned(name, number, entries, length, start, end, start + (end - start) / 2)
        for name, number, entries, length, start, end in rows
    ]


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
        raise NotFound("No revocation list has been published yet: run `uec crl publish`.", kind="Crl", id=None)
    return der


def stop_list_due(session: Session, *, policy: Policy, now: datetime) -> bool:
    """Whether the stop-list must be signed anew: none yet, a card added or removed since, or half its life is over."""
    newest = select(StopListSnapshot).order_by(StopListSnapshot.number.desc()).limit(1)
    snapshot = session.scalar(newest)
    if (
        snapshot is None
        or not snapshot.published_at <= now < snapshot.published_at + timedelta(days=policy.crl_days) / 2
    ):
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
