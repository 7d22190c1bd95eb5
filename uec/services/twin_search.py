"""Hides how twins are found: by a few statements over the whole register, compared with the cases there are.

Records share a SNILS, a document, or name, birth date and birth place under different numbers. What is found anew opens
a case; a case whose records changed opens again, for what was decided was decided about others; a case that a later
export has set right closes. The whole register is searched each time, so that no case depends on which import came
first.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import DateTime, bindparam, select, text, update
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.twins import TwinEvent, TwinState
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import TwinCase

CHUNK = 5_000
# The birth place is written in many ways; name and birth date tell whether it is one person.
_ONE_PERSON = "surname || ' ' || name || ' ' || coalesce(patronymic, '') || ' ' || birth_date"

# What is shared -> how its key reads, the columns, and the kind unless it is one person in every row.
_SHARED = (
    ("'snils ' || r.snils", "snils", "", "SNILS_REUSED"),
    # A document under one SNILS is in the case of that SNILS.
    (
        "'document ' || r.doc_type || ' ' || r.doc_series || ' ' || r.doc_number",
        "doc_type, doc_series, doc_number",
        "AND min(snils) <> max(snils)",
        "DOCUMENT_REUSED",
    ),
    (
        "'person ' || r.surname || ' ' || r.name || ' ' || coalesce(r.patronymic, '') || ' ' || r.birth_date || ' ' "
        "|| r.birth_place",
        "surname, name, patronymic, birth_date, birth_place",
        "AND min(snils) <> max(snils) AND min(doc_type || doc_series || doc_number) "
        "<> max(doc_type || doc_series || doc_number)",
        "SAME_PERSON",
    ),
)


def search(session: Session, *, actor: Actor, now: datetime, import_id: int | None = None) -> int:
    """Bring the cases up to what the register says; returns how many were opened. The caller commits."""
    _find(session)
    gone = list(
        session.scalars(
            text("SELECT id FROM twin_case WHERE state <> 'CLOSED' AND key NOT IN (SELECT key FROM twin_found)")
        )
    )
    changed = list(session.scalars(text(_CHANGED)))
    _close(session, gone, actor, now)
    _reopen(session, changed, actor, now, import_id)
    opened = _open(session, actor, now, import_id)
    session.execute(
        text(
            "INSERT INTO twin_member (case_id, resident_id) SELECT c.id, f.resident_id FROM twin_found f "
            "JOIN twin_case c ON c.key = f.key WHERE NOT EXISTS (SELECT 1 FROM twin_member m WHERE m.case_id = c.id)"
        )
    )
    session.execute(text("DROP TABLE twin_found"))
    return opened + len(changed)


# A case that is there, with other records than those that were found now.
_CHANGED = """
    SELECT c.id FROM twin_case c WHERE c.key IN (SELECT key FROM twin_found) AND (
        c.state = 'CLOSED'
        OR EXISTS (SELECT 1 FROM twin_found f WHERE f.key = c.key AND NOT EXISTS
            (SELECT 1 FROM twin_member m WHERE m.case_id = c.id AND m.resident_id = f.resident_id))
        OR EXISTS (SELECT 1 FROM twin_member m WHERE m.case_id = c.id AND NOT EXISTS
            (SELECT 1 FROM twin_found f WHERE f.key = c.key AND f.resident_id = m.resident_id))
    ) ORDER BY c.id"""


def _find(session: Session) -> None:
    """Fill the temporary table `twin_found` (key, kind, resident_id)."""
    if session.get_bind().dialect.name == "postgresql":
        # Grouping a million rows three times goes to the disk otherwise.
        session.execute(text("SET LOCAL work_mem = '192MB'"))
        session.execute(text("ANALYZE resident"))
    session.execute(text("CREATE TEMPORARY TABLE twin_found (key TEXT, kind TEXT, resident_id INTEGER)"))
    for key, columns, condition, kind in _SHARED:
        names = columns.split(", ")
        # Patronymics may be missing; everything else never is.
        same = " AND ".join(
            f"r.{name} = g.{name}"
            if name != "patronymic"
            else "coalesce(r.patronymic, '') = coalesce(g.patronymic, '')"
            for name in names
        )
        session.execute(
            text(
                f"INSERT INTO twin_found SELECT {key}, '{kind}', r.id FROM resident r JOIN ("  # noqa: S608
                f"SELECT {columns} FROM resident GROUP BY {columns} HAVING count(*) > 1 {condition}) g ON {same}"
            )
        )
    session.execute(
        text(
            "UPDATE twin_found SET kind = 'SAME_PERSON' WHERE key IN (SELECT f.key FROM twin_found f "  # noqa: S608
            f"JOIN resident r ON r.id = f.resident_id GROUP BY f.key HAVING count(DISTINCT {_ONE_PERSON}) = 1)"
        )
    )
    session.execute(text("CREATE INDEX twin_found_key ON twin_found (key)"))


def _open(session: Session, actor: Actor, now: datetime, import_id: int | None) -> int:
    fresh = text(
        "INSERT INTO twin_case (key, kind, state, found_at, import_id) "
        "SELECT DISTINCT key, kind, 'OPEN', :now, CAST(:import_id AS INTEGER) FROM twin_found f "
        "WHERE NOT EXISTS (SELECT 1 FROM twin_case c WHERE c.key = f.key) ORDER BY key RETURNING id"
    ).bindparams(bindparam("now", type_=DateTime(timezone=True)))
    opened = list(session.scalars(fresh, {"now": now, "import_id": import_id}))
    _tell(session, opened, "open", actor, now)
    return len(opened)


def _close(session: Session, cases: Sequence[int], actor: Actor, now: datetime) -> None:
    for part in _parts(cases):
        closed = update(TwinCase).where(TwinCase.id.in_(part)).values(state=TwinState.CLOSED)
        session.execute(closed, execution_options={"synchronize_session": False})
    _tell(session, cases, TwinEvent.CLOSE.lower(), actor, now)


def _reopen(session: Session, cases: Sequence[int], actor: Actor, now: datetime, import_id: int | None) -> None:
    for part in _parts(cases):
        forgotten = {"reason": None, "decided_by": None, "decided_at": None}
        opened = update(TwinCase).where(TwinCase.id.in_(part))
        opened = opened.values(state=TwinState.OPEN, found_at=now, import_id=import_id, **forgotten)
        session.execute(opened, execution_options={"synchronize_session": False})
        members = text("DELETE FROM twin_member WHERE case_id IN :cases").bindparams(bindparam("cases", expanding=True))
        session.execute(members, {"cases": list(part)})
        session.execute(
            text(
                "UPDATE twin_case SET kind = (SELECT min(f.kind) FROM twin_found f WHERE f.key = twin_case.key) "
                "WHERE id IN :cases"
            ).bindparams(bindparam("cases", expanding=True)),
            {"cases": list(part)},
        )
    _tell(session, cases, TwinEvent.REOPEN.lower(), actor, now)


def _parts(cases: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(cases), CHUNK):
        yield cases[first : first + CHUNK]


def _tell(session: Session, cases: Sequence[int], action: str, actor: Actor, now: datetime) -> None:
    kinds: dict[int, str] = {}
    for part in _parts(cases):
        kinds |= {
            row: str(kind)
            for row, kind in session.execute(select(TwinCase.id, TwinCase.kind).where(TwinCase.id.in_(part)))
        }
    audit.record_many(
        session,
        [
            Note(actor.reference, f"twins.{action}", "twin_case", str(row), now, None, {"kind": kinds[row]})
            for row in cases
        ],
    )
