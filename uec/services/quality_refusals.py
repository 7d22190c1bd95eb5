"""Refuses work to whoever or whatever is quarantined, by name. Evaluation and release are `uec.services.quality`."""

from collections.abc import Collection

from sqlalchemy import ColumnElement, bindparam, exists, select
from sqlalchemy.orm import Session

from uec.domain.errors import UecError
from uec.domain.stock import QuarantineState, SubjectKind
from uec.store.tables import Quarantine


class Quarantined(UecError):
    """A reader, station, chip lot or operator is in quarantine. Facts: `kind`, `subject`, `label`."""

    code = "uec.quarantined"


_LABEL = select(Quarantine.label).where(
    Quarantine.kind == bindparam("of"),
    Quarantine.subject == bindparam("this"),
    Quarantine.state == QuarantineState.IMPOSED,
)
_NAMES = {
    SubjectKind.READER: "Reader",
    SubjectKind.STATION: "Station",
    SubjectKind.LOT: "Chip lot",
    SubjectKind.OPERATOR: "Operator",
}


def reader_subject(station_id: int, reader: str) -> str:
    """The key of a reader: a name says nothing without its station."""
    return f"{station_id}:{reader}"


def refuse(session: Session, kind: SubjectKind, subject: object) -> None:
    """Raise `Quarantined` when the subject (None: nobody) is in quarantine."""
    found = refusal(session, kind, subject)
    if found is not None:
        raise found


def refusal(session: Session, kind: SubjectKind, subject: object) -> Quarantined | None:
    """The error for a subject that is in quarantine, or None."""
    if subject is None:
        return None
    session.flush()
    label = session.connection().execute(_LABEL, {"of": kind, "this": str(subject)}).scalar()
    if label is None:
        return None
    return Quarantined(
        f"{_NAMES[kind]} {label} is in quarantine: take another one until quality releases it.",
        kind=kind,
        subject=str(subject),
        label=label,
    )


def imposed_on(kind: SubjectKind, subject: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a subject is in quarantine, as a condition of a query."""
    return exists().where(
        Quarantine.kind == kind, Quarantine.subject == subject, Quarantine.state == QuarantineState.IMPOSED
    )


def refuse_place(session: Session, station_id: int | None, reader: str | None) -> None:
    """The same for a station and, when it is named, a reader of it."""
    refuse(session, SubjectKind.STATION, station_id)
    if station_id is not None and reader is not None:
        refuse(session, SubjectKind.READER, reader_subject(station_id, reader))


def imposed(session: Session, kinds: Collection[SubjectKind]) -> set[tuple[SubjectKind, str]]:
    """Everything of these kinds that is in quarantine now."""
    rows = select(Quarantine.kind, Quarantine.subject).where(
        Quarantine.state == QuarantineState.IMPOSED, Quarantine.kind.in_(kinds)
    )
    return {(kind, subject) for kind, subject in session.execute(rows)}
