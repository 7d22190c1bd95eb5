"""What stands behind a condition of a list that does not hold for somebody: the application, the refusal, the day.

The condition says that somebody is out; this says by what, so that a clerk can look at it, and mend it where it is
wrong. Nothing here decides: the conditions do (`uec.services.cohort_rules`).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from uec.domain.policy import Policy, add_years, age_on
from uec.domain.twins import TwinRole, TwinState
from uec.services.cohort_rules import GONE
from uec.services.intake import CLOSED
from uec.services.refusals import STANDS
from uec.store.tables import Application, Card, Refusal, RegisterAbsence, Resident, TwinCase, TwinMember


@dataclass(frozen=True)
class Fact:
    """One thing behind a condition: its kind, the number people know it by, the day it has, and its id."""

    kind: str
    number: str = ""
    day: date | None = None
    id: int | None = None


Asking = Callable[[Session, Resident, Policy], tuple[Fact, ...]]


def facts_against(
    session: Session, person: Resident, against: Sequence[str], *, policy: Policy
) -> Mapping[str, tuple[Fact, ...]]:
    """The facts behind each of the conditions that do not hold for a resident."""
    return {name: _FACTS[name](session, person, policy) for name in against}


def of_age_on(birth_date: date, age_years: int) -> date:
    """The day on which somebody reaches an age in full years; born on 29 February, it may be 1 March."""
    day = add_years(birth_date, age_years)
    return day if age_on(birth_date, day) >= age_years else day + timedelta(days=1)


def _age(_session: Session, person: Resident, policy: Policy) -> tuple[Fact, ...]:
    return (Fact("of_age", day=of_age_on(person.birth_date, policy.entitled_age_years)),)


def _residence(_session: Session, person: Resident, _policy: Policy) -> tuple[Fact, ...]:
    return (Fact("place", person.oktmo),)


def _death(session: Session, person: Resident, _policy: Policy) -> tuple[Fact, ...]:
    if person.death_date is not None:
        return (Fact("death", person.register_id, person.death_date, person.id),)
    mine = select(TwinMember.case_id).where(TwinMember.resident_id == person.id, TwinMember.role == TwinRole.STANDS)
    others = (
        select(Resident.register_id, Resident.death_date, Resident.id)
        .join(TwinMember, TwinMember.resident_id == Resident.id)
        .where(TwinMember.case_id.in_(mine), Resident.death_date.is_not(None))
    )
    return tuple(Fact("death", *row) for row in session.execute(others.order_by(Resident.id)))


def _open_applications(session: Session, person: Resident, policy: Policy) -> tuple[Fact, ...]:
    found = select(Application.number, Application.submitted_at, Application.id)
    found = found.where(_theirs(Application, person), Application.state.not_in(CLOSED)).order_by(Application.id)
    return tuple(Fact("application", number, policy.day(at), one) for number, at, one in session.execute(found))


def _cards(session: Session, person: Resident, _policy: Policy) -> tuple[Fact, ...]:
    found = select(Card.number, Card.id).join(Application, Application.id == Card.application_id)
    found = found.where(_theirs(Application, person), Card.state.not_in(GONE)).order_by(Card.id)
    return tuple(Fact("card", number, id=one) for number, one in session.execute(found))


def _theirs(table: type[Application] | type[Refusal], person: Resident) -> ColumnElement[bool]:
    """By this record, by its SNILS, or by those of another record of the person."""
    mine = select(TwinMember.case_id).join(TwinCase, TwinCase.id == TwinMember.case_id)
    mine = mine.where(TwinMember.resident_id == person.id, _decided(TwinRole.STANDS))
    others = select(Resident.id, Resident.snils).join(TwinMember, TwinMember.resident_id == Resident.id)
    records = others.where(TwinMember.case_id.in_(mine)).subquery()
    return or_(
        table.resident_id == person.id,
        table.snils == person.snils,
        table.resident_id.in_(select(records.c.id)),
        table.snils.in_(select(records.c.snils)),
    )


def _refusals(session: Session, person: Resident, policy: Policy) -> tuple[Fact, ...]:
    found = (
        select(Refusal.number, Refusal.filed_at, Refusal.id)
        .where(_theirs(Refusal, person), STANDS)
        .order_by(Refusal.id)
    )
    return tuple(Fact("refusal", number, policy.day(at), one) for number, at, one in session.execute(found))


def _decided(role: TwinRole) -> ColumnElement[bool]:
    return (TwinCase.state == TwinState.DECIDED) & (TwinMember.role == role)


def _cases(wanted: ColumnElement[bool]) -> Asking:
    def cases(session: Session, person: Resident, policy: Policy) -> tuple[Fact, ...]:
        found = select(TwinCase.id, TwinCase.found_at).join(TwinMember, TwinMember.case_id == TwinCase.id)
        found = found.where(TwinMember.resident_id == person.id, wanted).order_by(TwinCase.id)
        return tuple(Fact("twins", str(one), policy.day(at), one) for one, at in session.execute(found))

    return cases


def _absence(session: Session, person: Resident, policy: Policy) -> tuple[Fact, ...]:
    found = select(RegisterAbsence.found_at).where(RegisterAbsence.resident_id == person.id)
    return tuple(Fact("export", day=policy.day(at)) for at in session.scalars(found))


_FACTS: Mapping[str, Asking] = {
    "age": _age,
    "residence": _residence,
    "alive": _death,
    "no_application": _open_applications,
    "no_card": _cards,
    "not_refused": _refusals,
    "not_in_doubt": _cases(or_(TwinCase.state == TwinState.OPEN, _decided(TwinRole.WRONG))),
    "stands": _cases(_decided(TwinRole.SUPERSEDED)),
    "not_missing": _absence,
}
