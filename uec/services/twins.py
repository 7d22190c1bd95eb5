"""The clerk's work with twins: look at the records side by side, and say which stands or whose number is wrong.

Nothing is ever merged by a rule. Until a case is decided no card is made for anyone in it, nor for someone whose number
was found to be wrong until the register has it right (`held`); of one person's records only the one that stands gets a
card nobody asked for (`superseded`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import advance
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.domain.twins import TWIN_CASE, TwinEvent, TwinKind, TwinRole, TwinState
from uec.services.rows import locked, present
from uec.services.twin_search import search
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Application, Card, Resident, Staff, TwinCase, TwinMember

__all__ = [
    "CaseLine",
    "CaseView",
    "Record",
    "decide_different",
    "decide_same",
    "held",
    "list_cases",
    "look",
    "open_count",
    "search",
    "superseded",
]


@dataclass(frozen=True)
class CaseLine:
    """One case in a list; `shared` is what the records share."""

    id: int
    kind: TwinKind
    state: TwinState
    shared: str
    records: int
    found_at: datetime


@dataclass(frozen=True)
class Record:
    """One record of the register in a case, with what else is known of its person."""

    resident_id: int
    register_id: str
    full_name: str
    birth_date: date
    birth_place: str
    sex: str
    snils: str
    document: str
    doc_date: date
    doc_issuer: str
    address: str
    death_date: date | None
    updated_at: datetime
    applications: int
    cards: int
    role: TwinRole | None


@dataclass(frozen=True)
class CaseView:
    """A case with its records; `differ` names the fields of `Record` in which they differ."""

    line: CaseLine
    records: tuple[Record, ...]
    differ: frozenset[str]
    reason: str | None
    decided_by: str | None
    decided_at: datetime | None


def held(
    resident_id: ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
) -> ColumnElement[bool]:
    """Whether a person is in doubt, as a condition: in an open case, or with a number found to be wrong."""
    case, member = aliased(TwinCase), aliased(TwinMember)
    doubtful = (case.state == TwinState.OPEN) | ((case.state == TwinState.DECIDED) & (member.role == TwinRole.WRONG))
    found = select(member.case_id).join(case, case.id == member.case_id)
    return found.where(member.resident_id == resident_id, doubtful).exists()


def superseded(
    resident_id: ColumnElement[int] | InstrumentedAttribute[int] | InstrumentedAttribute[int | None],
) -> ColumnElement[bool]:
    """Whether another record of the same person stands instead, as a condition."""
    case, member = aliased(TwinCase), aliased(TwinMember)
    found = select(member.case_id).join(case, case.id == member.case_id)
    return found.where(
        member.resident_id == resident_id, case.state == TwinState.DECIDED, member.role == TwinRole.SUPERSEDED
    ).exists()


def list_cases(
    session: Session, *, actor: Actor, state: TwinState | None = TwinState.OPEN, after: int = 0, limit: int = 25
) -> list[CaseLine]:
    """Cases in the order in which they were opened, those above the id `after`."""
    actor.require(Permission.DECIDE_APPLICATION)
    records = select(func.count()).where(TwinMember.case_id == TwinCase.id).scalar_subquery()
    found = select(TwinCase, records).where(TwinCase.id > after).order_by(TwinCase.id).limit(limit)
    if state is not None:
        found = found.where(TwinCase.state == state)
    return [_line(case, count) for case, count in session.execute(found)]


def open_count(session: Session) -> int:
    """How many cases wait for a clerk."""
    return session.scalar(select(func.count()).where(TwinCase.state == TwinState.OPEN)) or 0


def look(session: Session, case_id: int, *, actor: Actor, now: datetime) -> CaseView:
    """One case with its records side by side; the look stands in the audit. Raises `NotFound`."""
    actor.require(Permission.DECIDE_APPLICATION)
    case = present(session, TwinCase, case_id)
    records = _records(session, case_id)
    audit.record_many(
        session,
        [Note(actor.reference, "twins.view", "twin_case", str(case.id), now, one.resident_id) for one in records],
    )
    by = session.scalar(select(Staff.display_name).where(Staff.id == case.decided_by)) if case.decided_by else None
    view = CaseView(_line(case, len(records)), records, _differing(records), case.reason, by, case.decided_at)
    session.commit()
    return view


def decide_same(session: Session, case_id: int, *, standing_id: int, reason: str, actor: Actor, now: datetime) -> None:
    """Decide that the records are one person's, and which of them stands; raises `InvalidInput`, `IllegalMove`."""
    members = _members(session, case_id)
    if standing_id not in members:
        raise InvalidInput("Choose the record that stands: one of those in the case.", field="standing")
    roles = {one: TwinRole.STANDS if one == standing_id else TwinRole.SUPERSEDED for one in members}
    _decide(session, case_id, roles, reason, actor, now)


