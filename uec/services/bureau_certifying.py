"""Certificates for the keys that a bureau reported, some hundred cards at a time: intended, signed, on hold.

Each part is committed by itself (`certification`), and a card that has its certificates is only looked up: killed
anywhere, the next run goes on. Nothing is locked while the vault signs, so two processes at one order may ask for the
same part: the certificates stored first are both's. A card whose certificates are refused is rejected and made again;
one that nobody may have any more is rejected for good.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.bureau.reply import proof_challenge
from issuance.errors import IssuanceError
from issuance.pki.possession import Proof
from issuance.production.bundle import RecordKind
from uec.domain.actors import Actor
from uec.domain.bureau import OrderedState
from uec.domain.lifecycle import CardState
from uec.services import certification
from uec.services.bureau_rejecting import BARRED, NOT_WANTED, barred_among, reject
from uec.services.bureau_results import complete_if_done
from uec.services.certification import Issuer
from uec.services.rows import locked
from uec.store.arrays import listed
from uec.store.tables import BureauCard, BureauOrder, Card, JournalEntry

AT_ONCE = 300
"""Cards whose certificates are signed by one request to the vault; more of them are not in memory."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A card of an order whose keys were reported and not answered yet."""

    row_id: int
    card_id: int
    number: str
    chip_id: str
    state: CardState


def waiting(session: Session, order_id: int) -> Iterator[Sequence[Waiting]]:
    """The cards that wait for certificates, part by part, as they are when each part is asked for."""
    last = 0
    wanted = (
        select(BureauCard.id, Card.id, Card.number, Card.chip_id, Card.state)
        .join(Card, Card.id == BureauCard.card_id)
        .where(BureauCard.order_id == order_id, BureauCard.state == OrderedState.MADE)
        .order_by(Card.id)
        .limit(AT_ONCE)
    )
    while rows := session.execute(wanted.where(Card.id > last)).all():
        last = rows[-1][1]
        yield [Waiting(row_id, card_id, number, chip or "", state) for row_id, card_id, number, chip, state in rows]


def certify(session: Session, order_id: int, *, issuer: Issuer, actor: Actor, now: datetime) -> None:
    """See that every card which waits has its certificates, or is rejected; raises what the vault raises.

    Every part is committed, and every rejected card by itself: it holds the batch it was in, for which a clerk who ends
    another card of it waits (`batch_closing`).
    """
    row = locked(session, BureauOrder, order_id)
    for cards in waiting(session, order_id):  # each part as it is once the order is ours
        refused = dict.fromkeys(barred_among(session, [one.card_id for one in cards]), BARRED)
        refused |= {one.card_id: _ended(one) for one in cards if one.state is not CardState.WRITING}
        made = _made(session, row.digest or b"", [one for one in cards if one.card_id not in refused])
        issued = certification.issue_all(session, made, issuer=issuer)
        refused |= {card_id: str(said) for card_id, said in issued.items() if isinstance(said, IssuanceError)}
        for one in cards:
            if one.card_id in refused:
                reason = refused[one.card_id]
                state = OrderedState.MADE
                reject(session, one.row_id, one.card_id, state=state, reason=reason, actor=actor, now=now)
                session.commit()
        row = locked(session, BureauOrder, order_id)
    complete_if_done(session, row, actor=actor, now=now)  # nothing comes any more of an order that lost its last cards
    session.commit()


def _ended(one: Waiting) -> str:
    """Why a card that was spoiled here meanwhile, say, is in no answer."""
    return f"{NOT_WANTED}: the card is {one.state} by now"


@dataclass(frozen=True)
class Keys:
    """The public keys (DER) of a card that a bureau reported, and the keys' signatures, by slot."""

    public: Mapping[str, bytes]
    proofs: Mapping[str, bytes]


def reported_keys(session: Session, card_ids: Sequence[int]) -> dict[int, Keys]:
    """What was last written down of each card's keys."""
    noted = select(JournalEntry.card_id, JournalEntry.facts).where(
        listed(session, JournalEntry.card_id, card_ids), JournalEntry.kind == RecordKind.KEYS_MADE.value
    )
    return {
        card_id: Keys(_bytes(facts["public_keys"]), _bytes(facts["proofs"]))
        for card_id, facts in session.execute(noted.order_by(JournalEntry.card_id, JournalEntry.seq))
    }


def _bytes(texts: Mapping[str, str]) -> dict[str, bytes]:
    return {slot: bytes.fromhex(text) for slot, text in texts.items()}


def _made(session: Session, order_digest: bytes, cards: Sequence[Waiting]) -> dict[int, certification.Made]:
    """Cards' keys, with the proofs that the bureau gave for this order."""
    keys = reported_keys(session, [one.card_id for one in cards])
    made = {}
    for one in cards:
        proofs = {
            slot: Proof(proof_challenge(order_digest, one.number, slot), signature)
            for slot, signature in keys[one.card_id].proofs.items()
        }
        made[one.card_id] = certification.Made(keys[one.card_id].public, proofs)
    return made
