"""Lives through a scenario that was asked for: makes its region and plan, then its years, and sums them up.

How many years are done is saved every now and then, for who waits for the figures. Stopped by Ctrl-C, the years that
are done by then are summed up as they are.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from issuance.errors import IssuanceError
from issuance.planning.chances import Chances, chances_from
from issuance.planning.optimiser import make_plan
from issuance.planning.outcome import Outcome, by_point, by_week, spread
from issuance.planning.region import Region
from issuance.planning.twin import Setting
from issuance.planning.years import years
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import CARD
from uec.services import plan_scenarios, scenario_facts
from uec.services.plan_scenarios import Trial
from uec.services.scenario_facts import Ground
from uec.store.tables import PlanScenario

NOTED_EVERY = timedelta(seconds=2)
# Shares with so many places are as good as any, and kept in less room.
PLACES = 4


@dataclass(frozen=True)
class Watch:
    """Who looks on: the `clock`, and `tell`, which hears how many years are done; `processes` side by side."""

    clock: Callable[[], datetime]
    tell: Callable[[int], None] | None = None
    processes: int | None = None


def setting(chances: Chances | None = None, margin_days: int = 5) -> Setting:
    """The twin with the office's own table of card moves."""
    return Setting(CARD, chances or Chances(), margin_days)


def run(session: Session, name: str, trial: Trial, *, ground: Ground, actor: Actor, watch: Watch) -> PlanScenario:
    """Ask for a scenario and live through it at once; nothing of it is kept when its changes are wrong."""
    row = plan_scenarios.held(session, name, trial, ground=ground, actor=actor, now=watch.clock())
    try:
        live(session, row, ground=ground, watch=watch)
    except (InvalidInput, IssuanceError) as error:
        session.rollback()
        fail(session, row, str(error))
        raise
    return row


def live(session: Session, row: PlanScenario, *, ground: Ground, watch: Watch) -> None:
    """Live through a scenario that was asked for, and save how it went; raises `InvalidInput` for wrong changes.

    `KeyboardInterrupt` goes on after the years done by then are saved, or that there were none.
    """
    trial = plan_scenarios.trial_of(row)
    tried = scenario_facts.tried(session, row.changes, ground=ground, days=trial.days)
    # Nothing is locked, and no transaction stays open, for as long as a plan and its years take.
    session.commit()
    plan = make_plan(tried.region)
    notes = _Notes(session, row, trial.asked, watch)
    outcomes: list[Outcome] = []
    seeds = range(trial.seed, trial.seed + trial.runs)
    lived = years(plan, setting(chances_from(trial.chances)), seeds, processes=watch.processes)
    try:
        with closing(lived):
            for outcome in lived:
                outcomes.append(outcome)
                notes.note(len(outcomes))
    except KeyboardInterrupt:
        if outcomes:
            notes.end(
                figures(tried.region, outcomes) | {"facts": tried.facts, "asked": trial.runs, "runs": len(outcomes)}
            )
        else:
            fail(session, row, "Stopped before the first year was over.")
        raise
    notes.end(figures(tried.region, outcomes) | {"facts": tried.facts})


def figures(region: Region, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """How the years went, as a scenario keeps it: P50 and P90 of every figure, by week and by point."""
    found: dict[str, Any] = {name: list(pair) for name, pair in spread(outcomes).items()}
    mondays = sorted({day.toordinal() - day.weekday() for day in region.days})
    return found | {
        "days": [region.days[0].isoformat(), region.days[-1].isoformat(), len(region.days)],
        "weeks": [datetime.fromordinal(one).date().isoformat() for one in mondays],
        "points": [place.code for place in region.places],
        "by_week": {name: _rounded(pair) for name, pair in by_week(outcomes).items()},
        "by_point": {name: _rounded(pair) for name, pair in by_point(outcomes).items()},
    }


def fail(session: Session, row: PlanScenario, why: str) -> None:
    """Note why a scenario could not be lived through."""
    row.outcome = plan_scenarios.trial_of(row).asked | {"failed": why}
    session.commit()


def _rounded(pair: tuple[list[float | None], list[float | None]]) -> list[list[float | None]]:
    return [[None if one is None else round(one, PLACES) for one in side] for side in pair]


class _Notes:
    """What is saved of a scenario while it is lived through, and at its end."""

    def __init__(self, session: Session, row: PlanScenario, asked: dict[str, Any], watch: Watch) -> None:
        self._session, self._row, self._asked, self._watch = session, row, asked, watch
        self._begun = self._saved = watch.clock()
        self._save({"begun": self._begun.isoformat(), "held": self._begun.isoformat()})

    def note(self, done: int) -> None:
        if self._watch.tell is not None:
            self._watch.tell(done)
        now = self._watch.clock()
        if now - self._saved >= NOTED_EVERY:
            self._saved = now
            self._save({"done": done, "begun": self._begun.isoformat(), "held": now.isoformat()})

    def end(self, outcome: dict[str, Any]) -> None:
        took = round((self._watch.clock() - self._begun).total_seconds())
        self._save(outcome | {"took_s": took})

    def _save(self, said: dict[str, Any]) -> None:
        self._row.outcome = self._asked | said
        self._session.commit()
