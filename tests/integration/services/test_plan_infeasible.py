"""What cannot be done: the plan still comes, lists who is late, says why and what it would take; nonsense is refused.

`CASES` are tried here on both databases, and by the tests of the commands and of the pages as their users do.
"""

from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.reasons import Reason
from tests.integration.services.test_plan_office import TODAY, applicants
from tests.support.office import NOW, RULES, Office, open_office
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import Route
from uec.services import batches, plan_changes, plan_events, plan_facts, plan_late, plan_office, plan_region
from uec.services.plan_late import Wanted
from uec.store.tables import Application, Batch, Card, EmissionPlan, PlanningFacts, PromiseMove

LINE = {"code": "L1", "name_en": "Line 1", "machines": 1, "cards_per_hour": 10, "shift_hours": 1}
YEAR = frozenset((day.month, day.day) for day in (date(2024, 1, 1) + timedelta(days=n) for n in range(366)))
PEOPLE = 30


@dataclass(frozen=True)
class Case:
    """Facts that make people late: for which reasons, what the plan says of them, and what it would take."""

    name: str
    facts: dict[str, Any]
    reasons: set[Reason]
    said: str
    doubt: str = ""
    relief: str = ""
    everybody: bool = True
    variant: str = ""
    calendar: WorkingCalendar = field(default_factory=WorkingCalendar)


def chips(**entries: Any) -> dict[str, Any]:
    return {"lines": [LINE], "chips": entries}


def point(**entries: Any) -> dict[str, Any]:
    return {"lines": [LINE], "points": {"P1": entries}}


CASES = (
    Case(
        "no capacity at all",
        {"lines": [LINE | {"machines": 0}]},
        {Reason.NO_LINES},
        "The lines are short",
        doubt="Line 1 makes no card",
        relief="No line can make a card: it takes a line of",
    ),
    Case(
        "machines without a shift",
        {"lines": [LINE | {"shifts": [0] * 7}]},
        {Reason.NO_LINES},
        "The lines are short",
        doubt="look at its machines, shifts",
        relief="One shift a day on Line 1 in March 2026",
    ),
    Case(
        "capacity that ends before the demand",
        {"lines": [LINE | {"maintenance": [{"first": "2026-03-04", "last": "2028-01-01", "machines": 1}]}]},
        {Reason.NO_LINES},
        "The lines are short",
        relief="One shift a day on Line 1 in April 2026",
        everybody=False,
    ),
    Case("no chips of the usual variant", chips(in_hand=0), {Reason.NO_CHIPS}, "Chips uec are short"),
    Case(
        "no chips of another variant",
        chips(in_hand={"uec": 900}),
        {Reason.NO_CHIPS},
        "Chips piv are short",
        everybody=False,
        variant="piv",
    ),
    Case(
        "no line for a variant",
        {"lines": [LINE | {"makes": ["uec"]}]},
        {Reason.NO_MAKER},
        "No line makes cards piv",
        everybody=False,
        variant="piv",
    ),
    Case(
        "a delivery without a day",
        chips(in_hand=0, deliveries=[{"count": 5000}]),
        {Reason.NO_CHIPS},
        "Chips uec are short",
        doubt="5,000 chips uec are ordered without a day",
    ),
    Case("a point without courier", point(weekdays=[]), {Reason.NO_COURIER}, "No courier goes to Centre 1"),
    Case("a courier that carries nothing", point(volume=0), {Reason.NO_COURIER}, "No courier goes to Centre 1"),
    Case("a safe for no card", point(storage=0), {Reason.NO_ROOM}, "it takes room for"),
    Case("no opening hours", point(minutes=[0] * 7), {Reason.NO_WINDOWS}, "it takes windows and hours for"),
    Case(
        "no hand-over capacity",
        {"lines": [LINE], "windows": {"factor": 0}},
        {Reason.NO_WINDOWS},
        "hands no card over in the whole plan",
    ),
    Case("a mobile office without a route", point(stop_minutes=240), {Reason.NO_ROUTE}, "it the days of a route"),
    Case("a route that is over", point(stops=["2026-02-02"], stop_minutes=240), {Reason.NO_ROUTE}, "no stop"),
    Case(
        "clocks that cannot be met",
        point(weekdays=[0], transit=25),
        {Reason.CLOCK_TOO_SHORT, Reason.BEYOND_HORIZON},
        "it takes",
    ),
    Case(
        "holidays all year",
        {"lines": [LINE | {"shifts": [1, 1, 1, 1, 1, 0, 0]}]},
        {Reason.NO_WORK},
        "look at the production calendar",
        doubt="The production calendar has no working day",
        calendar=WorkingCalendar(holidays=YEAR),
    ),
)  # fmt: skip
NONSENSE = (
    ({"lines": [LINE | {"machines": -1}]}, "Line L1: -1 is a negative"),
    (
        {"lines": [LINE | {"maintenance": [{"first": "2026-03-09", "last": "2026-03-02", "machines": 1}]}]},
        "ends before it begins",
    ),
    ({"points": {"P99": {"storage": 5}}}, "no point 'P99'"),
    ({"chips": {"deliveries": [{"day": "yesterday", "count": 5}]}}, "A delivery of chips: an entry cannot be read"),
    ({"chips": {"in_hand": {"uec": -5}}}, "negative"),
    ({"lines": [LINE, LINE]}, "Two lines have one code"),
    ({"courier": {"weekdays": [0, 9]}}, "Weekdays are 0"),
    ({"lines": [LINE | {"cards_per_hour": 10**12}]}, "more than there can be"),
)


