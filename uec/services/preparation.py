"""Makes the data of a released batch: data groups, and the issuer's signature over them, before a chip is touched.

The work comes in parts of at most 500 cards, each a range of card ids, a transaction and an audit entry of its own. A
part may be done twice, by two workers at once, and be killed anywhere: it takes the cards still planned in its range
and leaves them prepared. Refusals and deaths are looked at again here; a card that may not be made any more is
annulled, the rest go on. On PostgreSQL any number of workers do parts (`uec.store.queue`).
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import Insert, Select, Update, bindparam, exists, func, insert, select, update
from sqlalchemy.orm import Session

from issuance.pki import security_batch
from issuance.pki.signing import Signer
from issuance.production.datagroups import Fact
from issuance.production.errors import InvalidCardData
from issuance.production.groups_writer import groupings, groupings_all, writer_for
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
from uec.store.engine import flushed_later
from uec.store.prepared import write_data
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


Recipes = Callable[[str], Recipe]
"""The recipe of the batches of a card profile, by the profile's name."""


def waiting(session: Session) -> list[tuple[int, str]]:
    """The released batches that still have cards to prepare, with their card profile, by day of production."""
    planned = exists().where(Card.batch_id == Batch.id, Card.state == CardState.PLANNED)
    released = select(Batch.id, Batch.profile).where(Batch.state.in_(READY), planned)
    found = session.execute(released.order_by(Batch.planned_for, Batch.id))
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
            prepared += prepare_part(session, part, recipes=lambda _: recipe, now=now, actor=actor)
        except UnfitCards as error:
            prepared += error.prepared
            unfit |= error.cards
    if unfit:
        raise _unfit(present(session, Batch, batch_id).number, prepared, unfit)
    return prepared


def prepare_part(session: Session, part: Part, *, recipes: Recipes, now: datetime, actor: Actor = WORKER) -> int:
    """Prepare the planned cards of a part in one transaction; returns how many. Raises as `prepare` does."""
    while True:
        batch = _released(session, part.batch_id)
        recipe = recipes(batch.profile)
        rows = _planned(session, part)
        _call_off(session, [row.id for row in rows if row.barred], actor, now)
        made, unfit = _written([row for row in rows if not row.barred], recipe, batch)
        if _move(session, part, but=unfit) == len(made.ids):
            break
        # Somebody else prepared or annulled some of them meanwhile, and has committed by now: look again.
        session.rollback()
    if made.ids:
        _keep(session, part, made, recipe=recipe, actor=actor, now=now)
    flushed_later(session)
    session.commit()
    if unfit:
        raise _unfit(batch.number, len(made.ids), unfit)
    return len(made.ids)


def _released(session: Session, batch_id: int) -> Any:
    # Not the entity, whose loading takes as long as twenty cards.
    found = session.connection().execute(_WHICH_BATCH, {"of_batch": batch_id}).one_or_none()
    batch: Any = found or present(session, Batch, batch_id)
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


_WHICH_BATCH = select(Batch.number, Batch.state, Batch.profile, Batch.planned_for).where(
    Batch.id == bindparam("of_batch")
)
_STILL_PLANNED = (
    Card.batch_id == bindparam("of_batch"),
    Card.id.between(bindparam("first"), bindparam("last")),
    Card.state == CardState.PLANNED,
)


def _place(part: Part) -> dict[str, int]:
    return {"of_batch": part.batch_id, "first": part.first, "last": part.last}


@cache
def _what_goes_on_cards() -> Select[*tuple[Any, ...]]:
    """The cards of a part that are still planned, with what goes on them, in the order of their ids."""
    columns = (
        Card.id, Card.number.label("card_number"), Card.printed_name, Card.expires_on, barred().label("barred"),
        Application.surname, Application.name, Application.patronymic, Application.sex, Application.birth_date,
        Application.birth_place, Application.snils, Application.oms, Application.photo,
    )  # fmt: skip
    return (
        select(*columns)
        .join(Application, Application.id == Card.application_id)
        .where(*_STILL_PLANNED)
        .order_by(Card.id)
    )


