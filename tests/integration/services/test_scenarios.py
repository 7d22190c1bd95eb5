"""Scenarios in the database: asked for, lived through, stopped, made the plan by two people."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.facts import PLENTY
from issuance.planning.region import Kind
from tests.integration.services.test_plan_office import CALENDAR, TODAY, applicants
from tests.support.office import NOW, RULES, Office, open_office
from uec.domain.errors import InvalidInput, NotAllowed, NotFound, SamePerson, UecError
from uec.domain.lifecycle import Route
from uec.services import (
    batches,
    plan_facts,
    plan_office,
    plan_region,
    plan_scenarios,
    scenario_approval,
    scenario_facts,
    scenario_years,
)
from uec.services.plan_scenarios import ScenarioRefused, Trial
from uec.services.scenario_facts import Ground
from uec.services.scenario_years import Watch
from uec.store.tables import AuditEntry, PlanningFacts, PlanScenario, ScheduledRun

LINE = {"code": "L1", "machines": 1, "cards_per_hour": 10, "shift_hours": 1}
GROUND = Ground(CALENDAR, "uec", TODAY)
WATCH = Watch(lambda: NOW)
ONCE = Trial(runs=1, days=20)


def told(session: Session, office: Office, table: Mapping[str, Any], *, reason: str = "test") -> None:
    plan_facts.store(session, table, reason=reason, actor=office.planner, now=NOW)
    session.commit()


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    """Two points that hand over five each, a line of ten a day that is told of, and forty people who wait."""
    made = open_office(sessions, points=2, daily_capacity=5)
    with sessions() as session:
        told(session, made, {"lines": [LINE], "chips": {"in_hand": 500}})
        applicants(session, made, 40, route=Route.MASS)
    return made


def lived(session: Session, office: Office, name: str, trial: Trial = ONCE) -> PlanScenario:
    return scenario_years.run(session, name, trial, ground=GROUND, actor=office.planner, watch=WATCH)


def count(session: Session) -> int:
    return len(session.scalars(select(PlanScenario.id)).all())


def test_a_scenario_becomes_the_plan_by_two_people(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        changes = {"shifts": {"L1": 1}, "windows": 2.0, "intake": 1.5, "chips": 70, "stopped": []}
        trial = Trial(changes, runs=1, days=20)
        row = plan_scenarios.request(session, "  вторая смена ", trial, ground=GROUND, actor=office.planner, now=NOW)
        assert row.name == "вторая смена"
        with pytest.raises(ScenarioRefused, match="lived through"):
            scenario_approval.propose(session, row.id, actor=office.planner, now=NOW)
        session.rollback()
        assert [one.id for one in plan_scenarios.waiting(session, now=NOW)] == [row.id]
        scenario_years.live(session, row, ground=GROUND, watch=WATCH)
        assert plan_scenarios.waiting(session, now=NOW) == []
        with pytest.raises(NotFound, match="put this scenario forward"):
            scenario_approval.approve(session, row.id, ground=GROUND, actor=office.releaser, now=NOW)
        session.rollback()
        scenario_approval.propose(session, row.id, actor=office.planner, now=NOW)
        with pytest.raises(ScenarioRefused, match="put forward already"):
            scenario_approval.propose(session, row.id, actor=office.planner, now=NOW)
        scenario_approval.approve(session, row.id, ground=GROUND, actor=office.releaser, now=NOW)
        table = plan_facts.table(session)
        assert table["lines"][0]["shifts"] == [2, 2, 2, 2, 2, 0, 0]
        assert table["windows"] == {"factor": 2.0} and table["intake"] == {"factor": 1.5}
        assert table["chips"]["deliveries"] == [{"day": "2026-03-02", "count": 70}]
        with pytest.raises(ScenarioRefused, match="already"):
            scenario_approval.approve(session, row.id, ground=GROUND, actor=office.releaser, now=NOW)
        session.rollback()
        with pytest.raises(ScenarioRefused, match="another name"):
            plan_scenarios.again(session, row.id, actor=office.planner, now=NOW)
        session.rollback()
        assert session.scalars(select(ScheduledRun.job)).all() == ["plan"]
        done = set(session.scalars(select(AuditEntry.action).where(AuditEntry.subject_kind == "plan_scenario")))
        assert done == {"emission.simulate", "scenario.propose", "scenario.approve"}
        batches.plan_anew(session, actor=office.planner, rules=RULES, now=NOW)
        assert plan_office.newest(session, actor=office.planner).facts["weeks"][0]["capacity"] == 100


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"shifts": {"L1": 2}},
        {"stopped": ["L1"]},
        {"windows": 1.7},
        {"intake": 2.5},
        {"chips": 300},
        {"shifts": {"L1": 1}, "windows": 0.5, "intake": 0.5, "chips": 9},
    ],
)
def test_what_was_tried_is_what_becomes_the_plan(
    sessions: sessionmaker[Session], office: Office, changes: Mapping[str, Any]
) -> None:
    """The twin's region is, number for number, that of the office after the approval."""
    with sessions() as session:
        applicants(session, office, 12, route=Route.WINDOW, seed=4)
        terms: dict[str, Any] = {"calendar": CALENDAR, "profile": "uec", "today": TODAY, "horizon_days": 40}
        tried = scenario_facts.tried(session, changes, ground=GROUND, days=40)
        after = scenario_facts.edited(session, plan_facts.table(session), changes, ground=GROUND)
        told(session, office, after)
        real = plan_region.region_of(session, **terms)
        for part in ("supply", "delivery", "demand"):
            for name, array in vars(getattr(tried.region, part)).items():
                if isinstance(array, np.ndarray):
                    assert (array == getattr(getattr(real, part), name)).all(), (part, name)
        assert tried.region.days == real.days and tried.region.places == real.places


