"""The entries of revocation lists as the database keeps them: encoded once, spliced there or here, never one by one.

Hides which database it is. PostgreSQL puts a list's entries together itself (`string_agg`) and sends one value; SQLite
gives bare rows. A certificate belongs to the part that was fixed when it was issued (`crl_part`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, literal, or_, select
from sqlalchemy.orm import Session

from issuance.pki.crl import encode_removal
from uec.domain.errors import StoreUnavailable
from uec.store.tables import Certificate, Revocation


@dataclass(frozen=True)
class Entries:
    """A list's entries: how many, and their bytes (in one piece or several)."""

    count: int
    pieces: Sequence[bytes]


def parts(session: Session) -> list[int | None]:
    """The lists there are: the whole one (None), and every part that a certificate was ever given to."""
    last = session.scalar(select(func.max(Certificate.crl_part)))
    return [None] if last is None else [None, *range(last + 1)]


def complete(session: Session, *, part: int | None, now: datetime) -> Entries:
    """What is revoked or held now on one list, less what has expired by itself."""
    conditions = [Revocation.lifted_at.is_(None), Certificate.not_after >= now, _of_part(part)]
    if session.get_bind().dialect.name == "postgresql":
        spliced = _select(func.count(), func.string_agg(Revocation.entry_der, literal(b"")))
        count, piece = _in_binary(session, spliced.where(*conditions))
        return Entries(count, [piece] if piece else [])
    rows = session.execute(_select(Revocation.entry_der).where(*conditions)).all()
    return Entries(len(rows), [row[0] for row in rows])


def changed(session: Session, *, since: datetime, part: int | None, now: datetime) -> Entries:
    """What a delta says: entries that came since a complete list, and removals of holds that were lifted since.

    A hold that was lifted and followed by a revocation is an entry only. `since` itself counts as after.
    """
    moved = or_(Revocation.revoked_at >= since, Revocation.lifted_at >= since)
    wanted = _select(
        Certificate.serial, Revocation.entry_der, Revocation.revoked_at, Revocation.lifted_at, Certificate.not_after
    ).where(moved, _of_part(part))
    last: dict[str, bytes] = {}
    for serial, entry, revoked_at, lifted_at, not_after in session.execute(wanted.order_by(Revocation.id)):
        if lifted_at is not None:
            last[serial] = encode_removal(int(serial, 16), revoked_at)
        elif not_after >= now:
            last[serial] = entry
    return Entries(len(last), list(last.values()))


def _in_binary(session: Session, statement: Select[Any]) -> Any:
    """The only row of a statement, past the ORM: PostgreSQL would send a list of many megabytes as hex text."""
    connection = session.connection()
    compiled = statement.compile(dialect=connection.dialect, compile_kwargs={"render_postcompile": True})
    driver = connection.connection.driver_connection
    if driver is None:
        raise StoreUnavailable("The database has closed the connection; try again.")
    with driver.cursor(binary=True) as cursor:
        return cursor.execute(str(compiled), compiled.params).fetchone()


def _select(*columns: Any) -> Select[Any]:
    return select(*columns).join(Certificate, Certificate.id == Revocation.certificate_id)


def _of_part(part: int | None) -> ColumnElement[bool]:
    return Certificate.crl_part == part if part is not None else Certificate.crl_part.is_(None)
