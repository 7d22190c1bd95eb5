"""Rows that an office has when it upgrades: places in a plan and members of lists stay, and come back on the way."""

import json

import pytest
from sqlalchemy import inspect, text
from sqlalchemy.exc import IntegrityError

from uec.store.engine import make_engine
from uec.store.migrate import downgrade, upgrade

# A point, a plan, two slots of one queue, people who stand in another order than their ids.
BEFORE = (
    "INSERT INTO municipality VALUES ('71701000', 'Город', 'Town')",
    "INSERT INTO issuance_point (id, code, name_ru, name_en, address, oktmo, windows, daily_capacity) "
    "VALUES (1, 'P1', 'Пункт', 'Point', '-', '71701000', 1, 1)",
    "INSERT INTO cohort (id, number, state, as_of, count, digest, created_at) "
    "VALUES (1, 'C-1', 'DRAFT', '2026-01-01', 5, '', '2026-01-01')",
    "INSERT INTO emission_plan (id, made_at, first_day, last_day, people, promised, facts) "
    "VALUES (1, '2026-01-01', '2026-01-01', '2026-02-01', 3, 3, '{}')",
    'INSERT INTO emission_slot (id, plan_id, point_id, kind, "first", "count", position) VALUES (7, 1, 1, 2, 0, 2, 0)',
    'INSERT INTO emission_slot (id, plan_id, point_id, kind, "first", "count", position) VALUES (8, 1, 1, 2, 2, 1, 1)',
    "INSERT INTO emission_place VALUES (1, 11, 7), (1, 12, 8), (1, 13, 7)",
)
APPLICATION = (
    "INSERT INTO application (id, number, route, reason, state, surname, name, birth_date, birth_place, sex, snils, "
    "doc_type, doc_series, doc_number, doc_date, doc_issuer, address, point_id, secret_hash, submitted_at, due_on, "
    "cohort_id, remake, version) VALUES (:id, :number, 'MASS', 'FIRST', 'APPROVED', 'И', 'И', '1980-01-01', 'Т', 'M', "
    "'1', 'passport', '7110', '123456', '2010-01-01', 'У', 'А', 1, '', '2026-01-01', :due, 1, false, 1)"
)
MOVE = (
    "INSERT INTO promise_move (application_id, point_id, plan_id, was, listed_at, told_at) "
    "VALUES (11, 1, 1, '2026-03-01', '2026-02-01', :told)"
)
PART = (
    "INSERT INTO cohort_part (cohort_id, block, oktmo, band, sex, count, members) "
    "VALUES (1, :block, '71701000', :band, 'M', :count, {members})"
)


def ids(value: object) -> list[int]:
    return list(json.loads(value)) if isinstance(value, str) else list(value)  # type: ignore[call-overload]


def test_places_and_members_survive_both_ways(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0013")
    engine = make_engine(empty_database_url)
    written = "CAST(:members AS INTEGER[])" if engine.dialect.name == "postgresql" else ":members"
    with engine.begin() as connection:
        for statement in BEFORE:
            connection.execute(text(statement))
        for number, due in ((11, "2026-03-02"), (12, "2026-03-03"), (13, "2026-03-01")):
            connection.execute(text(APPLICATION), {"id": number, "number": f"2026-{number}", "due": due})
        for block, band, members in ((0, "18-34", [1, 5]), (1, "18-34", [65536, 65540]), (0, "60+", [9])):
            listed = "{" + ",".join(map(str, members)) + "}" if "ARRAY" in written or "[]" in written else str(members)
            part = {"block": block, "band": band, "count": len(members), "members": listed}
            connection.execute(text(PART.format(members=written)), part)
    upgrade(empty_database_url, "0015")
    with engine.begin() as connection:
        slots = connection.execute(text('SELECT people FROM emission_slot ORDER BY "first"')).scalars().all()
        assert [ids(one) for one in slots] == [[13, 11], [12]]
        parts = connection.execute(text("SELECT band, count, members FROM cohort_part ORDER BY band")).all()
        assert [(band, count, sorted(ids(members))) for band, count, members in parts] == [
            ("18-34", 4, [1, 5, 65536, 65540]),
            ("60+", 1, [9]),
        ]
    downgrade(empty_database_url, "0013")
    with engine.begin() as connection:
        places = "SELECT p.application_id, s.position FROM emission_place p JOIN emission_slot s ON s.id = p.slot_id"
        assert sorted(map(tuple, connection.execute(text(places)))) == [(11, 0), (12, 1), (13, 0)]
        blocks = connection.execute(text("SELECT block, band, members FROM cohort_part ORDER BY band, block")).all()
        assert [(block, band, sorted(ids(members))) for block, band, members in blocks] == [
            (0, "18-34", [1, 5]),
            (1, "18-34", [65536, 65540]),
            (0, "60+", [9]),
        ]
    engine.dispose()


def test_a_moved_promise_gets_the_point_of_its_application(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0024")
    engine = make_engine(empty_database_url)
    with engine.begin() as connection:
        for statement in BEFORE[:3]:
            connection.execute(text(statement))
        connection.execute(
            text(BEFORE[1].replace("(1, 'P1'", "(2, 'P2'")),
        )
        for number, point in ((11, 1), (12, 2)):
            connection.execute(text(APPLICATION), {"id": number, "number": f"2026-{number}", "due": "2026-03-02"})
            connection.execute(text(f"UPDATE application SET point_id = {point} WHERE id = {number}"))
            connection.execute(
                text("INSERT INTO promise_move (application_id, was, listed_at) VALUES (:id, '2026-03-01', :at)"),
                {"id": number, "at": "2026-02-01"},
            )
    upgrade(empty_database_url, "0025")
    moves = text("SELECT application_id, point_id FROM promise_move ORDER BY application_id")
    with engine.begin() as connection:
        assert connection.execute(moves).all() == [(11, 1), (12, 2)]
    downgrade(empty_database_url, "0024")
    with engine.begin() as connection:
        left = connection.execute(text("SELECT application_id, was FROM promise_move ORDER BY 1")).all()
        assert [row.application_id for row in left] == [11, 12]
    engine.dispose()


def test_moved_promises_stay_when_their_keys_go_and_come(empty_database_url: str) -> None:
    upgrade(empty_database_url, "0028")
    engine = make_engine(empty_database_url)
    with engine.begin() as connection:
        for statement in BEFORE[:4]:
            connection.execute(text(statement))
        connection.execute(text(APPLICATION), {"id": 11, "number": "2026-11", "due": "2026-03-02"})
        connection.execute(text(MOVE), {"told": None})
        connection.execute(text(MOVE), {"told": "2026-02-02"})

    def keys() -> tuple[int, set[str]]:
        found = inspect(engine)
        return len(found.get_foreign_keys("promise_move")), {
            str(one["name"]) for table in ("promise_move", "application") for one in found.get_indexes(table)
        }

    def second_untold() -> None:
        with engine.begin() as connection:
            connection.execute(text(MOVE), {"told": None})

    before = keys()
    for up in (True, False, True):
        (upgrade if up else downgrade)(empty_database_url, "0029" if up else "0028")
        with engine.begin() as connection:
            moves = connection.execute(text("SELECT application_id, point_id, plan_id FROM promise_move")).all()
        assert moves == [(11, 1, 1), (11, 1, 1)]
        gone = {
            "ix_promise_move_plan_id",
            *(f"ix_application_{name}" for name in ("taken_by", "decided_by", "cohort_id")),
        }
        assert keys() == ((0, before[1] - gone) if up else before)
        with pytest.raises(IntegrityError):  # nobody waits to be told twice
            second_untold()
    engine.dispose()