def test_scenarios_are_tried_over_the_same_days(sessions: sessionmaker[Session], office: Office) -> None:
    """Whatever a change does to the pace, or figures of a whole year would not stand side by side."""
    with sessions() as session:
        spans = {
            scenario_facts.tried(session, changes, ground=GROUND).region.days
            for changes in ({}, {"shifts": {"L1": 3}, "windows": 4}, {"stopped": ["L1"]}, {"windows": 0.1})
        }
        assert len(spans) == 1


def test_a_change_moves_what_it_names(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        applicants(session, office, 12, route=Route.WINDOW, seed=4)

        def tried(changes: Mapping[str, Any]) -> Any:
            return scenario_facts.tried(session, changes, ground=GROUND, days=40).region

        before = tried({})
        assert before.supply.chips.tolist() == [500] and before.supply.chips[0] < PLENTY
        assert (tried({"shifts": {"L1": 2}}).supply.capacity == 3 * before.supply.capacity).all()
        assert not tried({"stopped": ["L1"]}).supply.capacity.any()
        assert (tried({"windows": 3}).delivery.hand_over == 3 * before.delivery.hand_over).all()
        assert tried({"chips": 70}).supply.deliveries[0, 0] == 70
        coming = [int(tried({"intake": times}).demand.known[:, Kind.CLOCK, :, 1:].sum()) for times in (0, 1, 2)]
        assert coming[0] == 0 < coming[1] < coming[2], "times those of late, where nobody was expected"


@pytest.mark.parametrize(
    ("trial", "field"),
    [
        ({"runs": 0}, "runs"),
        ({"runs": 1001}, "runs"),
        ({"seed": -1}, "seed"),
        ({"days": 0}, "days"),
        ({"days": 801}, "days"),
        ({"chances": {"luck": 1}}, "luck"),
        ({"chances": {"no_show": 1.01}}, "no_show"),
        ({"chances": {"strike_days": 2.5}}, "strike_days"),
        ({"chances": {"spoiled": "many"}}, "spoiled"),
    ],
)
def test_a_trial_that_makes_no_sense_names_its_field(trial: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        Trial(**trial)
    assert wrong.value.field == field


@pytest.mark.parametrize(
    ("name", "changes", "field"),
    [
        ("", {}, "name"),
        ("   ", {}, "name"),
        ("x" * 61, {}, "name"),
        ("a\nb", {}, "name"),
        ("ok", {"wishes": 3}, "wishes"),
        ("ok", {"shifts": {"L9": 1}}, "shifts"),
        ("ok", {"stopped": ["L9"]}, "stopped"),
        ("ok", {"intake": 101}, "intake"),
        ("ok", {"shifts": {"L1": 11}}, "shifts"),
    ],
)
def test_a_scenario_that_makes_no_sense_is_not_kept(
    sessions: sessionmaker[Session], office: Office, name: str, changes: Mapping[str, Any], field: str
) -> None:
    with sessions() as session:
        with pytest.raises(InvalidInput) as wrong:
            trial = Trial(changes, runs=1)
            plan_scenarios.request(session, name, trial, ground=GROUND, actor=office.planner, now=NOW)
        assert wrong.value.field == field
        session.rollback()
        assert count(session) == 0


def test_who_may_not_is_refused(sessions: sessionmaker[Session], office: Office) -> None:
    """Neither who made it nor who put it forward approves it, though both may release batches."""
    with sessions() as session:
        with pytest.raises(NotAllowed):
            plan_scenarios.request(session, "x", ONCE, ground=GROUND, actor=office.operator, now=NOW)
        row = lived(session, office, "обе пары глаз")
        with pytest.raises(NotAllowed):
            scenario_approval.propose(session, row.id, actor=office.releaser, now=NOW)
        session.rollback()
        proposer = replace(office.planner, id=office.officer.id)
        scenario_approval.propose(session, row.id, actor=proposer, now=NOW)
        for same, earlier in ((office.planner, "made"), (proposer, "put")):
            with pytest.raises(SamePerson, match=earlier):
                both = replace(office.releaser, id=same.id)
                scenario_approval.approve(session, row.id, ground=GROUND, actor=both, now=NOW)
            session.rollback()
        standing = scenario_approval.standings(session, [row])[row.id]
        assert not standing.may_be_approved_by(office.planner) and not standing.may_be_approved_by(proposer)
        assert standing.may_be_approved_by(office.releaser)
        with pytest.raises(NotAllowed):
            scenario_approval.approve(session, row.id, ground=GROUND, actor=office.planner, now=NOW)
        session.rollback()
        scenario_approval.approve(session, row.id, ground=GROUND, actor=office.releaser, now=NOW)


def test_facts_that_changed_meanwhile_make_it_worthless_until_it_is_lived_through_again(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        early, late = (lived(session, office, name, Trial({"windows": 2}, runs=1, days=20)) for name in ("a", "b"))
        scenario_approval.propose(session, early.id, actor=office.planner, now=NOW)
        told(session, office, {"lines": [LINE | {"machines": 2}], "chips": {"in_hand": 500}}, reason="a second machine")
        assert not scenario_approval.standings(session, [early])[early.id].fresh
        with pytest.raises(ScenarioRefused, match="changed since"):
            scenario_approval.approve(session, early.id, ground=GROUND, actor=office.releaser, now=NOW)
        session.rollback()
        with pytest.raises(ScenarioRefused, match="changed since"):
            scenario_approval.propose(session, late.id, actor=office.planner, now=NOW)
        session.rollback()
        before = plan_facts.table(session)
        assert before["lines"][0]["machines"] == 2 and "windows" not in before
        handed = early.outcome["handed"]
        plan_scenarios.again(session, early.id, actor=office.planner, now=NOW)
        with pytest.raises(ScenarioRefused, match="wait"):
            plan_scenarios.again(session, early.id, actor=office.planner, now=NOW)
        session.rollback()
        scenario_years.live(session, early, ground=GROUND, watch=WATCH)
        assert early.outcome["runs"] == 1 and early.outcome["horizon"] == 20 and early.outcome["handed"] >= handed
        with pytest.raises(NotFound):
            # Who put it forward did so for other figures.
            scenario_approval.approve(session, early.id, ground=GROUND, actor=office.releaser, now=NOW)
        session.rollback()
        scenario_approval.propose(session, early.id, actor=office.planner, now=NOW)
        scenario_approval.approve(session, early.id, ground=GROUND, actor=office.releaser, now=NOW)
        table = plan_facts.table(session)
        assert table["lines"][0]["machines"] == 2 and table["windows"] == {"factor": 2.0}


def test_what_is_in_force_is_so_until_the_facts_change(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        row = lived(session, office, "две смены", Trial({"shifts": {"L1": 1}}, runs=1, days=20))
        scenario_approval.propose(session, row.id, actor=office.planner, now=NOW)
        version = scenario_approval.approve(session, row.id, ground=GROUND, actor=office.releaser, now=NOW)
        standing = scenario_approval.standings(session, [row])[row.id]
        assert standing.version == version and standing.ended_at is None
        assert (standing.made_by, standing.approved_by) == (office.planner.display, office.releaser.display)
        told(session, office, {"lines": [LINE]}, reason="one shift again")
        standing = scenario_approval.standings(session, [row])[row.id]
        assert standing.ended_at == NOW and standing.approved_at == NOW


def test_two_approved_at_once_are_not_both_in_force(sessions: sessionmaker[Session], office: Office) -> None:
    """The second is told that the facts have changed; nothing of the first is lost."""
    with sessions() as session:
        ids = []
        for name, changes in (("окна", {"windows": 2}), ("смены", {"shifts": {"L1": 1}})):
            row = lived(session, office, name, Trial(changes, runs=1, days=20))
            scenario_approval.propose(session, row.id, actor=office.planner, now=NOW)
            ids.append(row.id)
        before = len(session.scalars(select(PlanningFacts.id)).all())
    both, ended = Barrier(2), []

    def approve(scenario_id: int) -> None:
        with sessions() as session:
            both.wait()
            try:
                scenario_approval.approve(session, scenario_id, ground=GROUND, actor=office.releaser, now=NOW)
                ended.append("approved")
            except UecError as error:
                session.rollback()
                ended.append(error.code)

    threads = [Thread(target=approve, args=(one,)) for one in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["approved", ScenarioRefused.code]
    with sessions() as session:
        assert len(session.scalars(select(PlanningFacts.id)).all()) == before + 1


def test_a_name_is_taken_once(sessions: sessionmaker[Session], office: Office) -> None:
    both, ended = Barrier(2), []

    def ask() -> None:
        with sessions() as session:
            both.wait()
            try:
                plan_scenarios.request(session, "имя", ONCE, ground=GROUND, actor=office.planner, now=NOW)
                ended.append("saved")
            except InvalidInput as error:
                session.rollback()
                ended.append(error.field)

    threads = [Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ended) == ["name", "saved"]


def test_a_scenario_that_a_command_lives_through_is_left_alone_until_it_is_quiet(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        row = plan_scenarios.held(session, "здесь", ONCE, ground=GROUND, actor=office.planner, now=NOW)
        assert plan_scenarios.waiting(session, now=NOW + timedelta(minutes=9)) == []
        killed = NOW + timedelta(minutes=11)
        assert [one.id for one in plan_scenarios.waiting(session, now=killed)] == [row.id]
        assert plan_scenarios.progress(row) == plan_scenarios.Progress(0, 1, None)


def test_stopped_between_years_it_keeps_those_that_are_over(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:

        def tell(done: int) -> None:
            if done == 2:
                raise KeyboardInterrupt

        trial = Trial(runs=9, days=20)
        with pytest.raises(KeyboardInterrupt):
            watch = Watch(lambda: NOW, tell, processes=1)
            scenario_years.run(session, "долгий", trial, ground=GROUND, actor=office.planner, watch=watch)
        row = plan_scenarios.find(session, "долгий")
        assert row is not None
        assert (row.outcome["runs"], row.outcome["asked"]) == (2, 9)
        two = lived(session, office, "два года", Trial(runs=2, days=20))
        assert row.outcome["kept"] == two.outcome["kept"] and row.outcome["by_week"] == two.outcome["by_week"]
        assert plan_scenarios.waiting(session, now=NOW) == []
        plan_scenarios.again(session, row.id, actor=office.planner, now=NOW)
        assert row.outcome["runs"] == 9


def test_stopped_before_the_first_year_it_says_so(
    sessions: sessionmaker[Session], office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_args: object, **_more: object) -> Any:
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(scenario_years, "years", interrupted)
    with sessions() as session:
        with pytest.raises(KeyboardInterrupt):
            lived(session, office, "не начат")
        row = plan_scenarios.find(session, "не начат")
        assert row is not None and "first year" in row.outcome["failed"]
        assert plan_scenarios.waiting(session, now=NOW) == []
        monkeypatch.undo()
        plan_scenarios.again(session, row.id, actor=office.planner, now=NOW)
        scenario_years.live(session, row, ground=GROUND, watch=WATCH)
        assert "kept" in row.outcome and "failed" not in row.outcome


def test_what_is_kept_of_a_scenario(sessions: sessionmaker[Session], office: Office) -> None:
    """Weeks by their Mondays over New Year, points by their codes, and what was unusual."""
    ground = replace(GROUND, today=date(2026, 12, 14))
    with sessions() as session:
        trial = Trial(runs=2, seed=5, chances={"no_show": 0.5}, days=40)
        row = scenario_years.run(session, "новый год", trial, ground=ground, actor=office.planner, watch=WATCH)
        kept = row.outcome
        assert (kept["runs"], kept["seed"], kept["chances"], kept["horizon"]) == (2, 5, {"no_show": 0.5}, 40)
        assert kept["weeks"][0] == "2026-12-14" and kept["weeks"][-1] == "2027-01-18"
        assert all(date.fromisoformat(week).weekday() == 0 for week in kept["weeks"])
        for by, size in (("by_week", len(kept["weeks"])), ("by_point", 2)):
            assert all(len(side) == size for pair in kept[by].values() for side in pair)
        assert kept["points"] == [one.code for one in plan_region.office_points(session).values()]
        assert plan_scenarios.trial_of(row) == trial


def test_scenarios_are_listed_compared_and_not_overwritten(sessions: sessionmaker[Session], office: Office) -> None:
    with sessions() as session:
        applicants(session, office, 260, route=Route.MASS, seed=2)
        for name, changes in (("as it is", {}), ("shift", {"shifts": {"L1": 1}, "windows": 2})):
            lived(session, office, name, Trial(changes, runs=2, days=30))
        table = plan_scenarios.compare(session, ["as it is", "shift"], actor=office.planner)
        assert [row.name for row in table] == ["as it is", "shift"]
        assert table[1].outcome["handed"][0] > table[0].outcome["handed"][0]
        with pytest.raises(InvalidInput, match="already"):
            lived(session, office, "shift")
        session.rollback()
        with pytest.raises(NotFound):
            plan_scenarios.compare(session, ["nothing"], actor=office.planner)
        page = plan_scenarios.page(session, actor=office.planner, limit=1, offset=1)
        assert ([row.name for row in page.rows], page.total) == (["as it is"], 2)
        ids = [table[1].id, 999, table[0].id, table[1].id]
        assert [row.name for row in plan_scenarios.chosen(session, ids, actor=office.planner)] == ["shift", "as it is"]


def test_no_cohort_card_is_made_before_mass_emission_begins(sessions: sessionmaker[Session], office: Office) -> None:
    """A scenario waits for the phase as the office's own plan does."""
    begins = TODAY + timedelta(days=14)
    with sessions() as session:
        region = scenario_facts.tried(session, {"windows": 2}, ground=replace(GROUND, cohort_from=begins)).region
        known = region.demand.known[:, Kind.COHORT].sum(axis=(0, 1))
        assert known.sum() == 40
        assert not known[[number for number, day in enumerate(region.days) if day < begins]].any()
