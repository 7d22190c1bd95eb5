"""How long work on a card takes here, and so how much of it is left: told to the one who waits at the reader."""

import statistics
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.lifecycle import OperationState
from uec.services.views import OperationView
from uec.store.tables import CardOperation

LATEST = 20
"""Operations that the present pace is taken from."""


def seconds_left(session: Session, operation: OperationView, *, now: datetime) -> int | None:
    """Whole seconds that running work will still take, 0 when it is late; None when nothing of the kind was done yet.

    By the median of the latest of its kind: one card that was put back after a pause does not count.
    """
    if operation.state is not OperationState.RUNNING or operation.started_at is None:
        return None
    done = select(CardOperation.started_at, CardOperation.finished_at).where(
        CardOperation.kind == operation.kind,
        CardOperation.state == OperationState.DONE,
        CardOperation.started_at.is_not(None),
        CardOperation.finished_at.is_not(None),
    )
    latest = session.execute(done.order_by(CardOperation.id.desc()).limit(LATEST)).all()
    if not latest:
        return None
    usual = statistics.median(
        (finished - started).total_seconds() for started, finished in latest if started and finished
    )
    spent = max(0.0, (now - operation.started_at).total_seconds())  # a clock may have been set back meanwhile
    return max(0, round(usual - spent))
