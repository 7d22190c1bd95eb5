"""Work on one card in one reader: asked for by a person, claimed by a hub, finished or failed on evidence.

Who may ask, for which card, in which state, is decided here; what happens at the card is `issuance.production`. Claims
skip what another hub holds, so any number of hubs may run.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, exists, insert, literal, select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor, system_actor
from uec.domain.errors import InvalidInput, UecError
from uec.domain.lifecycle import (
    OPERATION,
    OperationEvent,
    OperationKind,
    OperationState,
    advance,
)
from uec.domain.permissions import Permission
from uec.domain.stock import SubjectKind
from uec.services import barring, quality, quality_refusals
from uec.services import operation_statements as statements
from uec.services.bureau_custody import away, refuse_if_away
from uec.services.duties import Duty, refuse_second, refuse_second_in_batch
from uec.services.moves import CardNow, card_now
from uec.services.operation_recovery import settle
from uec.services.operation_rules import DUTY, GIVING, OPEN, PERMISSION, RELEASED, STATES, UNGIVEN
from uec.services.rows import locked, present
from uec.services.views import OperationView
from uec.store import audit
from uec.store.tables import Batch, Card, CardOperation

HUB = system_actor("hub")
BEGUN = {"step": 0, "of": 0, "label": "find_card"}


class CardNotReady(UecError):
    """The card is in no state for this work. Facts: `card`, `state`, `kind`."""

    code = "uec.card_not_ready"


class CardBusy(UecError):
    """Another operation on the card is open. Facts: `card`, `operation`."""

    code = "uec.card_busy"


def request_operation(
    session: Session,
    *,
    kind: OperationKind,
    card_id: int | None,
    station_id: int | None,
    reader: str | None,
    actor: Actor,
    now: datetime,
    sealed_pins: bytes | None = None,
) -> int:
    """Ask for work on a card at a station (None: whichever is free); returns the operation's id.

    Raises `NotAllowed`, `SamePerson`, `CardNotReady`, `CardBusy`; READ needs no card of ours (`card_id` None).
    """
    actor.require(PERMISSION[kind])
    quality_refusals.refuse(session, SubjectKind.OPERATOR, actor.staff_id)
    quality_refusals.refuse_place(session, station_id, reader)
    if card_id is not None:
        _check_card(session, kind, card_now(session, card_id), actor)
    elif kind is not OperationKind.READ:
        raise InvalidInput("Say which card this is for.", field="card_id")
    asked: dict[str, Any] = {
        "kind": kind,
        "card_id": card_id,
        "station_id": station_id,
        "reader": reader,
        "requested_by": actor.staff_id,
        "requested_at": now,
        "sealed_pins": sealed_pins,
    }
    operation_id: int = session.connection().execute(statements.ASKED, asked).scalar_one()
    _note(session, (operation_id, kind, card_id), "request", actor, now)
    session.commit()
    return operation_id


def request_batch(session: Session, batch_id: int, *, station_id: int | None, actor: Actor, now: datetime) -> int:
    """Ask for the writing of every prepared card of a released batch, in the order of numbers; returns how many."""
    actor.require(Permission.PRODUCE_CARD)
    quality_refusals.refuse(session, SubjectKind.OPERATOR, actor.staff_id)
    quality_refusals.refuse_place(session, station_id, None)
    batch = present(session, Batch, batch_id)
    if batch.state not in RELEASED:
        raise InvalidInput(f"Batch {batch.number} is {batch.state}: it must be released first.", field="batch")
    refuse_second_in_batch(session, batch_id=batch_id, actor=actor, duty=Duty.PRODUCE)
    # Locked as by whoever asks for one card, so that no card gets two open operations.
    cards = select(Card.id).where(Card.batch_id == batch_id).order_by(Card.id)
    session.execute(cards.with_for_update(key_share=True))
    busy = exists().where(CardOperation.card_id == Card.id, CardOperation.state.in_(OPEN))
    fixed = {
        "kind": OperationKind.PERSONALISE,
        "state": OperationState.REQUESTED,
        "station_id": station_id,
        "requested_by": actor.staff_id,
        "requested_at": now,
        "version": 1,
    }
    types = CardOperation.__table__.c
    chosen = select(Card.id, *(literal(value, types[name].type) for name, value in fixed.items())).where(
        Card.batch_id == batch_id, Card.state.in_(STATES[OperationKind.PERSONALISE]), ~busy, ~away()
    )
    asked = insert(CardOperation).from_select(["card_id", *fixed], chosen.order_by(Card.number), include_defaults=False)
    rows = session.execute(asked.returning(CardOperation.id)).scalars().all()
    audit.record(
        session,
        actor=actor.reference,
        action="batch.produce",
        subject_kind="batch",
        subject_id=batch_id,
        details={"operations": len(rows)},
        now=now,
    )
    session.commit()
    return len(rows)


def claim_operation(
    session: Session,
    *,
    now: datetime,
    station_ids: Collection[int] | None = None,
    operation_id: int | None = None,
    place: tuple[int, str] | None = None,
    hub_id: int | None = None,
) -> OperationView | None:
    """Take the oldest operation that one of these stations can do (None: any), or exactly the one named, or None.

    Refusals and deaths are looked at once more: a card nobody may have is annulled instead of written. So is the card's
    state: an operation on a card that was annulled or spoiled while it waited fails and touches no chip, and so does
    one that somebody asked for who is in quarantine now. `place` is the station and reader that it is claimed for,
    `hub_id` the hub that answers for it while its lease lasts.
    """
    wanted: dict[str, Any] = {}
    if station_ids is not None:
        wanted["stations"] = list(station_ids)
    if operation_id is not None:
        wanted["this"] = operation_id
    while True:
        session.flush()
        connection = session.connection()
        found = connection.execute(statements.oldest(frozenset(wanted)), wanted).first()
        if found is None:
            session.rollback()
            return None
        if _falls_through(session, found, now):
            continue
        started = {"state": advance(OPERATION, found.state, OperationEvent.CLAIM), "progress": dict(BEGUN)}
        started |= {"started_at": now, "hub_id": hub_id}
        connection.execute(statements.CLAIMED, started | {"this": found.id})
        if place is not None:
            quality.note_place(session, found.id, station_id=place[0], reader=place[1])
        _tell(session, found, "claim", HUB, now)
        session.commit()
        return replace(operation_view(found), state=OperationState.RUNNING, started_at=now, progress=BEGUN)


def _falls_through(session: Session, found: Row[Any], now: datetime) -> bool:
    """Close an operation that is not to be done any more; whether that was so."""
    look = (
        session.connection().execute(statements.LOOK, {"card": found.card_id, "staff": str(found.requested_by)}).first()
    )
    moved_on = look is not None and found.kind in STATES and look.state not in STATES[found.kind]
    barred_now = look is not None and found.kind in GIVING and look.barred
    if look is not None and not (moved_on or barred_now or look.quarantined):
        return False
    operation = locked(session, CardOperation, found.id)
    if _fail_if_moved_on(session, operation, now):
        return True
    if kept := quality_refusals.refusal(session, SubjectKind.OPERATOR, operation.requested_by):
        _fail(session, operation, kept.code, kept.message, now)
        return True
    return operation.kind in GIVING and _call_off_if_barred(session, operation, now)


def show_progress(session: Session, operation_id: int, progress: Mapping[str, Any]) -> None:
    """Show how far a running operation is: `step`, `of`, `label`; nothing depends on it. The caller commits."""
    session.connection().execute(statements.SHOWN, {"this": operation_id, "shown": dict(progress)})


def finish_operation(
    session: Session, operation_id: int, *, result: Mapping[str, Any], now: datetime, actor: Actor = HUB
) -> OperationView:
    """Close an operation that did its work, and commit; sealed PINs are wiped.

    One that made a card for somebody who was barred meanwhile fails, and its card is annulled.
    """
    session.flush()
    connection = session.connection()
    if connection.execute(statements.UNWANTED, {"this": operation_id}).first() is not None:
        return _fail_unwanted(session, operation_id, now, actor)
    ended = connection.execute(statements.FINISHED, {"this": operation_id, "now": now, "found": dict(result)}).first()
    if ended is None:
        state = present(session, CardOperation, operation_id).state
        raise AssertionError(f"an operation that is {advance(OPERATION, state, OperationEvent.FINISH)} runs")
    _tell(session, ended, "finish", actor, now)
    session.commit()
    return operation_view(ended)


def _fail_unwanted(session: Session, operation_id: int, now: datetime, actor: Actor) -> OperationView:
    operation = locked(session, CardOperation, operation_id)
    _end_if_barred(session, operation, now)
    _fail(session, operation, barring.CODE, barring.SENTENCE, now, actor)
    return operation_view(operation)


def fail_operation(
    session: Session,
    operation_id: int,
    *,
    code: str,
    text: str,
    now: datetime,
    actor: Actor = HUB,
    result: Mapping[str, Any] | None = None,
) -> OperationView:
    """Close an operation that failed, with the error's code and its sentence for the person at the window.

    `result` is what else the card said.
    """
    operation = locked(session, CardOperation, operation_id)
    operation.result = dict(result) if result else None
    _fail(session, operation, code, text, now, actor)
    return operation_view(operation)


def cancel_operation(session: Session, operation_id: int, *, actor: Actor, now: datetime) -> None:
    """Call off an operation that no hub has claimed yet."""
    operation = locked(session, CardOperation, operation_id)
    actor.require(PERMISSION[operation.kind])
    operation.state = advance(OPERATION, operation.state, OperationEvent.CANCEL)
    _end(session, operation, "cancel", actor, now)


def release_operations(session: Session, operation_ids: Collection[int], *, now: datetime) -> int:
    """Settle running operations of a hub that died, or that could not close them for want of the database.

    One whose journal holds the proof that it did its work is done; one that scrapped its card has failed. A hand-over
    fails: its PINs were sealed to the dead hub, and the holder has to choose them again. Any other goes back into the
    queue, where the card is recognised by what it answers.
    """
    running = CardOperation.state == OperationState.RUNNING
    chosen = select(CardOperation).where(CardOperation.id.in_(operation_ids), running).with_for_update()
    operations = session.scalars(chosen).all()
    for operation in operations:
        settle(session, operation, now)
        _tell(session, operation, "release", HUB, now, details={"became": operation.state.value})
    session.commit()
    return len(operations)


def operation(session: Session, operation_id: int) -> OperationView:
    """An operation as it stands now, for a page that watches it; no personal data. Raises `NotFound`."""
    return operation_view(present(session, CardOperation, operation_id))


def operation_view(row: CardOperation | Row[Any]) -> OperationView:
    """An operation without its session and without its sealed PINs."""
    return OperationView(
        id=row.id,
        kind=row.kind,
        state=row.state,
        card_id=row.card_id,
        station_id=row.station_id,
        reader=row.reader,
        requested_at=row.requested_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
        progress=row.progress or {},
        result=row.result or {},
        error_code=row.error_code,
        error_text=row.error_text,
    )


def _check_card(session: Session, kind: OperationKind, card: CardNow, actor: Actor) -> None:
    if kind in DUTY:
        refuse_second(session, card_id=card.id, actor=actor, duty=DUTY[kind])
    if kind is OperationKind.PERSONALISE:
        refuse_if_away(session, card)
    wrong_state = kind in STATES and card.state not in STATES[kind]
    unreleased = kind is OperationKind.PERSONALISE and present(session, Batch, card.batch_id).state not in RELEASED
    if wrong_state or unreleased:
        raise CardNotReady(
            f"Card {card.number} is {card.state} and cannot go through {kind}: reload the page and look at its state.",
            card=card.number,
            state=card.state,
            kind=kind,
        )
    other = session.connection().execute(statements.BUSY, {"card": card.id}).scalar()
    if other is not None:
        raise CardBusy(
            f"Operation {other} on card {card.number} is still open: wait for it.", card=card.number, operation=other
        )


def _fail_if_moved_on(session: Session, operation: CardOperation, now: datetime) -> bool:
    """Close an operation whose card cannot go through it any more; whether that was so."""
    if operation.kind not in STATES:
        return False
    card = locked(session, Card, operation.card_id)
    if card.state in STATES[operation.kind]:
        return False
    text = f"Card {card.number} became {card.state} before its turn came: put this card aside."
    _fail(session, operation, CardNotReady.code, text, now)
    return True


def _call_off_if_barred(session: Session, operation: CardOperation, now: datetime) -> bool:
    if not _end_if_barred(session, operation, now):
        return False
    operation.state = advance(OPERATION, operation.state, OperationEvent.CANCEL)
    operation.error_code, operation.error_text = barring.CODE, barring.SENTENCE
    _end(session, operation, "cancel", HUB, now, details={"error": "barred"})
    return True


def _end_if_barred(session: Session, operation: CardOperation, now: datetime) -> bool:
    """End the card of an operation when nobody may have it any more; whether that was so."""
    card = locked(session, Card, operation.card_id)
    if card.state not in UNGIVEN or not barring.is_barred(session, card):
        return False
    barring.end_card(session, card, actor=HUB, now=now)
    return True


def _fail(session: Session, operation: CardOperation, code: str, text: str, now: datetime, actor: Actor = HUB) -> None:
    operation.state = advance(OPERATION, operation.state, OperationEvent.FAIL)
    operation.error_code, operation.error_text = code, text
    _end(session, operation, "fail", actor, now, details={"error": code})


def _end(
    session: Session,
    operation: CardOperation,
    action: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    operation.sealed_pins, operation.finished_at = None, now
    _tell(session, operation, action, actor, now, details)
    session.commit()


def _tell(
    session: Session,
    operation: CardOperation | Row[Any],
    action: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    _note(session, (operation.id, operation.kind, operation.card_id), action, actor, now, details)


def _note(
    session: Session,
    operation: tuple[int, OperationKind, int | None],
    action: str,
    actor: Actor,
    now: datetime,
    details: Mapping[str, Any] | None = None,
) -> None:
    operation_id, kind, card_id = operation
    audit.record(
        session,
        actor=actor.reference,
        action=f"operation.{action}",
        subject_kind="card_operation",
        subject_id=operation_id,
        details={"kind": kind.value, "card": card_id} | dict(details or {}),
        now=now,
    )
