"""Releases by the clock what policy lets go without a second person's button: batches that a person planned.

The rule `release_ahead_days` is 0 by default: people release. What the scheduler planned by itself always waits for a
person, so that nothing is made that no member of staff has looked at.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.lifecycle import BatchState
from uec.domain.policy import Policy
from uec.services import batches
from uec.store.tables import Batch

AT_REST = timedelta(minutes=1)
"""So old a batch's card numbers are before a machine lets them go: office and vault have counted on since (see
`issuance.keys.agreement`), so that no card is ever written with a number that a restored database does not know."""


def release_due(session: Session, *, policy: Policy, actor: Actor, now: datetime) -> Sequence[int]:
    """Release the batches of the next `release_ahead_days` days that a person planned; returns their ids."""
    if not policy.release_ahead_days:
        return ()
    last = policy.day(now) + timedelta(days=policy.release_ahead_days)
    due = select(Batch.id).where(
        Batch.state == BatchState.PLANNED,
        Batch.planned_for <= last,
        Batch.planned_by.is_not(None),
        Batch.planned_at <= now - AT_REST,
    )
    released = session.scalars(due.order_by(Batch.planned_for, Batch.id)).all()
    for batch_id in released:
        batches.release(session, batch_id, actor=actor, now=now)
    return released


def waiting_for_people(session: Session, *, policy: Policy, now: datetime) -> int:
    """How many batches wait for somebody's release whose day has come."""
    today = policy.day(now)
    late = (Batch.state == BatchState.PLANNED, Batch.planned_for <= today)
    return session.scalar(select(func.count()).select_from(Batch).where(*late)) or 0
