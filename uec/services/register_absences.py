"""Residents whom a full export does not name: marked by one statement, decided by a clerk, never deleted.

A row that the import refused is no absence: the person stands in the file, if with a fault. An export that lacks more
than a tenth of the register is taken for a part of one and refused, so that a cut file marks nobody. Who stands in any
later export is back by that.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, insert, literal, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from uec.domain.absences import OUT, AbsenceState, decided
from uec.domain.actors import Actor
from uec.domain.errors import InvalidFile, InvalidInput
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.register_file import RegisterFile
from uec.services.register_rejects import REJECT_COLUMNS
from uec.services.rows import locked
from uec.store import audit
from uec.store.tables import RegisterAbsence, RegisterImport, Resident
from uec.store.tables.people import register_staging

# A full export may lack so many residents, and a tenth of a larger register.
FEW, SHARE = 100, 0.1
CHUNK = 500


@dataclass(frozen=True)
class AbsenceLine:
    """Somebody missing, for a list."""

    id: int
    register_id: str
    full_name: str
    state: AbsenceState
    found_at: datetime
    reason: str | None


def missing(resident_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None]) -> ColumnElement[bool]:
    """Whether a full export lacked the resident and no clerk has said that they stay."""
    return exists().where(RegisterAbsence.resident_id == resident_id, RegisterAbsence.state.in_(OUT))


def gone(resident_id: InstrumentedAttribute[int] | InstrumentedAttribute[int | None]) -> ColumnElement[bool]:
    """Whether a clerk has said so of a resident whom a full export lacked."""
    return exists().where(RegisterAbsence.resident_id == resident_id, RegisterAbsence.state == AbsenceState.GONE)


def returned(session: Session) -> int:
    """Whoever is staged stands in the register again; returns how many. The caller commits."""
    if not _any(session, RegisterAbsence.state != AbsenceState.BACK):
        return 0
    staged = select(Resident.id).join(register_staging, register_staging.c.register_id == Resident.register_id)
    mine = RegisterAbsence.resident_id.in_(staged)
    back = update(RegisterAbsence).where(RegisterAbsence.state != AbsenceState.BACK, mine)
    return _count(session, back.values(state=AbsenceState.BACK))


def mark(session: Session, run: RegisterImport, source: RegisterFile, refused: Iterable[str], *, now: datetime) -> int:
    """Note everybody whom the staged full export lacks; `refused` are lines of the reject file. Returns how many.

    Who is noted and not back already stays as decided. Raises `InvalidFile` for what cannot be a whole register. The
    caller commits.
    """
    types = RegisterAbsence.__table__.c
    opened = {"state": AbsenceState.OPEN, "import_id": run.id, "found_at": now}
    found = 0
    if _any(session, RegisterAbsence.state == AbsenceState.BACK):
        again = update(RegisterAbsence).where(
            RegisterAbsence.state == AbsenceState.BACK, RegisterAbsence.resident_id.in_(_lacking(Resident.id))
        )
        found = _count(session, again.values(reason=None, decided_by=None, decided_at=None, **opened))
    noted = exists().where(RegisterAbsence.resident_id == Resident.id)
    fixed = [literal(value, types[name].type) for name, value in opened.items()]
    lacking = _lacking(Resident.id, *fixed).where(~noted).order_by(Resident.id)
    columns = ["resident_id", *opened]
    found += _count(session, insert(RegisterAbsence).from_select(columns, lacking, include_defaults=False))
    found -= _take_back(session, run, _ids_of(refused, source))
    _require_whole(session, found, source)
    return found


def _lacking(*columns: ColumnElement[Any] | InstrumentedAttribute[Any]) -> Select[Any]:
    """Of residents that are not staged; as a join, for which both databases hash the file once."""
    joined = select(*columns).select_from(Resident)
    same = register_staging.c.register_id == Resident.register_id
    return joined.outerjoin(register_staging, same).where(register_staging.c.line.is_(None))


def _any(session: Session, condition: ColumnElement[bool]) -> bool:
    return session.scalar(select(RegisterAbsence.id).where(condition).limit(1)) is not None


def _take_back(session: Session, run: RegisterImport, register_ids: Iterator[str]) -> int:
    """Who stands in a refused row is not missing."""
    gone = 0
    while part := list(islice(register_ids, CHUNK)):
        named = select(Resident.id).where(Resident.register_id.in_(part))
        mine = (RegisterAbsence.import_id == run.id, RegisterAbsence.resident_id.in_(named))
        gone += _count(session, delete(RegisterAbsence).where(*mine))
    return gone


def _ids_of(lines: Iterable[str], source: RegisterFile) -> Iterator[str]:
    place = len(REJECT_COLUMNS) + list(source.header).index("register_id")
    for fields in csv.reader(lines, delimiter=source.delimiter):
        if len(fields) > place:
            yield fields[place].strip()


def _require_whole(session: Session, found: int, source: RegisterFile) -> None:
    known = session.scalar(select(func.count()).select_from(Resident)) or 0
    if found > max(FEW, SHARE * known):
        raise InvalidFile(
            f"{source.path} lacks {found} of {known} residents and so is no full export: import it without --full.",
            path=source.path,
        )


def _count(session: Session, statement: Any) -> int:
    # Of rows that are inserted the driver's count is dropped otherwise.
    counted = session.connection().execute(statement, execution_options={"preserve_rowcount": True})
    return int(counted.rowcount)


def list_open(
    session: Session, *, actor: Actor, after: int = 0, limit: int = 25, everything: bool = False
) -> list[AbsenceLine]:
    """Those a clerk is asked about, by id above `after`; with `everything` also what is decided or back."""
    actor.require(Permission.DECIDE_APPLICATION)
    wanted = select(RegisterAbsence, Resident).join(Resident, Resident.id == RegisterAbsence.resident_id)
    if not everything:
        wanted = wanted.where(RegisterAbsence.state == AbsenceState.OPEN)
    rows = session.execute(wanted.where(RegisterAbsence.id > after).order_by(RegisterAbsence.id).limit(limit))
    return [
        AbsenceLine(
            row.id,
            resident.register_id,
            " ".join(filter(None, (resident.surname, resident.name, resident.patronymic))),
            row.state,
            row.found_at,
            row.reason,
        )
        for row, resident in rows
    ]


def open_count(session: Session) -> int:
    """How many wait for a clerk."""
    waiting = select(func.count()).where(RegisterAbsence.state == AbsenceState.OPEN)
    return session.scalar(waiting) or 0


def decide(
    session: Session, absence_id: int, verdict: AbsenceState, *, reason: str, actor: Actor, now: datetime
) -> None:
    """Say that somebody stays, or is gone; raises `InvalidInput` without a reason, `IllegalMove` the second time."""
    actor.require(Permission.DECIDE_APPLICATION)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Say why: the papers that were seen, or what the register answered.", field="reason")
    row = locked(session, RegisterAbsence, absence_id)
    row.state = decided(row.state, verdict)
    row.reason, row.decided_by, row.decided_at = reason, actor.staff_id, now
    audit.record(
        session,
        actor=actor.reference,
        action="register.absence",
        subject_kind="register_absence",
        subject_id=row.id,
        person_id=row.resident_id,
        details={"decision": verdict.value, "reason": reason},
        now=now,
    )
    session.commit()
