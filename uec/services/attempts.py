"""Counts attempts for all web processes together: an exact sliding window for each sender, one short row.

Who tries is stored as a keyed hash, so that the table tells nobody's address. The row is locked while it is looked at,
so that two processes never let the last attempt through twice.
"""

import hashlib
from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from uec.store.tables import AttemptWindow


def count(
    session: Session, name: str, sender: str, *, limit: int, period: timedelta, key: bytes, now: datetime
) -> timedelta | None:
    """Note one attempt and commit; when `limit` were made within `period`, note nothing and return how long to wait."""
    hashed = _hashed(sender, key)
    insert = postgresql_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    empty = insert(AttemptWindow).values(name=name, sender=hashed, times=[], ends_at=now)
    session.execute(empty.on_conflict_do_nothing())
    row = session.get_one(AttemptWindow, (name, hashed), with_for_update=True)
    moment, length = now.timestamp(), period.total_seconds()
    # What a clock gone ahead has written would hold its sender off for as long: it does not count.
    lately = [time for time in row.times if moment - length < time <= moment]
    wait = timedelta(seconds=lately[0] + length - moment) if len(lately) >= limit else None
    if wait is None:
        lately.append(moment)
    row.times, row.ends_at = lately, now + period
    session.commit()
    return wait


def forget(session: Session, name: str, sender: str, *, key: bytes) -> None:
    """Clear the count of a sender that proved honest, and commit."""
    session.execute(
        delete(AttemptWindow).where(AttemptWindow.name == name, AttemptWindow.sender == _hashed(sender, key))
    )
    session.commit()


def waits(
    session: Session, name: str, sender: str, *, limit: int, period: timedelta, key: bytes, now: datetime
) -> timedelta | None:
    """How long a sender has to wait before the next attempt; None when it may try now. Changes nothing."""
    same = (AttemptWindow.name == name, AttemptWindow.sender == _hashed(sender, key))
    times = session.scalar(select(AttemptWindow.times).where(*same)) or []
    moment, length = now.timestamp(), period.total_seconds()
    lately = [time for time in times if moment - length < time <= moment]
    return timedelta(seconds=lately[0] + length - moment) if len(lately) >= limit else None


def sweep(session: Session, *, now: datetime) -> int:
    """Forget senders whose attempts count no more, and commit; returns how many."""
    old = delete(AttemptWindow).where(AttemptWindow.ends_at < now)
    gone = session.execute(old.returning(AttemptWindow.sender)).all()
    session.commit()
    return len(gone)


def _hashed(sender: str, key: bytes) -> str:
    return hashlib.blake2b(sender.encode(), key=key[:64], digest_size=32).hexdigest()
