"""Opens the applications of an approved list in one statement, however long it is.

Personal data come from the register (210-FZ, article 26). The one who proposed the list stands for taking, the one who
approved it for deciding, so that the rule "nobody alone" holds for these cards as well.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Insert, String, Subquery, cast, func, insert, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import ApplicationReason, ApplicationState, Route
from uec.domain.policy import Policy
from uec.services import cohort_members, notice_windows, notices, numbering
from uec.store import audit
from uec.store.audit import Note
from uec.store.steering import WHOLE, steered
from uec.store.tables import Application, BankChoice, Cohort, IssuancePoint, PublicNotice, Resident

CHUNK = 10_000
# Columns that an application takes from the register as they are.
SAME = [
    "surname",
    "name",
    "patronymic",
    "birth_date",
    "birth_place",
    "sex",
    "snils",
    "oms",
    "doc_type",
    "doc_series",
    "doc_number",
    "doc_date",
    "doc_issuer",
    "address",
    "phone",
    "email",
]


def open_all(
    session: Session,
    cohort: Cohort,
    *,
    actor: Actor,
    policy: Policy,
    now: datetime,
    still_entitled: list[ColumnElement[bool]],
) -> int:
    """Insert an APPROVED application for every member that still fulfils the conditions; returns how many.

    The caller commits. Numbers follow the series without a gap: it is locked first and raised by what was inserted.
    """
    point = session.scalar(select(func.min(IssuancePoint.id)))
    if point is None:
        raise InvalidInput("There is no issuance point yet: add one before opening applications.", field="point")
    year = policy.day(now).year
    series = f"application-{year}"
    first = numbering.take(session, series, count=0).start
    values = _register_columns() | _fixed_columns(cohort, policy, now)
    values["number"] = _number(session, year, first)
    notice = notices.in_force(session, on=policy.day(now))
    values["bank"] = func.coalesce(_chosen_bank(notice), notice_windows.bank_of_tender(notice, policy))
    nearest = _points_by_place()
    values["point_id"] = func.coalesce(nearest.c.id, point)
    # Everybody who enters an application waits for the series, so what is above this id afterwards is ours.
    before = session.scalar(select(func.max(Application.id))) or 0
    with steered(session, WHOLE):
        session.execute(_insert(session, cohort, values, nearest, still_entitled))
    ours = (Application.cohort_id == cohort.id, Application.id > before)
    opened = session.scalar(select(func.count()).select_from(Application).where(*ours)) or 0
    numbering.take(session, series, count=opened)
    _tell(session, cohort, before, actor, now)
    return opened


def _insert(
    session: Session,
    cohort: Cohort,
    values: Mapping[str, Any],
    nearest: Subquery,
    conditions: list[ColumnElement[bool]],
) -> Insert:
    members = cohort_members.member_ids(session, cohort.id).subquery()
    chosen = (
        select(*values.values())
        .select_from(Resident)
        .join(members, members.c.id == Resident.id)
        .outerjoin(nearest, nearest.c.place == _place(Resident.oktmo))
        .where(*conditions)
    )
    return insert(Application).from_select(list(values), chosen, include_defaults=False)


def _register_columns() -> dict[str, Any]:
    return {name: getattr(Resident, name) for name in SAME} | {"resident_id": Resident.id}


def _fixed_columns(cohort: Cohort, policy: Policy, now: datetime) -> dict[str, Any]:
    fixed = {
        "route": Route.MASS,
        "reason": ApplicationReason.FIRST,
        "state": ApplicationState.APPROVED,
        # Nobody got a receipt, so no secret opens the status page.
        "secret_hash": "",
        "submitted_at": now,
        "due_on": policy.due_on(policy.day(now)),
        "taken_by": cohort.proposed_by,
        "decided_by": cohort.approved_by,
        "decided_at": cohort.approved_at,
        "decision_reason": cohort.number,
        "cohort_id": cohort.id,
        "profile": cohort.profile,
        "remake": False,
        "version": 1,
    }
    columns = Application.__table__.c
    return {name: literal(value, columns[name].type) for name, value in fixed.items()}


def _number(session: Session, year: int, first: int) -> ColumnElement[str]:
    """`YYYY-NNNNNNN`, counting from `first` in the order of the register."""
    position = first - 1 + func.row_number().over(order_by=Resident.id)
    if session.get_bind().dialect.name == "postgresql":
        return literal(f"{year}-") + func.lpad(cast(position, String), 7, "0")
    return func.printf(f"{year}-%07d", position)


def _points_by_place() -> Subquery:
    """Rows (place, id): the first point of each municipality.

    Joined, not asked for each resident: a region's points, looked through a million times, are most of what this takes.
    """
    place = _place(IssuancePoint.oktmo)
    return select(place.label("place"), func.min(IssuancePoint.id).label("id")).group_by(place).subquery()


def _place(oktmo: InstrumentedAttribute[str]) -> ColumnElement[str]:
    """The municipality: the first 8 digits of the OKTMO."""
    return func.substr(oktmo, 1, 8)


def _chosen_bank(notice: PublicNotice | None) -> ColumnElement[str | None]:
    """The bank that the resident chose last, of those that the notice names; none for who chose none of them."""
    offered = notice.banks if notice else []
    mine = select(BankChoice.bank).where(BankChoice.snils == Resident.snils, BankChoice.bank.in_(offered))
    mine = mine.correlate(Resident)
    return mine.order_by(BankChoice.id.desc()).limit(1).scalar_subquery()


def _tell(session: Session, cohort: Cohort, before: int, actor: Actor, now: datetime) -> None:
    opened = (
        select(Application.id, Application.resident_id)
        .where(Application.cohort_id == cohort.id, Application.id > before)
        .order_by(Application.id)
        .execution_options(yield_per=CHUNK)
    )
    for part in session.execute(opened).partitions():
        details = {"cohort": cohort.number}
        audit.record_many(
            session,
            [
                Note(actor.reference, "application.open-from-cohort", "application", str(row), now, person, details)
                for row, person in part
            ],
        )
        # Chained part by part, so that a list of a million needs no memory for all its entries.
        audit.write_pending(session)
