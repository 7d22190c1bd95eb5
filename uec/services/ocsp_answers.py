"""Answers about certificates, signed ahead and kept: made void by each decision (`revocation`), signed anew in batches.

RFC 5019 and RFC 6960. `due_at` alone says what is to be done: a row is due at once when it is void, and at half of its
answer's life otherwise. Nothing is locked while the vault signs; an answer is kept only where no decision came between.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from issuance.pki.crl import RevocationReason
from issuance.pki.ocsp import AskedIssuer, Good, Period, Revoked, Status
from uec.domain.lifecycle import CertificateState
from uec.services.ocsp_signers import Delegate
from uec.store.tables import Certificate, OcspAnswer, OcspSigner, Revocation

BATCH = 1000
SKEW = timedelta(minutes=5)
ISSUED = (CertificateState.ISSUED, CertificateState.HELD, CertificateState.REVOKED)


# Put together once: terminals ask for it, each time about another certificate.
_KEPT = (
    select(OcspAnswer.content, OcspSigner.der, OcspAnswer.this_update, OcspAnswer.next_update)
    .join(Certificate, Certificate.id == OcspAnswer.certificate_id)
    .join(OcspSigner, OcspSigner.id == OcspAnswer.signer_id)
    .where(Certificate.serial == bindparam("serial"), OcspAnswer.content.is_not(None))
)


@dataclass(frozen=True)
class Kept:
    """An answer as it is stored, and the certificate (DER) it is signed under."""

    content: bytes
    signer: bytes
    period: Period


@dataclass(frozen=True)
class Stock:
    """How many answers there are, how many of them wait to be signed, and from when the oldest speaks."""

    answers: int
    due: int
    oldest: datetime | None


def sign_due(
    session: Session, delegates: Sequence[Delegate], *, life: timedelta, now: datetime, batches: int = 50
) -> int:
    """Sign what is due, at most so many batches; returns how many answers. Commits each batch.

    `delegates` are of all issuing authorities in use; a certificate of another one gets no answer ahead.
    """
    signed = 0
    for _ in range(batches):
        rows = _due(session, now, life, with_issuer=len(delegates) > 1)
        session.rollback()  # nothing is held while the vault signs
        if not rows:
            break
        _forget(session, [row.certificate_id for row in rows if row.not_after < now])
        live = [row for row in rows if row.not_after >= now]
        for delegate in delegates:
            signed += _sign(session, delegate, [row for row in live if _is_of(row, delegate, delegates)], life, now)
        _put_off(session, [row for row in live if not any(_is_of(row, one, delegates) for one in delegates)], life, now)
        session.commit()
    return signed


def _due(session: Session, now: datetime, life: timedelta, *, with_issuer: bool) -> Sequence[Any]:
    # A row that is due long after now was signed by a clock that had gone ahead.
    due = or_(OcspAnswer.due_at <= now, OcspAnswer.due_at > now + life / 2 + SKEW)
    columns: list[Any] = [
        OcspAnswer.certificate_id,
        OcspAnswer.changed,
        Certificate.serial,
        Certificate.not_after,
        Revocation.revoked_at,
        Revocation.reason,
    ]
    wanted = select(*columns, *([Certificate.der] if with_issuer else ()))
    joined = wanted.join(Certificate, Certificate.id == OcspAnswer.certificate_id).outerjoin(Revocation, _standing())
    return session.execute(joined.where(due).order_by(OcspAnswer.due_at).limit(BATCH)).all()


def _standing() -> Any:
    return (Revocation.certificate_id == Certificate.id) & Revocation.lifted_at.is_(None)


def _is_of(row: Any, delegate: Delegate, delegates: Sequence[Delegate]) -> bool:
    return len(delegates) == 1 or row.der is None or delegate.responder.issuer.has_issued(row.der)


def _sign(session: Session, delegate: Delegate, rows: Sequence[Any], life: timedelta, now: datetime) -> int:
    if not rows:
        return 0
    start = now.replace(microsecond=0)
    period = Period(start, start + life)
    states = {int(row.serial, 16): _status(row.revoked_at, row.reason) for row in rows}
    contents = delegate.responder.presign(states, period, now=start)
    values = [
        {
            "certificate_id": row.certificate_id,
            "changed": row.changed,
            "due_at": start + life / 2,
            "content": contents[int(row.serial, 16)],
            "signer_id": delegate.id,
            "this_update": period.this_update,
            "next_update": period.next_update,
        }
        for row in rows
    ]
    statement = _insert(session)(OcspAnswer).values(values)
    kept = {name: statement.excluded[name] for name in values[0] if name != "certificate_id"}
    # A decision that came between has another number: its row stays void, and due.
    untouched = OcspAnswer.changed == statement.excluded.changed
    session.execute(statement.on_conflict_do_update(index_elements=["certificate_id"], set_=kept, where=untouched))
    return len(rows)


def _put_off(session: Session, rows: Sequence[Any], life: timedelta, now: datetime) -> None:
    """Rows that nobody may sign ahead are looked at again later; they are answered when asked, as far as possible."""
    if rows:
        statement = _insert(session)(OcspAnswer).values(
            [{"certificate_id": row.certificate_id, "changed": row.changed, "due_at": now + life / 2} for row in rows]
        )
        later = {"due_at": statement.excluded.due_at}
        session.execute(statement.on_conflict_do_update(index_elements=["certificate_id"], set_=later))


def _forget(session: Session, certificate_ids: Sequence[int]) -> None:
    """Answers about certificates that have expired are kept no longer."""
    if certificate_ids:
        session.execute(delete(OcspAnswer).where(OcspAnswer.certificate_id.in_(certificate_ids)))


def kept(session: Session, serial: int, *, now: datetime) -> Kept | None:
    """The stored answer about a certificate of this serial number, if it speaks now."""
    row = session.connection().execute(_KEPT, {"serial": f"{serial:032x}"}).first()
    if row is None or not row.this_update <= now + SKEW or row.next_update <= now:
        return None
    return Kept(row.content, row.der, Period(row.this_update, row.next_update))


def states(session: Session, serials: Sequence[int], issuer: AskedIssuer) -> Mapping[int, Status]:
    """What is known about certificates of one issuing authority; one that was never issued is missing."""
    wanted = (
        select(Certificate.serial, Certificate.der, Revocation.revoked_at, Revocation.reason)
        .outerjoin(Revocation, _standing())
        .where(
            Certificate.serial.in_([f"{serial:032x}" for serial in serials]),
            Certificate.state.in_(ISSUED),
            or_(Certificate.der.is_not(None), Revocation.id.is_not(None)),
        )
    )
    found = session.execute(wanted).all()
    ours = (row for row in found if row.der is None or issuer.has_issued(row.der))
    return {int(row.serial, 16): _status(row.revoked_at, row.reason) for row in ours}


def stock(session: Session, *, now: datetime) -> Stock:
    """How the answers stand."""
    answers = session.scalar(select(func.count()).select_from(OcspAnswer)) or 0
    due = session.scalar(select(func.count()).select_from(OcspAnswer).where(OcspAnswer.due_at <= now)) or 0
    return Stock(answers, due, session.scalar(select(func.min(OcspAnswer.this_update))))


def _status(revoked_at: datetime | None, reason: str | None) -> Status:
    if revoked_at is None or reason is None:
        return Good()
    return Revoked(revoked_at, RevocationReason(reason))


def _insert(session: Session) -> Any:
    return postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
