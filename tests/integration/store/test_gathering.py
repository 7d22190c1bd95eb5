"""What a query finds lies ready for a statement that writes, on both databases, and leaves nothing behind."""

import pytest
from sqlalchemy import Engine, Integer, String, cast, func, insert, inspect, literal, select, text
from sqlalchemy.orm import Session, sessionmaker

from uec.store.arrays import gathered_ids
from uec.store.bulk import insert_rows
from uec.store.gathering import gathered
from uec.store.steering import steered
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


def test_several_processes_gather_every_id_once(engine: Engine, sessions: sessionmaker[Session]) -> None:
    """Each process gathers what it read; the arrays of all of them together are the group."""
    at_once = {"parallel_setup_cost": "0", "parallel_tuple_cost": "0.1", "min_parallel_table_scan_size": "0"}
    count, kinds = 3000, 7
    with sessions() as session:
        rows = [{"oktmo": f"{n:08}", "name_ru": str(n % kinds), "name_en": "a"} for n in range(count)]
        insert_rows(session, Municipality, rows)
        session.execute(text("ANALYZE"))  # or the server takes the table for one of a few rows
        ids = gathered_ids(session, cast(Municipality.oktmo, Integer)).label("ids")
        found = select(Municipality.name_ru.label("kind"), ids).group_by(Municipality.name_ru)
        with steered(session, at_once):
            if engine.dialect.name == "postgresql":
                plan = "\n".join(session.scalars(text(f"EXPLAIN {found.compile(engine)}")))
                assert "Partial" in plan and "Gather" in plan
            groups = {int(row.kind): row.ids for row in session.execute(found)}
    assert {kind: sorted(ids) for kind, ids in groups.items()} == {
        kind: list(range(kind, count, kinds)) for kind in range(kinds)
    }


def test_ids_of_nobody_are_gathered_as_none(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        nobody = select(gathered_ids(session, cast(Municipality.oktmo, Integer)).label("ids"))
        assert session.scalar(nobody) == []
