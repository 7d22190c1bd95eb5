"""What-if scenarios: a changed region lived through by the digital twin, saved under a name, compared side by side."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
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
from uec.store import audit
from uec.store.tables import PlanScenario

NAME_LIMIT = 60


def setting(chances: Chances | None = None, margin_days: int = 5) -> Setting:
    """The twin with the office's own table of card moves."""
    return Setting(CARD, chances or Chances(), margin_days)


def run(
    session: Session,
    name: str,
    *,
    region: Region,
    changes: Mapping[str, Any],
    runs: int,
    seed: int,
    actor: Actor,
    now: datetime,
    tell: Callable[[int], None] | None = None,
) -> PlanScenario:
    """Simulate a changed region and save how it went; raises `InvalidInput` for a name that is taken or none."""
    actor.require(Permission.PLAN_BATCH)
    if not name.strip() or len(name) > NAME_LIMIT or not name.isprintable():
        raise InvalidInput(f"A scenario's name has 1 to {NAME_LIMIT} printable characters.", field="name")
    if session.scalar(select(PlanScenario.id).where(PlanScenario.name == name)) is not None:
        raise InvalidInput(f"There is a scenario {name} already: choose another name.", field="name")
    outcomes = simulate_many(changed(region, changes), runs=runs, setting=setting(), seed=seed, tell=tell)
    figures = {figure: list(values) for figure, values in spread(outcomes).items()}
    row = PlanScenario(
        name=name,
        made_at=now,
        made_by=actor.staff_id,
        changes=dict(changes),
        outcome=figures | {"runs": runs, "seed": seed},
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        actor=actor.reference,
        action="emission.simulate",
        subject_kind="plan_scenario",
        subject_id=row.id,
        details={"name": name, "runs": runs},
        now=now,
    )
    session.commit()
    return row


def compare(session: Session, names: Sequence[str], *, actor: Actor) -> list[PlanScenario]:
    """Saved scenarios in the order of the names, or all of them by name; raises `NotFound`."""
    actor.require(Permission.VIEW_BATCHES)
    found = {row.name: row for row in session.scalars(select(PlanScenario).order_by(PlanScenario.name))}
    for name in names:
        if name not in found:
            raise NotFound(f"There is no scenario {name}: run it with `uec plan simulate`.", kind="scenario", id=name)
    return [found[name] for name in names or found]
