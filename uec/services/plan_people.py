"""Turns a plan over counts into places for people, set-based, and back: who stands where in which queue.

A queue is all approved applications of one point, class and card variant in the order of due day, registration and id;
who has died or refused a card stands in none. Its slots come from the plan, and each holds its people as an array of
ids: a row a person would be 1.4 million rows with their keys for every plan, while a queue that is gathered as one
array is cut into its slots by one statement that costs about what the sorting does. A person is found among the slots
of the own queue.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import groupby
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Integer,
    Select,
    Subquery,
    case,
    cast,
    delete,
    exists,
    func,
    insert,
    select,
    text,
    true,
    union_all,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session

from issuance.planning.region import Kind
from uec.domain.absences import OUT, AbsenceState
from uec.domain.lifecycle import ApplicationState, Route
from uec.domain.twins import TwinRole, TwinState
from uec.services.other_records import Holds, dead, with_another_record
from uec.services.refusals import STANDS, has_refused
from uec.store.arrays import each, holds, postgresql, size
from uec.store.bulk import copy_rows
from uec.store.steering import ROOMY, steered
from uec.store.tables import Application, EmissionSlot, Refusal, RegisterAbsence, Resident, TwinCase, TwinMember

# Class of an application: the remakes first, then those with a clock, then who neither applied nor refused.
KIND: ColumnElement[int] = case(
    (Application.remake, int(Kind.REMAKE)), (Application.route == Route.MASS, int(Kind.COHORT)), else_=int(Kind.CLOCK)
)
ORDER = (Application.due_on, Application.submitted_at, Application.id)
SLOT_COLUMNS = ("point_id", "kind", "variant", "first", "count", "position", "promised_on")


@dataclass(frozen=True)
class SlotPlace:
    """Somebody's place, from 0, in the queue of a slot."""

    slot_id: int
    point_id: int
    kind: Kind
    variant: str
    place: int


def variant_of(usual: str) -> ColumnElement[str]:
    """The card variant of an application: its own, or the office's usual one."""
    return func.coalesce(Application.profile, usual)


def waiting() -> tuple[ColumnElement[bool], ...]:
    """Who wants a card and has no batch yet; the dead, the refused and twins (`refusals.barred`) do not count.

    Nor does for now whom mass emission would serve and a full export of the register lacks.
    """
    barred = barred_ids(OUT)
    return Application.state == ApplicationState.APPROVED, ~exists().where(barred.c.id == Application.id)


def barred_ids(absences: Collection[AbsenceState]) -> CTE:
    """The same people as `refusals.barred`, gathered from the small side: those few are hashed, nobody looked up alone.

    `absences` says what bars whom a full export lacked: GONE bars for good, OUT also who is still before a clerk.
    Materialized, since the database, which knows nothing of what comes out of it, then expects neither nobody to be
    left nor everybody, and hashes.
    """
    died = select(Application.id).join(Resident, Resident.id == Application.resident_id)
    refused = select(Application.id).join(Refusal, Refusal.snils == Application.snils).where(STANDS)
    by_record = select(Application.id).join(Refusal, Refusal.resident_id == Application.resident_id).where(STANDS)
    twin = (
        select(Application.id)
        .join(TwinMember, TwinMember.resident_id == Application.resident_id)
        .join(TwinCase, TwinCase.id == TwinMember.case_id)
        .where(TwinCase.state == TwinState.DECIDED, TwinMember.role == TwinRole.SUPERSEDED)
    )
    missing = select(Application.id).join(RegisterAbsence, RegisterAbsence.resident_id == Application.resident_id)
    missing = missing.where(RegisterAbsence.state.in_(absences))
    unasked = [
        one.where(Application.route == Route.MASS) for one in (refused, by_record, _of(has_refused), twin, missing)
    ]
    found = union_all(died.where(Resident.death_date.is_not(None)), _of(dead), *unasked)
    return found.cte("barred").prefix_with("MATERIALIZED")


def _of(holds: Holds) -> Select[Any]:
    """Applications of whom something holds by another record."""
    people = with_another_record(holds).subquery()
    return select(Application.id).join(people, people.c.resident_id == Application.resident_id)


def demand(session: Session, usual: str) -> list[tuple[int, int, str, date, int]]:
    """Rows (point id, class, card variant, due day, how many) of everybody who waits; `usual` where none is named."""
    grouped = (
        select(Application.point_id, KIND, Application.profile, Application.due_on, func.count())
        .where(*waiting())
        .group_by(Application.point_id, KIND, Application.profile, Application.due_on)
    )
    with steered(session, ROOMY):
        rows = session.execute(grouped)
        return [(point, kind, variant or usual, due_on, count) for point, kind, variant, due_on, count in rows]


