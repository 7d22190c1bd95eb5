"""Rows by the ten thousand arrive as they were given, on both databases; settings of one statement end with it."""

from datetime import datetime, timedelta, timezone

import psycopg
import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from uec.store.bulk import CHUNK, insert_rows
from uec.store.steering import WHOLE, steered
from uec.store.tables import AuditEntry, Municipality

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


def test_bytes_moments_and_objects_arrive_as_they_are(sessions: sessionmaker[Session]) -> None:
    at = datetime(2026, 3, 2, 23, 59, 59, 123456, tzinfo=timezone(timedelta(hours=5)))
    rows = [
        {
            "chain": number % 8, "seq": number, "at": at, "actor": nasty, "action": "x", "subject_kind": "card",
            "subject_id": str(number), "person_id": number or None, "details": {nasty: [nasty, None, 1.5, True]},
            "previous_hash": bytes([number]), "hash": bytes(range(256)),
        }
        for number, nasty in enumerate(NASTY)
    ]  # fmt: skip
    with sessions() as session:
        insert_rows(session, AuditEntry, rows)
        session.commit()
        session.expire_all()
        found = session.scalars(select(AuditEntry).order_by(AuditEntry.seq)).all()
        assert [{name: getattr(one, name) for name in rows[0]} for one in found] == rows


def test_what_the_server_refuses_is_said_and_the_session_goes_on(sessions: sessionmaker[Session]) -> None:
    row = {"oktmo": "71701000", "name_ru": "а", "name_en": "a"}
    with sessions() as session:
        with pytest.raises((psycopg.Error, IntegrityError), match=r"(?i)unique"):
            insert_rows(session, Municipality, [row, row])
        session.rollback()
        insert_rows(session, Municipality, [row])
        session.commit()
        assert session.scalar(select(func.count()).select_from(Municipality)) == 1


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
