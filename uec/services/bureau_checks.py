"""Reads what a bureau reports and says what of it may count, before anything is written.

First everything that would make the whole file untrue (a card or chip that was not ordered, one twice): then nothing of
it counts. Then each card by itself: check values of its keys, its production record, hygiene of its public keys, proofs
of possession, and whether any of its keys was seen before, in this file or in any card.

The file is read several times, and the record of a card is not kept from one reading to the next: of a card in hand
there is its number, its chip and the digests of its keys.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.bureau.records import RecordReader, Tag
from issuance.bureau.reply import Finished, Made, NotMade, Shipped, Spoiled, proof_challenge
from issuance.errors import UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki.hygiene import WeakKeyList, check_public_key
from issuance.pki.possession import Proof, check_proof
from issuance.production.profile import CardProfile
from uec.domain.bureau import BureauRefused, OrderedState
from uec.domain.lifecycle import CardState
from uec.services.bureau_rejecting import BARRED, NOT_WANTED, REASON_LIMIT, barred_among
from uec.services.bureau_shared_keys import SharedKeys
from uec.store.tables import BureauCard, BureauChip, BureauOrder, Card

SAID_LIMIT = 40


@dataclass(frozen=True, slots=True)
class OrderedCard:
    """A card of the order as the office knows it."""

    row_id: int
    card_id: int
    number: str
    state: OrderedState
    card_state: CardState
    chip_id: str | None
    sent: bool


@dataclass(frozen=True)
class Measure:
    """What a card's keys are measured by: its profile, and the list of keys that a broken generator made."""

    profile: CardProfile
    weak_keys: WeakKeyList


@dataclass
class Report:
    """What a results file says, shortly: chips by card number, reasons by card number or chip."""

    made: dict[str, str] = field(default_factory=dict)
    spoiled: dict[str, str] = field(default_factory=dict)
    not_made: dict[str, str] = field(default_factory=dict)
    finished: dict[str, str] = field(default_factory=dict)
    shipped: list[Shipped] = field(default_factory=list)


def read(reader: RecordReader) -> Report:
    """What a results file says; raises `BureauRefused` for what it says twice, or when it says nothing."""
    report = Report()
    for tag, body in reader.records():
        if tag is Tag.MADE:
            made = Made.decode(body)
            _put(report.made, made.number, made.chip_id.hex())
        elif tag is Tag.SPOILED:
            spoiled = Spoiled.decode(body)
            _put(report.spoiled, spoiled.chip_id.hex(), _reason(spoiled))
        elif tag is Tag.NOT_MADE:
            not_made = NotMade.decode(body)
            _put(report.not_made, not_made.number, _reason(not_made))
        elif tag is Tag.FINISHED:
            finished = Finished.decode(body)
            _put(report.finished, finished.number, finished.chip_id.hex())
        else:
            report.shipped.append(Shipped.decode(body))
    if not reader.counts:
        raise BureauRefused("The file reports nothing: ask the bureau for its results.", finding="nothing-reported")
    return report


def _reason(said: Spoiled | NotMade) -> str:
    """Why, as it is kept: a word, a colon, a sentence."""
    return f"{said.reason}: {said.sentence}"[:REASON_LIMIT]


def made_cards(stream: BinaryIO, *, start: int) -> Iterator[Made]:
    """The cards that were made, one after another, by a results file that begins at `start`."""
    stream.seek(start)
    return (Made.decode(body) for tag, body in RecordReader(stream).records() if tag is Tag.MADE)


def _put(known: dict[str, str], key: str, value: str) -> None:
    if key in known:
        raise BureauRefused(f"The file reports {_cut(key)} twice.", finding="reported-twice")
    known[key] = value


def ordered_cards(session: Session, order_id: int) -> Iterator[OrderedCard]:
    """The cards of an order, locked."""
    wanted = (
        select(
            BureauCard.id,
            Card.id,
            Card.number,
            BureauCard.state,
            Card.state,
            BureauCard.chip_id,
            BureauCard.consignment_id.is_not(None),
        )
        .join(Card, Card.id == BureauCard.card_id)
        .where(BureauCard.order_id == order_id)
        .order_by(Card.id)
        .with_for_update(of=Card, key_share=True)
    )
    return (OrderedCard(*one) for one in session.execute(wanted))


def free_chips(session: Session, order_id: int) -> dict[str, bytes]:
    """Chips of the order that are still free: the check values of their keys, by number."""
    wanted = select(BureauChip.chip_id, BureauChip.check_values).where(
        BureauChip.order_id == order_id, BureauChip.card_id.is_(None), BureauChip.spoiled.is_(None)
    )
    return dict(session.execute(wanted).all())


