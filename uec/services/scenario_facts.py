"""What a scenario would have the office tell its planner: its changes as an edit of the planning facts.

The twin lives through the region of these facts, and an approval puts the same edit in force: what was tried is what
becomes the plan. Pure but for `newest`.
"""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.planning.calendar import WorkingCalendar
from issuance.planning.errors import PlanningError
from issuance.planning.facts import OfficePoint
from issuance.planning.region import Region
from issuance.planning.scenario import Changes, changes_from
from uec.domain.errors import InvalidInput
from uec.services import plan_events, plan_facts, plan_region
from uec.store.tables import PlanningFacts

Table = dict[str, Any]


@dataclass(frozen=True)
class Ground:
    """What a scenario stands on beside the tables: calendar, usual card variant, the day; when mass emission begins."""

    calendar: WorkingCalendar
    profile: str
    today: date
    cohort_from: date | None = None


@dataclass(frozen=True)
class Tried:
    """The region that a scenario lives through, and the version of the facts that it changes; 0 before there is any."""

    region: Region
    facts: int


def newest(session: Session) -> tuple[int, Table]:
    """The version of the facts in force, and their table; 0 and nothing before the office has told anything."""
    row = session.execute(select(PlanningFacts.id, PlanningFacts.facts).order_by(PlanningFacts.id.desc()).limit(1))
    found = row.one_or_none()
    return (found[0], dict(found[1])) if found else (0, {})


def edited(session: Session, table: Table, changes: Mapping[str, Any], *, ground: Ground) -> Table:
    """The facts with a scenario's changes; raises `InvalidInput` naming the field that makes no sense."""
    try:
        wanted = changes_from(changes)
    except PlanningError as error:
        raise InvalidInput(str(error), field=str(error.facts.get("field", "changes"))) from error
    points = list(plan_region.office_points(session).values())
    bureaux = {
        one.code for one in plan_facts.with_bureaux(session, plan_facts.checked(table), today=ground.today).partners
    }
    new = with_changes(table, wanted, points=points, bureaux=bureaux, ground=ground)
    plan_facts.checked_here(session, new)
    return new


def tried(session: Session, changes: Mapping[str, Any], *, ground: Ground, days: int | None = None) -> Tried:
    """The region with the changes, over the days that the office's own plan covers, so that scenarios compare.

    Raises `InvalidInput` for changes that make no sense.
    """
    version, table = newest(session)
    after = edited(session, table, changes, ground=ground)
    terms: dict[str, Any] = {"calendar": ground.calendar, "profile": ground.profile, "today": ground.today}
    terms["cohort_from"] = ground.cohort_from
    region = plan_region.region_of(session, horizon_days=days, **terms)
    if after != table:
        facts = plan_facts.with_bureaux(session, plan_facts.checked(after), today=ground.today)
        reach = (region.days[-1] - ground.today).days + 1
        region = plan_region.region_of(session, facts=facts, horizon_days=reach, **terms)
    return Tried(region, version)


def with_changes(
    table: Mapping[str, Any],
    changes: Changes,
    *,
    points: Sequence[OfficePoint],
    bureaux: Collection[str],
    ground: Ground,
) -> Table:
    """The table with the changes in it; a line that is taken for granted is told before it is changed."""
    new: Table = deepcopy(dict(table))
    if (changes.shifts or changes.stopped) and not new.get("lines"):
        new["lines"] = [plan_events.default_line(points)]
    lines = {line["code"]: line for line in new.get("lines", ())}
    for code, more in changes.shifts.items():
        line = _known(lines, code, "shifts")
        line["shifts"] = [one + more if one else 0 for one in line.get("shifts", (1, 1, 1, 1, 1, 0, 0))]
    for code in changes.stopped:
        if code in bureaux:
            new.setdefault("bureaux", {}).setdefault(code, {})["use"] = False
        else:
            _known(lines, code, "stopped")["machines"] = 0
    if changes.chips:
        coming = {"day": ground.today.isoformat(), "count": changes.chips}
        chips = new.setdefault("chips", {})
        named = [coming | {"variant": one} for one in _named(chips) if one != ground.profile]
        # The usual variant needs no name.
        chips.setdefault("deliveries", []).extend([coming, *named])
    for name, factor, usual in (("intake", changes.intake, 0.0), ("windows", changes.windows, 1.0)):
        if factor is not None:
            # Where nobody was expected, the applications of late are what it is times of.
            now = float(new.get(name, {}).get("factor", usual))
            new[name] = {"factor": (now or 1.0 if name == "intake" else now) * factor}
    return new


def _named(chips: Table) -> list[str]:
    """The card variants that are told apart."""
    in_hand = chips.get("in_hand")
    told = {str(one.get("variant", "")) for one in chips.get("deliveries", ())}
    return sorted((told | (set(in_hand) if isinstance(in_hand, Mapping) else set())) - {""})


def _known(lines: Mapping[str, Table], code: str, field: str) -> Table:
    if code not in lines:
        raise InvalidInput(
            f"The scenario names a line {code} that is not there: look at the list of lines.", field=field
        )
    return lines[code]
