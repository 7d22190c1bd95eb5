"""Hides how the prepared data of many cards get into the database: binary COPY on PostgreSQL, executemany on SQLite."""

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg
from sqlalchemy import insert
from sqlalchemy.orm import Session

from uec.store.engine import explain
from uec.store.tables import CardData

DataRow = tuple[int, bytes, bytes | None]
"""Card id, data groups as data groupings, signature of the security object (None: unsigned)."""

# Binary COPY (PostgreSQL manual, COPY, "Binary Format"): signature, flags, no extension; a field is length and bytes.
_BEGIN = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_END = b"\xff\xff"
_HEAD = struct.Struct("!hiiiii")  # four fields: card id, part id, and the length of the groups
_SIZE = struct.Struct("!i")
_NULL = _SIZE.pack(-1)


def write_data(session: Session, part_id: int, rows: Sequence[DataRow]) -> None:
    """Insert the data of a part's cards in the session's transaction."""
    if session.get_bind().dialect.name == "postgresql":
        _copy(session, b"".join([_BEGIN, *_encoded(part_id, rows), _END]))
    elif rows:
        values = [
            {"card_id": card, "part_id": part_id, "groups": groups, "signature": signature}
            for card, groups, signature in rows
        ]
        session.execute(insert(CardData), values)


def _encoded(part_id: int, rows: Iterable[DataRow]) -> Iterable[bytes]:
    head, size = _HEAD.pack, _SIZE.pack
    for card, groups, signature in rows:
        yield head(4, 4, card, 4, part_id, len(groups))
        yield groups
        yield _NULL if signature is None else size(len(signature)) + signature


def _copy(session: Session, data: bytes) -> None:
    driver: Any = session.connection().connection.driver_connection
    try:
        with (
            driver.cursor() as cursor,
            cursor.copy("COPY card_data (card_id, part_id, groups, signature) FROM STDIN (FORMAT binary)") as copy,
        ):
            copy.write(data)
    except psycopg.Error as error:
        raise explain(error) or error from error
