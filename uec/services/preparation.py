"""Makes the data of a released batch: data groups, and the issuer's signature over them, before a chip is touched.

The work comes in parts of at most 500 cards, each a range of card ids, a transaction and an audit entry of its own. A
part may be done twice, by two workers at once, and be killed anywhere: it takes the cards still planned in its range
and leaves them prepared. Refusals and deaths are looked at again here; a card that may not be made any more is
annulled, the rest go on. On PostgreSQL any number of workers do parts (`uec.store.queue`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import Any, NamedTuple

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
from uec.store.prepared import write_data
from uec.store.queue import Work
from uec.store.tables import Application, Batch, Card
from uec.store.tables.production import PreparedPart
from uec.store.together import Step, flushed_later, run_together

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
    _released(session, batch_id, [tuple(row) for row in session.execute(_WHICH_BATCH, {"of_batch": batch_id})])
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
        batch, rows = _looked_up(session, part)
        recipe = recipes(batch.profile)
        free = _called_off(session, rows, actor, now)
        made, unfit = _written(free, recipe, batch)
        root = merkle_root(made.contents)
        part_id = _taken(session, part, made, recipe=recipe, root=root, now=now, but=unfit)
        if part_id is not None:
            break
        # Somebody else prepared or annulled some of them meanwhile, and has committed by now: look again.
        session.rollback()
    if made.ids:
        _sign(session, made, recipe=recipe, part_id=part_id, now=now)
        _tell(session, part, made, part_id=part_id, root=root, actor=actor, now=now)
    session.commit()
    if unfit:
        raise _unfit(batch.number, len(made.ids), unfit)
    return len(made.ids)


class _Batch(NamedTuple):
    """What of a batch goes on its cards, and whether it was released."""

    number: str
    state: str
    profile: str
    planned_for: date


def _released(session: Session, batch_id: int, found: Sequence[tuple[Any, ...]]) -> _Batch:
    batch: Any = _Batch(*found[0]) if found else present(session, Batch, batch_id)
    if batch.state not in READY:
        raise InvalidInput(
            f"Batch {batch.number} is {batch.state}: a second person must release it first.", field="batch"
        )
    return batch  # type: ignore[no-any-return]


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


_Row = tuple[Any, ...]
"""A card, in the order of `_NAMES`: a name is looked up once for all cards."""


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


def _looked_up(session: Session, part: Part) -> tuple[_Batch, Sequence[_Row]]:
    """Batch and planned cards, read without a lock: the move of a part finds out whether all are still planned."""
    place = _place(part)
    batch, cards = run_together(session, [Step(_WHICH_BATCH, place), Step(_what_goes_on_cards(), place)])
    return _released(session, part.batch_id, batch.rows), cards.rows


@cache
def _names() -> tuple[str, ...]:
    return tuple(_what_goes_on_cards().selected_columns.keys())


def _called_off(session: Session, rows: Sequence[_Row], actor: Actor, now: datetime) -> Sequence[_Row]:
    """Annul the cards whose people have died or refused since the batch was planned; returns the others."""
    id_at, barred_at = _names().index("id"), _names().index("barred")
    for row in rows:
        if row[barred_at]:
            card = session.get_one(Card, row[id_at], populate_existing=True, with_for_update={"key_share": True})
            if card.state is CardState.PLANNED:
                apply_event(session, card, CardEvent.ANNUL, actor=actor, reason="refused or deceased", now=now)
    return [row for row in rows if not row[barred_at]]


@dataclass(frozen=True)
class _Written:
    """Cards in the order of their ids: the data groups of each as groupings, and its list of digests."""

    ids: Sequence[int] = ()
    groups: Sequence[bytes] = ()
    contents: Sequence[bytes] = ()


def _written(rows: Sequence[_Row], recipe: Recipe, batch: _Batch) -> tuple[_Written, dict[str, str]]:
    """The cards' data, and why a card's record does not fit by its number."""
    if not rows:
        return _Written(), {}
    writer = writer_for(recipe.profile)
    columns: dict[str, Sequence[Any]] = dict(zip(_names(), zip(*rows, strict=True), strict=True))
    columns |= {"issuer": (recipe.issuer,) * len(rows), "issued_on": (batch.planned_for,) * len(rows)}
    files = writer.write_all(columns)
    if files is not None:
        return _Written(columns["id"], groupings_all(files), security_batch.contents_of(files)), {}
    made, unfit = {}, {}
    for row in rows:
        facts = dict(zip(_names(), row, strict=True))
        try:
            made[facts["id"]] = writer.write(_facts(facts, recipe.issuer, batch))
        except InvalidCardData as error:
            unfit[facts["card_number"]] = f"{error.field} {error.reason}"
    lists = [security_batch.hash_list(groups) for groups in made.values()]
    return _Written(list(made), list(map(groupings, made.values())), security_batch.contents(lists)), unfit


def _facts(found: Mapping[str, Any], issuer: str, batch: _Batch) -> dict[str, Fact]:
    facts = {**found, "issuer": issuer, "issued_on": batch.planned_for}
    if facts["photo"]:
        facts["photo"] = for_chip(facts["photo"])
    for optional in ("patronymic", "oms", "photo"):
        facts[optional] = facts[optional] or ""
    return facts


def _taken(
    session: Session,
    part: Part,
    made: _Written,
    *,
    recipe: Recipe,
    root: bytes,
    now: datetime,
    but: Collection[str],
) -> int | None:
    """Prepared are the cards of the part but the unfit, in one statement; returns the id of the part that is kept.

    None when fewer were still planned than were read. From here to the end of the transaction they are this worker's:
    who does the same part waits, and finds none. As no card becomes planned again, as many as were read are the very
    ones.
    """
    kept = {
        "batch_id": part.batch_id,
        "cards": len(made.ids),
        "root": root,
        "prepared_at": now,
        "signer": recipe.signer.certificate if recipe.signer else None,
    }
    steps = [Step(_moving(len(but)), _place(part) | {f"but_{at}": number for at, number in enumerate(but)})]
    if made.ids:
        steps += [Step(_keeping(), kept), *flushed_later(session)]
    moved, *others = run_together(session, steps)
    if moved.count != len(made.ids):
        return None
    return int(others[0].rows[0][0]) if made.ids else 0


@cache
def _moving(unfit: int) -> Update:
    after = advance(CARD_MOVES, CardState.PLANNED, CardEvent.PREPARE)
    fit = [Card.number != bindparam(f"but_{at}") for at in range(unfit)]
    return update(Card).where(*_STILL_PLANNED, *fit).values(state=after, version=Card.version + 1)


@cache
def _keeping() -> Insert:
    names = ("batch_id", "cards", "root", "prepared_at", "signer")
    return insert(PreparedPart).values({name: bindparam(name) for name in names}).returning(PreparedPart.id)


def _sign(session: Session, made: _Written, *, recipe: Recipe, part_id: int, now: datetime) -> None:
    """Sign and store the data of a part's cards, which are locked by their move."""
    signed: Sequence[bytes | None] = [None] * len(made.ids)
    if recipe.signer is not None:
        signed = security_batch.sign(recipe.signer, made.contents, now=now)
    write_data(session, part_id, list(zip(made.ids, made.groups, signed, strict=True)))


def _tell(
    session: Session, part: Part, made: _Written, *, part_id: int, root: bytes, actor: Actor, now: datetime
) -> None:
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