def _planned(session: Session, part: Part) -> Sequence[Any]:
    """Read without a lock: the move of a part finds out whether all of these are still planned."""
    # Not through the session: its way of loading rows takes three times as long as the rows themselves.
    return session.connection().execute(_what_goes_on_cards(), _place(part)).all()


def _call_off(session: Session, ids: Sequence[int], actor: Actor, now: datetime) -> None:
    """Annul the cards whose people have died or refused since the batch was planned."""
    for card_id in ids:
        card = session.get_one(Card, card_id, populate_existing=True, with_for_update={"key_share": True})
        if card.state is CardState.PLANNED:
            apply_event(session, card, CardEvent.ANNUL, actor=actor, reason="refused or deceased", now=now)


@dataclass(frozen=True)
class _Written:
    """Cards in the order of their ids: the data groups of each as groupings, and its list of digests."""

    ids: Sequence[int] = ()
    groups: Sequence[bytes] = ()
    contents: Sequence[bytes] = ()


def _written(rows: Sequence[Any], recipe: Recipe, batch: Any) -> tuple[_Written, dict[str, str]]:
    """The cards' data, and why a card's record does not fit by its number."""
    if not rows:
        return _Written(), {}
    writer = writer_for(recipe.profile)
    columns = dict(zip(rows[0]._fields, zip(*rows, strict=True), strict=True))
    columns |= {"issuer": (recipe.issuer,) * len(rows), "issued_on": (batch.planned_for,) * len(rows)}
    files = writer.write_all(columns)
    if files is not None:
        return _Written(columns["id"], groupings_all(files), security_batch.contents_of(files)), {}
    made, unfit = {}, {}
    for row in rows:
        try:
            made[row.id] = writer.write(_facts(row, recipe.issuer, batch))
        except InvalidCardData as error:
            unfit[row.card_number] = f"{error.field} {error.reason}"
    lists = [security_batch.hash_list(groups) for groups in made.values()]
    return _Written(list(made), list(map(groupings, made.values())), security_batch.contents(lists)), unfit


def _facts(row: Any, issuer: str, batch: Any) -> dict[str, Fact]:
    facts = dict(row._mapping)
    facts["issuer"], facts["issued_on"] = issuer, batch.planned_for
    if row.photo:
        facts["photo"] = for_chip(row.photo)
    for optional in ("patronymic", "oms", "photo"):
        facts[optional] = facts[optional] or ""
    return facts


def _move(session: Session, part: Part, *, but: Collection[str]) -> int:
    """Prepared are the cards of the part but the unfit, in one statement; returns how many that were.

    From here to the end of the transaction they are this worker's: who does the same part waits, and finds none. As no
    card becomes planned again, as many as were read are the very ones.
    """
    change = _moving()
    if but:
        change = change.where(Card.number.not_in(but))
    return session.connection().execute(change, _place(part)).rowcount


@cache
def _moving() -> Update:
    after = advance(CARD_MOVES, CardState.PLANNED, CardEvent.PREPARE)
    return update(Card).where(*_STILL_PLANNED).values(state=after, version=Card.version + 1)


def _keep(session: Session, part: Part, made: _Written, *, recipe: Recipe, actor: Actor, now: datetime) -> None:
    """Sign and store the data of a part's cards, which are locked by their move."""
    signed: Sequence[bytes | None] = [None] * len(made.ids)
    if recipe.signer is not None:
        signed = security_batch.sign(recipe.signer, made.contents, now=now)
    root = merkle_root(made.contents)
    kept = {
        "batch_id": part.batch_id,
        "cards": len(made.ids),
        "root": root,
        "prepared_at": now,
        "signer": recipe.signer.certificate if recipe.signer else None,
    }
    part_id = session.connection().execute(_keeping(), kept).scalar_one()
    write_data(session, part_id, list(zip(made.ids, made.groups, signed, strict=True)))
    audit.record(
        session,
        actor=actor.reference,
        action="batch.prepare",
        subject_kind="batch",
        subject_id=part.batch_id,
        details={
            "part": part_id,
            "first": made.ids[0],
            "last": made.ids[-1],
            "cards": len(made.ids),
            "root": root.hex(),
        },
        now=now,
    )


@cache
def _keeping() -> Insert:
    return insert(PreparedPart).returning(PreparedPart.id)
