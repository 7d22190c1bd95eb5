"""Hides how an operation is asked for, claimed and closed in the database: statements built once, with columns only.

Every card goes through them, and to build one, or to make an entity of its row, costs more than to run it.
"""

from functools import cache
from typing import Any

from sqlalchemy import ColumnElement, String, and_, bindparam, exists, insert, or_, select, update

from uec.domain.lifecycle import OperationState
from uec.domain.stock import SubjectKind
from uec.services import quality_refusals
from uec.services.operation_rules import GIVING, MAKING, OPEN, UNGIVEN
from uec.services.refusals import barred
from uec.services.twins import held
from uec.services.views import OperationView
from uec.store.tables import Application, Card, CardOperation

_TABLE = CardOperation.__table__
_THIS = _TABLE.c.id == bindparam("this")
_RUNNING = (_THIS, _TABLE.c.state == OperationState.RUNNING)
_VIEW = [_TABLE.c[name] for name in OperationView.__dataclass_fields__]
_STARTED: dict[str, Any] = {name: bindparam(name) for name in ("state", "progress", "started_at", "hub_id")}

SHOWN = update(_TABLE).where(*_RUNNING).values(progress=bindparam("shown"))  # type: ignore[arg-type]
"""How far a running operation (`this`) is; nothing depends on it."""
CLAIMED = update(_TABLE).where(_THIS).values(version=_TABLE.c.version + 1, **_STARTED)  # type: ignore[arg-type]
"""A locked operation (`this`) begins."""
FINISHED = (
    update(_TABLE)  # type: ignore[arg-type]
    .where(*_RUNNING)
    .values(
        state=OperationState.DONE,
        result=bindparam("found"),
        finished_at=bindparam("now"),
        sealed_pins=None,
        version=_TABLE.c.version + 1,
    )
    .returning(*_VIEW)
)
"""A running operation (`this`) has done its work; what a page is shown of it."""
ASKED = insert(_TABLE).values(state=OperationState.REQUESTED, version=1).returning(_TABLE.c.id)  # type: ignore[arg-type]
"""Work that somebody asks for; its id."""
UNWANTED = (
    select(Card.id)
    .join(CardOperation, CardOperation.card_id == Card.id)
    .join(Application, Application.id == Card.application_id)
    .where(_THIS, CardOperation.kind.in_(MAKING), Card.state.in_(UNGIVEN), barred())
)
"""The card that an operation (`this`) has made for somebody who may have none any more."""
BUSY = (
    select(CardOperation.id).where(CardOperation.card_id == bindparam("card"), CardOperation.state.in_(OPEN)).limit(1)
)
"""An open operation on a card."""
LOOK = (
    select(
        Card.state,
        barred().label("barred"),
        quality_refusals.imposed_on(SubjectKind.OPERATOR, bindparam("staff", type_=String)).label("quarantined"),
    )
    .join(Application, Application.id == Card.application_id)
    .where(Card.id == bindparam("card"))
)
"""What may have happened to a `card`, its person and the `staff` who asked, since the work was asked for."""


@cache
def oldest(by: frozenset[str]) -> Any:
    """The oldest operation that may begin, locked; of these `stations`, or `this` one, where that is asked."""
    wanted: list[ColumnElement[bool]] = [CardOperation.state == OperationState.REQUESTED, ~_in_doubt()]
    if "stations" in by:
        here = CardOperation.station_id.in_(bindparam("stations", expanding=True))
        wanted.append(or_(CardOperation.station_id.is_(None), here))
    if "this" in by:
        wanted.append(_THIS)
    first = select(*_VIEW, _TABLE.c.requested_by).where(*wanted).order_by(CardOperation.id).limit(1)
    return first.with_for_update(skip_locked=True)


def _in_doubt() -> ColumnElement[bool]:
    """Whether the work gives a card to a person in doubt: it waits for the clerk, it is not called off."""
    theirs = select(Application.id).join(Card, Card.application_id == Application.id)
    theirs = theirs.where(Card.id == CardOperation.card_id, held(Application.resident_id))
    return and_(CardOperation.kind.in_(GIVING), exists(theirs))
