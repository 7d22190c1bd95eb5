"""The lists of the office that can be taken out as files: who may, which columns, which part, and the rows.

Each is a query that a server-side cursor reads a few thousand rows at a time, or makes its rows itself; none of them
grows in memory with the list.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import NotAllowed, NotFound
from uec.domain.permissions import Permission
from uec.services import (
    export_queries,
    plan_office,
    stock_balance,
)
from uec.services.export_queries import Asked, Cells, Found


@dataclass(frozen=True)
class Export:
    """One kind of list: who may take it out (any of), its columns, its query or its rows, and what narrows it.

    A list that makes its rows itself says how many there are.
    """

    permissions: tuple[Permission, ...]
    columns: tuple[str, ...]
    query: Callable[[Session, Asked], Found] | None = None
    rows: Callable[[Session, Actor, Asked], Iterator[Cells]] | None = None
    length: Callable[[Session, Actor, Asked], int] | None = None
    filters: tuple[str, ...] = field(default=())

    def asked(self, filters: Mapping[str, str]) -> Asked:
        """Of what was given what this list knows, without what is empty."""
        return {one: text for one, text in filters.items() if one in self.filters and text}


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


_P = Permission
EXPORTS: Mapping[str, Export] = {
    "applications": Export(
        (_P.VIEW_PERSON,),
        (
            "number", "state", "route", "reason", "surname", "name", "patronymic", "birth_date", "snils", "point",
            "submitted_at", "due_on", "decided_at", "bank",
        ),
        export_queries.of_applications,
        filters=("state", "route", "query"),
    ),
    "cards": Export(
        (_P.VIEW_PERSON,),
        (
            "card", "state", "surname", "name", "patronymic", "application", "batch", "point", "personalised_at",
            "activated_at", "expires_on",
        ),
        export_queries.of_cards,
        filters=("state", "query"),
    ),
    "batches": Export(
        (_P.VIEW_BATCHES,),
        ("batch", "state", "planned_for", "line", "point", "cards", "departs_on", "released_at"),
        export_queries.of_batches,
        filters=("state", "day", "line"),
    ),
    "stock": Export(
        (_P.VIEW_STOCK,),
        (
            "box", "received", "good", "spoiled", "returned", "destroyed", "in_hand", "missing", "sent", "difference",
        ),
        rows=export_queries.of_stock,
        length=lambda session, actor, _: len(stock_balance.by_box(session, actor=actor)),
    ),
    "cohort": Export(
        (_P.MANAGE_COHORT, _P.APPROVE_COHORT),
        ("register_id", "surname", "name", "patronymic", "birth_date", "sex", "snils", "oktmo", "address"),
        export_queries.of_cohort,
        filters=("id",),
    ),
    "refusals": Export(
        (_P.VIEW_PERSON,),
        ("confirmation", "snils", "channel", "filed_at", "recognised", "note", "withdrawn_at"),
        export_queries.of_refusals,
        filters=("query",),
    ),
    "audit": Export(
        (_P.VIEW_AUDIT,),
        ("chain", "seq", "at", "actor", "action", "subject_kind", "subject_id", "person_id", "details"),
        export_queries.of_audit,
        filters=("who", "kind", "subject"),
    ),
    "late": Export(
        (_P.VIEW_BATCHES,),
        ("application", "point", "kind", "variant", "late_for", "due_on", "promised_on"),
        rows=export_queries.of_late,
        length=export_queries.late_count,
        filters=("reason", "kind", "point", "variant"),
    ),
    "points": Export(
        (_P.VIEW_BATCHES,),
        ("point_ru", "point_en", "remakes", "clocks", "in_cohort", "open", "courier", "last_hand_over", "peak"),
        rows=export_queries.of_points,
        length=lambda session, actor, _: len(plan_office.newest(session, actor=actor).facts["points"]),
    ),
    "moved": Export(
        (_P.VIEW_BATCHES,),
        ("application", "point", "was", "promised_on", "listed_at"),
        export_queries.of_moved,
    ),
    "orders": Export(
        (_P.VIEW_BATCHES,),
        ("order", "state", "bureau", "batch", "cards", "drawn_at", "sent_at", "completed_at"),
        export_queries.of_orders,
        filters=("state",),
    ),
    "consignments": Export(
        (_P.VIEW_STOCK,),
        (
            "consignment", "state", "giver", "taker", "seal", "blanks", "sent_at", "received_at", "seal_found",
            "blanks_found", "note",
        ),
        export_queries.of_consignments,
    ),
    "movements": Export(
        (_P.VIEW_STOCK,),
        ("at", "motion", "lot", "first", "last", "blanks", "box", "giver", "taker", "actor", "reason"),
        export_queries.of_movements,
        filters=("what", "key"),
    ),
    "twins": Export(
        (_P.DECIDE_APPLICATION,),
        (
            "case", "kind", "state", "found_at", "register_id", "surname", "name", "patronymic", "birth_date", "snils",
            "decided", "note", "decided_at",
        ),
        export_queries.of_twins,
        filters=("state",),
    ),
    "missing": Export(
        (_P.DECIDE_APPLICATION,),
        (
            "register_id", "surname", "name", "patronymic", "birth_date", "snils", "state", "found_at", "note",
            "decided_at",
        ),
        export_queries.of_missing,
        filters=("state",),
    ),
}  # fmt: skip
