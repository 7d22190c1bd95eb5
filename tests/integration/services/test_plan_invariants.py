"""What every plan must keep, whatever happens between plans: on the real chain, by chance, on both databases.

Capacity is never exceeded, nobody gets two cards, who refused or died gets none, the order of a queue is never
inverted, what is cut stays as it is, and nobody's promise moves without standing on the list.
"""

import random
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.facts import Facts
from tests.integration.services.test_plan_office import CALENDAR, applicants
from tests.support.office import NOW, RULES, Office, open_office, snils_of
from uec.domain.lifecycle import ApplicationState, BatchState, CardState, Route
from uec.services import batches, plan_events, plan_facts, plan_freeze, plan_office, plan_people, plan_region
from uec.store.tables import (
    Application,
    Batch,
    Card,
    EmissionPlan,
    EmissionSlot,
    PromiseMove,
    Refusal,
)

LINES = [
    {"code": "L1", "machines": 2, "cards_per_hour": 3, "shift_hours": 1},
    {"code": "L2", "machines": 1, "cards_per_hour": 4, "shift_hours": 1, "shifts": [1, 1, 2, 1, 0, 1, 0]},
]
# Fewer than the lines could write within a life.
CHIPS = 60
RULES_HERE = replace(RULES, freeze_days=2, horizon_days=60, batch_limit=5)


class Life:
    """An office through some days: every day something happens by chance, then it plans."""

    def __init__(self, session: Session, office: Office, seed: int) -> None:
        self.session, self.office, self.chance = session, office, random.Random(seed)
        self.moment, self.made = NOW, 1
        self.capacities: dict[tuple[str, date], int] = {}
        self.refused: set[int] = set()
        self.cut: dict[int, tuple[Any, ...]] = {}
        self.promised: dict[int, date | None] = {}
        self.tell({"lines": LINES, "courier": {"transit": 1}, "chips": {"in_hand": CHIPS}})

    def tell(self, table: dict[str, Any]) -> None:
        plan_facts.store(self.session, table, reason="chance", actor=self.office.planner, now=self.moment)
        self.session.commit()

    def happen(self) -> None:
        """One thing of what happens to an office."""
        happening = self.chance.choice([self.apply, self.apply, self.list_people, self.refuse, self.stop, self.spoil])
        happening()

    def apply(self) -> None:
        self.made += 1
        applicants(self.session, self.office, self.chance.randint(1, 25), route=Route.WINDOW, seed=self.made)

    def list_people(self) -> None:
        self.made += 1
        applicants(self.session, self.office, self.chance.randint(20, 90), route=Route.MASS, seed=self.made)

    def refuse(self) -> None:
        waiting = select(Application.id).where(
            Application.state == ApplicationState.APPROVED, Application.route == Route.MASS
        )
        ids = list(self.session.scalars(waiting.order_by(Application.id)))
        for key in self.chance.sample(ids, min(3, len(ids))):
            if key not in self.refused:
                number = f"R-{len(self.refused)}"
                self.session.add(Refusal(number=number, snils=snils_of(key), channel="web", filed_at=self.moment))
                self.refused.add(key)
        self.session.commit()

    def stop(self) -> None:
        first = self.moment.date() + timedelta(days=self.chance.randint(0, 4))
        fields = {"line": self.chance.choice(["L1", "L2"]), "first": first.isoformat()}
        fields["last"] = (first + timedelta(days=self.chance.randint(0, 3))).isoformat()
        points = list(plan_region.office_points(self.session).values())
        self.tell(plan_events.edited(plan_facts.table(self.session), "stop", fields, points=points))

    def spoil(self) -> None:
        planned = select(Batch.id).where(Batch.state == BatchState.PLANNED).order_by(Batch.id)
        ids = list(self.session.scalars(planned))
        if ids:
            chosen = self.chance.choice(ids)
            batches.cancel(self.session, chosen, actor=self.office.planner, reason="брак", now=self.moment)
            self.cut.pop(chosen, None)

    def plan(self) -> None:
        way = batches.plan if self.chance.random() < 0.8 else batches.plan_anew
        already = set(self.session.scalars(select(Batch.id)))
        way(self.session, actor=self.office.planner, rules=RULES_HERE, now=self.moment)
        self.check(already)

    def check(self, already: set[int]) -> None:
        """All that must hold after a plan."""
        facts = plan_facts.current(self.session, today=self.moment.date())
        self.capacity_holds(facts, already)
        twice = select(Card.application_id).where(Card.state != CardState.ANNULLED).group_by(Card.application_id)
        assert not self.session.scalars(twice.having(func.count() > 1)).all(), "somebody has two cards"
        carded = set(self.session.scalars(select(Card.application_id).where(Card.batch_id.not_in(already))))
        assert not carded & self.refused, "who refused got a card"
        self.what_was_cut_stays()
        self.order_holds()
        self.moves_are_listed()

    def capacity_holds(self, facts: Facts, already: set[int]) -> None:
        new = select(Batch.line, Batch.planned_for).where(Batch.id.not_in(already)).distinct()
        points = list(plan_region.office_points(self.session).values())
        for line, day in self.session.execute(new):
            supply = facts.supply((day,), CALENDAR, points)
            number = [one.code for one in supply.lines].index(line)
            there = (
                select(func.count())
                .select_from(Card)
                .join(Batch, Batch.id == Card.batch_id)
                .where(Batch.line == line, Batch.planned_for == day, Batch.state != BatchState.CANCELLED)
            )
            assert (self.session.scalar(there) or 0) <= supply.capacity[number, 0]
        live = self.session.scalar(select(func.count()).select_from(Card).where(Card.state != CardState.ANNULLED)) or 0
        assert live <= CHIPS, "more cards than chips"

    def what_was_cut_stays(self) -> None:
        rows = self.session.execute(
            select(Batch.id, Batch.planned_for, Batch.line, Batch.point_id, Batch.departs_on, func.count(Card.id))
            .join(Card, Card.batch_id == Batch.id)
            .where(Batch.state != BatchState.CANCELLED)
            .group_by(Batch.id)
        )
        now = {row[0]: tuple(row[1:]) for row in rows}
        for key, was in self.cut.items():
            assert now[key] == was, "a batch that was cut has changed"
        self.cut = now

    def order_holds(self) -> None:
        """Within a point and class nobody is promised a later day than a later applicant."""
        queues: dict[tuple[int, int], list[Any]] = defaultdict(list)
        for row in self.seats():
            queues[row.point_id, row.kind].append(row)
        for queue in queues.values():
            queue.sort(key=lambda row: (row.due_on, row.submitted_at, row.application_id))
            days = [row.promised_on or date.max for row in queue]
            assert days == sorted(days), "a queue is inverted"

    def seats(self) -> list[Any]:
        newest = self.session.scalar(select(func.max(EmissionPlan.id)))
        people = plan_people.people(self.session, EmissionSlot.plan_id == newest)
        found = (
            select(
                people.c.application_id,
                EmissionSlot.point_id,
                EmissionSlot.kind,
                EmissionSlot.promised_on,
                Application.due_on,
                Application.submitted_at,
            )
            .join(EmissionSlot, EmissionSlot.id == people.c.slot_id)
            .join(Application, Application.id == people.c.application_id)
        )
        rows = list(self.session.execute(found))
        assert not {row.application_id for row in rows} & self.refused, "who refused holds somebody's place"
        counted = Counter(row.application_id for row in rows)
        assert not [key for key, times in counted.items() if times > 1], "somebody stands in two places"
        return rows

    def moves_are_listed(self) -> None:
        """Whoever has another day now than the one promised first stands on the list with both: nobody is told here."""
        now = {row.application_id: row.promised_on for row in self.seats()}
        listed = {row.application_id: (row.was, row.now) for row in self.session.scalars(select(PromiseMove))}
        for key, day in now.items():
            first = self.promised.setdefault(key, day) or day
            self.promised[key] = first
            if first is not None and day != first:
                assert listed.get(key) == (first, day), "a promise moved and nobody noted it"
        for key, (was, then) in listed.items():
            assert was != then, f"{key} is listed for nothing"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_whatever_happens_every_plan_keeps_its_word(sessions: sessionmaker[Session], seed: int) -> None:
    check_a_life(sessions, seed)


