"""What may happen to somebody after an approval, so that they get no card: they die, refuse, or are gone."""

from collections.abc import Callable, Iterable, Mapping
from itertools import cycle

from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.support.desk import CardOffice
from tests.support.office import NOW, add_resident, form
from uec.domain.absences import AbsenceState
from uec.domain.lifecycle import Route
from uec.services import refusals
from uec.store.tables import Application, RegisterAbsence, Resident


def _die(_office: CardOffice, session: Session, person: Resident) -> None:
    person.death_date = NOW.date()
    session.commit()


def _refuse(office: CardOffice, session: Session, person: Resident) -> None:
    refusals.file(session, snils=person.snils, channel="post", actor=office.staff.operator, now=office.clock())


def _go(_office: CardOffice, session: Session, person: Resident) -> None:
    session.add(
        RegisterAbsence(resident_id=person.id, state=AbsenceState.GONE, import_id=person.import_id, found_at=NOW)
    )
    session.commit()


STRIKES: Mapping[str, Callable[[CardOffice, Session, Resident], None]] = {"die": _die, "refuse": _refuse, "go": _go}


def strike(office: CardOffice, number: int, how: str) -> None:
    """Strike one of the tests' people, from within another transaction than whatever is under way."""
    with office.sessions() as session:
        person = session.scalars(select(Resident).where(Resident.snils == snils_of(number))).one()
        STRIKES[how](office, session, person)


def snils_of(number: int) -> str:
    """The SNILS of one of the tests' people."""
    return form(number, point_id=1).snils


def on_a_mass_list(office: CardOffice, numbers: Iterable[int]) -> None:
    """People of a list of mass emission, approved; they may refuse, and be gone."""
    numbers = list(numbers)
    with office.sessions() as session:
        for number in numbers:
            add_resident(session, number)
        session.commit()
    office.approve_applicants(*numbers)
    with office.sessions() as session:
        for row in session.scalars(select(Application)):
            row.route = Route.MASS
        session.commit()


def one_a_moment(moments: Iterable[str], *, shift: int = 0) -> dict[int, tuple[str, str]]:
    """For each moment a person, by number, who is struck then, and how; `shift` turns the ways by so many."""
    ways = cycle(STRIKES)
    for _ in range(shift):
        next(ways)
    return {number: (moment, how) for number, (moment, how) in enumerate(zip(moments, ways, strict=False), 1)}
