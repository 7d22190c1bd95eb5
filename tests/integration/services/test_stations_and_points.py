"""Points and stations: entered once, by whom, seen when, and which hub's key PINs are sealed to."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, Office, add_staff, open_office
from uec.domain.errors import InvalidInput, NotAllowed, NotFound
from uec.domain.permissions import Role
from uec.services import points, stations
from uec.services.stations import HubAway
from uec.services.views import PointView
from uec.store.tables import AuditEntry, HubInstance, Station


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    return open_office(sessions)


def point(**changes: object) -> PointView:
    fields = {"id": 0, "code": "P9", "name_ru": "Новый", "name_en": "New", "address": "ул. Мира, 9"}
    return PointView(**{**fields, "windows": 1, "daily_capacity": 5, **changes})  # type: ignore[arg-type]


def test_points_are_listed_by_code_and_added_by_an_administrator(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        session.commit()
        added = points.add(session, point=point(), oktmo="71701000", actor=admin, now=NOW)
        assert [row.code for row in points.list_points(session)] == ["P1", "P2", "P9"]
        assert points.point(session, added).address == "ул. Мира, 9"
        told = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "point.add")).all()
        assert told == [{"code": "P9"}]


@pytest.mark.parametrize(
    ("changes", "oktmo", "field"),
    [
        ({"code": "P1"}, "71701000", "code"),
        ({}, "00000000", "oktmo"),
        ({"windows": 0}, "71701000", "windows"),
        ({"daily_capacity": -1}, "71701000", "windows"),
        ({"address": " "}, "71701000", "address"),
    ],
)
def test_a_point_that_cannot_be(
    sessions: sessionmaker[Session], office: Office, changes: dict[str, object], oktmo: str, field: str
) -> None:
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        session.commit()
        with pytest.raises(InvalidInput) as refused:
            points.add(session, point=point(**changes), oktmo=oktmo, actor=admin, now=NOW)
        assert refused.value.field == field
        with pytest.raises(NotAllowed):
            points.add(session, point=point(), oktmo="71701000", actor=office.operator, now=NOW)
        with pytest.raises(NotFound):
            points.point(session, 99)
        assert len(points.list_points(session)) == 2


def test_a_station_is_entered_with_a_code_for_a_day_and_revoked(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        made = stations.create(
            session, name=" Window  1 ", point_id=office.points[0], code_hash="ab" * 32, actor=office.security, now=NOW
        )
        row = session.get_one(Station, made)
        assert (row.name, row.enrolment_expires_at) == ("Window 1", NOW + timedelta(hours=24))
        with pytest.raises(InvalidInput):
            stations.create(
                session, name="Window 1", point_id=None, code_hash="cd" * 32, actor=office.security, now=NOW
            )
        with pytest.raises(NotAllowed):
            stations.create(session, name="W2", point_id=None, code_hash="", actor=office.operator, now=NOW)
        assert [view.online for view in stations.list_stations(session, now=NOW)] == [False]
        stations.revoke(session, made, actor=office.security, now=NOW)
        assert stations.list_stations(session, now=NOW) == []


def test_a_revoked_station_gives_its_name_up_and_keeps_its_number(
    sessions: sessionmaker[Session], office: Office
) -> None:
    long = "W" * 80
    with sessions() as session:
        made = []
        for _machine in range(3):
            station_id = stations.create(
                session, name=long, point_id=None, code_hash=f"{len(made):02}" * 32, actor=office.security, now=NOW
            )
            made.append(station_id)
            with pytest.raises(InvalidInput) as refused:
                stations.create(session, name=long, point_id=None, code_hash="", actor=office.security, now=NOW)
            assert refused.value.facts["wrong"] == "taken"
            stations.revoke(session, station_id, actor=office.security, now=NOW)
        names = [session.get_one(Station, one).name for one in made]
        assert names[2] == long and [name[-3:] for name in names[:2]] == [f" №{one}" for one in made[:2]]
        assert all(len(name) == 80 for name in names)


def test_a_code_is_renewed_until_the_station_is_enrolled(sessions: sessionmaker[Session], office: Office) -> None:
    later = NOW + timedelta(hours=30)
    with sessions() as session:
        made = stations.create(session, name="W", point_id=None, code_hash="ab", actor=office.security, now=NOW)
        (view,) = stations.list_stations(session, now=later)
        assert view.waits_until is not None and view.waits_until < later, "its code is too old"
        with pytest.raises(NotAllowed):
            stations.renew_code(session, made, code_hash="cd", actor=office.operator, now=later)
        stations.renew_code(session, made, code_hash="cd", actor=office.security, now=later)
        row = session.get_one(Station, made)
        assert (row.enrolment_code_hash, row.enrolment_expires_at) == ("cd", later + timedelta(hours=24))
        row.public_key, row.enrolment_code_hash, row.enrolment_expires_at = b"key", None, None
        session.commit()
        (view,) = stations.list_stations(session, now=later)
        assert view.waits_until is None
        with pytest.raises(InvalidInput):
            stations.renew_code(session, made, code_hash="ef", actor=office.security, now=later)


def test_a_station_is_online_while_it_gives_signs_of_life(sessions: sessionmaker[Session], office: Office) -> None:
    readers = [{"name": "Reader 1", "card": True}]
    with sessions() as session:
        for number, point_id in enumerate(office.points):
            session.add(Station(name=f"W{number}", point_id=point_id, last_seen_at=NOW, readers=readers))
        session.commit()
        soon, late = NOW + timedelta(seconds=29), NOW + timedelta(seconds=31)
        assert [view.online for view in stations.list_stations(session, now=soon)] == [True, True]
        assert [view.online for view in stations.list_stations(session, now=late)] == [False, False]
        (mine,) = stations.list_stations(session, now=soon, point_id=office.points[1])
        assert (mine.name, mine.readers) == ("W1", ({"name": "Reader 1", "card": True},))


def test_pins_are_sealed_to_the_hub_that_is_alive(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        with pytest.raises(HubAway, match="uec hub"):
            stations.hub_public_key(session, now=NOW)
        for key, age_s in ((b"old", 60), (b"present", 5)):
            beat = NOW - timedelta(seconds=age_s)
            session.add(HubInstance(id=age_s, public_key=key, started_at=beat, heartbeat_at=beat))
        session.commit()
        assert stations.hub_public_key(session, now=NOW) == b"present"
        with pytest.raises(HubAway):
            stations.hub_public_key(session, now=NOW + timedelta(minutes=1))