def check_a_life(sessions: sessionmaker[Session], seed: int) -> None:
    office = open_office(sessions, points=3, daily_capacity=4)
    with sessions() as session:
        life = Life(session, office, seed)
        life.list_people()
        for day in range(7):
            for _ in range(life.chance.randint(1, 3)):
                life.happen()
            life.plan()
            life.moment = _after(NOW, day + 1)
        assert session.scalar(select(func.count()).select_from(Card)) or 0 > 0


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(100, 130))
def test_many_more_lives(sessions: sessionmaker[Session], seed: int) -> None:
    check_a_life(sessions, seed)


def test_who_refuses_between_the_plan_and_its_batches_gets_no_card(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=40)
    with sessions() as session:
        people = applicants(session, office, 30, route=Route.MASS)
        region = plan_region.region_of(session, calendar=CALENDAR, profile="uec", today=NOW.date())
        made = plan_office.make(session, region=region, actor=office.planner, now=NOW)
        assert made.promised == 30
        refused = set(people[:5])
        for key in refused:
            session.add(Refusal(number=f"R-{key}", snils=snils_of(key), channel="web", filed_at=NOW))
        session.flush()
        plan_freeze.freeze(session, made, leads={}, rules=RULES_HERE, actor=office.planner, now=NOW)
        assert set(session.scalars(select(Card.application_id))) == set(people) - refused


def test_the_checks_can_fail(sessions: sessionmaker[Session]) -> None:
    office = open_office(sessions, points=1, daily_capacity=4)
    with sessions() as session:
        life = Life(session, office, 1)
        life.apply()
        life.plan()
        session.execute(update(Batch).values(departs_on=date(2027, 1, 1)))
        with pytest.raises(AssertionError, match="cut has changed"):
            life.what_was_cut_stays()
        life.promised = dict.fromkeys([row.application_id for row in life.seats()], date(2001, 1, 1))
        with pytest.raises((AssertionError, KeyError)):
            life.moves_are_listed()


def _after(moment: datetime, days: int) -> datetime:
    return moment + timedelta(days=days)
