"""What-if scenarios: a changed region lived through by the digital twin, saved under a name, compared side by side.

One that went well is put forward by one person and approved by another; then its changes are planning facts.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.planning.chances import Chances
from issuance.planning.region import Region
from issuance.planning.scenario import changed
from issuance.planning.twin import Setting, simulate_many, spread
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput, NotFound
from uec.domain.lifecycle import CARD
from uec.domain.permissions import Permission
from uec.services import plan_events, plan_facts, plan_region, schedule
from uec.services.notices import refuse_same
from uec.services.rows import present
from uec.store import audit
from uec.store.tables import PlanProposal, PlanScenario

NAME_LIMIT = 60
RUNS_LIMIT = 1000
NOTED_EVERY = timedelta(seconds=2)


def setting(chances: Chances | None = None, margin_days: int = 5) -> Setting:
    """The twin with the office's own table of card moves."""
    return Setting(CARD, chances or Chances(), margin_days)


def request(
    session: Session, name: str, *, changes: Mapping[str, Any], runs: int, seed: int, actor: Actor, now: datetime
) -> PlanScenario:
    """Save a scenario that is yet to be lived through, by the job `scenarios`.

    Raises `InvalidInput` for a name that is taken or none, or numbers that make no sense.
    """
    actor.require(Permission.PLAN_BATCH)
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise InvalidInput(f"A scenario's name has 1 to {NAME_LIMIT} printable characters.", field="name")
    if not 1 <= runs <= RUNS_LIMIT:
        raise InvalidInput(f"A scenario is lived through 1 to {RUNS_LIMIT} times.", field="runs")
    if session.scalar(select(PlanScenario.id).where(PlanScenario.name == name)) is not None:
        raise InvalidInput(f"There is a scenario {name} already: choose another name.", field="name")
    row = PlanScenario(
        name=name, made_at=now, made_by=actor.staff_id, changes=dict(changes), outcome={"runs": runs, "seed": seed}
    )
    session.add(row)
    session.flush()
    details = {"name": name, "runs": runs}
    audit.record(
        session,
        actor=actor.reference,
        action="emission.simulate",
        subject_kind="plan_scenario",
        subject_id=row.id,
        details=details,
        now=now,
    )
    session.commit()
    return row


def live(
    session: Session,
    row: PlanScenario,
    *,
    region: Region,
    clock: Callable[[], datetime],
    tell: Callable[[int], None] | None = None,
) -> None:
    """Live through a scenario that was requested, and save how it went; raises `PlanningError` for wrong changes.

    How many years are done, and since when, is saved every now and then by the `clock`, for who waits for the figures.
    """
    runs, seed = int(row.outcome["runs"]), int(row.outcome["seed"])
    begun = saved = clock()
    asked = {"runs": runs, "seed": seed}

    def note(done: int) -> None:
        nonlocal saved
        if tell is not None:
            tell(done)
        if (now := clock()) - saved >= NOTED_EVERY:
            saved = now
            row.outcome = asked | {"done": done, "begun": begun.isoformat(), "noted": now.isoformat()}
            session.commit()

    outcomes = simulate_many(changed(region, row.changes), runs=runs, setting=setting(), seed=seed, tell=note)
    figures = {figure: list(values) for figure, values in spread(outcomes).items()}
    row.outcome = figures | asked | {"took_s": round((clock() - begun).total_seconds())}
    session.commit()


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
    if not done:
        return Progress(0, runs, None)
    begun, noted = (datetime.fromisoformat(row.outcome[name]) for name in ("begun", "noted"))
    return Progress(done, runs, round((noted - begun).total_seconds() / done * (runs - done)))


def waiting(session: Session) -> list[PlanScenario]:
    """Scenarios that nobody has lived through yet."""
    return [row for row in session.scalars(select(PlanScenario).order_by(PlanScenario.id)) if not lived(row)]


def lived(row: PlanScenario) -> bool:
    """Whether it has an outcome, or the reason why it has none."""
    return "kept" in row.outcome or "failed" in row.outcome