def decide_different(
    session: Session, case_id: int, *, wrong_ids: Sequence[int], reason: str, actor: Actor, now: datetime
) -> None:
    """Decide that the records are different people's, and whose number is wrong.

    Of a shared number at most one holder is right; namesakes with numbers of their own may all be right. Raises
    `InvalidInput`, `IllegalMove`.
    """
    members = _members(session, case_id)
    wrong = set(wrong_ids)
    if not wrong <= set(members):
        raise InvalidInput("Choose the records whose number is wrong among those in the case.", field="wrong")
    namesakes = present(session, TwinCase, case_id).key.startswith("person ")
    if not namesakes and len(members) - len(wrong) > 1:
        raise InvalidInput(
            "Two people cannot both have this number: tick every record whose number is wrong.", field="wrong"
        )
    roles = {one: TwinRole.WRONG if one in wrong else TwinRole.RIGHT for one in members}
    _decide(session, case_id, roles, reason, actor, now)


def _decide(
    session: Session, case_id: int, roles: Mapping[int, TwinRole], reason: str, actor: Actor, now: datetime
) -> None:
    actor.require(Permission.DECIDE_APPLICATION)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Say why: the papers that were seen, or what the register answered.", field="reason")
    case = locked(session, TwinCase, case_id)
    case.state = advance(TWIN_CASE, case.state, TwinEvent.DECIDE)
    case.reason, case.decided_by, case.decided_at = reason, actor.staff_id, now
    for resident_id, role in roles.items():
        mine = (TwinMember.case_id == case_id, TwinMember.resident_id == resident_id)
        session.execute(update(TwinMember).where(*mine).values(role=role))
    audit.record_many(
        session,
        [
            Note(
                actor.reference,
                "twins.decide",
                "twin_case",
                str(case_id),
                now,
                one,
                {"decision": str(role), "reason": reason},
            )
            for one, role in roles.items()
        ],
    )
    session.commit()


def _members(session: Session, case_id: int) -> list[int]:
    present(session, TwinCase, case_id)
    mine = select(TwinMember.resident_id).where(TwinMember.case_id == case_id)
    return list(session.scalars(mine.order_by(TwinMember.resident_id)))


def _line(case: TwinCase, records: int) -> CaseLine:
    return CaseLine(case.id, case.kind, case.state, case.key.partition(" ")[2], records, case.found_at)


def _records(session: Session, case_id: int) -> tuple[Record, ...]:
    applications = select(func.count()).where(Application.resident_id == Resident.id).scalar_subquery()
    cards = (
        select(func.count())
        .select_from(Card)
        .join(Application, Application.id == Card.application_id)
        .where(Application.resident_id == Resident.id)
        .scalar_subquery()
    )
    found = (
        select(Resident, TwinMember.role, applications, cards)
        .join(TwinMember, TwinMember.resident_id == Resident.id)
        .where(TwinMember.case_id == case_id)
        .order_by(Resident.id)
    )
    return tuple(_record(*row) for row in session.execute(found))


def _record(row: Resident, role: TwinRole | None, applications: int, cards: int) -> Record:
    return Record(
        resident_id=row.id,
        register_id=row.register_id,
        full_name=" ".join(filter(None, (row.surname, row.name, row.patronymic))),
        birth_date=row.birth_date,
        birth_place=row.birth_place,
        sex=row.sex,
        snils=row.snils,
        document=f"{row.doc_series} {row.doc_number}",
        doc_date=row.doc_date,
        doc_issuer=row.doc_issuer,
        address=row.address,
        death_date=row.death_date,
        updated_at=row.updated_at,
        applications=applications,
        cards=cards,
        role=role,
    )


_COMPARED = (
    "full_name", "birth_date", "birth_place", "sex", "snils", "document", "doc_date", "doc_issuer", "address",
    "death_date",
)  # fmt: skip


def _differing(records: Sequence[Record]) -> frozenset[str]:
    return frozenset(name for name in _COMPARED if len({getattr(one, name) for one in records}) > 1)
