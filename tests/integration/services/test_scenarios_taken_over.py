"""Who lives through a scenario saves nothing more of it once somebody else does; Ctrl-C at any time is told."""

# ruff: noqa: F811 - the fixture is imported

from datetime import timedelta
from itertools import count
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from issuance.planning.optimiser import make_plan
from tests.integration.services.test_scenarios import GROUND, ONCE, lived, office  # noqa: F401 - a fixture
from tests.support.desk import SETTINGS
from tests.support.office import NOW, Office
from uec.jobs import planning
from uec.services import plan_scenarios, scenario_approval, scenario_facts, scenario_years
from uec.services.plan_scenarios import Progress, ScenarioRefused, Trial
from uec.services.scenario_years import Watch
from uec.store.tables import PlanScenario

LATER = NOW + timedelta(minutes=11)


def interrupted(*_args: object, **_more: object) -> Any:
    raise KeyboardInterrupt


def taken_over(sessions: sessionmaker[Session], office: Office) -> None:
    """A worker lives through what was quiet for too long, and two people make it the plan."""
    with sessions() as session:
        (row,) = plan_scenarios.waiting(session, now=LATER)
        scenario_years.live(session, row, ground=GROUND, watch=Watch(lambda: LATER))
        scenario_approval.propose(session, row.id, actor=office.planner, now=LATER)
        scenario_approval.approve(session, row.id, ground=GROUND, actor=office.releaser, now=LATER)


def found(session: Session, name: str) -> PlanScenario:
    row = plan_scenarios.find(session, name)
    assert row is not None
    return row


@pytest.mark.parametrize(
    ("module", "name"), [(scenario_facts, "tried"), (scenario_years, "make_plan"), (scenario_years, "years")]
)
def test_stopped_before_its_first_year_it_is_nobodys_to_live_through(
    sessions: sessionmaker[Session], office: Office, monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str
) -> None:
    monkeypatch.setattr(module, name, interrupted)
    with sessions() as session:
        with pytest.raises(KeyboardInterrupt):
            lived(session, office, "не начат")
        assert found(session, "не начат").outcome["failed"] == "Stopped before the first year was over."
        assert plan_scenarios.waiting(session, now=LATER) == []


def test_a_command_that_slept_leaves_what_a_worker_has_finished(
    sessions: sessionmaker[Session], office: Office
) -> None:
    with sessions() as session:
        watch = Watch(lambda: NOW, lambda _done: taken_over(sessions, office))
        with pytest.raises(ScenarioRefused, match="a worker has taken it over"):
            scenario_years.run(session, "спал", ONCE, ground=GROUND, actor=office.planner, watch=watch)
        row = found(session, "спал")
        assert scenario_approval.standings(session, [row])[row.id].approved_at == LATER
        assert "kept" in row.outcome and "failed" not in row.outcome


def test_a_command_that_slept_and_is_stopped_then_takes_nothing_from_a_worker(
    sessions: sessionmaker[Session], office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither Ctrl-C nor a plan that cannot be made writes over years that are being lived through."""
    held = {"runs": 1, "seed": 1, "begun": LATER.isoformat(), "held": LATER.isoformat()}

    def taken(*_args: object) -> Any:
        with sessions() as other:
            found(other, "спал").outcome = held
            other.commit()
        raise KeyboardInterrupt

    monkeypatch.setattr(scenario_years, "make_plan", taken)
    with sessions() as session:
        with pytest.raises(ScenarioRefused, match="a worker has taken it over"):
            lived(session, office, "спал")
        assert found(session, "спал").outcome == held


@pytest.mark.parametrize("kept", [True, False])
def test_stopped_while_it_saves_it_keeps_the_years_that_are_over(
    sessions: sessionmaker[Session], office: Office, monkeypatch: pytest.MonkeyPatch, *, kept: bool
) -> None:
    """Nobody knows then whether what was being saved is there: both that and the one before are its own."""
    moments = (NOW + timedelta(seconds=5 * step) for step in count())
    with sessions() as session:
        commit = session.commit

        def stopped() -> None:
            monkeypatch.undo()
            if kept:
                commit()
            raise KeyboardInterrupt

        watch = Watch(lambda: next(moments), lambda _done: monkeypatch.setattr(session, "commit", stopped))
        with pytest.raises(KeyboardInterrupt):
            trial = Trial(runs=3, days=20)
            scenario_years.run(session, "долгий", trial, ground=GROUND, actor=office.planner, watch=watch)
        outcome = found(session, "долгий").outcome
        assert (outcome["runs"], outcome["asked"]) == (1, 3)


def test_a_worker_goes_on_to_the_next_when_one_is_lived_through_elsewhere(
    sessions: sessionmaker[Session], office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = make_plan

    def slow(*args: Any) -> Any:
        monkeypatch.setattr(scenario_years, "make_plan", real)
        with sessions() as other:
            row = found(other, "первый")
            row.outcome = row.outcome | {"failed": "There is no line."}
            other.commit()
        return real(*args)

    with sessions() as session:
        for name in ("первый", "второй"):
            plan_scenarios.request(session, name, ONCE, ground=GROUND, actor=office.planner, now=NOW)
    monkeypatch.setattr(scenario_years, "make_plan", slow)
    tools: Any = SimpleNamespace(settings=SETTINGS, sessions=sessions, clock=lambda: NOW)
    assert planning.live_scenarios(tools) == "lived through 1 scenarios"
    with sessions() as session:
        assert found(session, "первый").outcome["failed"] == "There is no line."
        assert "kept" in found(session, "второй").outcome


def test_half_lived_through_by_an_older_version_it_has_done_nothing() -> None:
    said = {"runs": 9, "seed": 1, "done": 3, "begun": NOW.isoformat()}
    for outcome in (said, said | {"noted": NOW.isoformat()}):
        row = PlanScenario(name="x", made_at=NOW, changes={}, outcome=outcome)
        assert plan_scenarios.progress(row) == Progress(0, 9, None)
