"""Finds refusals to receive a card; a look at people's records, so it stands in the audit."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.views import Page
from uec.store import audit
from uec.store.lengths import length_of
from uec.store.tables import Refusal


@dataclass(frozen=True)
class RefusalRow:
    """One refusal; `recognised` tells whether its SNILS is that of a resident in the register."""

    number: str
    snils: str
    channel: str
    filed_at: datetime
    recognised: bool
    note: str


def find(
    session: Session, *, actor: Actor, now: datetime, query: str = "", limit: int = 50, offset: int = 0
) -> Page[RefusalRow]:
    """A page of refusals, the newest first; `query` is the number of a confirmation or a SNILS."""
    actor.require(Permission.VIEW_PERSON)
    query = typed(query)
    wanted = select(Refusal.id)
    if query:
        digits = "".join(filter(str.isdecimal, query))
        wanted = wanted.where(or_(Refusal.number == query, Refusal.snils == digits))
    ids = session.scalars(wanted.order_by(Refusal.id.desc()).limit(limit).offset(offset)).all()
    found = session.scalars(select(Refusal).where(Refusal.id.in_(ids)).order_by(Refusal.id.desc())).all()
    rows = tuple(
        RefusalRow(one.number, one.snils, one.channel, one.filed_at, one.resident_id is not None, one.note or "")
        for one in found
    )
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
