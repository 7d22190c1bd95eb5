"""The points where applications are taken and cards handed over."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.services.rows import present
from uec.services.views import PointView
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
