"""Who belongs on a list for mass emission, as named conditions: the list is their conjunction, `why` is their answers.

210-FZ, article 26: residents of the region, of age, who neither applied nor refused and have no card. Each condition is
an anti-join by one column, so that the database hashes the small side once and scans the register once.
"""

from collections.abc import Mapping
from datetime import date
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, literal, or_, select, union_all
from sqlalchemy.orm import aliased

from uec.domain.absences import OUT
from uec.domain.lifecycle import CardState
from uec.domain.policy import Policy, add_years
from uec.domain.twins import TwinRole, TwinState
from uec.services.intake import CLOSED
from uec.services.other_records import by_another_record, dead, with_another_record
from uec.services.refusals import STANDS, has_refused
from uec.services.register_absences import missing
from uec.services.twins import held, superseded
from uec.store.tables import Application, Card, Municipality, Refusal, RegisterAbsence, Resident, TwinCase, TwinMember

GONE = (CardState.ANNULLED, CardState.REPLACED, CardState.EXPIRED, CardState.SPOILED, CardState.DESTROYED)


def conditions(as_of: date, policy: Policy) -> Mapping[str, ColumnElement[bool]]:
    """The conditions on a resident by name; whoever fulfils all of them on the day is entitled."""
    return _conditions(add_years(as_of, -policy.entitled_age_years))


@lru_cache(maxsize=64)
def _conditions(born_until: date) -> Mapping[str, ColumnElement[bool]]:
    # Making the expressions takes longer than the database takes to answer them for a page.
    return {
        "age": Resident.birth_date <= born_until,
        "residence": _lives_here(),
        "alive": and_(Resident.death_date.is_(None), ~by_another_record(Resident.id, dead)),
        "no_application": and_(~_waits(Resident), ~by_another_record(Resident.id, _waits)),
        "no_card": and_(~_has_card(Resident), ~by_another_record(Resident.id, _has_card)),
        "not_refused": and_(~has_refused(Resident), ~by_another_record(Resident.id, has_refused)),
        "not_in_doubt": ~held(Resident.id),
        "stands": ~superseded(Resident.id),
        "not_missing": ~missing(Resident.id),
    }


def entitled(as_of: date, policy: Policy) -> list[ColumnElement[bool]]:
    """All conditions at once, for a WHERE: what shuts out by the record is one anti-join, by the SNILS another."""
    asked = conditions(as_of, policy)
    return [asked["age"], asked["residence"], Resident.death_date.is_(None), ~_shut_out_by_id(), ~_shut_out_by_snils()]


def _shut_out_by_id() -> ColumnElement[bool]:
    case_, member = aliased(TwinCase), aliased(TwinMember)
    in_case = select(member.resident_id).join(case_, case_.id == member.case_id)
    decided = case_.state == TwinState.DECIDED
    doubt = or_(case_.state == TwinState.OPEN, and_(decided, member.role.in_([TwinRole.WRONG, TwinRole.SUPERSEDED])))
    others = [with_another_record(holds) for holds in (dead, _waits, _has_card, has_refused)]
    lacking = select(RegisterAbsence.resident_id).where(RegisterAbsence.state.in_(OUT))
    refusing = select(Refusal.resident_id).where(STANDS, Refusal.resident_id.is_not(None))
    out = union_all(*_applicants("resident_id"), in_case.where(doubt), *others, lacking, refusing).subquery()
    return select(literal(1)).where(out.c.resident_id == Resident.id).exists()


def _shut_out_by_snils() -> ColumnElement[bool]:
    out = union_all(*_applicants("snils"), select(Refusal.snils).where(STANDS)).subquery()
    return select(literal(1)).where(out.c.snils == Resident.snils).exists()


def _applicants(column: str) -> list[Select[Any]]:
    """Who has an open application, and who has one with a card that counts."""
    waiting, served, card = aliased(Application), aliased(Application), aliased(Card)
    return [
        select(getattr(waiting, column)).where(waiting.state.not_in(CLOSED)),
        select(getattr(served, column)).join(card, card.application_id == served.id).where(card.state.not_in(GONE)),
    ]


BANDS = ("0-17", "18-34", "35-59", "60+")
_ENDS = (18, 35, 60)


def age_band(as_of: date) -> ColumnElement[int]:
    """The place in `BANDS` of the resident's age in full years on the day."""
    return case(
        *((Resident.birth_date > add_years(as_of, -end), number) for number, end in enumerate(_ENDS)), else_=len(_ENDS)
    )


def _lives_here() -> ColumnElement[bool]:
    """In a municipality of the region; an office that keeps no list of them takes everybody."""
    municipality = aliased(Municipality)
    anywhere = ~exists(select(Municipality.oktmo))
    listed = or_(
        Resident.oktmo.in_(select(municipality.oktmo)),
        func.substr(Resident.oktmo, 1, 8).in_(select(municipality.oktmo)),
    )
    return or_(anywhere, listed)


def _waits(record: type[Resident]) -> ColumnElement[bool]:
    """Whether the person of a record, by it or by its SNILS, has an open application."""
    application = aliased(Application)
    found = select(application.id).where(application.state.not_in(CLOSED))
    return _by_either(found, application, record)


def _has_card(record: type[Resident]) -> ColumnElement[bool]:
    """Whether the person of a record, by it or by its SNILS, has a card that counts."""
    application, card = aliased(Application), aliased(Card)
    found = select(application.id).join(card, card.application_id == application.id).where(card.state.not_in(GONE))
    return _by_either(found, application, record)


def _by_either(found: Select[Any], application: type[Application], record: type[Resident]) -> ColumnElement[bool]:
    # Two looks by an index each, as an OR within one is none.
    return or_(
        found.where(application.resident_id == record.id).exists(),
        found.where(application.snils == record.snils).exists(),
    )
