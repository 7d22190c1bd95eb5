"""What the office tells its planner, as dated versions of one table; and what its stock's own books say.

Lines with shifts and maintenance, ordered chips, couriers, points' hours and mobile offices change together when
something happens (a line stops, chips are late), so a version is the whole table with its reason, and the newest one
counts (`issuance.planning.facts_table` has its entries). Blanks in hand come from the ledger of the stock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from issuance.errors import IssuanceError
from issuance.planning.facts import PLENTY, Facts
from issuance.planning.facts_table import facts_from
from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import CardState
from uec.domain.permissions import Permission
from uec.domain.stock import Place
from uec.domain.texts import typed
from uec.services import bureaux
from uec.store import audit, queue
from uec.store.tables import (
    Card,
    IssuancePoint,
    PlanningFacts,
    Staff,
    StockAccount,
    StockBox,
    StockDelivery,
    StockHolding,
)

USABLE = (Place.STORE, Place.TRANSIT, Place.HAND)


@dataclass(frozen=True)
class FactsVersion:
    """A version of the facts: when, by whom, why."""

    id: int
    set_at: datetime
    set_by: str | None
    reason: str


def table(session: Session) -> dict[str, Any]:
    """The newest table; empty before the office has told anything."""
    newest = select(PlanningFacts.facts).order_by(PlanningFacts.id.desc()).limit(1)
    return dict(session.scalar(newest) or {})


def current(session: Session, *, today: date) -> Facts:
    """The newest facts, checked, with the bureaux that can take orders today."""
    return with_bureaux(session, facts_from(table(session)), today=today)


def with_bureaux(session: Session, facts: Facts, *, today: date) -> Facts:
    """Facts with the bureaux that can take orders today as lines, as far as the facts allow."""
    return facts.joined(bureaux.partners(session, now=datetime.combine(today, time(12), UTC)))


def one_writer(session: Session) -> None:
    """Nobody else changes the facts from here to the end of the transaction; SQLite has one writer in any case.

    Taken before the table is read that a new version is made of, or the change of another one would be lost.
    """
    queue.one_at_a_time(session, "planning facts")


def history(session: Session, *, actor: Actor, limit: int = 20) -> list[FactsVersion]:
    """The versions, the newest first."""
    actor.require(Permission.VIEW_BATCHES)
    rows = session.execute(
        select(PlanningFacts.id, PlanningFacts.set_at, Staff.display_name, PlanningFacts.reason)
        .outerjoin(Staff, Staff.id == PlanningFacts.set_by)
        .order_by(PlanningFacts.id.desc())
        .limit(limit)
    )
    return [FactsVersion(*row) for row in rows]


def checked(new: Mapping[str, Any]) -> Facts:
    """The facts of a table; raises `InvalidInput` naming what is wrong in it."""
    try:
        return facts_from(new)
    except IssuanceError as error:
        raise InvalidInput(str(error), field="facts") from error


def checked_here(session: Session, new: Mapping[str, Any]) -> Facts:
    """Like `checked`; raises `InvalidInput` also for a point that the office does not have."""
    facts = checked(new)
    known = set(session.scalars(select(IssuancePoint.code)))
    for code in sorted(facts.points.keys() - known):
        raise InvalidInput(f"There is no point {code!r}: correct its code, or enter the point first.", field="point")
    return facts


def store(session: Session, new: Mapping[str, Any], *, reason: str, actor: Actor, now: datetime) -> int:
    """Set a new version; returns its id. Raises `NotAllowed`, and `InvalidInput`. The caller commits."""
    actor.require(Permission.PLAN_BATCH)
    return keep(session, new, reason=reason, actor=actor, now=now)


def keep(
    session: Session,
    new: Mapping[str, Any],
    *,
    reason: str,
    actor: Actor,
    now: datetime,
    scenario_id: int | None = None,
) -> int:
    """Like `store`, for who was allowed by another rule."""
    one_writer(session)
    reason = typed(reason)
    if not reason:
        raise InvalidInput("Say what happened: write the reason.", field="reason")
    checked_here(session, new)
    row = PlanningFacts(set_at=now, set_by=actor.staff_id, reason=reason, facts=dict(new), scenario_id=scenario_id)
    session.add(row)
    session.flush()
    audit.record(
        session,
        actor=actor.reference,
        action="emission.facts",
        subject_kind="planning_facts",
        subject_id=row.id,
        details={"reason": reason},
        now=now,
    )
    return row.id


def free_chips(session: Session, facts: Facts, variants: Sequence[str]) -> list[int]:
    """By card variant, the usual one first: chips that no card in a batch needs.

    Of those told to be in hand, or by the books; plenty of a variant of which neither is kept.
    """
    there = dict(zip(variants, facts.free_chips(variants), strict=True))
    if facts.in_hand is None:
        there |= _blanks(session, variants[0])
    unwritten = select(Card.profile, func.count()).where(Card.state.in_((CardState.PLANNED, CardState.PREPARED)))
    needed: Mapping[str, int] = dict(session.execute(unwritten.group_by(Card.profile)).all())
    return [there[one] if there[one] == PLENTY else max(0, there[one] - needed.get(one, 0)) for one in variants]


def _blanks(session: Session, usual: str) -> dict[str, int]:
    """Blanks in stores, on the way and in shifts by card variant; only variants of which any was ever delivered."""
    delivered = session.scalars(select(StockDelivery.profile).distinct()).all()
    profile = func.coalesce(StockDelivery.profile, usual)
    usable = (
        select(profile, func.sum(StockHolding.last - StockHolding.first + 1))
        .join(StockAccount, StockAccount.id == StockHolding.account_id)
        .outerjoin(StockBox, StockBox.id == StockHolding.box_id)
        .outerjoin(StockDelivery, StockDelivery.id == StockBox.delivery_id)
        .where(StockAccount.kind.in_(USABLE))
        .group_by(profile)
    )
    found = {name: int(count) for name, count in session.execute(usable)}
    return {name: found.get(name, 0) for name in delivered}


def arrived(session: Session) -> frozenset[str]:
    """The makers' delivery notes that the stock has taken in."""
    return frozenset(session.scalars(select(StockDelivery.note)))
