"""Who acts in a command on bureaux: signed in, with the database open."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from uec.cli.options import settings, signed_in, store

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from uec.domain.actors import Actor


@contextmanager
def acting(login: str, password_file: Path | None) -> "Iterator[tuple[Session, Actor]]":
    """A session and the member of staff behind --login."""
    with store(settings()) as sessions, sessions() as session:
        yield session, signed_in(session, login, password_file)
