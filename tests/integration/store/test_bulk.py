"""Rows by the ten thousand arrive as they were given, on both databases; settings of one statement end with it."""

from sqlalchemy import Engine, func, select, text
from sqlalchemy.orm import Session, sessionmaker

from uec.store.bulk import CHUNK, insert_rows
from uec.store.steering import WHOLE, steered
from uec.store.tables import Municipality

NASTY = ["a\tb", "a\nb", "a\\b", "\\N", "a\rb", "", "ёлка", "'; --", "NULL", "\\."]


def test_texts_arrive_as_they_are(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        rows = [{"oktmo": f"{n:08}", "name_ru": nasty, "name_en": nasty[::-1]} for n, nasty in enumerate(NASTY)]
        insert_rows(session, Municipality, rows)
        session.commit()
        found = session.scalars(select(Municipality).order_by(Municipality.oktmo)).all()
        assert [one.name_ru for one in found] == NASTY
        assert [one.name_en for one in found] == [nasty[::-1] for nasty in NASTY]


def test_more_than_a_chunk_and_nothing(sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        insert_rows(session, Municipality, [])
        many = 2 * CHUNK + 1
        insert_rows(session, Municipality, [{"oktmo": f"{n:08}", "name_ru": "а", "name_en": "a"} for n in range(many)])
        assert session.scalar(select(func.count()).select_from(Municipality)) == many
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Municipality)) == 0


def test_settings_end_with_the_statement(engine: Engine, sessions: sessionmaker[Session]) -> None:
    with sessions() as session:
        if engine.dialect.name != "postgresql":
            with steered(session, WHOLE):
                assert session.scalar(select(1)) == 1
            return
        before = {name: session.scalar(text(f"SHOW {name}")) for name in WHOLE}
        with steered(session, WHOLE):
            assert {name: session.scalar(text(f"SHOW {name}")) for name in WHOLE} == WHOLE
        assert {name: session.scalar(text(f"SHOW {name}")) for name in WHOLE} == before
