"""Lives through a scenario that was asked for: makes its region and plan, then its years, and sums them up.

How many years are done is saved every now and then, for who waits for the figures. Stopped by Ctrl-C, the years that
are done by then are summed up as they are. Whoever was quiet for too long saves nothing any more: a worker took over.
"""

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
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
from uec.services.plan_scenarios import HELD, ScenarioRefused, Trial
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
    live(session, row, ground=ground, watch=watch)
    return row


def live(session: Session, row: PlanScenario, *, ground: Ground, watch: Watch) -> None:
    """Live through a scenario that was asked for, and save how it went, or why it could not be lived through.

    Raises `InvalidInput` for wrong changes, and `ScenarioRefused` where somebody else has taken it over meanwhile.
    `KeyboardInterrupt` goes on after the years done by then are saved, or that there were none.
    """
    notes = _Notes(session, row, watch)
    try:
        _live(session, row, ground=ground, notes=notes, processes=watch.processes)
    except (InvalidInput, IssuanceError, KeyboardInterrupt) as error:
        session.rollback()
        if not plan_scenarios.lived(row):
            stopped = isinstance(error, KeyboardInterrupt)
            notes.save({"failed": "Stopped before the first year was over." if stopped else str(error)})
        raise


def _live(session: Session, row: PlanScenario, *, ground: Ground, notes: "_Notes", processes: int | None) -> None:
    trial = plan_scenarios.trial_of(row)
    tried = scenario_facts.tried(session, row.changes, ground=ground, days=trial.days)
    # Nothing is locked, and no transaction stays open, for as long as a plan and its years take.
    session.commit()
    plan = make_plan(tried.region)
    notes.begin()
    outcomes: list[Outcome] = []
    seeds = range(trial.seed, trial.seed + trial.runs)
    lived = years(plan, setting(chances_from(trial.chances)), seeds, processes=processes)
    try:
        with closing(lived):
            for outcome in lived:
                outcomes.append(outcome)
                notes.note(len(outcomes))
    except KeyboardInterrupt:
        session.rollback()
        if outcomes:
            notes.end(
                figures(tried.region, outcomes) | {"facts": tried.facts, "asked": trial.runs, "runs": len(outcomes)}
            )
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


def _rounded(pair: tuple[list[float | None], list[float | None]]) -> list[list[float | None]]:
    return [[None if one is None else round(one, PLACES) for one in side] for side in pair]


class _Notes:
    """What is saved of a scenario while it is lived through, and at its end, as long as nobody else saves there."""

    def __init__(self, session: Session, row: PlanScenario, watch: Watch) -> None:
        self._session, self._row, self._watch = session, row, watch
        self._asked = plan_scenarios.trial_of(row).asked
        # What may stand there: the last of ours, and, where Ctrl-C came while that was saved, the one before.
        self._ours = [row.outcome]

    def begin(self) -> None:
        self._begun = self._saved = self._watch.clock()
        self.save({"begun": self._begun.isoformat(), "held": self._begun.isoformat()})

    def note(self, done: int) -> None:
        if self._watch.tell is not None:
            self._watch.tell(done)
        now = self._watch.clock()
        if now - self._saved >= NOTED_EVERY:
            self._saved = now
            self.save({"done": done, "begun": self._begun.isoformat(), "held": now.isoformat()})

    def end(self, outcome: dict[str, Any]) -> None:
        took = round((self._watch.clock() - self._begun).total_seconds())
        self.save(outcome | {"took_s": took})

    def save(self, said: dict[str, Any]) -> None:
        """Raises `ScenarioRefused` where somebody else has saved something since."""
        stands = select(PlanScenario.outcome).where(PlanScenario.id == self._row.id)
        found = self._session.scalar(stands.with_for_update(key_share=True))
        if found is None or found not in self._ours:
            self._session.rollback()
            raise ScenarioRefused(
                f"Nothing was heard of this scenario for {HELD.seconds // 60} minutes, and a worker has taken it over: "
                "see how it goes with `uec plan compare`.",
                reason="under_way",
            )
        outcome = self._asked | said
        self._ours = [found, outcome]
        self._row.outcome = outcome
        self._session.commit()
