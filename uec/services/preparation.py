"""Makes the data of a released batch: data groups and their digests, stored before anything is written to a chip.

Refusals and deaths are looked at again here; a card that may not be made any more is annulled, the rest go on. Runs in
parts of its own transactions and goes on where it was stopped.
"""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.orm import Session, undefer

from issuance.production.datagroups import Fact, build_data_groups
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import InvalidInput
from uec.domain.lifecycle import BatchState, CardEvent, CardState
from uec.services.cards import apply_event
from uec.services.moves import move_all
from uec.services.refusals import barred
from uec.services.rows import locked, present
from uec.store.tables import Application, Batch, Card, CardData

PART = 500
WORKER = system_actor("preparation")


def waiting(session: Session) -> list[int]:
    """The released batches that still have cards to prepare, by day of production."""
    planned = select(Card.batch_id).where(Card.state == CardState.PLANNED)
    released = select(Batch.id).where(Batch.state.in_((BatchState.RELEASED, BatchState.IN_PRODUCTION)))
    return list(session.scalars(released.where(Batch.id.in_(planned)).order_by(Batch.planned_for, Batch.id)))


def prepare(
    session: Session,
    batch_id: int,
    *,
    profile: CardProfile,
    issuer: str,
    now: datetime,
    actor: Actor = WORKER,
) -> int:
    """Prepare every planned card of a released batch; returns how many. `issuer` is the name written to the card.

    Raises `InvalidInput` for a batch that is not released, `InvalidCardData` for a record that does not fit the profile
    (what was prepared before it stays).
    """
    batch = present(session, Batch, batch_id)
    if batch.state not in {BatchState.RELEASED, BatchState.IN_PRODUCTION}:
        raise InvalidInput(
            f"Batch {batch.number} is {batch.state}: a second person must release it first.", field="batch"
        )
    _call_off(session, batch_id, actor, now)
    prepared = 0
    while rows := _next_part(session, batch_id):
        session.execute(insert(CardData), _data_rows(rows, profile, issuer, batch))
        ids = [card.id for card, _ in rows]
        prepared += len(move_all(session, Card, CardEvent.PREPARE, Card.id.in_(ids), actor=actor, now=now))
        session.commit()
    return prepared


def _call_off(session: Session, batch_id: int, actor: Actor, now: datetime) -> None:
    """Annul the cards whose people have died or refused since the batch was planned."""
    forbidden = (
        select(Card.id)
        .join(Application, Application.id == Card.application_id)
        .where(Card.batch_id == batch_id, Card.state == CardState.PLANNED, barred())
    )
    for card_id in session.scalars(forbidden).all():
        card = locked(session, Card, card_id)
        apply_event(session, card, CardEvent.ANNUL, actor=actor, reason="refused or deceased", now=now)
    session.commit()


def _next_part(session: Session, batch_id: int) -> Sequence[tuple[Card, Application]]:
    part = (
        select(Card, Application)
        .join(Application, Application.id == Card.application_id)
        .where(Card.batch_id == batch_id, Card.state == CardState.PLANNED)
        .order_by(Card.id)
        .limit(PART)
        .options(undefer(Application.photo))
        .with_for_update(of=Card, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return session.execute(part).all()


def _data_rows(
    rows: Sequence[tuple[Card, Application]], profile: CardProfile, issuer: str, batch: Batch
) -> list[dict[str, object]]:
    made = []
    for card, application in rows:
        groups = build_data_groups(profile, _facts(card, application, issuer, batch))
        for number, content in groups.items():
            digest = hashlib.sha256(content).digest()
            made.append({"card_id": card.id, "kind": f"DG{number}", "content": content, "digest": digest})
    return made


def _facts(card: Card, application: Application, issuer: str, batch: Batch) -> dict[str, Fact]:
    return {
        "card_number": card.number,
        "printed_name": card.printed_name,
        "issuer": issuer,
        "issued_on": batch.planned_for,
        "expires_on": card.expires_on,
        "surname": application.surname,
        "name": application.name,
        "patronymic": application.patronymic or "",
        "sex": application.sex,
        "birth_date": application.birth_date,
        "birth_place": application.birth_place,
        "snils": application.snils,
        "oms": application.oms or "",
        "photo": application.photo or b"",
    }
