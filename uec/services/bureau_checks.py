"""Reads what a bureau reports and says what of it may count, before anything is written.

First everything that would make the whole file untrue (a card or chip that was not ordered, one twice): then nothing of
it counts. Then each card by itself: check values of its keys, its production record, hygiene of its public keys, proofs
of possession, and whether any of its keys was seen before, in this file or in any card.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.bureau.records import RecordReader, Tag
from issuance.bureau.reply import Finished, Made, NotMade, Shipped, Spoiled, proof_challenge
from issuance.errors import UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki.hygiene import WeakKeyList, check_public_key, public_key_digest
from issuance.pki.possession import Proof, check_proof
from issuance.production.profile import CardProfile
from uec.domain.bureau import BureauRefused, OrderedState
from uec.domain.lifecycle import CardState
from uec.services.bureau_orders import parts
from uec.store.tables import BureauCard, BureauChip, BureauKey, BureauOrder, Card, Certificate

REASON_LIMIT = 500


@dataclass(frozen=True)
class OrderedCard:
    """A card of the order as the office knows it."""

    row_id: int
    card_id: int
    number: str
    state: OrderedState
    card_state: CardState
    chip_id: str | None


@dataclass(frozen=True)
class Measure:
    """What a card's keys are measured by: its profile, and the list of keys that a broken generator made."""

    profile: CardProfile
    weak_keys: WeakKeyList


@dataclass
class Report:
    """All that a results file says, by number and chip."""

    made: dict[str, Made] = field(default_factory=dict)
    spoiled: dict[str, Spoiled] = field(default_factory=dict)
    not_made: dict[str, NotMade] = field(default_factory=dict)
    finished: dict[str, Finished] = field(default_factory=dict)
    shipped: list[Shipped] = field(default_factory=list)


def read(reader: RecordReader) -> Report:
    """All that a results file says; raises `BureauRefused` for what it says twice."""
    report = Report()
    for tag, body in reader.records():
        if tag is Tag.MADE:
            made = Made.decode(body)
            _put(report.made, made.number, made)
        elif tag is Tag.SPOILED:
            spoiled = Spoiled.decode(body)
            _put(report.spoiled, spoiled.chip_id.hex(), spoiled)
        elif tag is Tag.NOT_MADE:
            not_made = NotMade.decode(body)
            _put(report.not_made, not_made.number, not_made)
        elif tag is Tag.FINISHED:
            finished = Finished.decode(body)
            _put(report.finished, finished.number, finished)
        else:
            report.shipped.append(Shipped.decode(body))
    return report


def _put(known: dict[str, Any], key: str, value: object) -> None:
    if key in known:
        raise BureauRefused(f"The file reports {key} twice.", finding="reported-twice", about=key)
    known[key] = value


def ordered_cards(session: Session, order_id: int) -> Iterator[OrderedCard]:
    """The cards of an order, locked."""
    wanted = (
        select(BureauCard.id, Card.id, Card.number, BureauCard.state, Card.state, BureauCard.chip_id)
        .join(Card, Card.id == BureauCard.card_id)
        .where(BureauCard.order_id == order_id)
        .order_by(Card.id)
        .with_for_update(of=Card, key_share=True)
    )
    return (OrderedCard(*one) for one in session.execute(wanted))


def free_chips(session: Session, order_id: int) -> dict[str, BureauChip]:
    """Chips of the order that are still free, by number."""
    wanted = select(BureauChip).where(
        BureauChip.order_id == order_id, BureauChip.card_id.is_(None), BureauChip.spoiled.is_(None)
    )
    return {chip.chip_id: chip for chip in session.scalars(wanted)}


def require_ordered(report: Report, ordered: Mapping[str, OrderedCard], chips: Mapping[str, BureauChip]) -> None:
    """Raise `BureauRefused` when the file speaks of anything that was not ordered, or of one thing twice."""
    for number in [*report.made, *report.not_made]:
        _require_state(number, ordered, OrderedState.ORDERED)
    for number, finished in report.finished.items():
        card = _require_state(number, ordered, OrderedState.ANSWERED)
        if card.chip_id != finished.chip_id.hex():
            raise BureauRefused(f"Card {number} was made on another chip.", finding="other-chip", about=number)
    both = report.made.keys() & report.not_made.keys()
    if both:
        raise BureauRefused(f"Card {min(both)} is reported made and not made.", finding="reported-twice")
    used = Counter([made.chip_id.hex() for made in report.made.values()] + list(report.spoiled))
    for chip_id, times in used.items():
        if chip_id not in chips:
            raise BureauRefused(f"Chip {chip_id} is none of this order's.", finding="foreign-chip", about=chip_id)
        if times > 1:
            raise BureauRefused(f"Chip {chip_id} is reported twice.", finding="same-chip", about=chip_id)
    for shipped in report.shipped:
        for number in shipped.numbers:
            if number not in ordered:
                raise _nobody(number)


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
    return BureauRefused(f"Nobody ordered card {number} of this bureau.", finding="unknown-card", about=number)


def unfit_cards(
    session: Session,
    row: BureauOrder,
    report: Report,
    ordered: Mapping[str, OrderedCard],
    chips: Mapping[str, BureauChip],
    measure: Measure,
) -> dict[str, str]:
    """Why each unfit card is unfit, by number: a word, a colon, a sentence."""
    found: dict[str, str] = {}
    for number, made in report.made.items():
        if ordered[number].card_state is not CardState.WRITING:
            found[number] = f"not-wanted: the card is {ordered[number].card_state} by now"
        elif made.kvn != row.kvn or b"".join(made.check_values) != chips[made.chip_id.hex()].check_values:
            found[number] = "check-values: the chip's keys are not those that were sent for it"
        elif made.cplc[:4] + made.cplc[16:18] + made.cplc[12:16] != made.chip_id:
            found[number] = "production-record: the chip's production record is another chip's"
        elif reason := _unfit_keys(made, row.digest or b"", measure):
            found[number] = reason
    fit = {number: made for number, made in report.made.items() if number not in found}
    for number in _seen_before(session, fit):
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


def key_digests(made: Made) -> list[tuple[str, str]]:
    """Slot and digest of each public key of a card."""
    return [(slot, public_key_digest(key.public_key)) for slot, key in made.keys.items()]


def _seen_before(session: Session, fit: Mapping[str, Made]) -> set[str]:
    """Cards with a public key that stands twice in the file, or in any other card."""
    holders: dict[str, list[str]] = {}
    for number, made in fit.items():
        for _, digest in key_digests(made):
            holders.setdefault(digest, []).append(number)
    seen = {digest for digest, numbers in holders.items() if len(numbers) > 1}
    for chosen in parts(list(holders)):
        for known in (BureauKey.digest, Certificate.public_key_digest):
            seen.update(session.scalars(select(known).where(known.in_(chosen))))
    return {number for digest in seen for number in holders[digest]}
