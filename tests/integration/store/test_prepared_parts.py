"""Data prepared by an earlier version survive the move to one row a card; many rows go in at once on both databases."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import inspect, select, text
from sqlalchemy.orm import Session

from issuance.production.groups_writer import read_groupings
from tests.support.rows import make_row
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import downgrade, upgrade
from uec.store.prepared import DataRow, write_data
from uec.store.tables import CardData
from uec.store.tables.production import PreparedPart

OLD = {1: b"card", 2: b"person", 4: bytes(300)}


def test_what_an_earlier_version_prepared_is_gathered_card_by_card(database_url: str) -> None:
    downgrade(database_url, "0004")
    engine = make_engine(database_url)
    with engine.begin() as connection:
        cards = [make_row(connection, "card") for _ in range(2)]
        for card in cards:
            for number, content in OLD.items():
                connection.execute(
                    text("INSERT INTO card_data VALUES (:card, :kind, :content, :digest)"),
                    {"card": card, "kind": f"DG{number}", "content": content, "digest": bytes(32)},
                )
    upgrade(database_url)
    with session_factory(engine)() as session:
        kept = session.execute(select(CardData.card_id, CardData.groups, CardData.part_id)).all()
        assert {row.card_id: read_groupings(row.groups) for row in kept} == dict.fromkeys(cards, OLD)
        parts = {part.id: part for part in session.scalars(select(PreparedPart))}
        assert {row.part_id for row in kept} == set(parts)
        assert [(part.cards, part.signer) for part in parts.values()] == [(1, None)] * 2
    downgrade(database_url, "0004")
    assert "kind" in {column["name"] for column in inspect(engine).get_columns("card_data")}
    engine.dispose()


def test_no_rows_are_no_rows(session: Session) -> None:
    write_data(session, 1, [])
    assert session.scalars(select(CardData)).all() == []


BYTES = st.binary(max_size=400)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=30)
@given(rows=st.lists(st.tuples(st.integers(1, 2**31 - 1), BYTES, st.none() | BYTES), unique_by=lambda row: row[0]))
def test_any_rows_come_back_as_they_were_written(session: Session, rows: list[DataRow]) -> None:
    write_data(session, 7, rows)
    kept = session.execute(select(CardData.card_id, CardData.groups, CardData.signature, CardData.part_id))
    assert sorted(tuple(row) for row in kept) == sorted((*row, 7) for row in rows)
    session.rollback()


def test_a_card_is_prepared_once(session: Session) -> None:
    write_data(session, 1, [(1, b"a", None)])
    with pytest.raises(Exception, match=r"(?i)unique|duplicate"):
        write_data(session, 2, [(1, b"b", None)])
    session.rollback()
