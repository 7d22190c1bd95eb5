"""Certificates held, resumed and revoked with their card, and the changes of the stop-list.

RFC 5280, section 5.3.1. Each entry of the CRL is encoded once, when it comes about, and spliced when the list is
signed. Answers about a certificate that were signed ahead are void from the same moment, in the same transaction.
"""

from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import ARRAY, Integer, bindparam, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from issuance.pki.crl import RevocationReason, RevokedEntry, encode_entry
from uec.domain.lifecycle import CERTIFICATE, CertificateEvent, CertificateState, advance
from uec.services import numbering
from uec.store.arrays import among
from uec.store.bulk import insert_rows
from uec.store.tables import Certificate, OcspAnswer, Revocation, StopListEntry


class Changed(NamedTuple):
    """A certificate that was just moved, as far as the lists are concerned."""

    id: int
    serial: str
    profile: str
    crl_part: int | None


# Series that count the changes of the lists, all together and for each part. Their rows are locked until a change is
# committed, so whoever publishes waits for it; clocks say nothing about the order of commits.
CHANGES, STOP_CHANGES = "revocation-change", "stop-list-change"
OPEN = (CertificateState.ISSUED, CertificateState.HELD, CertificateState.INTENDED)
FEW = 8
"""Rows that are written one by one, by a statement built once; more are written as a batch."""


def changes_of(part: int | None) -> str:
    """The series that counts the changes of one list: the whole one's, or a part's."""
    return f"{CHANGES}-{'whole' if part is None else part}"


def hold(session: Session, card_id: int, *, now: datetime) -> int:
    """Put the issued certificates of a card on hold; returns how many. The caller commits."""
    return len(held(session, [card_id], now=now))


def held(session: Session, card_ids: Collection[int], *, now: datetime) -> list[Changed]:
    """The same of any number of cards, telling which they were."""
    certificates = _moved(session, card_ids, CertificateState.ISSUED, CertificateEvent.HOLD)
    count_change(session, certificates, now=now)
    _enter(session, certificates, RevocationReason.CERTIFICATE_HOLD, now)
    return certificates


def resume(session: Session, card_id: int, *, now: datetime) -> int:
    """Lift the hold of a card's certificates; returns how many. The caller commits."""
    certificates = _moved(session, [card_id], CertificateState.HELD, CertificateEvent.RESUME)
    count_change(session, certificates, now=now)
    _lift(session, certificates, now)
    return len(certificates)


def revoke(session: Session, card_id: int, *, reason: RevocationReason, now: datetime) -> int:
    """Revoke every certificate of a card for good, one on hold and one only intended included; returns how many."""
    return revoke_all(session, _of_card(session, card_id, *OPEN), reason=reason, now=now)


def revoke_all(
    session: Session, certificates: Collection[Certificate], *, reason: RevocationReason, now: datetime
) -> int:
    """Revoke these certificates, whose rows the caller has locked; returns how many. The caller commits."""
    count_change(session, certificates, now=now)
    _lift(session, [one for one in certificates if one.state is CertificateState.HELD], now)
    for certificate in certificates:
        certificate.state = advance(CERTIFICATE, certificate.state, CertificateEvent.REVOKE)
    _enter(session, certificates, reason, now)
    return len(certificates)


def change_stop_list(session: Session, card_number: str, action: str, *, reason: str, now: datetime) -> None:
    """Append ADD or REMOVE for a card; the caller commits."""
    change_stop_lists(session, [card_number], action, reason=reason, now=now)


def change_stop_lists(
    session: Session, card_numbers: Collection[str], action: str, *, reason: str, now: datetime
) -> None:
    """The same for any number of cards."""
    if not card_numbers:
        return
    # One transaction after the other, so that positions rise in the order in which they become visible.
    numbering.take(session, STOP_CHANGES)
    fixed = {"action": action, "reason": reason, "at": now}
    session.execute(insert(StopListEntry), [fixed | {"card_number": number} for number in card_numbers])


