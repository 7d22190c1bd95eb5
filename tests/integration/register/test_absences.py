"""Residents whom a full export lacks: marked, decided by a clerk, back with a later export; never deleted."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.register.test_import import ACTOR, write
from tests.support.office import POLICY, add_staff
from uec.domain.absences import AbsenceState, decided
from uec.domain.errors import IllegalMove, InvalidFile, InvalidInput, NotAllowed
from uec.domain.permissions import Role
from uec.services import plan_people, refusals, register_absences
from uec.services.cohort_rules import conditions, entitled
from uec.services.register import ImportReport, import_register
from uec.store.tables import RegisterAbsence, RegisterImport, Resident
from uec.synthetic.register import AS_OF, lines

NOW = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
ROWS = [line.text for line in lines(60, 7, dirty=0)]
Import = Callable[..., ImportReport]


@pytest.fixture
def run(sessions: sessionmaker[Session], tmp_path: Path) -> Import:
    """Import rows, by default as a full export."""

    def run(rows: list[str], *, full: bool = True, days: int = 0) -> ImportReport:
        path = write(tmp_path / f"export-{days}.csv", rows)
        moment = NOW + timedelta(days=days)
        with sessions() as session:
            return import_register(
                session, path=path, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=moment, full=full
            )

    return run


def marked(sessions: sessionmaker[Session]) -> dict[str, AbsenceState]:
    with sessions() as session:
        found = select(Resident.register_id, RegisterAbsence.state)
        return dict(session.execute(found.join(RegisterAbsence, RegisterAbsence.resident_id == Resident.id)).all())


def id_of(row: str) -> str:
    return row.split(";", maxsplit=1)[0]


def test_who_is_missing_from_a_full_export_is_marked_and_nothing_else_changes(
    sessions: sessionmaker[Session], run: Import
) -> None:
    assert run(ROWS).missing == 0
    assert run(ROWS[:-2], full=False, days=1).missing == 0
    assert marked(sessions) == {}, "an export that is not full says nothing of those it lacks"
    report = run(ROWS[3:], days=2)
    assert (report.missing, report.unchanged) == (3, 57)
    assert marked(sessions) == {id_of(row): AbsenceState.OPEN for row in ROWS[:3]}
    assert run(ROWS[3:], days=3).missing == 0, "the same again marks nobody twice"
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Resident)) == 60, "never deleted"
        assert session.scalar(select(RegisterImport.missing).where(RegisterImport.id == report.import_id)) == 3


def test_who_stands_in_a_later_export_is_back_and_may_be_missing_again(
    sessions: sessionmaker[Session], run: Import
) -> None:
    run(ROWS)
    run(ROWS[2:], days=1)
    run(ROWS[:1], full=False, days=2)
    assert marked(sessions) == {id_of(ROWS[0]): AbsenceState.BACK, id_of(ROWS[1]): AbsenceState.OPEN}
    assert run(ROWS[2:], days=3).missing == 1
    assert set(marked(sessions).values()) == {AbsenceState.OPEN}


def test_a_row_that_was_refused_is_no_absence(sessions: sessionmaker[Session], run: Import) -> None:
    run(ROWS)
    fields = ROWS[0].split(";")
    broken = ";".join([fields[0], "", *fields[2:]])
    report = run([broken, *ROWS[2:]], days=1)
    assert (report.rejected, report.missing) == (1, 1)
    assert marked(sessions) == {id_of(ROWS[1]): AbsenceState.OPEN}


def test_a_part_of_an_export_is_no_full_one_and_marks_nobody(
    sessions: sessionmaker[Session], run: Import, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register_absences, "FEW", 5)
    run(ROWS)
    with pytest.raises(InvalidFile, match="lacks 30 of 60"):
        run(ROWS[30:], days=1)
    assert marked(sessions) == {}
    assert run(ROWS[30:], full=False, days=1).unchanged == 30, "as an export of some it is taken"


def test_a_clerk_decides_and_only_who_stays_is_entitled(sessions: sessionmaker[Session], run: Import) -> None:
    run(ROWS)
    adults = [row for row in ROWS if id_of(row) in _entitled(sessions)][:3]
    run([row for row in ROWS if row not in adults], days=1)
    assert not _entitled(sessions) & {id_of(row) for row in adults}
    with sessions() as session:
        clerk, operator = add_staff(session, "clerk", Role.OFFICER), add_staff(session, "op", Role.OPERATOR)
        session.commit()
        with pytest.raises(NotAllowed):
            register_absences.list_open(session, actor=operator)
        first, second, third = register_absences.list_open(session, actor=clerk)
        assert register_absences.open_count(session) == 3
        decide = {"reason": "answer 17 of the register", "actor": clerk, "now": NOW}
        with pytest.raises(InvalidInput):
            register_absences.decide(session, first.id, AbsenceState.STAYS, **decide | {"reason": " "})
        register_absences.decide(session, first.id, AbsenceState.STAYS, **decide)
        register_absences.decide(session, second.id, AbsenceState.GONE, **decide)
        with pytest.raises(IllegalMove):
            register_absences.decide(session, first.id, AbsenceState.GONE, **decide)
        assert [one.id for one in register_absences.list_open(session, actor=clerk)] == [third.id]
        assert len(register_absences.list_open(session, actor=clerk, everything=True)) == 3
        why = {name for name, _ in conditions(AS_OF, POLICY).items()}
        assert "not_missing" in why
    now_entitled = _entitled(sessions)
    assert first.register_id in now_entitled
    assert not {second.register_id, third.register_id} & now_entitled


def _entitled(sessions: sessionmaker[Session]) -> set[str]:
    with sessions() as session:
        quick = set(session.scalars(select(Resident.register_id).where(*entitled(AS_OF, POLICY))))
        named = set(session.scalars(select(Resident.register_id).where(*conditions(AS_OF, POLICY).values())))
        assert quick == named, "the list and its explanation say the same"
        return quick


@pytest.mark.parametrize("state", list(AbsenceState))
@pytest.mark.parametrize("verdict", list(AbsenceState))
def test_only_an_open_absence_is_decided_and_only_in_two_ways(state: AbsenceState, verdict: AbsenceState) -> None:
    if state is AbsenceState.OPEN and verdict in {AbsenceState.STAYS, AbsenceState.GONE}:
        assert decided(state, verdict) is verdict
    else:
        with pytest.raises(IllegalMove):
            decided(state, verdict)


def test_who_is_missing_waits_and_who_is_gone_gets_no_card_unasked(sessions: sessionmaker[Session]) -> None:
    from tests.integration.services.test_plan_office import applicants
    from tests.support.office import add_resident, open_office
    from uec.domain.lifecycle import Route
    from uec.store.tables import Application

    office = open_office(sessions, points=1)
    with sessions() as session:
        people = {}
        for number, route in enumerate((Route.MASS, Route.MASS, Route.WINDOW), 1):
            resident = add_resident(session, number)
            (key,) = applicants(session, office, 1, route=route, seed=number)
            session.get_one(Application, key).resident_id = resident.id
            people[number] = (key, resident.id)
        imported = session.scalar(select(RegisterImport.id).limit(1))
        states = {1: AbsenceState.OPEN, 2: AbsenceState.GONE, 3: AbsenceState.GONE}
        for number, state in states.items():
            session.add(RegisterAbsence(resident_id=people[number][1], state=state, import_id=imported, found_at=NOW))
        session.commit()
        waiting = set(session.scalars(select(Application.id).where(*plan_people.waiting())))
        assert waiting == {people[3][0]}, "whoever asked for a card gets it"
        barred = set(session.scalars(select(Application.id).where(refusals.barred())))
        assert barred == {people[2][0]}, "before the clerk has decided nothing is withdrawn"
