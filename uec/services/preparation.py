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
from issuance.production.errors import InvalidCardData
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import InvalidInput, UecError
from uec.domain.lifecycle import BatchState, CardEvent, CardState
from uec.services.cards import apply_event
from uec.services.moves import move_all
from uec.services.photos import for_chip
from uec.services.refusals import barred
from uec.services.rows import present
from uec.store.tables import Application, Batch, Card, CardData

PART = 200
WORKER = system_actor("preparation")
Row = tuple[Card, Application]


class UnfitCards(UecError):
    """Some cards of a batch cannot be prepared; all others are. Facts: `batch`, `prepared`, and `cards`,
    a mapping of number to why.
    """

    code = "uec.unfit_cards"
    prepared: int


def waiting(session: Session) -> list[tuple[int, str]]:
    """The released batches that still have cards to prepare, with their card profile, by day of production."""
    planned = select(Card.batch_id).where(Card.state == CardState.PLANNED)
    released = select(Batch.id, Batch.profile).where(Batch.state.in_((BatchState.RELEASED, BatchState.IN_PRODUCTION)))
    found = session.execute(released.where(Batch.id.in_(planned)).order_by(Batch.planned_for, Batch.id))
    return [(batch_id, profile) for batch_id, profile in found]


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

    Raises `InvalidInput` for a batch that is not released, and `UnfitCards` in the end when records did not fit the
    profile: their cards stay planned, all others are prepared.
    """
    batch = present(session, Batch, batch_id)
    if batch.state not in {BatchState.RELEASED, BatchState.IN_PRODUCTION}:
        raise InvalidInput(
            f"Batch {batch.number} is {batch.state}: a second person must release it first.", field="batch"
        )
    _call_off(session, batch_id, actor, now)
    prepared, last = 0, 0
    unfit: dict[str, str] = {}
    while rows := _next_part(session, batch_id, after=last):
        last = rows[-1][0].id
        data = {card.id: _data_rows(card, application, profile, issuer, batch, unfit) for card, application in rows}
        if made := [row for groups in data.values() for row in groups]:
            session.execute(insert(CardData), made)
        ids = [card_id for card_id, groups in data.items() if groups]
        prepared += len(move_all(session, Card, CardEvent.PREPARE, Card.id.in_(ids), actor=actor, now=now))
        session.commit()
    if unfit:
        raise _unfit(batch.number, prepared, unfit)
    return prepared


def _unfit(batch: str, prepared: int, cards: dict[str, str]) -> UnfitCards:
    told = "; ".join(f"{number}: {why}" for number, why in list(cards.items())[:5])
    return UnfitCards(
        f"{len(cards)} cards of batch {batch} cannot be prepared ({told}): annul them and take new applications.",
        batch=batch,
        prepared=prepared,
        cards=cards,
    )


def _call_off(session: Session, batch_id: int, actor: Actor, now: datetime) -> None:
    """Annul the cards whose people have died or refused since the batch was planned."""
    forbidden = (
        select(Card)
        .join(Application, Application.id == Card.application_id)
        .where(Card.batch_id == batch_id, Card.state == CardState.PLANNED, barred())
        .order_by(Card.id)
        .with_for_update(of=Card, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    for card in session.scalars(forbidden).all():
        apply_event(session, card, CardEvent.ANNUL, actor=actor, reason="refused or deceased", now=now)
    session.commit()


def _next_part(session: Session, batch_id: int, *, after: int) -> Sequence[Row]:
    part = (
        select(Card, Application)
        .join(Application, Application.id == Card.application_id)
        .where(Card.batch_id == batch_id, Card.state == CardState.PLANNED, Card.id > after)
        .order_by(Card.id)
        .limit(PART)
        .options(undefer(Application.photo))
        .with_for_update(of=Card, skip_locked=True)
        .execution_options(populate_existing=True)
    )
    return [(card, application) for card, application in session.execute(part)]


def _data_rows(
    card: Card, application: Application, profile: CardProfile, issuer: str, batch: Batch, unfit: dict[str, str]
) -> list[dict[str, object]]:
    """The data groups of one card as rows; none, and the reason in `unfit`, for a record that does not fit."""
    try:
        groups = build_data_groups(profile, _facts(card, application, issuer, batch))
    except InvalidCardData as error:
        unfit[card.number] = f"{error.field} {error.reason}"
        return []
    return [
        {"card_id": card.id, "kind": f"DG{number}", "content": content, "digest": hashlib.sha256(content).digest()}
        for number, content in groups.items()
    ]


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
        "photo": for_chip(application.photo or b""),
    }
