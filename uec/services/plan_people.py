"""Turns a plan over counts into places for people, set-based, and back: who stands where in which queue.

A queue is all approved applications of one point and class in the order of due day, registration and id; who has died
or refused a card stands in none. Its slots come from the plan; one statement numbers everybody and gives each a slot,
on PostgreSQL by a binary search in the queue's array of slots, on SQLite by its index.
"""

from datetime import date

from sqlalchemy import ColumnElement, Select, case, exists, func, select, text
from sqlalchemy.orm import Session

from issuance.planning.region import Kind
from uec.domain.lifecycle import ApplicationState, Route
from uec.services.twins import superseded
from uec.store.tables import Application, EmissionPlace, Refusal, Resident

# Class of an application: the remakes first, then those with a clock, then who neither applied nor refused.
KIND: ColumnElement[int] = case(
    (Application.remake, int(Kind.REMAKE)), (Application.route == Route.MASS, int(Kind.COHORT)), else_=int(Kind.CLOCK)
)


def waiting() -> tuple[ColumnElement[bool], ...]:
    """Who wants a card and has no batch yet; the dead, the refused and twins (`refusals.barred`) do not count.

    Each is a condition of its own, so that the database joins a million people once and looks nobody up alone.
    """
    dead = exists().where(Resident.id == Application.resident_id, Resident.death_date.is_not(None))
    refused = exists().where(Refusal.snils == Application.snils, Application.route == Route.MASS)
    twin = (Application.route == Route.MASS) & superseded(Application.resident_id)
    return Application.state == ApplicationState.APPROVED, ~dead, ~refused, ~twin


def demand(session: Session) -> list[tuple[int, int, date, int]]:
    """Rows (point id, class, due day, how many) of everybody who waits."""
    grouped = (
        select(Application.point_id, KIND, Application.due_on, func.count())
        .where(*waiting())
        .group_by(Application.point_id, KIND, Application.due_on)
    )
    return [(point, kind, due_on, count) for point, kind, due_on, count in session.execute(grouped)]


def numbered() -> Select[tuple[int, int, int, int]]:
    """Every waiting application with its point, class and place in the queue, from 0."""
    place = func.row_number().over(
        partition_by=(Application.point_id, KIND),
        order_by=(Application.due_on, Application.submitted_at, Application.id),
    )
    return select(
        Application.id.label("application_id"),
        Application.point_id.label("point_id"),
        KIND.label("kind"),
        (place - 1).label("place"),
    ).where(*waiting())


def give_places(session: Session, plan_id: int) -> int:
    """Give everybody who waits the slot of their place; returns how many. The caller commits."""
    dialect = session.get_bind().dialect
    queue = numbered().compile(dialect=dialect, compile_kwargs={"literal_binds": True})
    statement = _ON_POSTGRESQL if dialect.name == "postgresql" else _ON_SQLITE
    written = session.execute(text(statement.replace("{queue}", _escaped(str(queue)))), {"plan": plan_id})
    return int(written.rowcount)  # type: ignore[attr-defined]


def place_of(session: Session, plan_id: int, application_id: int) -> int | None:
    """The slot an application has in a plan."""
    return session.scalar(
        select(EmissionPlace.slot_id).where(
            EmissionPlace.plan_id == plan_id, EmissionPlace.application_id == application_id
        )
    )


def _escaped(sql: str) -> str:
    # `text` takes a colon for a parameter.
    return sql.replace(":", "\\:")


_ON_POSTGRESQL = """
WITH slots AS (
    SELECT point_id, kind, array_agg(first ORDER BY first) AS firsts, array_agg(id ORDER BY first) AS ids
    FROM emission_slot WHERE plan_id = :plan GROUP BY point_id, kind
)
INSERT INTO emission_place (plan_id, application_id, slot_id)
SELECT :plan, q.application_id, s.ids[width_bucket(q.place\\:\\:integer, s.firsts)]
FROM ({queue}) q JOIN slots s ON s.point_id = q.point_id AND s.kind = q.kind
ORDER BY q.application_id
"""

_ON_SQLITE = """
INSERT INTO emission_place (plan_id, application_id, slot_id)
SELECT :plan, q.application_id, (
    SELECT s.id FROM emission_slot s
    WHERE s.plan_id = :plan AND s.point_id = q.point_id AND s.kind = q.kind AND s.first <= q.place
    ORDER BY s.first DESC LIMIT 1
)
FROM ({queue}) q
WHERE EXISTS (SELECT 1 FROM emission_slot s WHERE s.plan_id = :plan AND s.point_id = q.point_id AND s.kind = q.kind)
"""
