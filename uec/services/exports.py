"""Lists of the office as rows for a file, at any length: read by a server-side cursor, a few thousand rows at a time.

Taking a list out is a look at every record in it: it needs the permission of the list and `EXPORT_LISTS`, and the audit
keeps who took which list by which filter, how many rows it had, and in what form, before the first row leaves.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotAllowed, NotFound
from uec.domain.lifecycle import ApplicationState, BatchState, CardState, Route
from uec.domain.permissions import Permission
from uec.services import applications, card_lists, cohort_members, stock_balance
from uec.store import audit
from uec.store.tables import (
    Application,
    AuditEntry,
    Batch,
    Card,
    Cohort,
    IssuancePoint,
    Refusal,
    Resident,
)

PORTION = 2000
Cells = tuple[Any, ...]
Query = Callable[[Session, Mapping[str, str]], "Select[*tuple[Any, ...]]"]


@dataclass(frozen=True)
class Export:
    """One kind of list: who may take it out (any of), its columns, its query or its rows."""

    permissions: tuple[Permission, ...]
    columns: tuple[str, ...]
    query: Query | None = None
    rows: Callable[[Session, Actor], Iterator[Cells]] | None = None
    filters: tuple[str, ...] = field(default=())


def take(
    session: Session, name: str, *, actor: Actor, filters: Mapping[str, str], form: str, now: datetime
) -> tuple[str, ...]:
    """Write down that a list is taken out and commit; returns its columns. The rows come from `rows`.

    Raises `NotFound` for an unknown list, `NotAllowed`, and `InvalidInput` for a filter that means nothing.
    """
    chosen = export_of(name, actor)
    asked = {one: text for one, text in filters.items() if one in chosen.filters and text}
    total = None
    if chosen.query is not None:
        found = chosen.query(session, asked).order_by(None)
        total = session.scalar(select(func.count()).select_from(found.subquery()))
    audit.record(
        session,
        actor=actor.reference,
        action="export.take",
        subject_kind="export",
        subject_id=name,
        details={"form": form, "rows": total, **asked},
        now=now,
    )
    session.commit()
    return chosen.columns


def rows(session: Session, name: str, *, actor: Actor, filters: Mapping[str, str]) -> Iterator[Cells]:
    """The rows of a list that `take` has written down, as typed values in the order of its columns."""
    chosen = export_of(name, actor)
    asked = {one: text for one, text in filters.items() if one in chosen.filters and text}
    if chosen.query is None:
        assert chosen.rows is not None, "a list has a query or rows"
        yield from chosen.rows(session, actor)
        return
    for row in session.execute(chosen.query(session, asked).execution_options(yield_per=PORTION)):
        yield tuple(row)


def export_of(name: str, actor: Actor) -> Export:
    """The kind of list by its name; raises `NotFound` and `NotAllowed`."""
    chosen = EXPORTS.get(name)
    if chosen is None:
        raise NotFound(f"There is no list {name}: choose one of {', '.join(EXPORTS)}.", kind="Export", id=name)
    actor.require(Permission.EXPORT_LISTS)
    if not any(actor.may(one) for one in chosen.permissions):
        raise NotAllowed(
            f"{actor.display} may not see this list: ask an administrator for a role that has it.",
            permission=chosen.permissions[0],
            actor=actor.reference,
        )
    return chosen


def may_take(actor: Actor) -> list[str]:
    """The names of the lists that somebody may take out."""
    if not actor.may(Permission.EXPORT_LISTS):
        return []
    return [name for name, one in EXPORTS.items() if any(map(actor.may, one.permissions))]


def _state(kind: Any, text: str) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise InvalidInput(f"{text} is no state of the list: choose one of its filter.", field="state") from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidInput("The number of the list is wrong: open the list and take it out there.", field="id")
    return int(text)


def _applications(_session: Session, asked: Mapping[str, str]) -> "Select[*tuple[Any, ...]]":
    states = [_state(ApplicationState, asked["state"])] if "state" in asked else []
    route = _state(Route, asked["route"]) if "route" in asked else None
    wanted = applications.conditions(states, route, None, asked.get("query", ""))
    a = Application
    return (
        select(
            a.number, a.state, a.route, a.reason, a.surname, a.name, a.patronymic, a.birth_date, a.snils,
            IssuancePoint.code, a.submitted_at, a.due_on, a.decided_at, a.bank,
        )
        .join(IssuancePoint, IssuancePoint.id == a.point_id)
        .where(*wanted)
        .order_by(a.id)
    )  # fmt: skip


def _cards(_session: Session, asked: Mapping[str, str]) -> "Select[*tuple[Any, ...]]":
    states = [_state(CardState, asked["state"])] if "state" in asked else []
    wanted = card_lists.conditions(asked.get("query", ""), states, None)
    a = Application
    return (
        select(
            Card.number, Card.state, a.surname, a.name, a.patronymic, a.number, Batch.number, IssuancePoint.code,
            Card.personalised_at, Card.activated_at, Card.expires_on,
        )
        .join(a, a.id == Card.application_id)
        .join(Batch, Batch.id == Card.batch_id)
        .join(IssuancePoint, IssuancePoint.id == a.point_id)
        .where(*wanted)
        .order_by(Card.id)
    )  # fmt: skip


def _batches(_session: Session, asked: Mapping[str, str]) -> "Select[*tuple[Any, ...]]":
    cards = select(func.count()).where(Card.batch_id == Batch.id).correlate(Batch).scalar_subquery()
    found = select(Batch.number, Batch.state, Batch.planned_for, IssuancePoint.code, cards, Batch.released_at)
    found = found.join(IssuancePoint, IssuancePoint.id == Batch.point_id).order_by(Batch.id)
    return found.where(Batch.state == _state(BatchState, asked["state"])) if "state" in asked else found


def _refusals(_session: Session, _asked: Mapping[str, str]) -> "Select[*tuple[Any, ...]]":
    known = case((Refusal.resident_id.is_not(None), True), else_=False)
    one = Refusal
    return select(one.number, one.snils, one.channel, one.filed_at, known, one.note, one.withdrawn_at).order_by(one.id)


def _cohort(session: Session, asked: Mapping[str, str]) -> "Select[*tuple[Any, ...]]":
    cohort_id = _number(asked.get("id", ""))
    if session.get(Cohort, cohort_id) is None:
        raise NotFound(f"There is no list {cohort_id}: see `uec cohorts list`.", kind="Cohort", id=cohort_id)
    members = cohort_members.member_ids(session, cohort_id).subquery()
    r = Resident
    return (
        select(r.register_id, r.surname, r.name, r.patronymic, r.birth_date, r.sex, r.snils, r.oktmo, r.address)
        .join(members, members.c.id == r.id)
        .order_by(r.id)
    )


def _audit(_session: Session, asked: Mapping[str, str]) -> "Select[*tuple[Any, ...]]":
    e = AuditEntry
    named = {"who": e.actor, "kind": e.subject_kind, "subject": e.subject_id}
    wanted = [column == asked[name] for name, column in named.items() if name in asked]
    return (
        select(e.chain, e.seq, e.at, e.actor, e.action, e.subject_kind, e.subject_id, e.person_id, e.details)
        .where(*wanted)
        .order_by(e.id)
    )


def _stock(session: Session, actor: Actor) -> Iterator[Cells]:
    for line in stock_balance.by_box(session, actor=actor):
        one = line.balance
        yield (
            line.name, one.received, one.good, one.spoiled, one.returned, one.destroyed, one.in_hand, one.missing,
            one.sent, one.difference,
        )  # fmt: skip


_P = Permission
EXPORTS: Mapping[str, Export] = {
    "applications": Export(
        (_P.VIEW_PERSON,),
        (
            "number", "state", "route", "reason", "surname", "name", "patronymic", "birth_date", "snils", "point",
            "submitted_at", "due_on", "decided_at", "bank",
        ),
        _applications,
        filters=("state", "route", "query"),
    ),
    "cards": Export(
        (_P.VIEW_PERSON,),
        (
            "card", "state", "surname", "name", "patronymic", "application", "batch", "point", "personalised_at",
            "activated_at", "expires_on",
        ),
        _cards,
        filters=("state", "query"),
    ),
    "batches": Export(
        (_P.VIEW_BATCHES,),
        ("batch", "state", "planned_for", "point", "cards", "released_at"),
        _batches,
        filters=("state",),
    ),
    "stock": Export(
        (_P.VIEW_STOCK,),
        (
            "box", "received", "good", "spoiled", "returned", "destroyed", "in_hand", "missing", "sent", "difference",
        ),
        rows=_stock,
    ),
    "cohort": Export(
        (_P.MANAGE_COHORT, _P.APPROVE_COHORT),
        ("register_id", "surname", "name", "patronymic", "birth_date", "sex", "snils", "oktmo", "address"),
        _cohort,
        filters=("id",),
    ),
    "refusals": Export(
        (_P.VIEW_PERSON,),
        ("confirmation", "snils", "channel", "filed_at", "recognised", "note", "withdrawn_at"),
        _refusals,
    ),
    "audit": Export(
        (_P.VIEW_AUDIT,),
        ("chain", "seq", "at", "actor", "action", "subject_kind", "subject_id", "person_id", "details"),
        _audit,
        filters=("who", "kind", "subject"),
    ),
}  # fmt: skip
