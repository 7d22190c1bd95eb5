"""Stations as the hub last saw them, and the hub's key that PINs are sealed to."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import case, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, UecError
from uec.domain.permissions import Permission
from uec.services.rows import locked
from uec.services.views import StationView
from uec.store import audit
from uec.store.tables import HubInstance, Station

ALIVE = timedelta(seconds=30)
CODE_LIFE = timedelta(hours=24)
_NAME_LIMIT = 80


class HubAway(UecError):
    """No hub is running, so no card can be reached."""

    code = "uec.hub_away"


def list_stations(session: Session, *, now: datetime, point_id: int | None = None) -> list[StationView]:
    """The enrolled stations of a point (or all), with their readers; online means seen in the last half minute."""
    wanted = select(Station).where(Station.revoked_at.is_(None)).order_by(Station.name)
    if point_id is not None:
        wanted = wanted.where(Station.point_id == point_id)
    return [_view(station, now) for station in session.scalars(wanted)]


def create(session: Session, *, name: str, point_id: int | None, code_hash: str, actor: Actor, now: datetime) -> int:
    """Enter a station that may enrol once with a code (its hash is kept) within a day; returns its id.

    It may have the name of one that was revoked, which keeps it with its number behind: a window's new machine is
    called as the old one was. Raises `InvalidInput`.
    """
    actor.require(Permission.MANAGE_STATIONS)
    shown = " ".join(name.split())
    if not shown or len(shown) > _NAME_LIMIT or not shown.isprintable():
        raise InvalidInput(f"A station's name has 1 to {_NAME_LIMIT} printable characters.", field="name")
    _free_name(session, shown)
    station = Station(
        name=shown,
        point_id=point_id,
        enrolment_code_hash=code_hash,
        enrolment_expires_at=now + CODE_LIFE,
        readers=[],
    )
    session.add(station)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise InvalidInput(
            f"There is a station {shown} already, or no such point: choose another.", field="name", wrong="taken"
        ) from error
    _tell(session, station, "create", actor, now)
    session.commit()
    return station.id


def renew_code(session: Session, station_id: int, *, code_hash: str, actor: Actor, now: datetime) -> None:
    """Give a station that was never enrolled another code, for a day; the one before is worth nothing any more."""
    actor.require(Permission.MANAGE_STATIONS)
    station = locked(session, Station, station_id)
    if station.public_key is not None or station.revoked_at is not None:
        raise InvalidInput(f"{station.name} is enrolled or revoked: enter a new station.", field="station")
    station.enrolment_code_hash, station.enrolment_expires_at = code_hash, now + CODE_LIFE
    _tell(session, station, "renew_code", actor, now)
    session.commit()


def _free_name(session: Session, name: str) -> None:
    """Have a revoked station give the name up."""
    retired = session.scalar(select(Station).where(Station.name == name, Station.revoked_at.is_not(None)))
    if retired is not None:
        tail = f" №{retired.id}"
        retired.name = name[: _NAME_LIMIT - len(tail)] + tail
        session.flush()


def revoke(session: Session, station_id: int, *, actor: Actor, now: datetime) -> None:
    """Shut a station out; the hub ends its connection."""
    actor.require(Permission.MANAGE_STATIONS)
    station = locked(session, Station, station_id)
    station.revoked_at = now
    _tell(session, station, "revoke", actor, now)
    session.commit()


def hub_public_key(session: Session, *, now: datetime, station_id: int | None = None) -> bytes:
    """The key (65-byte P-256 point) of the hub that has this station's link, else of one that is alive.

    Raises `HubAway` when none is.
    """
    has_it = select(Station.hub_id).where(Station.id == station_id).scalar_subquery()
    alive = select(HubInstance.public_key).where(HubInstance.heartbeat_at > now - ALIVE)
    order = (case((HubInstance.id == has_it, 0), else_=1), HubInstance.heartbeat_at.desc())
    key = session.scalar(alive.order_by(*order).limit(1))
    if key is None:
        raise HubAway("The card service does not answer: start `uec hub`, or ask the administrator to.")
    return key


def _tell(session: Session, station: Station, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"station.{action}",
        subject_kind="station",
        subject_id=station.id,
        details={"name": station.name},
        now=now,
    )


def _view(station: Station, now: datetime) -> StationView:
    return StationView(
        id=station.id,
        name=station.name,
        point_id=station.point_id,
        online=station.last_seen_at is not None and station.last_seen_at > now - ALIVE,
        last_seen_at=station.last_seen_at,
        waits_until=station.enrolment_expires_at if station.public_key is None else None,
        readers=tuple(dict(reader) if isinstance(reader, Mapping) else {"name": reader} for reader in station.readers),
    )
