"""Hides what becomes of work that nobody does any more: the journal alone says whether it was done."""

from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.production.bundle import RecordKind
from uec.domain.lifecycle import OPERATION, OperationEvent, OperationKind, advance
from uec.services.rows import present
from uec.store.tables import Application, Card, CardOperation, JournalEntry

SEALED = (OperationKind.HAND_OVER, OperationKind.UNBLOCK)
"""Work with a holder's PINs, which are sealed to one hub: no other one can go on with it."""
_PROOFS = (
    RecordKind.INSPECTED,
    RecordKind.HANDED_OVER,
    RecordKind.UNBLOCKED,
    RecordKind.SCRAPPED,
    RecordKind.TERMINATED,
)
"""Journal entries after which an operation has nothing more to do."""


def settle(session: Session, operation: CardOperation, now: datetime) -> None:
    """Where an operation that nobody works on any more goes, by its journal."""
    proofs = select(JournalEntry).where(
        JournalEntry.operation_id == operation.id, JournalEntry.kind.in_([kind.value for kind in _PROOFS])
    )
    proof = session.scalars(proofs.order_by(JournalEntry.seq.desc()).limit(1)).first()
    if proof is None and operation.kind not in SEALED:
        operation.state = advance(OPERATION, operation.state, OperationEvent.RELEASE)
        operation.started_at = operation.hub_id = None
        return
    operation.sealed_pins, operation.finished_at = None, now
    if proof is None:
        operation.state = advance(OPERATION, operation.state, OperationEvent.FAIL)
        operation.error_code = "uec.hub_restarted"
        operation.error_text = "The card service was restarted: let the holder enter the PINs again."
    elif proof.kind == RecordKind.SCRAPPED.value:
        operation.state = advance(OPERATION, operation.state, OperationEvent.FAIL)
        reason, operation.error_code = str(proof.facts.get("reason", "")), "card-scrapped"
        operation.error_text = f"The card is spoiled ({reason}): put it aside; a new one is planned by itself."
    else:
        operation.state = advance(OPERATION, operation.state, OperationEvent.FINISH)
        operation.result = _proven(session, present(session, Card, operation.card_id))


def _proven(session: Session, card: Card) -> dict[str, Any]:
    """What a page is told of work that was proven before its hub died."""
    return {
        "genuine": True,
        "chip_id": card.chip_id,
        "card_id": card.id,
        "card_number": card.number,
        "receipt": present(session, Application, card.application_id).number,
        "findings": [],
        "resumed": True,
    }
