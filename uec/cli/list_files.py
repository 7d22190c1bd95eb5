"""A list of the office into a file on this machine, CSV or XLSX by its name: whole, or not there at all."""

import os
from contextlib import closing
from datetime import datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING

from uec.domain.errors import DiskFull, InvalidFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import tzinfo

    from sqlalchemy.orm import Session, sessionmaker

    from uec.domain.actors import Actor

ANY_LENGTH = 2**31


def write_list(
    sessions: "sessionmaker[Session]",
    name: str,
    path: Path,
    *,
    filters: "Mapping[str, str]",
    actor: "Actor",
    zone: "tzinfo",
    now: datetime,
) -> int:
    """Write a list into a file, readable by its owner alone, after the audit knows; returns how many bytes it has.

    Columns and codes are those of the API; however long it takes, nobody who writes to the database waits. Raises
    `InvalidFile` for another ending, `DiskFull`, and as `exports.take`.
    """
    from uec.services import exports  # noqa: PLC0415
    from uec.services.export_files import FORMS  # noqa: PLC0415
    from uec.services.export_wording import Wording, said  # noqa: PLC0415
    from uec.store.engine import reading  # noqa: PLC0415

    form = path.suffix[1:].lower()
    if form not in FORMS or (path.exists() and not path.is_file()):
        raise InvalidFile(f"Name a file that ends in {' or '.join(f'.{one}' for one in FORMS)}.", path=path, line=None)
    with sessions() as session:
        columns = exports.take(session, name, actor=actor, filters=filters, form=form, now=now, at_once=ANY_LENGTH)
    assert columns is not None, "no list is that long"
    with reading(sessions) as session, closing(exports.rows(session, name, actor=actor, filters=filters)) as found:
        rows = said(found, columns, Wording(name, columns, {}, "yes", "no"))
        return _put(path, FORMS[form].written(columns, rows, title=name, zone=zone))


def _put(path: Path, parts: "Iterable[bytes]") -> int:
    aside, size = path.with_name(f".{path.name[:60]}.{token_hex(6)}.part"), 0
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            for part in parts:
                size += out.write(part)
        aside.replace(path)
    except OSError as error:
        raise DiskFull(f"{path} cannot be written: free some space, or name another folder.", path=path) from error
    finally:
        aside.unlink(missing_ok=True)
    return size
