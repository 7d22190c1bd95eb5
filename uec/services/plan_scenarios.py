"""What-if scenarios: a changed region for the digital twin to live through, saved under a name, compared side by side.

Whoever asks for one says what differs, how often it is lived through, and how likely things are to go wrong. How it
went stands with the version of the planning facts it was tried on (`scenario_years`); one that went well becomes the
plan by two people (`scenario_approval`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from issuance.planning.chances import chances_from
from issuance.planning.errors import PlanningError
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound, UecError
from uec.domain.permissions import Permission
from uec.services import scenario_facts
from uec.services.plan_region import HORIZON_LIMIT_DAYS
from uec.services.rows import locked
from uec.services.scenario_facts import Ground
from uec.services.views import Page
from uec.store import audit
from uec.store.tables import PlanProposal, PlanScenario

NAME_LIMIT = 60
RUNS_LIMIT = 1000
LARGEST_SEED = 2**31 - 1
# A command that notes nothing for so long was killed: the workers take its scenario over.
HELD = timedelta(minutes=10)


class ScenarioRefused(UecError):
    """A scenario is not where this could be done with it. Facts: `reason`, a word of `uec.web.plan_words`."""

    code = "uec.scenario_refused"


@dataclass(frozen=True)
class Trial:
    """What is tried: `changes` (`issuance.planning.scenario`), `runs` years from `seed` on, `chances` that differ.

    `days` calendar days are lived through; as many as the office's own plan covers without it.
    """

    changes: Mapping[str, Any] = field(default_factory=dict)
    runs: int = 20
    seed: int = 1
    chances: Mapping[str, Any] = field(default_factory=dict)
    days: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.runs <= RUNS_LIMIT:
            raise InvalidInput(f"A scenario is lived through 1 to {RUNS_LIMIT} times.", field="runs")
        if not 0 <= self.seed <= LARGEST_SEED:
            raise InvalidInput(f"A seed is a number from 0 to {LARGEST_SEED}: choose another.", field="seed")
        if self.days is not None and not 1 <= self.days <= HORIZON_LIMIT_DAYS:
            raise InvalidInput(f"A plan covers 1 to {HORIZON_LIMIT_DAYS} days: choose another number.", field="days")
        try:
            chances_from(self.chances)
        except PlanningError as error:
            raise InvalidInput(str(error), field=str(error.facts.get("field", "chances"))) from error

    @property
    def asked(self) -> dict[str, Any]:
        """What is kept of it beside the changes, until and after it is lived through."""
        kept: dict[str, Any] = {"runs": self.runs, "seed": self.seed}
        if self.chances:
            kept["chances"] = dict(self.chances)
        return kept | ({"horizon": self.days} if self.days else {})


def trial_of(row: PlanScenario) -> Trial:
    """What was asked for."""
    said = row.outcome
    return Trial(
        row.changes,
        int(said["asked"] if "asked" in said else said["runs"]),
        int(said["seed"]),
        said.get("chances", {}),
        said.get("horizon"),
    )


def request(session: Session, name: str, trial: Trial, *, ground: Ground, actor: Actor, now: datetime) -> PlanScenario:
    """Save a scenario that is yet to be lived through, by the job `scenarios`.

    Raises `InvalidInput` for a name that is taken or none, or changes that make no sense.
    """
    return _saved(session, name, trial, trial.asked, ground=ground, actor=actor, now=now)


def held(session: Session, name: str, trial: Trial, *, ground: Ground, actor: Actor, now: datetime) -> PlanScenario:
    """Like `request`, for a command that lives through it at once, and is left to it by the workers meanwhile."""
    asked = trial.asked | {"held": now.isoformat()}
    return _saved(session, name, trial, asked, ground=ground, actor=actor, now=now)


def _saved(
    session: Session,
    name: str,
    trial: Trial,
    asked: dict[str, Any],
    *,
    ground: Ground,
    actor: Actor,
    now: datetime,
) -> PlanScenario:
    actor.require(Permission.PLAN_BATCH)
    name = name.strip()
    if not name or len(name) > NAME_LIMIT or not name.isprintable():
        raise InvalidInput(f"A scenario's name has 1 to {NAME_LIMIT} printable characters.", field="name")
    scenario_facts.edited(session, scenario_facts.newest(session)[1], trial.changes, ground=ground)
    taken = InvalidInput(f"There is a scenario {name} already: choose another name.", field="name")
    if session.scalar(select(PlanScenario.id).where(PlanScenario.name == name)) is not None:
        raise taken
    row = PlanScenario(name=name, made_at=now, made_by=actor.staff_id, changes=dict(trial.changes), outcome=asked)
    session.add(row)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise taken from error
    told(session, row, "emission.simulate", actor=actor, now=now, runs=trial.runs)
    session.commit()
    return row


def again(session: Session, scenario_id: int, *, actor: Actor, now: datetime) -> PlanScenario:
    """Have a scenario lived through once more, on the facts as they are by now; who put it forward has to look again.

    Raises `ScenarioRefused` for one that is being lived through, or is the plan already.
    """
    actor.require(Permission.PLAN_BATCH)
    row = locked(session, PlanScenario, scenario_id)
    if not lived(row):
        raise ScenarioRefused("The scenario is being lived through: wait for its figures.", reason="under_way")
    proposal = session.scalar(select(PlanProposal).where(PlanProposal.scenario_id == scenario_id).with_for_update())
    if proposal is not None and proposal.approved_at is not None:
        raise ScenarioRefused("The scenario has become the plan: try it under another name.", reason="in_force")
    if proposal is not None:
        session.delete(proposal)
    row.outcome = trial_of(row).asked
    told(session, row, "scenario.again", actor=actor, now=now)
    session.commit()
    return row


@dataclass(frozen=True)
class Progress:
    """How far a scenario that is being lived through has come; `left_s` seconds are left at this pace."""

    done: int
    runs: int
    left_s: int | None


def progress(row: PlanScenario) -> Progress | None:
    """How far it has come; None once it has been lived through."""
    if lived(row):
        return None
    runs, done = int(row.outcome["runs"]), int(row.outcome.get("done", 0))
    moments = [datetime.fromisoformat(row.outcome[name]) for name in ("begun", "held") if name in row.outcome]
    if not done or len(moments) < 2:  # an older version that was stopped half way has not noted both
        return Progress(0, runs, None)
    begun, noted = moments
    return Progress(done, runs, round((noted - begun).total_seconds() / done * (runs - done)))


def waiting(session: Session, *, now: datetime) -> list[PlanScenario]:
    """Scenarios that nobody has lived through yet, nor is living through by a command."""
    kept, failed = (PlanScenario.outcome[name].as_string() for name in ("kept", "failed"))
    rows = session.scalars(select(PlanScenario).where(kept.is_(None), failed.is_(None)).order_by(PlanScenario.id))
    return [row for row in rows if not _is_held(row, now)]


def _is_held(row: PlanScenario, now: datetime) -> bool:
    noted = row.outcome.get("held")
    return noted is not None and now - datetime.fromisoformat(noted) < HELD


def lived(row: PlanScenario) -> bool:
    """Whether it has an outcome, or the reason why it has none."""
    return "kept" in row.outcome or "failed" in row.outcome


def page(session: Session, *, actor: Actor, limit: int, offset: int = 0) -> Page[PlanScenario]:
    """The scenarios, the newest first."""
    actor.require(Permission.VIEW_BATCHES)
    rows = session.scalars(select(PlanScenario).order_by(PlanScenario.id.desc()).limit(limit).offset(offset))
    return Page(tuple(rows), session.scalar(select(func.count()).select_from(PlanScenario)) or 0, offset, limit)


def chosen(session: Session, ids: Sequence[int], *, actor: Actor) -> list[PlanScenario]:
    """The scenarios with these ids, in their order; what is not there is left out."""
    actor.require(Permission.VIEW_BATCHES)
    found = {row.id: row for row in session.scalars(select(PlanScenario).where(PlanScenario.id.in_(ids)))}
    return [found[one] for one in dict.fromkeys(ids) if one in found]


def compare(session: Session, names: Sequence[str], *, actor: Actor) -> list[PlanScenario]:
    """Saved scenarios in the order of the names, or all of them by name; raises `NotFound`."""
    actor.require(Permission.VIEW_BATCHES)
    wanted = select(PlanScenario).order_by(PlanScenario.name)
    found = {row.name: row for row in session.scalars(wanted.where(PlanScenario.name.in_(names)) if names else wanted)}
    for name in names:
        if name not in found:
            raise NotFound(f"There is no scenario {name}: run it with `uec plan simulate`.", kind="scenario", id=name)
    return [found[name] for name in names or found]


def find(session: Session, name: str) -> PlanScenario | None:
    """The scenario of this name, as it is by now."""
    session.rollback()
    return session.scalar(select(PlanScenario).where(PlanScenario.name == name.strip()))


def told(session: Session, row: PlanScenario, action: str, *, actor: Actor, now: datetime, **details: Any) -> None:
    """Write down who did what with a scenario."""
    audit.record(
        session,
        actor=actor.reference,
        action=action,
        subject_kind="plan_scenario",
        subject_id=row.id,
        details={"name": row.name, **details},
        now=now,
    )