def count_change(session: Session, certificates: Collection[Certificate | Changed], *, now: datetime) -> None:
    """Count a change of the lists that these certificates are on, and make their answers void; the caller commits."""
    if not certificates:
        return
    # Always in this order, so that nobody waits for somebody who waits for them.
    (change,) = numbering.take(session, CHANGES)
    for series in sorted({changes_of(certificate.crl_part) for certificate in certificates}):
        numbering.take(session, series)
    expect_answers(session, [certificate.id for certificate in certificates], now=now, change=change)


def expect_answers(session: Session, certificate_ids: Iterable[int], *, now: datetime, change: int = 0) -> None:
    """Make the answers about certificates void, or expect first ones; the caller commits. `change` is a new number."""
    rows = [{"certificate_id": one, "due_at": now, "changed": change} for one in certificate_ids]
    if not rows:
        return
    session.flush()  # the certificates themselves come first
    dialect = session.get_bind().dialect.name
    if dialect == "postgresql" and len(rows) > FEW:
        these = {"these": [row["certificate_id"] for row in rows], "due_at": now, "changed": change}
        session.connection().execute(_all_expected(), these)
    else:
        session.connection().execute(_expected(dialect), rows)


@cache
def _all_expected() -> Any:
    """The same of a list of ids, by one statement of PostgreSQL."""
    types = OcspAnswer.__table__.c
    rows = select(
        func.unnest(bindparam("these", type_=ARRAY(Integer))),
        bindparam("due_at", type_=types.due_at.type),
        bindparam("changed", type_=types.changed.type),
    )
    upsert = postgresql_insert(OcspAnswer.__table__)  # type: ignore[arg-type]
    return _voiding(upsert.from_select(["certificate_id", "due_at", "changed"], rows, include_defaults=False))


@cache
def _expected(dialect: str) -> Any:
    """Void whatever answer there is, or expect a first one."""
    return _voiding((postgresql_insert if dialect == "postgresql" else sqlite_insert)(OcspAnswer.__table__))  # type: ignore[arg-type]


def _voiding(upsert: Any) -> Any:
    empty = {"content": None, "signer_id": None, "this_update": None, "next_update": None}
    fresh = {"due_at": upsert.excluded.due_at, "changed": upsert.excluded.changed, **empty}
    return upsert.on_conflict_do_update(index_elements=["certificate_id"], set_=fresh)


def _moved(
    session: Session, card_ids: Collection[int], before: CertificateState, event: CertificateEvent
) -> list[Changed]:
    """Advance all certificates of cards that are in a state, in one statement; which they were, by id."""
    session.flush()
    target = advance(CERTIFICATE, before, event)
    moving = _advanced(session.get_bind().dialect.name)
    rows = session.connection().execute(moving, {"these": list(card_ids), "before": before, "target": target})
    return sorted(Changed(*row) for row in rows)


@cache
def _advanced(dialect: str) -> Any:
    table = Certificate.__table__
    these = among(dialect, table.c.card_id, "these")
    of_cards = update(table).where(these, table.c.state == bindparam("before"))  # type: ignore[arg-type]
    return of_cards.values(state=bindparam("target")).returning(*(table.c[name] for name in Changed._fields))


def _of_card(session: Session, card_id: int, *states: CertificateState) -> list[Certificate]:
    wanted = select(Certificate).where(Certificate.card_id == card_id, Certificate.state.in_(states))
    return list(session.scalars(wanted.order_by(Certificate.id).with_for_update()))


def _enter(
    session: Session, certificates: Collection[Certificate | Changed], reason: RevocationReason, now: datetime
) -> None:
    session.flush()
    if certificates:
        entries = {one.id: RevokedEntry(int(one.serial, 16), now, reason) for one in certificates}
        rows = [
            {"certificate_id": one, "reason": reason.value, "revoked_at": now, "entry_der": encode_entry(entry)}
            for one, entry in entries.items()
        ]
        if len(rows) > FEW:
            insert_rows(session, Revocation, rows)
        else:
            session.connection().execute(_entered(), rows)


@cache
def _entered() -> Any:
    return insert(Revocation.__table__)  # type: ignore[arg-type]


def _lift(session: Session, certificates: Collection[Certificate | Changed], now: datetime) -> None:
    session.flush()
    if certificates:
        standing = Revocation.certificate_id.in_([one.id for one in certificates]) & Revocation.lifted_at.is_(None)
        session.execute(update(Revocation).where(standing).values(lifted_at=now))
