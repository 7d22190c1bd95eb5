"""Plans of mass emission: their batches by counts, the slots of each queue, who has which, and what-if scenarios."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from uec.store.columns import IDS, Table

_UNTOLD = text("told_at IS NULL")


class EmissionPlan(Table):
    """A plan over all open applications, made on a day; the newest one counts."""

    __tablename__ = "emission_plan"

    id: Mapped[int] = mapped_column(primary_key=True)
    made_at: Mapped[datetime] = mapped_column(comment="when it was made")
    made_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who made it")
    first_day: Mapped[date] = mapped_column(comment="first day planned")
    last_day: Mapped[date] = mapped_column(comment="last day planned")
    people: Mapped[int] = mapped_column(comment="applications with a place in it")
    promised: Mapped[int] = mapped_column(comment="of them with a promised day")
    facts: Mapped[dict[str, Any]] = mapped_column(comment="cost, bound, gap, bottlenecks, reliefs, who is late and why")
    frozen_until: Mapped[date | None] = mapped_column(comment="last day whose batches were cut; empty: none")
    archive: Mapped[bytes | None] = mapped_column(
        LargeBinary, comment="counts by day, to plan anew from; empty: forgotten", deferred=True
    )


class PlanningFacts(Table):
    """Lines, chips, couriers, points and mobile offices as the office tells them; the newest version counts."""

    __tablename__ = "planning_facts"

    id: Mapped[int] = mapped_column(primary_key=True)
    set_at: Mapped[datetime] = mapped_column(comment="when it was set")
    set_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who set it")
    reason: Mapped[str] = mapped_column(Text, comment="what happened")
    facts: Mapped[dict[str, Any]] = mapped_column(comment="the table, as in `uec plan facts`")
    scenario_id: Mapped[int | None] = mapped_column(
        ForeignKey("plan_scenario.id"), index=True, comment="scenario it came from"
    )


class PromiseMove(Table):
    """A promised day that moved: first what was told, then what is so now; told again by a message.

    A line that stops moves half a region. Keys that are looked up for each of them would lock every application once
    more, which is most of what a new plan wrote; so there is none, as with slots: nothing they name is ever deleted.
    """

    __tablename__ = "promise_move"
    __table_args__ = (
        Index(
            "uq_promise_move_untold",
            "application_id",
            unique=True,
            sqlite_where=_UNTOLD,
            postgresql_where=_UNTOLD,
        ),
        # Half a region may wait to be told: the page reads its points and its first names from these alone.
        Index("ix_promise_move_point", "point_id", "now", "was", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
        Index("ix_promise_move_day", "now", "id", sqlite_where=_UNTOLD, postgresql_where=_UNTOLD),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    application_id: Mapped[int] = mapped_column()
    point_id: Mapped[int] = mapped_column(comment="where the card is promised")
    plan_id: Mapped[int | None] = mapped_column(comment="plan it moved in")
    was: Mapped[date] = mapped_column(comment="the day that was promised")
    now: Mapped[date | None] = mapped_column(comment="the day promised now; empty: not within the plan")
    listed_at: Mapped[datetime] = mapped_column(comment="when it moved first")
    told_at: Mapped[datetime | None] = mapped_column(comment="when the message was queued; empty: not yet")


class EmissionBatch(Table):
    """Cards of one variant for one point, to be made on one line on one day."""

    __tablename__ = "emission_batch"

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column(ForeignKey("emission_plan.id"), index=True)
    position: Mapped[int] = mapped_column(comment="number within the plan, from 0")
    day: Mapped[date] = mapped_column(comment="day of production")
    line: Mapped[str] = mapped_column(String(40), comment="code of the line")
    variant: Mapped[str] = mapped_column(String(40), comment="card variant")
    point_id: Mapped[int] = mapped_column(comment="destination")
    departs_on: Mapped[date | None] = mapped_column(comment="the courier's day; empty: after the plan")
    cards: Mapped[int] = mapped_column(comment="how many")


class EmissionSlot(Table):
    """Places from `first` on of a point's queue of one class and variant, with one batch, a promised day, and people.

    A row a person would be 1.4 million rows with their keys for every plan. A key that is looked up for each of tens of
    thousands of slots costs as much as finding who stands in them, so there is none: plans are never deleted, and no
    point that has applications can be.
    """

    __tablename__ = "emission_slot"
    __table_args__ = (Index("ix_emission_slot_queue", "plan_id", "point_id", "kind", "variant", "first", unique=True),)

    id: Mapped[int] = mapped_column(primary_key=True)
    plan_id: Mapped[int] = mapped_column()
    point_id: Mapped[int] = mapped_column()
    kind: Mapped[int] = mapped_column(comment="0 remake, 1 clock, 2 cohort")
    variant: Mapped[str] = mapped_column(String(40), comment="card variant")
    first: Mapped[int] = mapped_column(comment="first place, from 0")
    count: Mapped[int] = mapped_column(comment="how many places")
    position: Mapped[int | None] = mapped_column(comment="batch within the plan; empty: not within the plan")
    promised_on: Mapped[date | None] = mapped_column(comment="first day it can be collected; empty: after the plan")
    people: Mapped[list[int]] = mapped_column(IDS, comment="ids of applications, in the order of the queue")


class PlanScenario(Table):
    """A what-if: what was changed, and how the simulated years went."""

    __tablename__ = "plan_scenario"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(60), unique=True, comment="chosen by who ran it")
    made_at: Mapped[datetime] = mapped_column(comment="when it was run")
    made_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who ran it")
    changes: Mapped[dict[str, Any]] = mapped_column(comment="what differs from the region as it is")
    outcome: Mapped[dict[str, Any]] = mapped_column(comment="P50 and P90 by figure, runs, seed")


class PlanProposal(Table):
    """A scenario put forward to become the plan, and the other person who approved it."""

    __tablename__ = "plan_proposal"

    id: Mapped[int] = mapped_column(primary_key=True)
    scenario_id: Mapped[int] = mapped_column(ForeignKey("plan_scenario.id"), unique=True)
    proposed_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="who put it forward")
    proposed_at: Mapped[datetime] = mapped_column(comment="when")
    approved_by: Mapped[int | None] = mapped_column(ForeignKey("staff.id"), index=True, comment="another person")
    approved_at: Mapped[datetime | None] = mapped_column(comment="when it became the plan")
