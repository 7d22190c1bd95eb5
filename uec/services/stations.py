"""Stations as the hub last saw them, and the hub's key that PINs are sealed to."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.errors import UecError
from uec.services.views import StationView
from uec.store.tables import HubInstance, Station

ALIVE = timedelta(seconds=30)


class HubAway(UecError):
    """No hub is running, so no card can be reached."""

    code = "uec.hub_away"


def list_stations(session: Session, *, now: datetime, point_id: int | None = None) -> list[StationView]:
    """The enrolled stations of a point (or all), with their readers; online means seen in the last half minute."""
    wanted = select(Station).where(Station.revoked_at.is_(None)).order_by(Station.name)
    if point_id is not None:
        wanted = wanted.where(Station.point_id == point_id)
    return [_view(station, now) for station in session.scalars(wanted)]


def hub_public_key(session: Session, *, now: datetime) -> bytes:
    """The key (65-byte P-256 point) of the hub that is alive; raises `HubAway`."""
    alive = select(HubInstance.public_key).where(HubInstance.heartbeat_at > now - ALIVE)
    key = session.scalar(alive.order_by(HubInstance.heartbeat_at.desc()).limit(1))
    if key is None:
        raise HubAway("The card service does not answer: start `uec hub`, or ask the administrator to.")
    return key


def _view(station: Station, now: datetime) -> StationView:
    return StationView(
        id=station.id,
        name=station.name,
        point_id=station.point_id,
        online=station.last_seen_at is not None and station.last_seen_at > now - ALIVE,
        last_seen_at=station.last_seen_at,
        readers=tuple(dict(reader) if isinstance(reader, Mapping) else {"name": reader} for reader in station.readers),
    )
