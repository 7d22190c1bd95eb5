"""Makes the data of a released batch: data groups, and the issuer's signature over them, before a chip is touched.

The work comes in parts of at most 500 cards, each a range of card ids, a transaction and an audit entry of its own. A
part may be done twice, by two workers at once, and be killed anywhere: it takes the cards still planned in its range,
locked, and leaves them prepared. Refusals and deaths are looked at again here; a card that may not be made any more is
annulled, the rest go on. On PostgreSQL any number of workers do parts (`uec.store.queue`).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from issuance.pki import security_batch
from issuance.pki.signing import Signer
from issuance.production.datagroups import Fact
from issuance.production.errors import InvalidCardData
from issuance.production.groups_writer import groupings, writer_for
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import InvalidInput, UecError
from uec.domain.lifecycle import CARD as CARD_MOVES
from uec.domain.lifecycle import BatchState, CardEvent, CardState, advance
from uec.services.cards import apply_event
from uec.services.merkle import merkle_root
from uec.services.photos import for_chip
from uec.services.refusals import barred
from uec.services.rows import present
from uec.store import audit, queue
from uec.store.prepared import DataRow, write_data
from uec.store.queue import Work
from uec.store.tables import Application, Batch, Card
from uec.store.tables.production import PreparedPart

PART = 500
WORKER = system_actor("preparation")
READY = frozenset({BatchState.RELEASED, BatchState.IN_PRODUCTION})
QUEUE, TASK = "preparation", "prepare"
# A part that failed for good is tried anew after this time: by then a person may have looked at it.
QUIET = timedelta(minutes=10)


class UnfitCards(UecError):
    """Some cards of a batch cannot be prepared; all others are. Facts: `batch`, `prepared`, and `cards`,
    a mapping of number to why.
    """

    code = "uec.unfit_cards"
    prepared: int


@dataclass(frozen=True)
class Part:
    """Cards of a batch that are prepared together: those still planned with an id from `first` to `last`."""

    batch_id: int
    first: int
    last: int

    def work(self) -> Work:
        """The part as work for another node."""
        arguments = {"batch_id": self.batch_id, "first": self.first, "last": self.last}
        return Work(QUEUE, TASK, f"{TASK}:{self.batch_id}:{self.first}-{self.last}", arguments)


@dataclass(frozen=True)
class Recipe:
    """What the data of a batch are made by: card profile, name of the issuer on the card, and who signs.

    Without a signer no security object is prepared: the card's is signed when it is written.
    """

    profile: CardProfile
    issuer: str
    signer: Signer | None = None


def waiting(session: Session) -> list[tuple[int, str]]:
    """The released batches that still have cards to prepare, with their card profile, by day of production."""
    planned = select(Card.batch_id).where(Card.state == CardState.PLANNED)
    released = select(Batch.id, Batch.profile).where(Batch.state.in_(READY))
    found = session.execute(released.where(Batch.id.in_(planned)).order_by(Batch.planned_for, Batch.id))
    return [(batch_id, profile) for batch_id, profile in found]


def parts(session: Session, batch_id: int) -> list[Part]:
    """The parts that a batch still has to be prepared in, at most `PART` cards each, in the order of the cards."""
    numbered = (
        select(Card.id, ((func.row_number().over(order_by=Card.id) - 1) // PART).label("part"))
        .where(Card.batch_id == batch_id, Card.state == CardState.PLANNED)
        .subquery()
    )
    ranges = select(func.min(numbered.c.id), func.max(numbered.c.id)).group_by(numbered.c.part)
    return [Part(batch_id, first, last) for first, last in session.execute(ranges.order_by(func.min(numbered.c.id)))]


def hand_over(session: Session, batch_id: int, *, quiet: timedelta = timedelta(0)) -> int:
    """Give a batch's parts to the workers, in the caller's transaction; returns how many (0 without a queue)."""
    if not queue.has_queue(session):
        return 0
    return queue.hand_over(session, [part.work() for part in parts(session, batch_id)], quiet=quiet)


def prepare(
    session: Session,
    batch_id: int,
    *,
    profile: CardProfile,
    issuer: str,
    now: datetime,
    signer: Signer | None = None,
    actor: Actor = WORKER,
) -> int:
    """Prepare every planned card of a released batch, part by part; returns how many.

    Raises `InvalidInput` for a batch that is not released, and `UnfitCards` in the end when records did not fit the
    profile: their cards stay planned, all others are prepared.
    """
    _released(session, batch_id)
    recipe, prepared = Recipe(profile, issuer, signer), 0
    unfit: dict[str, str] = {}
    for part in parts(session, batch_id):
        try:
            prepared += prepare_part(session, part, recipe=recipe, now=now, actor=actor)
        except UnfitCards as error:
            prepared += error.prepared
            unfit |= error.cards
    if unfit:
        raise _unfit(present(session, Batch, batch_id).number, prepared, unfit)
    return prepared


def prepare_part(session: Session, part: Part, *, recipe: Recipe, now: datetime, actor: Actor = WORKER) -> int:
    """Prepare the planned cards of a part in one transaction; returns how many. Raises as `prepare` does."""
    batch = _released(session, part.batch_id)
    rows = _taken(session, part)
    _call_off(session, [row.id for row in rows if row.barred], actor, now)
    made, unfit = _groups([row for row in rows if not row.barred], recipe, batch)
    if made:
        _keep(session, part, made, recipe=recipe, actor=actor, now=now)
        _move(session, part, but=unfit)
    session.commit()
    if unfit:
        raise _unfit(batch.number, len(made), unfit)
    return len(made)


def _released(session: Session, batch_id: int) -> Batch:
    batch = present(session, Batch, batch_id)
    if batch.state not in READY:
        raise InvalidInput(
            f"Batch {batch.number} is {batch.state}: a second person must release it first.", field="batch"
        )
    return batch


def _unfit(batch: str, prepared: int, cards: dict[str, str]) -> UnfitCards:
    told = "; ".join(f"{number}: {why}" for number, why in list(cards.items())[:5])
    return UnfitCards(
        f"{len(cards)} cards of batch {batch} cannot be prepared ({told}): annul them and take new applications.",
        batch=batch,
        prepared=prepared,
        cards=cards,
    )


def _taken(session: Session, part: Part) -> Sequence[Any]:
    """The cards of a part that are still planned, with what goes on them, locked in the order of their ids."""
    columns = (
        Card.id, Card.number.label("card_number"), Card.printed_name, Card.expires_on, barred().label("barred"),
        Application.surname, Application.name, Application.patronymic, Application.sex, Application.birth_date,
        Application.birth_place, Application.snils, Application.oms, Application.photo,
    )  # fmt: skip
    wanted = (
        select(*columns)
        .join(Application, Application.id == Card.application_id)
        .where(Card.batch_id == part.batch_id, Card.id.between(part.first, part.last))
        .where(Card.state == CardState.PLANNED)
        .order_by(Card.id)
        .with_for_update(of=Card, key_share=True)
    )
    return session.execute(wanted).all()


def _call_off(session: Session, ids: Sequence[int], actor: Actor, now: datetime) -> None:
    """Annul the cards whose people have died or refused since the batch was planned."""
    for card_id in ids:
        card = session.get_one(Card, card_id, populate_existing=True)
        apply_event(session, card, CardEvent.ANNUL, actor=actor, reason="refused or deceased", now=now)


def _groups(rows: Sequence[Any], recipe: Recipe, batch: Batch) -> tuple[dict[int, dict[int, bytes]], dict[str, str]]:
    """The data groups by card id, and why a card's record does not fit by its number."""
    if not rows:
        return {}, {}
    writer, made, unfit = writer_for(recipe.profile), {}, {}
    columns = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
    columns |= {"issuer": (recipe.issuer,) * len(rows), "issued_on": (batch.planned_for,) * len(rows)}
    whole = writer.write_all(columns)
    if whole is not None:
        return dict(zip(columns["id"], whole, strict=True)), {}
    for row in rows:
        try:
            made[row.id] = writer.write(_facts(row, recipe.issuer, batch))
        except InvalidCardData as error:
            unfit[row.card_number] = f"{error.field} {error.reason}"
    return made, unfit


