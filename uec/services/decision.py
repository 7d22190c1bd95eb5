"""An officer approves or rejects with a reason; never the one who took the application."""

from datetime import datetime

from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import ApplicationEvent
from uec.domain.permissions import Permission
from uec.domain.texts import typed
from uec.services.duties import refuse_decider
from uec.services.moves import move
from uec.services.rows import locked
from uec.store.tables import Application

REASON_LIMIT = 1000


def approve(session: Session, application_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Approve a checked application, or one whose mismatch was looked into; the reason is what was looked at."""
    _decide(session, application_id, ApplicationEvent.APPROVE, actor=actor, reason=reason, now=now)


def reject(session: Session, application_id: int, *, actor: Actor, reason: str, now: datetime) -> None:
    """Reject; the applicant reads the reason on the status page."""
    _decide(session, application_id, ApplicationEvent.REJECT, actor=actor, reason=reason, now=now)


def _decide(
    session: Session, application_id: int, event: ApplicationEvent, *, actor: Actor, reason: str, now: datetime
) -> None:
    actor.require(Permission.DECIDE_APPLICATION)
    reason = typed(reason)
    if not reason or len(reason) > REASON_LIMIT:
        raise InvalidInput(f"A decision needs a reason of 1 to {REASON_LIMIT} characters: write it.", field="reason")
    application = locked(session, Application, application_id)
    refuse_decider(application, actor=actor)
    application.decided_by, application.decided_at = actor.staff_id, now
    application.decision_reason = reason
    move(session, application, event, actor=actor, now=now, details={"reason": reason})
    session.commit()
