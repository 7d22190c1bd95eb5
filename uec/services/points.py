"""The points where applications are taken and cards handed over."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.permissions import Permission
from uec.services.rows import present
from uec.services.views import PointView
from uec.store import audit
from uec.store.tables import IssuancePoint, Municipality

WINDOWS_LIMIT = 1000
CAPACITY_LIMIT = 1_000_000
# Field of a point and the letters that fit into it.
_LENGTHS = {"code": 20, "name_ru": 200, "name_en": 200, "address": 400}


def list_points(session: Session) -> list[PointView]:
    """All points, by their code."""
    return [point_view(point) for point in session.scalars(select(IssuancePoint).order_by(IssuancePoint.code))]


def point(session: Session, point_id: int) -> PointView:
    """One point; raises `NotFound`."""
    return point_view(present(session, IssuancePoint, point_id))


def point_view(row: IssuancePoint) -> PointView:
    """A point without its session."""
    return PointView(row.id, row.code, row.name_ru, row.name_en, row.address, row.windows, row.daily_capacity)


def add(session: Session, *, point: PointView, oktmo: str, actor: Actor, now: datetime) -> int:
    """Enter a point (its `id` is ignored) in a municipality; returns its id. `InvalidInput` names the field."""
    actor.require(Permission.MANAGE_STAFF)
    if not 1 <= point.windows <= WINDOWS_LIMIT or not 0 <= point.daily_capacity <= CAPACITY_LIMIT:
        raise InvalidInput(
            f"A point has 1 to {WINDOWS_LIMIT} windows, and a capacity of 0 to {CAPACITY_LIMIT} cards a day.",
            field="windows",
        )
    for field, limit in _LENGTHS.items():
        text = getattr(point, field)
        if not text.strip() or len(text) > limit or not text.isprintable():
            raise InvalidInput(f"A point's {field} has 1 to {limit} printable characters.", field=field)
    if session.get(Municipality, oktmo) is None:
        raise InvalidInput(
            f"The office knows no municipality {oktmo}: import them first (uec register municipalities FILE).",
            field="oktmo",
        )
    row = IssuancePoint(
        code=point.code,
        name_ru=point.name_ru,
        name_en=point.name_en,
        address=point.address,
        oktmo=oktmo,
        windows=point.windows,
        daily_capacity=point.daily_capacity,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise InvalidInput(f"There is a point {point.code} already: choose another code.", field="code") from error
    audit.record(
        session,
        actor=actor.reference,
        action="point.add",
        subject_kind="issuance_point",
        subject_id=row.id,
        details={"code": row.code},
        now=now,
    )
    session.commit()
    return row.id
