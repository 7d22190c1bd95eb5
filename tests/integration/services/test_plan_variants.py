"""Card variants in the office's plan: queues, chips and lines by variant, batches of one variant each."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.facts import PLENTY
from tests.integration.services.test_plan_office import CALENDAR, TODAY, applicants, places
from tests.support.office import NOW, POLICY, RULES, Office, add_resident, open_office, publish_notice
from tests.support.stock import box, delivery, open_stockroom
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import Route
from uec.services import batches, cohort, plan_facts, plan_office, plan_region, stock_intake
from uec.store.tables import Application, Batch, Card, EmissionBatch, EmissionSlot

TABLE = {
    "lines": [
        {"code": "both", "machines": 1, "cards_per_hour": 4, "shift_hours": 1},
        {"code": "plain", "machines": 1, "cards_per_hour": 6, "shift_hours": 1, "makes": ["uec"]},
    ]
}


def of_variant(session: Session, people: list[int], name: str) -> None:
    session.execute(update(Application).where(Application.id.in_(people)).values(profile=name))
    session.commit()


def told(session: Session, office: Office, table: dict[str, object]) -> None:
    plan_facts.store(session, table, reason="lines", actor=office.planner, now=NOW)
    session.commit()


def test_a_batch_holds_one_variant_and_its_line_makes_it(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=2, daily_capacity=50)
    with sessions() as session:
        told(session, office, TABLE)
        people = applicants(session, office, 90, route=Route.MASS)
        rare, named = people[::3], people[1::3]
        of_variant(session, rare, "piv")
        of_variant(session, named, "uec")
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        plan = plan_office.newest(session, actor=office.planner)
        rows = places(session, plan)
        assert sorted(row[0] for row in rows) == people, "everybody has one place, whoever names the usual card too"
        of_plan = select(EmissionBatch.position, EmissionBatch.variant).where(EmissionBatch.plan_id == plan.id)
        variants = dict(session.execute(of_plan).all())
        for row in rows:
            if row.position is not None:
                assert variants[row.position] == ("piv" if row[0] in set(rare) else "uec")
        lines = session.execute(select(EmissionBatch.line, EmissionBatch.variant).distinct()).all()
        assert ("plain", "piv") not in lines and ("both", "piv") in lines and ("plain", "uec") in lines
        cut = session.execute(
            select(Batch.profile, Card.profile, Application.profile)
            .join(Card, Card.batch_id == Batch.id)
            .join(Application, Application.id == Card.application_id)
        ).all()
        assert {row[:2] for row in cut} == {("uec", "uec"), ("piv", "piv")}
        assert all(batch == (own or "uec") for batch, _, own in cut)


def test_each_variant_waits_for_its_own_chips(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        late = TODAY + timedelta(days=14)
        coming = [{"day": late.isoformat(), "count": 100, "variant": "piv"}]
        told(session, office, TABLE | {"chips": {"in_hand": {"uec": 40, "piv": 3}, "deliveries": coming}})
        people = applicants(session, office, 30, route=Route.MASS)
        of_variant(session, people[:10], "piv")
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        plan = plan_office.newest(session, actor=office.planner)
        days = {row[0]: row.day for row in places(session, plan)}
        before = Counter("piv" if one in people[:10] else "uec" for one, day in days.items() if day and day < late)
        assert before == {"uec": 20, "piv": 3}
        assert all(day and day >= late for day in sorted(days[one] for one in people[:10])[3:])
        again = plan_office.explain(session, f"2026-{people[0]:07}", actor=office.planner)
        assert again.variant == "piv"
        story = plan_office.story(session, again, language="en")
        assert story is not None and "It is made on" in story
        # The next morning's plan knows what the first one cut: nothing is promised twice.
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW + timedelta(days=1))
        region = plan_region.region_of(
            session, calendar=CALENDAR, profile="uec", today=TODAY + timedelta(days=1), horizon_days=60
        )
        assert region.variants == ("uec", "piv")
        assert region.supply.chips.tolist() == [40 - 20, 0]


def test_the_books_of_the_stock_count_by_variant(sessions: sessionmaker[Session]) -> None:
    room = open_stockroom(sessions)
    with sessions() as session:
        facts = plan_facts.current(session, today=TODAY)
        assert plan_facts.free_chips(session, facts, ["uec", "piv"]) == [PLENTY, PLENTY]
        form = replace(delivery(box("B-1", 1, 25), note="N-1", store_id=room.central), profile="piv")
        stock_intake.deliver(session, form, actor=room.keeper, now=NOW)
        assert plan_facts.free_chips(session, facts, ["uec", "piv"]) == [PLENTY, 25]
        people = applicants(session, room.office, 6, route=Route.WINDOW)
        of_variant(session, people[:4], "piv")
        batches.plan(session, actor=room.office.planner, rules=RULES, now=NOW)
        assert plan_facts.free_chips(session, facts, ["uec", "piv"]) == [PLENTY, 21], "four are in batches"


def test_a_list_of_mass_emission_says_which_card_its_people_get(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=50)
    with sessions() as session:
        for number in range(1, 6):
            add_resident(session, number)
        session.commit()
        publish_notice(session, office)
        made = cohort.compute(session, actor=office.planner, as_of=TODAY, policy=POLICY, now=NOW, profile="piv")
        assert made.profile == "piv"
        cohort.propose(session, made.id, actor=office.planner, now=NOW)
        cohort.approve(session, made.id, actor=office.releaser, digest=made.digest, now=NOW)
        opened = cohort.open_applications(session, made.id, actor=office.planner, policy=POLICY, now=NOW)
        assert opened == 5
        assert set(session.scalars(select(Application.profile))) == {"piv"}
        batches.plan(session, actor=office.planner, rules=RULES, now=NOW)
        assert set(session.scalars(select(EmissionSlot.variant))) == {"piv"}
        assert set(session.scalars(select(Batch.profile))) == {"piv"}


@pytest.mark.parametrize("said", [{"in_hand": {"uec": -1}}, {"deliveries": [{"day": "2026-03-05"}]}])
def test_chips_that_make_no_sense_are_refused(sessions: sessionmaker[Session], said: dict[str, object]) -> None:
    office = open_office(sessions, points=1)
    with sessions() as session, pytest.raises(InvalidInput):
        told(session, office, {"chips": said})