def give_places(session: Session, plan_id: int, slots: Sequence[Mapping[str, Any]], *, usual: str) -> int:
    """Write the slots of a plan (rows of `SLOT_COLUMNS`) with everybody who waits in them; returns how many that are.

    `usual` is the card variant of those who have none of their own.
    Who came between the counting and now stands behind the last slot and waits for the next plan. The caller commits.
    """
    if not slots:
        return 0
    if postgresql(session):
        _place_by_statement(session, plan_id, slots, usual)
    else:
        _place_in_parts(session, plan_id, slots, usual)
    placed = func.sum(size(session, EmissionSlot.people))
    return session.scalar(select(placed).where(EmissionSlot.plan_id == plan_id)) or 0


def _place_by_statement(session: Session, plan_id: int, slots: Sequence[Mapping[str, Any]], usual: str) -> None:
    """Slots by COPY beside the queues, each an array, of which every slot takes its part."""
    session.execute(text(_INCOMING))
    copy_rows(session, "slot_incoming", SLOT_COLUMNS, slots)
    own = (Application.point_id, KIND, variant_of(usual))
    queue = select(*own, func.array_agg(aggregate_order_by(Application.id, *ORDER)))
    queue = queue.where(*waiting()).group_by(*own)
    compiled = queue.compile(dialect=session.get_bind().dialect, compile_kwargs={"literal_binds": True})
    with steered(session, ROOMY):
        session.execute(text(_PLACED.replace("{queue}", str(compiled).replace(":", "\\:"))), {"plan": plan_id})
    session.execute(text("DROP TABLE slot_incoming"))


_INCOMING = """
CREATE TEMPORARY TABLE slot_incoming
(point_id INTEGER, kind INTEGER, variant VARCHAR(40), first INTEGER, count INTEGER, position INTEGER, promised_on DATE)
"""

_PLACED = """
WITH queue (point_id, kind, variant, people) AS MATERIALIZED ({queue})
INSERT INTO emission_slot (plan_id, point_id, kind, variant, first, count, position, promised_on, people)
SELECT :plan, s.point_id, s.kind, s.variant, s.first, s.count, s.position, s.promised_on,
    coalesce(q.people[s.first + 1\\:s.first + s.count], '{}')
FROM slot_incoming s LEFT JOIN queue q
    ON q.point_id = s.point_id AND q.kind = s.kind AND q.variant = s.variant
"""


def _place_in_parts(session: Session, plan_id: int, slots: Sequence[Mapping[str, Any]], usual: str) -> None:
    own = (Application.point_id, KIND, variant_of(usual))
    rows = session.execute(select(*own, Application.id).where(*waiting()).order_by(*own, *ORDER))
    queues = {key: [row[3] for row in queue] for key, queue in groupby(rows, key=lambda row: tuple(row[:3]))}
    for slot in slots:
        queue = queues.get((slot["point_id"], slot["kind"], slot["variant"]), [])
        mine = queue[slot["first"] : slot["first"] + slot["count"]]
        session.execute(insert(EmissionSlot).values(plan_id=plan_id, people=mine, **slot))


def forget_before(session: Session, plan_id: int) -> None:
    """Drop the slots of earlier plans: only the newest plan promises. The caller commits."""
    session.execute(delete(EmissionSlot).where(EmissionSlot.plan_id < plan_id))


def people(session: Session, *conditions: ColumnElement[bool]) -> Subquery:
    """Rows (slot_id, application_id, place) of everybody in the slots that fulfil the conditions, as a subquery."""
    rows, application_id, place = each(session, EmissionSlot.people)
    found = select(
        EmissionSlot.id.label("slot_id"),
        cast(application_id, Integer).label("application_id"),
        (EmissionSlot.first + place).label("place"),
    )
    return found.select_from(EmissionSlot).join(rows, true()).where(*conditions).subquery()


def place_of(session: Session, plan_id: int, application_id: int) -> SlotPlace | None:
    """Where an application stands in a plan; None when it has no place there."""
    own = session.execute(select(Application.point_id, KIND).where(Application.id == application_id)).one_or_none()
    if own is None:
        return None
    in_plan = (EmissionSlot.plan_id == plan_id, holds(session, EmissionSlot.people, application_id))
    queue = (EmissionSlot.point_id == own[0], EmissionSlot.kind == own[1])
    # Who changed to another point after the plan was made still stands in the queue of the old one.
    for conditions in ((*in_plan, *queue), in_plan):
        slot = session.scalar(select(EmissionSlot).where(*conditions))
        if slot is not None:
            place = slot.first + slot.people.index(application_id)
            return SlotPlace(slot.id, slot.point_id, Kind(slot.kind), slot.variant, place)
    return None
