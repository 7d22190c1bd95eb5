"""Jobs of the plan: made every night, let go by the clock, and lived through as somebody's scenario."""

from issuance.errors import IssuanceError
from uec.domain.actors import system_actor
from uec.domain.errors import InvalidInput
from uec.jobs.tools import Tools, policy_of
from uec.services import batches, phases, plan_scenarios, release_by_policy, rules, scenario_years
from uec.services.scenario_facts import Ground


def plan(tools: Tools) -> str:
    """Plan what has been approved since yesterday."""
    now = tools.clock()
    with tools.sessions() as session:
        made = batches.plan(
            session,
            actor=system_actor("scheduler"),
            rules=rules.batch_rules(
                tools.settings,
                today=tools.settings.policy.day(now),
                book=phases.book(session, tools.settings.policy),
            ),
            now=now,
        )
    return (
        f"{made.cards} cards in {len(made.batches)} batches, {made.late} late, {sum(made.unplaced.values())} unplaced"
    )


def release(tools: Tools) -> str:
    """Release what policy lets go by the clock; say how many batches wait for people."""
    now = tools.clock()
    with tools.sessions() as session:
        policy = policy_of(session, tools)
        gone = release_by_policy.release_due(session, policy=policy, actor=system_actor("scheduler"), now=now)
        waiting = release_by_policy.waiting_for_people(session, policy=policy, now=now)
    return f"released {len(gone)}, {waiting} wait for a second person"


def live_scenarios(tools: Tools) -> str:
    """Live through the scenarios of the plan that somebody has asked for."""
    now, chosen = tools.clock(), tools.settings
    lived = 0
    with tools.sessions() as session:
        policy = policy_of(session, tools)
        ground = Ground(
            rules.working_calendar(chosen), chosen.default_profile, policy.day(now), policy.mass_emission_from
        )
        for scenario in plan_scenarios.waiting(session, now=now):
            try:
                scenario_years.live(session, scenario, ground=ground, watch=scenario_years.Watch(tools.clock))
            except plan_scenarios.ScenarioRefused:
                continue  # somebody else lives through it
            except (InvalidInput, IssuanceError):
                pass  # the scenario says why
            lived += 1
    return f"lived through {lived} scenarios"
