"""Hides how PostgreSQL is told what it cannot know about one statement over the whole register.

It takes an array of unknown length for ten ids and then looks a million people up one by one; it takes a cursor for
something of which only the first rows are read; and it has a few megabytes for what must be sorted or hashed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from uec.store.arrays import postgresql

WHOLE = {"work_mem": "256MB", "jit": "off", "enable_nestloop": "off", "cursor_tuple_fraction": "1"}
"""For a statement that joins everybody with everybody: by hashing, to the last row."""

ROOMY = {"work_mem": "256MB", "jit": "off"}
"""For a statement that only needs room."""

TOGETHER = ROOMY | {"parallel_tuple_cost": "0.01", "parallel_setup_cost": "100", "random_page_cost": "1.1"}
"""For a statement that reads everybody once, from an index if it can.

What passes between processes, and a page of an index out of its order, cost less than the server thinks.
"""

NEAR = {"random_page_cost": "1.1", "jit": "off"}
"""For a statement that looks up some ten thousand rows: the server takes each for a move of a disk's arm."""


@contextmanager
def steered(session: Session, settings: dict[str, str]) -> Iterator[None]:
    """Run what is inside with settings of PostgreSQL, then as before; nothing on SQLite.

    An error inside leaves them to the end of the transaction, which has failed with it.
    """
    if not postgresql(session):
        yield
        return
    names = list(settings)
    before = session.execute(select(*(func.current_setting(name) for name in names))).one()
    _set(session, settings)
    yield
    _set(session, dict(zip(names, before, strict=True)))


def _set(session: Session, settings: dict[str, str]) -> None:
    """Set them until the end of the transaction."""
    session.execute(select(*(func.set_config(name, value, True) for name, value in settings.items())))
