"""The list as a query one can open: who would be on it on a day, page by page, and why a resident is in or out.

The answers are the very conditions that make a list (`uec.services.cohort_rules`), asked one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.domain.policy import Policy, sensible
from uec.services import cohort_members
from uec.services.cohort_members import Cursor
from uec.services.cohort_reasons import Fact, facts_against
from uec.services.cohort_rules import conditions
from uec.services.rows import present
from uec.store import audit
from uec.store.audit import Note
from uec.store.tables import Cohort, Municipality, Resident


@dataclass(frozen=True)
class Verdict:
    """A resident and the answer to each condition; `on_list` where a list was asked about.

    `facts` are what stands behind each condition that does not hold, where one person was asked about.
    """

    resident_id: int
    register_id: str
    full_name: str
    birth_date: date
    oktmo: str
    answers: Mapping[str, bool]
    on_list: bool | None = None
    facts: Mapping[str, tuple[Fact, ...]] = field(default_factory=dict)

    @property
    def entitled(self) -> bool:
        """Whether every condition holds."""
        return all(self.answers.values())

    @property
    def against(self) -> tuple[str, ...]:
        """The conditions that do not hold."""
        return tuple(name for name, holds in self.answers.items() if not holds)


@dataclass(frozen=True)
class MemberPage:
    """Members of a list, and the cursor for what follows; None at the end."""

    rows: Sequence[Verdict]
    onward: Cursor | None


def explore(
    session: Session,
    *,
    actor: Actor,
    as_of: date,
    policy: Policy,
    now: datetime,
    oktmo: str = "",
    query: str = "",
    after: int = 0,
    limit: int = 25,
) -> list[Verdict]:
    """Residents above the id `after` with their answers: all, of a municipality, or by SNILS or register id.

    Raises `InvalidInput` for a day that nobody can mean.
    """
    actor.require(Permission.VIEW_BATCHES)
    sensible(as_of, "as_of")
    wanted = [Resident.id > after]
    if oktmo:
        wanted.append(Resident.oktmo.in_(_codes(session, oktmo)))
    if query:
        wanted.append(_named(query))
    found = select(Resident.id).where(*wanted).order_by(Resident.id).limit(limit)
    return _verdicts(session, list(session.scalars(found)), actor=actor, as_of=as_of, policy=policy, now=now)


def named(session: Session, query: str, *, actor: Actor, limit: int = 25) -> Sequence[int]:
    """The ids of the residents with this SNILS or register id; nobody looked at any of them before asking `why`."""
    actor.require(Permission.VIEW_BATCHES)
    return session.scalars(select(Resident.id).where(_named(query)).order_by(Resident.id).limit(limit)).all()


def _named(query: str) -> ColumnElement[bool]:
    digits = "".join(filter(str.isdigit, query))
    return (Resident.register_id == query) | (Resident.snils == digits)


def municipalities(session: Session) -> Sequence[Municipality]:
    """The municipalities of the region."""
    return session.scalars(select(Municipality)).all()


def _codes(session: Session, oktmo: str) -> Sequence[str]:
    """The code and those of its parts, as the register may name either."""
    parts = select(Municipality.oktmo).where(Municipality.oktmo.startswith(oktmo, autoescape=True))
    return sorted({oktmo, *session.scalars(parts)})


def members(
    session: Session,
    cohort_id: int,
    *,
    actor: Actor,
    policy: Policy,
    now: datetime,
    oktmo: str = "",
    band: str = "",
    sex: str = "",
    after: Cursor | None = None,
    limit: int = 25,
) -> MemberPage:
    """Members of a list behind a cursor, of one kind or all, with the answers as they are today."""
    actor.require(Permission.VIEW_BATCHES)
    cohort = present(session, Cohort, cohort_id)
    kind = {"oktmo": oktmo, "band": band, "sex": sex}
    found = cohort_members.page_of(session, cohort_id, after=after, limit=limit + 1, **kind)
    ids = [one.after for one in found[:limit]]
    rows = _verdicts(session, ids, actor=actor, as_of=cohort.as_of, policy=policy, now=now, on_list=True)
    place = {one: number for number, one in enumerate(ids)}
    rows.sort(key=lambda row: place[row.resident_id])
    return MemberPage(rows, found[limit - 1] if len(found) > limit else None)


def why(
    session: Session,
    resident_id: int,
    *,
    actor: Actor,
    as_of: date,
    policy: Policy,
    now: datetime,
    cohort_id: int | None = None,
) -> Verdict:
    """Why a resident is entitled on a day or not, by what, and whether on a list. The look is audited.

    Raises `NotFound`, and `InvalidInput` for a day that nobody can mean.
    """
    actor.require(Permission.VIEW_BATCHES)
    sensible(as_of, "as_of")
    person = present(session, Resident, resident_id)
    on_list = cohort_members.is_member(session, cohort_id, resident_id) if cohort_id is not None else None
    (verdict,) = _verdicts(session, [resident_id], actor=actor, as_of=as_of, policy=policy, now=now, on_list=on_list)
    return replace(verdict, facts=facts_against(session, person, verdict.against, policy=policy))


def _verdicts(
    session: Session,
    ids: Sequence[int],
    *,
    actor: Actor,
    as_of: date,
    policy: Policy,
    now: datetime,
    on_list: bool | None = None,
) -> list[Verdict]:
    asked = conditions(as_of, policy)
    answers = select(Resident, *(condition.label(name) for name, condition in asked.items()))
    found = session.execute(answers.where(Resident.id.in_(ids)).order_by(Resident.id)).all()
    audit.record_many(
        session, [Note(actor.reference, "cohort.look", "resident", str(row[0].id), now, row[0].id) for row in found]
    )
    session.commit()
    return [_verdict(row[0], dict(zip(asked, map(bool, row[1:]), strict=True)), on_list=on_list) for row in found]


def _verdict(row: Resident, answers: Mapping[str, bool], *, on_list: bool | None) -> Verdict:
    name = " ".join(filter(None, (row.surname, row.name, row.patronymic)))
    return Verdict(row.id, row.register_id, name, row.birth_date, row.oktmo, answers, on_list)