def _facts(row: Any, issuer: str, batch: Batch) -> dict[str, Fact]:
    facts = dict(row._mapping)
    facts["issuer"], facts["issued_on"] = issuer, batch.planned_for
    if row.photo:
        facts["photo"] = for_chip(row.photo)
    for optional in ("patronymic", "oms", "photo"):
        facts[optional] = facts[optional] or ""
    return facts


def _keep(
    session: Session,
    part: Part,
    made: dict[int, dict[int, bytes]],
    *,
    recipe: Recipe,
    actor: Actor,
    now: datetime,
) -> None:
    """Sign, store and move the cards of a part."""
    contents = security_batch.contents([security_batch.hash_list(groups) for groups in made.values()])
    signed: Sequence[bytes | None] = [None] * len(made)
    if recipe.signer is not None:
        signed = security_batch.sign(recipe.signer, contents, now=now)
    kept = PreparedPart(
        batch_id=part.batch_id,
        cards=len(made),
        root=merkle_root(contents),
        prepared_at=now,
        signer=recipe.signer.certificate if recipe.signer else None,
    )
    session.add(kept)
    session.flush()
    rows: list[DataRow] = [
        (card_id, groupings(groups), signature)
        for (card_id, groups), signature in zip(made.items(), signed, strict=True)
    ]
    write_data(session, kept.id, rows)
    audit.record(
        session,
        actor=actor.reference,
        action="batch.prepare",
        subject_kind="batch",
        subject_id=part.batch_id,
        details={"part": kept.id, "first": min(made), "last": max(made), "cards": len(made), "root": kept.root.hex()},
        now=now,
    )


def _move(session: Session, part: Part, *, but: Collection[str]) -> None:
    """One statement for all cards of the part but the unfit; they are locked, and the database guards the move."""
    moved = update(Card).where(Card.batch_id == part.batch_id, Card.id.between(part.first, part.last))
    moved = moved.where(Card.state == CardState.PLANNED, Card.number.not_in(but))
    after = advance(CARD_MOVES, CardState.PLANNED, CardEvent.PREPARE)
    session.execute(
        moved.values(state=after, version=Card.version + 1), execution_options={"synchronize_session": False}
    )
