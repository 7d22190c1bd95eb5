"""A checker that knows nothing of the list's statements says of each person whether they belong on it.

It reads the rows of a dirty register as they lie there and asks the questions of 210-FZ, article 26, in plain Python.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import StrEnum
from random import Random
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.office import NOW, POLICY, Office, add_resident, open_office, person, publish_notice, snils_of
from uec.domain.absences import AbsenceState
from uec.domain.lifecycle import MACHINES, ApplicationReason, ApplicationState, CardState, Route
from uec.domain.twins import TwinKind, TwinRole, TwinState
from uec.services import cohort, cohort_members, cohort_why, refusals
from uec.services.cohort_reasons import of_age_on
from uec.store.tables import (
    Application,
    Batch,
    Card,
    Refusal,
    RegisterAbsence,
    RegisterImport,
    Resident,
    TwinCase,
    TwinMember,
)

FIRST: Mapping[str, StrEnum] = {"application": ApplicationState.SUBMITTED, "card": CardState.PLANNED}
DAYS = (date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 2), date(2028, 2, 29))
TOWNS = {"71701000", "71601000"}
CLOSED = {"CLOSED", "REJECTED", "WITHDRAWN"}
GONE = {"ANNULLED", "REPLACED", "EXPIRED", "SPOILED", "DESTROYED"}


def way_to(machine: str, target: StrEnum) -> Sequence[StrEnum]:
    """The states through which a row of a machine comes to one, the first without."""
    moves = [(state, after) for (state, _event), after in MACHINES[machine].items()]
    ways: dict[StrEnum, list[StrEnum]] = {FIRST[machine]: []}
    while target not in ways:
        ways |= {after: [*ways[state], after] for state, after in moves if state in ways and after not in ways}
    return ways[target]


@dataclass
class Dirty:
    """A register in which everything that can be wrong is wrong with somebody."""

    session: Session
    office: Office
    chance: Random
    cases: dict[int, list[int]] = field(default_factory=dict)

    def fill(self, people: int) -> None:
        """So many residents, each with its own troubles."""
        batch = Batch(
            number="B-1", planned_for=NOW.date(), point_id=self.office.points[0], profile="uec",
            transport="in-process", planned_at=NOW, version=1,
        )  # fmt: skip
        self.session.add(batch)
        self.session.flush()
        births = [date(1980, 1, 1), *(date(day.year - 14, 3, 1) - timedelta(days=n) for day in DAYS for n in (0, 1, 2))]
        births += [date(2012, 2, 29), date(2014, 2, 28), date(2014, 3, 1), date(2012, 3, 2), date(2012, 3, 3)]
        for number in range(1, people + 1):
            one = add_resident(
                self.session,
                number,
                birth_date=self.chance.choice(births),
                death_date=self.chance.choice([None] * 9 + [date(2026, 3, 2), date(2025, 1, 1)]),
                oktmo=self.chance.choice(["71701000"] * 6 + ["71601000", "71601000101", "71701", "99999999"]),
                sex=self.chance.choice("MF"),
            )
            self._troubles(one, number, batch.id)
        self.session.commit()

    def _troubles(self, one: Resident, number: int, batch_id: int) -> None:
        chance = self.chance
        if chance.random() < 0.3:
            self._application(one, number, batch_id)
        if chance.random() < 0.15:
            self._refusal(one, number)
        if number > 3 and chance.random() < 0.2:
            self._case(one, number)
        if chance.random() < 0.1:
            self.session.execute(
                insert(RegisterAbsence).values(
                    resident_id=one.id,
                    state=chance.choice(list(AbsenceState)),
                    import_id=self.session.scalars(select(RegisterImport.id)).first(),
                    found_at=NOW,
                )
            )

    def _application(self, one: Resident, number: int, batch_id: int) -> None:
        """In any state, known by the record, by the SNILS, or by both; with a card in any state, or without."""
        by = self.chance.choice(["both", "record", "snils"])
        # The register may have had another SNILS when the application came, and no record at all.
        snils = snils_of(50_000 + number) if by == "record" else one.snils
        applied = Application(
            **person(number) | {"snils": snils, "birth_date": one.birth_date, "sex": one.sex},
            number=f"2026-{number:07}", route=Route.WEB, reason=ApplicationReason.FIRST,
            state=ApplicationState.SUBMITTED, resident_id=None if by == "snils" else one.id,
            point_id=self.office.points[0], secret_hash="", submitted_at=NOW, due_on=NOW.date(), remake=False,
        )  # fmt: skip
        self.session.add(applied)
        self.session.flush()
        for state in way_to("application", self.chance.choice(list(ApplicationState))):
            applied.state = state  # type: ignore[assignment]
            self.session.flush()
        if self.chance.random() < 0.7:
            card = Card(
                number=f"{number:016}", application_id=applied.id, batch_id=batch_id, resident_id=one.id,
                state=CardState.PLANNED, profile="uec", printed_name="X", expires_on=date(2031, 1, 1),
            )  # fmt: skip
            self.session.add(card)
            self.session.flush()
            for state in way_to("card", self.chance.choice(list(CardState))):
                card.state = state  # type: ignore[assignment]
                self.session.flush()

    def _refusal(self, one: Resident, number: int) -> None:
        """By the present SNILS, or by one that the register has corrected since; taken back or not."""
        before, kept = one.snils, self.chance.random() < 0.5
        self.session.commit()
        said = refusals.file(self.session, snils=before, channel="post", actor=self.office.operator, now=NOW)
        if self.chance.random() < 0.3:
            refusals.withdraw(self.session, said, actor=self.office.operator, reason="передумал", now=NOW)
        if not kept:
            one.snils = snils_of(90_000 + number)
            self.session.flush()

    def _case(self, one: Resident, number: int) -> None:
        """With somebody before, open or decided, the record standing or not."""
        case = TwinCase(key=f"k{number}", kind=TwinKind.SAME_PERSON, state=TwinState.OPEN, found_at=NOW)
        self.session.add(case)
        self.session.flush()
        roles = self.chance.choice(
            [
                (TwinState.OPEN, None, None),
                (TwinState.DECIDED, TwinRole.STANDS, TwinRole.SUPERSEDED),
                (TwinState.DECIDED, TwinRole.SUPERSEDED, TwinRole.STANDS),
                (TwinState.DECIDED, TwinRole.WRONG, TwinRole.RIGHT),
                (TwinState.DECIDED, TwinRole.RIGHT, TwinRole.RIGHT),
            ]
        )
        for resident_id, role in zip((one.id, self.chance.randrange(1, one.id)), roles[1:], strict=True):
            self.session.add(TwinMember(case_id=case.id, resident_id=resident_id, role=role))
        self.session.flush()
        case.state = roles[0]
        self.session.flush()


@dataclass(frozen=True)
class Rows:
    """The tables as they lie there."""

    residents: Sequence[Mapping[str, Any]]
    applications: Sequence[Mapping[str, Any]]
    cards: Sequence[Mapping[str, Any]]
    refusals: Sequence[Mapping[str, Any]]
    cases: Mapping[int, str]
    members: Sequence[Mapping[str, Any]]
    absences: Mapping[int, str]


def rows_of(session: Session) -> Rows:
    def read(table: type[Any]) -> list[Mapping[str, Any]]:
        return [dict(row._mapping) for row in session.execute(select(*table.__table__.c))]

    return Rows(
        sorted(read(Resident), key=lambda row: int(row["id"])),
        read(Application),
        read(Card),
        read(Refusal),
        {row["id"]: str(row["state"]) for row in read(TwinCase)},
        read(TwinMember),
        {row["resident_id"]: str(row["state"]) for row in read(RegisterAbsence)},
    )


def years(born: date, day: date) -> int:
    had = (day.month, day.day) >= (born.month, born.day)
    return day.year - born.year - (0 if had else 1)


def against(rows: Rows, one: Mapping[str, Any], day: date) -> set[str]:
    """What speaks against a resident on a day."""
    records, found = [one], set()
    for mine in (row for row in rows.members if row["resident_id"] == one["id"]):
        state, role = rows.cases[mine["case_id"]], mine["role"]
        if state == "OPEN" or role == "WRONG":
            found.add("not_in_doubt")
        if state == "DECIDED" and role == "SUPERSEDED":
            found.add("stands")
        if state == "DECIDED" and role == "STANDS":
            others = {row["resident_id"] for row in rows.members if row["case_id"] == mine["case_id"]}
            records += [row for row in rows.residents if row["id"] in others - {one["id"]}]
    ids, numbers = {row["id"] for row in records}, {row["snils"] for row in records}
    applied = [row for row in rows.applications if row["resident_id"] in ids or row["snils"] in numbers]
    if any(str(row["state"]) not in CLOSED for row in applied):
        found.add("no_application")
    theirs = {row["id"] for row in applied}
    if any(str(row["state"]) not in GONE for row in rows.cards if row["application_id"] in theirs):
        found.add("no_card")
    standing = [row for row in rows.refusals if row["withdrawn_at"] is None]
    if any(row["resident_id"] in ids or row["snils"] in numbers for row in standing):
        found.add("not_refused")
    if any(row["death_date"] for row in records):
        found.add("alive")
    if years(one["birth_date"], day) < 14:
        found.add("age")
    if one["oktmo"] not in TOWNS and one["oktmo"][:8] not in TOWNS:
        found.add("residence")
    if rows.absences.get(one["id"]) in {"OPEN", "GONE"}:
        found.add("not_missing")
    return found


@pytest.mark.slow
@pytest.mark.parametrize(
    "seed", [1, pytest.param(2, marks=pytest.mark.nightly), pytest.param(3, marks=pytest.mark.nightly)]
)
def test_list_explorer_and_checker_agree_about_everybody(sessions: sessionmaker[Session], seed: int) -> None:
    office = open_office(sessions)
    with sessions() as session:
        Dirty(session, office, Random(seed)).fill(220)
        rows = rows_of(session)
        for day in DAYS:
            wanted = {row["id"]: against(rows, row, day) for row in rows.residents}
            made = cohort.compute(session, actor=office.planner, as_of=day, policy=POLICY, now=NOW)
            members = set(session.scalars(cohort_members.member_ids(session, made.id)))
            assert members == {one for one, reasons in wanted.items() if not reasons}
            told = cohort_why.explore(session, actor=office.planner, as_of=day, policy=POLICY, now=NOW, limit=1000)
            assert {one.resident_id: set(one.against) for one in told} == wanted
        seen = {name for reasons in wanted.values() for name in reasons}
        assert seen == set(told[0].answers), "every reason is somebody's"
        assert 10 < len(members) < 150
        for one in told[:60]:
            if one.against:
                why = cohort_why.why(session, one.resident_id, actor=office.planner, as_of=day, policy=POLICY, now=NOW)
                assert set(why.facts) == set(one.against) and all(why.facts.values()), (one.register_id, why.facts)


@pytest.mark.parametrize(
    ("born", "day"),
    [
        (date(2012, 2, 29), date(2026, 3, 1)),
        (date(2014, 2, 28), date(2028, 2, 28)),
        (date(2014, 3, 1), date(2028, 3, 1)),
        (date(2012, 3, 2), date(2026, 3, 2)),
        (date(2011, 12, 31), date(2025, 12, 31)),
        (date(2012, 1, 1), date(2026, 1, 1)),
    ],
)
def test_the_fourteenth_birthday_is_the_first_day(sessions: sessionmaker[Session], born: date, day: date) -> None:
    office = open_office(sessions)
    assert of_age_on(born, 14) == day
    with sessions() as session:
        add_resident(session, 1, birth_date=born)
        session.commit()
        counts = [
            cohort.compute(session, actor=office.planner, as_of=one, policy=POLICY, now=NOW).count
            for one in (day - timedelta(days=1), day)
        ]
    assert counts == [0, 1]


def test_who_refused_stays_out_when_the_register_corrects_the_snils(sessions: sessionmaker[Session]) -> None:
    """Before the list, between list and plan, and between plan and card: by whichever number it came."""
    office = open_office(sessions)
    with sessions() as session:
        people = [add_resident(session, number) for number in (1, 2, 3)]
        session.commit()
        publish_notice(session, office)
        refusals.file(session, snils=snils_of(1), channel="web", actor=office.operator, now=NOW)
        people[0].snils = snils_of(71)
        session.commit()
        made = cohort.compute(session, actor=office.planner, as_of=NOW.date(), policy=POLICY, now=NOW)
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        assert cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW) == 2
        people[1].snils = snils_of(72)
        session.commit()
        refusals.file(session, snils=snils_of(72), channel="phone", actor=office.operator, now=NOW)
        states = dict(session.execute(select(Application.resident_id, Application.state)).all())
        assert states == {people[1].id: ApplicationState.WITHDRAWN, people[2].id: ApplicationState.APPROVED}
        # Once in a batch nothing ends by itself: the look before the card finds it.
        waiting = session.scalars(select(Application).where(Application.resident_id == people[2].id)).one()
        waiting.state = ApplicationState.PLANNED
        people[2].snils = snils_of(73)
        session.commit()
        refusals.file(session, snils=snils_of(73), channel="mfc", actor=office.operator, now=NOW)
        barred = session.scalars(select(Application.resident_id).where(refusals.barred())).all()
        assert sorted(one for one in barred if one) == [people[1].id, people[2].id]


@pytest.mark.parametrize("trouble", ["dead", "refused", "card", "application"])
def test_what_another_record_of_the_same_person_says_holds_of_the_person(
    sessions: sessionmaker[Session], trouble: str
) -> None:
    office = open_office(sessions)
    with sessions() as session:
        dirty = Dirty(session, office, Random(1))
        stands, aside = add_resident(session, 1), add_resident(session, 2)
        case = TwinCase(key="k", kind=TwinKind.SAME_PERSON, state=TwinState.OPEN, found_at=NOW)
        session.add(case)
        session.flush()
        for one, role in ((stands, TwinRole.STANDS), (aside, TwinRole.SUPERSEDED)):
            session.add(TwinMember(case_id=case.id, resident_id=one.id, role=role))
        session.flush()
        case.state = TwinState.DECIDED
        session.commit()
        one_day = {"actor": office.planner, "as_of": NOW.date(), "policy": POLICY, "now": NOW}
        assert cohort.compute(session, **one_day).count == 1  # type: ignore[arg-type]
        if trouble == "dead":
            aside.death_date = NOW.date()
        elif trouble == "refused":
            refusals.file(session, snils=aside.snils, channel="web", actor=office.operator, now=NOW)
        else:
            batch = Batch(
                number="B-1", planned_for=NOW.date(), point_id=office.points[0], profile="uec",
                transport="in-process", planned_at=NOW, version=1,
            )  # fmt: skip
            session.add(batch)
            session.flush()
            while not _has(session, trouble):
                session.query(Card).delete()
                session.query(Application).delete()
                dirty._application(aside, 2, batch.id)
        session.commit()
        assert cohort.compute(session, **one_day).count == 0  # type: ignore[arg-type]


def _has(session: Session, trouble: str) -> bool:
    """Whether the only application is closed and has a card that counts, or is open and has none."""
    states = session.execute(
        select(Application.state, Card.state).outerjoin(Card, Card.application_id == Application.id)
    ).all()
    if not states:
        return False
    ((applied, card),) = states
    closed, counts = str(applied) in CLOSED, card is not None and str(card) not in GONE
    return (closed and counts) if trouble == "card" else (not closed and not counts)