def require_ordered(report: Report, ordered: Mapping[str, OrderedCard], chips: Mapping[str, bytes]) -> None:
    """Raise `BureauRefused` when the file speaks of anything that was not ordered, or of one thing twice."""
    for number in [*report.made, *report.not_made]:
        _require_state(number, ordered, OrderedState.ORDERED)
    for number, chip_id in report.finished.items():
        card = _require_state(number, ordered, OrderedState.ANSWERED)
        if card.chip_id != chip_id:
            raise BureauRefused(f"Card {number} was made on another chip.", finding="other-chip", about=number)
    both = report.made.keys() & report.not_made.keys()
    if both:
        raise BureauRefused(f"Card {min(both)} is reported made and not made.", finding="reported-twice")
    used = Counter([*report.made.values(), *report.spoiled])
    for chip_id, times in used.items():
        if chip_id not in chips:
            raise BureauRefused(f"Chip {chip_id} is none of this order's.", finding="foreign-chip", about=chip_id)
        if times > 1:
            raise BureauRefused(f"Chip {chip_id} is reported twice.", finding="same-chip", about=chip_id)
    _require_sent_once(report, ordered)


def _require_sent_once(report: Report, ordered: Mapping[str, OrderedCard]) -> None:
    """Raise `BureauRefused` for a consignment with a card that was never made, or that was sent before."""
    sent = Counter(number for shipped in report.shipped for number in shipped.numbers)
    for number, times in sent.items():
        card = ordered.get(number)
        if card is None:
            raise _nobody(number)
        if times > 1 or card.sent:
            raise BureauRefused(f"Card {number} is sent twice.", finding="sent-twice", about=number)
        if card.state is OrderedState.ORDERED and number not in report.made:
            raise BureauRefused(f"Card {number} is sent and was not made.", finding="sent-unmade", about=number)


def _require_state(number: str, ordered: Mapping[str, OrderedCard], state: OrderedState) -> OrderedCard:
    card = ordered.get(number)
    if card is None:
        raise _nobody(number)
    if card.state is not state:
        raise BureauRefused(
            f"Card {number} is {card.state} in this order already.", finding="reported-before", about=number
        )
    return card


def _nobody(number: str) -> BureauRefused:
    return BureauRefused(f"Nobody ordered card {_cut(number)} of this bureau.", finding="unknown-card")


def _cut(text: str) -> str:
    """What a file calls something, as long as a sentence bears it."""
    return text if len(text) <= SAID_LIMIT else f"{text[:SAID_LIMIT]}…"


def unfit_cards(
    session: Session,
    row: BureauOrder,
    reported: Callable[[], Iterator[Made]],
    ordered: Mapping[str, OrderedCard],
    chips: Mapping[str, bytes],
    measure: Measure,
) -> dict[str, str]:
    """Why each unfit card is unfit, by number: a word, a colon, a sentence. The others' keys are new.

    `reported` goes through the cards of the file, each time anew.
    """
    found: dict[str, str] = {}
    shared = SharedKeys(session)
    barred = barred_among(session, (card.card_id for card in ordered.values()))
    for made in reported():
        number = made.number
        if ordered[number].card_state is not CardState.WRITING:
            found[number] = f"{NOT_WANTED}: the card is {ordered[number].card_state} by now"
        elif ordered[number].card_id in barred:
            found[number] = BARRED
        elif made.kvn != row.kvn or b"".join(made.check_values) != chips[made.chip_id.hex()]:
            found[number] = "check-values: the chip's keys are not those that were sent for it"
        elif made.cplc[:4] + made.cplc[16:18] + made.cplc[12:16] != made.chip_id:
            found[number] = "production-record: the chip's production record is another chip's"
        elif reason := _unfit_keys(made, row.digest or b"", measure):
            found[number] = reason
        else:
            shared.add(made)
    for number in shared.numbers(reported(), without=found):
        found[number] = "duplicate-key: a public key of this card is in another card"
    return {number: reason[:REASON_LIMIT] for number, reason in found.items()}


def _unfit_keys(made: Made, order_digest: bytes, measure: Measure) -> str:
    profile = measure.profile
    if set(made.keys) != {key.name for key in profile.keys}:
        return "missing-key: the card has not the keys of its profile"
    for slot in profile.keys:
        key = made.keys[slot.name]
        try:
            check_public_key(key.public_key, {KeyAlgorithm(slot.algorithm.value)}, weak_keys=measure.weak_keys)
            challenge = proof_challenge(order_digest, made.number, slot.name)
            check_proof(key.public_key, Proof(challenge, key.proof))
        except UnfitKey as error:
            return f"{error.finding}: {error}"
    return ""
