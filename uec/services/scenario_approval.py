"""Turns a scenario into the plan: put forward by one person, approved by another, on the facts that it was tried on.

Whoever made a scenario or put it forward may not approve it. Facts that have changed since it was lived through make
its figures worthless: it is lived through again first. Approved, its changes are a version of the facts; the next
version, whoever makes it, ends that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import NotFound, SamePerson
from uec.domain.permissions import Permission
from uec.services import plan_facts, scenario_facts, schedule
from uec.services.plan_scenarios import ScenarioRefused, told
from uec.services.rows import locked
from uec.services.scenario_facts import Ground
from uec.store.tables import PlanningFacts, PlanProposal, PlanScenario, Staff


@dataclass(frozen=True)
class Standing:
    """Where a scenario stands: who made it, put it forward, approved it and when; names are None where nobody did.

    `fresh`: the facts are still those that it was tried on. `version` of the facts that it became, until `ended_at`.
    """

    made_by: str | None
    made_by_id: int | None
    proposed_by: str | None
    proposed_by_id: int | None
    proposed_at: datetime | None
    approved_by: str | None
    approved_at: datetime | None
    version: int | None
    ended_at: datetime | None
    fresh: bool

    def may_be_approved_by(self, actor: Actor) -> bool:
        """Whether it waits for an approval, and this person is neither who made it nor who put it forward."""
        waits = self.proposed_at is not None and self.approved_at is None and self.fresh
        return waits and actor.staff_id not in {self.made_by_id, self.proposed_by_id}


def propose(session: Session, scenario_id: int, *, actor: Actor, now: datetime) -> PlanProposal:
    """Put a scenario forward to become the plan.

    Raises `ScenarioRefused` for one that was put forward, was not lived through, or whose facts have changed.
    """
    actor.require(Permission.PLAN_BATCH)
    row = locked(session, PlanScenario, scenario_id)
    _refuse_unfit(session, row)
    proposal = PlanProposal(scenario_id=scenario_id, proposed_by=actor.staff_id, proposed_at=now)
    session.add(proposal)
    try:
        session.flush()
    except IntegrityError as error:
        session.rollback()
        raise ScenarioRefused("The scenario is put forward already.", reason="proposed") from error
    told(session, row, "scenario.propose", actor=actor, now=now)
    session.commit()
    return proposal


def approve(session: Session, scenario_id: int, *, ground: Ground, actor: Actor, now: datetime) -> int:
    """Make a scenario the plan, as another person: its changes are facts from now on, and the plan is made again.

    Returns the version of the facts. Raises `NotAllowed`, `NotFound`, `SamePerson`, and `ScenarioRefused` the second
    time or where the facts have changed since it was lived through.
    """
    actor.require(Permission.RELEASE_BATCH)
    row = locked(session, PlanScenario, scenario_id)
    proposal = session.scalar(select(PlanProposal).where(PlanProposal.scenario_id == scenario_id).with_for_update())
    if proposal is None:
        raise NotFound("Nobody has put this scenario forward.", kind="scenario", id=scenario_id)
    if proposal.approved_at is not None:
        raise ScenarioRefused("The scenario is the plan already.", reason="in_force")
    _refuse_same(row, proposal, actor)
    # Of two approved at once the second sees the facts that the first has made.
    plan_facts.one_writer(session)
    _refuse_unfit(session, row)
    proposal.approved_by, proposal.approved_at = actor.staff_id, now
    table = scenario_facts.edited(session, scenario_facts.newest(session)[1], row.changes, ground=ground)
    version = plan_facts.keep(session, table, reason=row.name, actor=actor, now=now, scenario_id=scenario_id)
    schedule.ask(session, "plan", asked_by=actor.reference, now=now)
    told(session, row, "scenario.approve", actor=actor, now=now)
    session.commit()
    return version


def standings(session: Session, rows: Sequence[PlanScenario]) -> dict[int, Standing]:
    """Where these scenarios stand, by their ids."""
    ids = [row.id for row in rows]
    proposals = {
        one.scenario_id: one for one in session.scalars(select(PlanProposal).where(PlanProposal.scenario_id.in_(ids)))
    }
    of_them = select(PlanningFacts.scenario_id, PlanningFacts.id).where(PlanningFacts.scenario_id.in_(ids))
    versions = {row.scenario_id: row.id for row in session.execute(of_them.order_by(PlanningFacts.id))}
    newest = scenario_facts.newest(session)[0]
    staff = _names(session, rows, list(proposals.values()))
    return {row.id: _standing(session, row, proposals.get(row.id), versions.get(row.id), newest, staff) for row in rows}


def _standing(
    session: Session,
    row: PlanScenario,
    proposal: PlanProposal | None,
    version: int | None,
    newest: int,
    staff: dict[int | None, str],
) -> Standing:
    after = select(func.min(PlanningFacts.set_at)).where(PlanningFacts.id > (version or 0))
    return Standing(
        made_by=staff.get(row.made_by),
        made_by_id=row.made_by,
        proposed_by=staff.get(proposal.proposed_by) if proposal else None,
        proposed_by_id=proposal.proposed_by if proposal else None,
        proposed_at=proposal.proposed_at if proposal else None,
        approved_by=staff.get(proposal.approved_by) if proposal else None,
        approved_at=proposal.approved_at if proposal else None,
        version=version,
        ended_at=session.scalar(after) if version is not None and version != newest else None,
        fresh=row.outcome.get("facts") == newest,
    )


def _names(session: Session, rows: Sequence[PlanScenario], proposals: Sequence[PlanProposal]) -> dict[int | None, str]:
    ids = {row.made_by for row in rows} | {one for row in proposals for one in (row.proposed_by, row.approved_by)}
    return {
        row.id: row.display_name
        for row in session.execute(select(Staff.id, Staff.display_name).where(Staff.id.in_(ids - {None})))
    }


def _refuse_unfit(session: Session, row: PlanScenario) -> None:
    if "kept" not in row.outcome:
        raise ScenarioRefused(
            "Nobody knows yet how this scenario goes: let it be lived through first.", reason="not_lived"
        )
    if row.outcome.get("facts") != scenario_facts.newest(session)[0]:
        raise ScenarioRefused(
            "Lines, chips or couriers have changed since this scenario was lived through: have that done again.",
            reason="facts_changed",
        )


def _refuse_same(row: PlanScenario, proposal: PlanProposal, actor: Actor) -> None:
    for who, earlier in ((proposal.proposed_by, "put the scenario forward"), (row.made_by, "made the scenario")):
        if actor.staff_id is not None and who == actor.staff_id:
            raise SamePerson(
                f"{actor.display} {earlier} and may not also approve it: ask a colleague.",
                actor=actor.reference,
                earlier=earlier,
                now="approve",
            )
