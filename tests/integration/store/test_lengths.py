"""A long list says how long it is: exactly as far as somebody pages, and about so much beyond."""

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session, sessionmaker

from uec.store import lengths
from uec.store.arrays import postgresql
from uec.store.bulk import insert_rows
from uec.store.lengths import Length, length_of, lengths_by
from uec.store.tables import Municipality

TOWNS = {"a": 7, "b": 10, "c": 11, "d": 60}
ALL = sum(TOWNS.values())
EVERY = select(Municipality.oktmo)


@pytest.fixture
def towns(sessions: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch) -> sessionmaker[Session]:
    """88 municipalities of four names; ten are counted."""
    monkeypatch.setattr(lengths, "COUNTED", 10)
    names = [name for name, count in TOWNS.items() for _ in range(count)]
    with sessions() as session:
        rows = [{"oktmo": f"{n:08}", "name_ru": name, "name_en": f"%{name}:x"} for n, name in enumerate(names)]
        insert_rows(session, Municipality, rows)
        session.commit()
        if postgresql(session):
            session.execute(text("ANALYZE municipality"))
            session.commit()
    return sessions


@pytest.mark.parametrize(("name", "count"), TOWNS.items())
def test_short_lists_are_counted(towns: sessionmaker[Session], name: str, count: int) -> None:
    with towns() as session:
        found = length_of(session, EVERY.where(Municipality.name_ru == name).order_by(Municipality.oktmo))
        assert found.rows == count
        assert found.about == (count > 10 and postgresql(session))


def test_a_long_list_is_estimated_where_the_server_can(towns: sessionmaker[Session]) -> None:
    with towns() as session:
        assert length_of(session, EVERY) == Length(ALL, about=postgresql(session))


@pytest.mark.parametrize(
    ("offset", "limit", "shown", "rows"),
    [
        (0, 25, 7, 7),  # fewer than asked for: the list ends here
        (80, 25, 8, ALL),
        (0, 25, 25, ALL),
        (75, 10, 10, ALL),
        (500, 25, 0, ALL),  # behind the end
    ],
)
def test_a_page_says_where_its_list_ends(
    towns: sessionmaker[Session], offset: int, limit: int, shown: int, rows: int
) -> None:
    with towns() as session:
        found = length_of(session, EVERY, offset=offset, limit=limit, shown=shown)
        assert found.rows == rows


def test_an_estimate_never_denies_what_is_shown(towns: sessionmaker[Session]) -> None:
    nobody = EVERY.where(Municipality.name_ru == "x", Municipality.name_en.startswith("%:", autoescape=True))
    with towns() as session:
        assert length_of(session, nobody) == Length(0)
        found = length_of(session, nobody, offset=40, limit=20, shown=20)
        assert found.rows == 60 if postgresql(session) else found == Length(0)


def test_values_are_counted_each(towns: sessionmaker[Session]) -> None:
    with towns() as session:
        found = lengths_by(session, Municipality.name_ru, ["d", "a", "nowhere", "b", "c"])
        assert list(found) == ["d", "a", "b", "c"]
        assert found["a"] == Length(7) and found["b"] == Length(10)
        assert [found[name].rows for name in "dc"] == [60, 11]
        assert {found[name].about for name in "dc"} == {postgresql(session)}
        assert lengths_by(session, Municipality.name_ru, TOWNS, Municipality.oktmo < "00000003") == {"a": Length(3)}


def test_two_lists_together() -> None:
    assert Length(3) + Length(4) == Length(7)
    assert Length(3, about=True) + Length(4) == Length(7, about=True)