def waiting(session: Session, office: Office, variant: str = "") -> None:
    """Twenty people with a clock and ten of mass emission at one point; every third wants a `variant`."""
    people = applicants(session, office, 20, route=Route.WINDOW) + applicants(session, office, 10, route=Route.MASS)
    if variant:
        session.execute(update(Application).where(Application.id.in_(people[::3])).values(profile=variant))
        session.commit()


def planned(session: Session, office: Office, calendar: WorkingCalendar | None = None) -> EmissionPlan:
    rules = replace(RULES, calendar=calendar or RULES.calendar)
    batches.plan(session, actor=office.planner, rules=rules, now=NOW)
    return plan_office.newest(session, actor=office.planner)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_plan_comes_and_says_who_is_late_why_and_what_it_would_take(
    sessions: sessionmaker[Session], case: Case
) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        waiting(session, office, case.variant)
        plan_facts.store(session, case.facts, reason=case.name, actor=office.planner, now=NOW)
        plan = planned(session, office, case.calendar)
        assert plan.people == PEOPLE
        late = plan.facts["late"]
        assert {one["reason"] for one in late} == {reason.value for reason in case.reasons}
        assert any(case.said in one["en"] for one in late) and all(one["ru"] for one in late)
        assert (plan.facts["late_cards"] == PEOPLE) is case.everybody
        assert plan.promised <= PEOPLE - plan.facts["open_cards"]
        assert any(case.doubt in one["en"] for one in plan.facts["doubts"]) or not case.doubt
        assert any(case.relief in one["en"] for one in plan.facts["reliefs"]) or not case.relief
        page = plan_late.people(session, Wanted(), actor=office.planner, limit=100)
        assert page.total == len(page.rows) == plan.facts["late_cards"] > 0
        for person in page.rows:
            told = plan_office.explain(session, person.application, actor=office.planner)
            assert told.late_for in {reason.value for reason in case.reasons}
            assert plan_office.story(session, told, language="ru")
        if case.variant:
            assert {person.variant for person in page.rows} == {case.variant}


def test_late_people_are_paged_and_found_by_reason_class_and_point(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=2, daily_capacity=50)
    with sessions() as session:
        applicants(session, office, 40, route=Route.WINDOW)
        applicants(session, office, 25, route=Route.MASS)
        facts = {"lines": [LINE], "points": {"P1": {"weekdays": []}, "P2": {"storage": 0}}}
        plan_facts.store(session, facts, reason="two points", actor=office.planner, now=NOW)
        planned(session, office)

        def found(wanted: Wanted, *, limit: int = 100, offset: int = 0) -> list[str]:
            page = plan_late.people(session, wanted, actor=office.planner, limit=limit, offset=offset)
            return [person.application for person in page.rows]

        everybody = found(Wanted())
        assert len(set(everybody)) == 65
        assert [one for offset in range(0, 70, 7) for one in found(Wanted(), limit=7, offset=offset)] == everybody
        first, second = found(Wanted(reason=Reason.NO_COURIER)), found(Wanted(point="P2"))
        assert sorted(first + second) == sorted(everybody) and first and second
        assert found(Wanted(reason=Reason.NO_COURIER, point="P2")) == []
        assert found(Wanted(variant="piv")) == [] and len(found(Wanted(variant="uec"))) == 65
        with pytest.raises(InvalidInput, match="are not kept"):
            session.execute(update(EmissionPlan).values(archive=None))
            found(Wanted())


@pytest.mark.parametrize(("facts", "wrong"), NONSENSE)
def test_contradictory_facts_are_refused_and_nothing_is_kept(
    sessions: sessionmaker[Session], facts: dict[str, Any], wrong: str
) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        with pytest.raises(InvalidInput, match=wrong):
            plan_facts.store(session, facts, reason="x", actor=office.planner, now=NOW)
        assert session.scalar(select(func.count()).select_from(PlanningFacts)) == 0


def test_a_line_vanishes_in_the_middle(sessions: sessionmaker[Session]) -> None:
    """What is cut for it stays; everybody else moves to the line that is left, and who moves is listed."""
    office = open_office(sessions, points=1, daily_capacity=50)
    lines = [LINE | {"cards_per_hour": 4}, LINE | {"code": "L2", "cards_per_hour": 20}]
    with sessions() as session:
        applicants(session, office, 300, route=Route.MASS)
        plan_facts.store(session, {"lines": lines}, reason="two", actor=office.planner, now=NOW)
        before = planned(session, office)
        assert before.facts["late_cards"] == 0
        cut = dict(session.execute(select(Batch.id, Batch.line)).all())
        assert set(cut.values()) == {"L1", "L2"}
        points = list(plan_region.office_points(session).values())
        after = plan_events.edited(plan_facts.table(session), "drop", {"line": "L2"}, points=points)
        seen = plan_changes.consequences(session, after, actor=office.planner, calendar=RULES.calendar, today=TODAY)
        assert seen.later > 0 and seen.late_after >= seen.late_before
        plan_facts.store(session, after, reason="L2 burnt down", actor=office.planner, now=NOW)
        planned(session, office)
        assert cut.items() <= dict(session.execute(select(Batch.id, Batch.line)).all()).items()
        moved = session.scalar(select(func.count()).select_from(PromiseMove)) or 0
        in_batches = session.scalar(select(func.count()).select_from(Card)) or 0
        assert moved and seen.later - in_batches <= moved <= seen.later + seen.earlier
        doubts = [one["en"] for one in plan_office.newest(session, actor=office.planner).facts["doubts"]]
        assert (
            "Line L2 cannot make batches that are cut for it (100 cards): move them to another line or day." in doubts
        )
        new = session.scalars(select(Batch.line).where(Batch.id.not_in(list(cut)))).all()
        assert set(new) <= {"L1"}
        twice = select(Card.application_id).group_by(Card.application_id).having(func.count() > 1)
        assert session.scalars(twice).all() == []
