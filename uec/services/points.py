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
from uec.store.tables import IssuancePoint


def list_points(session: Session) -> list[PointView]:
    """All points, by their code."""
    return [point_view(point) for point in session.scalars(select(IssuancePoint).order_by(IssuancePoint.code))]


def point(session: Session, point_id: int) -> PointView:
    """One point; raises `NotFound`."""
    return point_view(present(session, IssuancePoint, point_id))


def point_view(row: IssuancePoint) -> PointView:
    """A point without its session."""
    return PointView(row.id, row.code, row.name_ru, row.name_en, row.address, row.windows, row.daily_capacity)


def create(
    session: Session,
    *,
    code: str,
    name_ru: str,
    name_en: str,
    address: str,
    oktmo: str,
    windows: int,
    daily_capacity: int,
    actor: Actor,
    now: datetime,
) -> PointView:
    """Enter a point in a municipality that is known; raises `InvalidInput` for a code that is taken."""
    actor.require(Permission.MANAGE_STAFF)
    if windows < 1 or daily_capacity < 0:
        raise InvalidInput("A point has at least one window, and a capacity of 0 or more.", field="windows")
    row = IssuancePoint(
        code=code,
        name_ru=name_ru,
        name_en=name_en,
        address=address,
        oktmo=oktmo,
        windows=windows,
        daily_capacity=daily_capacity,
    )
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise InvalidInput(
            f"There is a point {code} already, or no municipality {oktmo}: look at both lists.", field="code"
        ) from error
    audit.record(
        session,
        actor=actor.reference,
        action="point.create",
        subject_kind="issuance_point",
        subject_id=row.id,
        details={"code": code},
        now=now,
    )
    session.commit()
    return point_view(row)
