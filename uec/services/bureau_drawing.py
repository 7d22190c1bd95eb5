"""Orders that follow from the plan: a released batch of a bureau's line is drawn up for it by itself.

One person planned the batch, another released it; whoever released it does not approve its order. What stands against
an order (no blanks at the bureau, no certificate) is said, and tried again with the next run. A batch whose order was
cancelled or declined is left to people, and so is one of a bureau that the office forbids meanwhile.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.errors import IssuanceError
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor
from uec.domain.bureau import PartnerState
from uec.domain.errors import InvalidInput, UecError
from uec.domain.lifecycle import BatchState, CardState
from uec.services import bureau_orders, plan_facts
from uec.store.tables import Batch, Bureau, BureauOrder, Card


@dataclass(frozen=True)
class Drawn:
    """What became of a batch: its order, or why it has none."""

    batch: str
    order_id: int | None
    refusal: UecError | IssuanceError | None = None


def draw_due(
    session: Session,
    *,
    profiles: Callable[[str], CardProfile],
    actor: Actor,
    today: date,
    clock: Callable[[], datetime],
) -> Iterator[Drawn]:
    """Draw up the orders of all prepared batches that the plan gave to a bureau; yields what became of each."""
    said = plan_facts.current(session, today=today)
    for batch_id, number, profile_name, bureau_id, code in _waiting(session):
        if not said.outside(code).use:
            continue
        try:
            profile = profiles(profile_name)
            drawing = bureau_orders.Drawing(batch_id, bureau_id, bureau_orders.usual_way(profile))
            order_id = bureau_orders.draw(session, drawing, profile=profile, actor=actor, now=clock())
        except (UecError, IssuanceError) as refusal:
            session.rollback()
            session.connection()  # a database that is away is not the trouble of one batch
            yield Drawn(number, None, refusal)
        else:
            yield Drawn(number, order_id)


def bureau_of(session: Session, batch: Batch) -> Bureau | None:
    """The bureau that the plan gave a batch to."""
    if batch.line is None:
        return None
    return session.scalar(select(Bureau).where(Bureau.code == batch.line, Bureau.state == PartnerState.APPROVED))


def required(session: Session, batch: Batch) -> Bureau:
    """The same; raises `InvalidInput` where the plan gave it to none."""
    found = bureau_of(session, batch)
    if found is None:
        raise InvalidInput(f"Batch {batch.number} is planned for no bureau: name one.", field="bureau")
    return found


def _waiting(session: Session) -> list[tuple[int, str, str, int, str]]:
    """Released batches of bureaux' lines that never stood in an order and whose data are made."""
    ordered = select(BureauOrder.id).where(BureauOrder.batch_id == Batch.id)
    unprepared = select(Card.id).where(Card.batch_id == Batch.id, Card.state == CardState.PLANNED)
    wanted = (
        select(Batch.id, Batch.number, Batch.profile, Bureau.id, Bureau.code)
        .join(Bureau, Bureau.code == Batch.line)
        .where(Batch.state == BatchState.RELEASED, Bureau.state == PartnerState.APPROVED)
        .where(~ordered.exists(), ~unprepared.exists())
        .order_by(Batch.planned_for, Batch.id)
    )
    return [(key, number, profile, bureau, code) for key, number, profile, bureau, code in session.execute(wanted)]