def fail(session: Session, row: PlanScenario, why: str) -> None:
    """Note why a scenario could not be lived through."""
    row.outcome = dict(row.outcome) | {"failed": why}
    session.commit()


def run(
    session: Session,
    name: str,
    *,
    region: Region,
    changes: Mapping[str, Any],
    runs: int,
    seed: int,
    actor: Actor,
    clock: Callable[[], datetime],
    tell: Callable[[int], None] | None = None,
) -> PlanScenario:
    """Request a scenario and live through it at once; nothing of it is kept when its changes are wrong."""
    changed(region, changes)
    row = request(session, name, changes=changes, runs=runs, seed=seed, actor=actor, now=clock())
    live(session, row, region=region, clock=clock, tell=tell)
    return row


def propose(session: Session, scenario_id: int, *, actor: Actor, now: datetime) -> PlanProposal:
    """Put a scenario forward to become the plan; raises `InvalidInput` for one that was, or was not lived through."""
    actor.require(Permission.PLAN_BATCH)
    row = present(session, PlanScenario, scenario_id)
    if "kept" not in row.outcome:
        raise InvalidInput("Nobody knows yet how this scenario goes: let it be lived through first.", field="name")
    if session.scalar(select(PlanProposal.id).where(PlanProposal.scenario_id == scenario_id)) is not None:
        raise InvalidInput("The scenario is put forward already.", field="name")
    proposal = PlanProposal(scenario_id=scenario_id, proposed_by=actor.staff_id, proposed_at=now)
    session.add(proposal)
    session.flush()
    _told(session, row, "propose", actor, now)
    return proposal


def approve(session: Session, scenario_id: int, *, actor: Actor, today: date, now: datetime) -> int:
    """Make a scenario the plan, as another person: its changes are facts from now on, and the plan is made again.

    Returns the version of the facts. Raises `NotAllowed`, `NotFound`, `SamePerson`, and `InvalidInput` the second time.
    """
    actor.require(Permission.RELEASE_BATCH)
    row = present(session, PlanScenario, scenario_id)
    proposal = session.scalar(select(PlanProposal).where(PlanProposal.scenario_id == scenario_id).with_for_update())
    if proposal is None:
        raise NotFound("Nobody has put this scenario forward.", kind="scenario", id=scenario_id)
    if proposal.approved_at is not None:
        raise InvalidInput("The scenario is the plan already.", field="name")
    refuse_same(proposal.proposed_by, actor)
    proposal.approved_by, proposal.approved_at = actor.staff_id, now
    points = list(plan_region.office_points(session).values())
    table = plan_events.of_scenario(
        plan_facts.table(session),
        row.changes,
        points=points,
        bureaux={one.code for one in plan_facts.current(session, today=today).partners},
        today=today,
    )
    version = plan_facts.keep(session, table, reason=row.name, actor=actor, now=now, scenario_id=scenario_id)
    schedule.ask(session, "plan", asked_by=actor.reference, now=now)
    _told(session, row, "approve", actor, now)
    return version


def proposals(session: Session) -> dict[int, PlanProposal]:
    """What was put forward, by scenario."""
    return {row.scenario_id: row for row in session.scalars(select(PlanProposal))}


def compare(session: Session, names: Sequence[str], *, actor: Actor) -> list[PlanScenario]:
    """Saved scenarios in the order of the names, or all of them by name; raises `NotFound`."""
    actor.require(Permission.VIEW_BATCHES)
    found = {row.name: row for row in session.scalars(select(PlanScenario).order_by(PlanScenario.name))}
    for name in names:
        if name not in found:
            raise NotFound(f"There is no scenario {name}: run it with `uec plan simulate`.", kind="scenario", id=name)
    return [found[name] for name in names or found]


def _told(session: Session, row: PlanScenario, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"scenario.{action}",
        subject_kind="plan_scenario",
        subject_id=row.id,
        details={"name": row.name},
        now=now,
    )
    session.commit()
