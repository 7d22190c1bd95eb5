"""Reads what a bureau reports and says what of it may count, before anything is written.

First everything that would make the whole file untrue (a card or chip that was not ordered, one twice): then nothing of
it counts. Then each card by itself: check values of its keys, its production record, hygiene of its public keys, proofs
of possession, and whether any of its keys was seen before, in this file or in any card.

Nothing of a card is in memory once it was read: what the file says and what was ordered stand side by side on disk
(`bureau_report`).
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.bureau.records import RecordReader, Tag
from issuance.bureau.reply import Finished, Made, NotMade, Shipped, Spoiled, proof_challenge
from issuance.errors import UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki.hygiene import WeakKeyList, check_public_key
from issuance.pki.possession import Proof, check_proof
from issuance.production.profile import CardProfile
from uec.domain.bureau import BureauRefused
from uec.services.bureau_rejecting import REASON_LIMIT
from uec.services.bureau_report import AT_ONCE, OrderedCard, Report, cut
from uec.services.bureau_shared_keys import reject_shared
from uec.services.refusals import barred
from uec.store.tables import Application, BureauCard, BureauChip, BureauOrder, Card

_NOBODY = "Nobody ordered card {} of this bureau."


@dataclass(frozen=True)
class Measure:
    """What a card's keys are measured by: its profile, and the list of keys that a broken generator made."""

    profile: CardProfile
    weak_keys: WeakKeyList


def read(reader: RecordReader, report: Report, measure: Measure) -> None:
    """Note what a results file says, and what is wrong with its cards as far as they show it themselves.

    Raises `BureauRefused` for what it says twice, or when it says nothing. Asks nobody: proofs of fifty thousand cards
    take their time, and nothing need be locked meanwhile.
    """
    for tag, body in reader.records():
        if tag is Tag.MADE:
            made = Made.decode(body)
            report.say_made(made, _flaw(made, reader.header.answers, measure)[:REASON_LIMIT])
        elif tag is Tag.SPOILED:
            spoiled = Spoiled.decode(body)
            report.say("spoiled", spoiled.chip_id.hex(), _reason(spoiled))
        elif tag is Tag.NOT_MADE:
            not_made = NotMade.decode(body)
            report.say("not_made", not_made.number, _reason(not_made))
        elif tag is Tag.FINISHED:
            finished = Finished.decode(body)
            report.say("finished", finished.number, finished.chip_id.hex())
        else:
            report.say_shipped(Shipped.decode(body))
    if not reader.counts:
        raise BureauRefused("The file reports nothing: ask the bureau for its results.", finding="nothing-reported")


def _reason(said: Spoiled | NotMade) -> str:
    """Why, as it is kept: a word, a colon, a sentence."""
    return f"{said.reason}: {said.sentence}"[:REASON_LIMIT]


def note_order(session: Session, order_id: int, report: Report) -> None:
    """Put the cards of an order, locked, and its free chips beside what the file says."""
    report.order(_ordered_cards(session, order_id), _free_chips(session, order_id))


def _ordered_cards(session: Session, order_id: int) -> Iterator[OrderedCard]:
    """The cards of an order, locked one after the other, by their ids."""
    wanted = (
        select(
            BureauCard.id,
            Card.id,
            Card.number,
            BureauCard.state,
            Card.state,
            BureauCard.chip_id,
            BureauCard.consignment_id.is_not(None),
            barred(),
        )
        .join(Card, Card.id == BureauCard.card_id)
        .join(Application, Application.id == Card.application_id)
        .where(BureauCard.order_id == order_id)
        .order_by(Card.id)
        .with_for_update(of=Card, key_share=True)
    )
    for rows in session.execute(wanted, execution_options={"yield_per": AT_ONCE}).partitions():
        yield from (OrderedCard(*row) for row in rows)


