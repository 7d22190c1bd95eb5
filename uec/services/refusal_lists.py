"""Finds refusals to receive a card; a look at people's records, so it stands in the audit."""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import NotFound
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.views import Page
from uec.store import audit
from uec.store.lengths import length_of
from uec.store.tables import Refusal, Staff


@dataclass(frozen=True)
class RefusalRow:
    """One refusal; `recognised` tells whether its SNILS is that of a resident in the register.

    With `withdrawn_at` it was taken back, by `withdrawn_by` (a name) for the reason given.
    """

    number: str
    snils: str
    channel: str
    filed_at: datetime
    recognised: bool
    note: str
    withdrawn_at: datetime | None = None
    withdrawn_by: str = ""
    withdrawn_for: str = ""


def find(
    session: Session, *, actor: Actor, now: datetime, query: str = "", limit: int = 50, offset: int = 0
) -> Page[RefusalRow]:
    """A page of refusals, the newest first; `query` is the number of a confirmation or a SNILS."""
    actor.require(Permission.VIEW_PERSON)
    query = typed(query)
    wanted = select(Refusal.id).where(*conditions(query))
    ids = session.scalars(wanted.order_by(Refusal.id.desc()).limit(limit).offset(offset)).all()
    found = session.scalars(select(Refusal).where(Refusal.id.in_(ids)).order_by(Refusal.id.desc())).all()
    rows = tuple(_row(one) for one in found)
    length = length_of(session, wanted, offset=offset, limit=limit, shown=len(rows))
    audit.record(
        session,
        actor=actor.reference,
        action="refusal.list",
        subject_kind="refusal-list",
        subject_id="all",
        details={"query": query, "shown": [row.number for row in rows]},
        now=now,
    )
    session.commit()
    return Page(rows, length.rows, offset, limit, length.about)


def conditions(query: str) -> list[ColumnElement[bool]]:
    """The conditions of a list as its filter asks for them."""
    if not (text := typed(query)):
        return []
    digits = "".join(filter(str.isdecimal, text))
    return [or_(Refusal.number == text, Refusal.snils == digits)]


def look(session: Session, number: str, *, actor: Actor, now: datetime) -> RefusalRow:
    """One refusal by its number; the look is audited. Raises `NotFound`, `NotAllowed`."""
    actor.require(Permission.VIEW_PERSON)
    one = session.scalar(select(Refusal).where(Refusal.number == number))
    if one is None:
        raise NotFound(f"There is no refusal {number}: look it up by its SNILS.", kind="Refusal", id=number)
    audit.record(
        session,
        actor=actor.reference,
        action="refusal.look",
        subject_kind="refusal",
        subject_id=one.id,
        person_id=one.resident_id,
        now=now,
    )
    row = replace(_row(one), withdrawn_by=_name_of(session, one.withdrawn_by or ""))
    session.commit()
    return row


def _name_of(session: Session, reference: str) -> str:
    kind, _, number = reference.partition(":")
    known = session.get(Staff, int(number)) if kind == "staff" else None
    return known.display_name if known else reference


def _row(one: Refusal) -> RefusalRow:
    return RefusalRow(
        one.number,
        one.snils,
        one.channel,
        one.filed_at,
        one.resident_id is not None,
        one.note or "",
        one.withdrawn_at,
        one.withdrawn_by or "",
        one.withdrawn_for or "",
    )
