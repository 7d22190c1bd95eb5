"""What a query finds lies ready for a statement that writes, on both databases, and leaves nothing behind."""

import pytest
from sqlalchemy import Engine, Integer, String, func, insert, inspect, literal, select
from sqlalchemy.orm import Session, sessionmaker

from uec.store.bulk import insert_rows
from uec.store.gathering import gathered
from uec.store.tables import Municipality

NASTY = "50 % of: it's \\ :name %(x)s {}"


def towns(session: Session, count: int) -> None:
    insert_rows(session, Municipality, [{"oktmo": f"{n:08}", "name_ru": "а", "name_en": "a"} for n in range(count)])


def test_rows_are_written_as_they_were_found(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        towns(session, 20)
        found = select(
            (func.substr(Municipality.oktmo, 7, 2) + literal("9", String)).label("oktmo"),
            literal(NASTY, String).label("name"),
            func.count().label("count"),
        ).group_by(Municipality.oktmo)
        for turn in ("x", "y"):  # twice in one transaction: the name is free again
            with gathered(session, "town_found", found.where(Municipality.oktmo < "00000005")) as rows:
                copied = select(rows.c.oktmo + turn, rows.c.name, rows.c.count.cast(String))
                session.execute(insert(Municipality).from_select(["oktmo", "name_ru", "name_en"], copied))
        made = session.execute(
            select(Municipality.oktmo, Municipality.name_ru, Municipality.name_en).where(Municipality.name_ru == NASTY)
        ).all()
        assert sorted(row.oktmo for row in made) == sorted(f"0{n}9{turn}" for n in range(5) for turn in "xy")
        assert {(row.name_ru, row.name_en) for row in made} == {(NASTY, "1")}


def test_nothing_stays_in_the_session(engine: Engine, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        towns(session, 3)
        with gathered(session, "town_found", select(literal(7, Integer).label("seven"))) as rows:
            assert session.scalar(select(rows.c.seven)) == 7
        assert not inspect(session.connection()).has_table("town_found")
        if engine.dialect.name == "postgresql":
            assert session.scalar(select(func.current_setting("parallel_setup_cost"))) == "1000"


def test_an_error_inside_is_the_callers(sessions: sessionmaker[Session]) -> None:
    one = select(literal(1, Integer).label("one"))
    with sessions() as session, pytest.raises(ZeroDivisionError), gathered(session, "town_found", one) as rows:
        assert session.scalar(select(rows.c.one)) == 1
        raise ZeroDivisionError