def _free_chips(session: Session, order_id: int) -> Iterator[tuple[str, bytes]]:
    """Chips of the order that are still free, with the check values of their keys."""
    wanted = select(BureauChip.chip_id, BureauChip.check_values).where(
        BureauChip.order_id == order_id, BureauChip.card_id.is_(None), BureauChip.spoiled.is_(None)
    )
    last = ""
    while rows := session.execute(
        wanted.where(BureauChip.chip_id > last).order_by(BureauChip.chip_id).limit(AT_ONCE)
    ).all():
        last = rows[-1][0]
        yield from ((chip_id, values) for chip_id, values in rows)


_REPORTED = """
    SELECT said.number, card.state
    FROM (SELECT number FROM made UNION ALL SELECT number FROM not_made) AS said
    LEFT JOIN card ON card.number = said.number
    WHERE card.state IS NOT 'ORDERED' ORDER BY card.state IS NOT NULL LIMIT 1
"""
_FINISHED = """
    SELECT said.number, card.state FROM finished AS said LEFT JOIN card ON card.number = said.number
    WHERE card.state IS NOT 'ANSWERED' ORDER BY card.state IS NOT NULL LIMIT 1
"""
_ON_ANOTHER_CHIP = """
    SELECT number FROM finished JOIN card USING (number) WHERE finished.chip <> card.chip LIMIT 1
"""
_BOTH = "SELECT number FROM made JOIN not_made USING (number) LIMIT 1"
_CHIPS_USED = "(SELECT chip FROM made UNION ALL SELECT chip FROM spoiled)"
_FOREIGN_CHIP = f"SELECT chip FROM {_CHIPS_USED} WHERE chip NOT IN (SELECT chip FROM chip) LIMIT 1"  # noqa: S608
_SAME_CHIP = f"SELECT chip FROM {_CHIPS_USED} GROUP BY chip HAVING count(*) > 1 LIMIT 1"  # noqa: S608
_SENT_BY_NOBODY = "SELECT number FROM sent WHERE number NOT IN (SELECT number FROM card) LIMIT 1"
_SENT_TWICE = """
    SELECT number FROM sent JOIN card USING (number) GROUP BY number HAVING count(*) > 1 OR max(card.sent) LIMIT 1
"""
_SENT_UNMADE = """
    SELECT number FROM sent JOIN card USING (number)
    WHERE card.state = 'ORDERED' AND number NOT IN (SELECT number FROM made) LIMIT 1
"""
_UNTRUE: tuple[tuple[str, str, str], ...] = (
    (_ON_ANOTHER_CHIP, "other-chip", "Card {} was made on another chip."),
    (_BOTH, "reported-twice", "Card {} is reported made and not made."),
    (_FOREIGN_CHIP, "foreign-chip", "Chip {} is none of this order's."),
    (_SAME_CHIP, "same-chip", "Chip {} is reported twice."),
    (_SENT_BY_NOBODY, "unknown-card", _NOBODY),
    (_SENT_TWICE, "sent-twice", "Card {} is sent twice."),
    (_SENT_UNMADE, "sent-unmade", "Card {} is sent and was not made."),
)


def require_ordered(report: Report) -> None:
    """Raise `BureauRefused` when the file speaks of anything that was not ordered, or of one thing twice."""
    for query in (_REPORTED, _FINISHED):
        if (found := report.first(query)) is not None:
            number, state = found
            if state is None:
                raise BureauRefused(_NOBODY.format(cut(number)), finding="unknown-card")
            raise BureauRefused(
                f"Card {number} is {state} in this order already.", finding="reported-before", about=number
            )
    for query, finding, sentence in _UNTRUE:
        if (found := report.first(query)) is not None:
            raise BureauRefused(sentence.format(cut(found[0])), finding=finding, about=cut(found[0]))


def find_unfit(session: Session, row: BureauOrder, report: Report) -> None:
    """Note of each unfit card why it is: a word, a colon, a sentence. The others' keys are new."""
    report.judge(row.kvn)
    reject_shared(session, report)


def _flaw(made: Made, order_digest: bytes, measure: Measure) -> str:
    """What is wrong with a card, by what the file itself says of it; '' for nothing."""
    if made.cplc[:4] + made.cplc[16:18] + made.cplc[12:16] != made.chip_id:
        return "production-record: the chip's production record is another chip's"
    return _unfit_keys(made, order_digest, measure)


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
