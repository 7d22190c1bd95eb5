"""Hides how PostgreSQL is told what it cannot know about one statement over the whole register.

It takes an array of unknown length for ten ids and then looks a million people up one by one; it takes a cursor for
something of which only the first rows are read; and it has a few megabytes for what must be sorted or hashed.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import text
from sqlalchemy.orm import Session

from uec.store.arrays import postgresql

WHOLE = {"work_mem": "256MB", "jit": "off", "enable_nestloop": "off", "cursor_tuple_fraction": "1"}
"""For a statement that joins everybody with everybody: by hashing, to the last row."""

ROOMY = {"work_mem": "256MB", "jit": "off"}
"""For a statement that only needs room."""

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
    before = {name: _set(session, name, value) for name, value in settings.items()}
    yield
    for name, value in before.items():
        _set(session, name, value)


def _set(session: Session, name: str, value: str) -> str:
    """Set one until the end of the transaction; returns what it was."""
    was = session.execute(text("SELECT current_setting(:name)"), {"name": name}).scalar_one()
    session.execute(text("SELECT set_config(:name, :value, true)"), {"name": name, "value": value})
    return str(was)
