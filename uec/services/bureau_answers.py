"""The office's answer to results: certificates for the keys that a bureau reported, where the bureau writes them.

What goes onto a card for good is intended first: certificates by `certification` (on hold until hand-over), the closing
of the applet by the card's journal, both committed before the file lies in the bureau's folder. Making the answer again
finds the same certificates. A card whose certificates are refused is rejected and made again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from issuance.bureau.answer import Closing
from issuance.bureau.records import FileKind, Tag
from issuance.bureau.reply import proof_challenge
from issuance.bureau.sealed import VaultKey, sealing
from issuance.errors import RequestRefused, UnfitKey
from issuance.pki import security_object
from issuance.pki.possession import Proof
from issuance.production import datagroups
from issuance.production.bundle import Record, RecordKind
from issuance.production.journal import Journal
from issuance.production.writing import digest
from uec.domain.actors import Actor
from uec.domain.bureau import ORDERED, BureauRefused, Certificates, OrderedEvent, OrderedState, OrderState
from uec.domain.lifecycle import CardEvent, advance
from uec.domain.permissions import Permission
from uec.services import bureaux, card_jobs, certification, journal
from uec.services.bureau_orders import tell
from uec.services.bureau_sending import Measured, Sender, header, outgoing, pin_digits
from uec.services.cards import apply_event
from uec.services.certification import Issuer
from uec.services.rows import locked
from uec.store.tables import BureauCard, BureauFile, BureauOrder, Card, JournalEntry


@dataclass(frozen=True)
class _Answered:
    """A card of the answer: its row in the order, and what the bureau is to write onto it."""

    row_id: int
    card: Card
    closing: Closing


def due(session: Session) -> Sequence[int]:
    """Orders with cards whose keys were reported and not answered yet."""
    wanted = select(BureauOrder.id).where(
        BureauOrder.state == OrderState.ACCEPTED,
        BureauOrder.certificates == Certificates.ANSWER,
        select(BureauCard.id)
        .where(BureauCard.order_id == BureauOrder.id, BureauCard.state == OrderedState.MADE)
        .exists(),
    )
    return session.scalars(wanted.order_by(BureauOrder.id)).all()


def answer(
    session: Session, order_id: int, *, folder: Path, sender: Sender, issuer: Issuer, actor: Actor, now: datetime
) -> Path:
    """Make the answer to everything reported so far in the bureau's folder; returns its path.

    Raises `BureauRefused` when nothing waits for certificates, `BureauNotReady`, and what the vault raises.
    """
    actor.require(Permission.RELEASE_BATCH)
    row = locked(session, BureauOrder, order_id)
    if row.certificates is not Certificates.ANSWER:
        raise BureauRefused("The certificates of this order are written at hand-over.", finding="no-answer")
    ready = bureaux.ready(session, row.bureau_id, now=now)
    session.commit()
    answered = _close_all(session, row, sender, issuer, actor, now)
    if not answered:
        raise BureauRefused(f"No card of order {row.number} waits for certificates.", finding="nothing-to-answer")
    row = locked(session, BureauOrder, order_id)
    sequence = 1 + (session.scalar(select(func.max(BureauFile.sequence)).where(BureauFile.order_id == order_id)) or 1)
    path = folder / ready.bureau.code / "in" / f"{row.number}-{sequence}-answer.p7m"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            written = Measured(file)
            head = header(session, row, FileKind.ANSWER, sequence, made_at=now)
            signer = VaultKey(sender.signer)
            with sealing(written.write, head, signer=signer, recipient=ready.recipient, now=now) as writer:
                for one in answered:
                    writer.add(Tag.CLOSING, one.closing.encode())
                writer.close()
        _note_all(session, row, answered, sender, now)
        session.add(outgoing(row, FileKind.ANSWER, sequence, path.name, written, actor, now))
        tell(session, row, "answer", actor, now, cards=len(answered), sha256=written.sha256)
        session.flush()
        session.commit()
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


def _close_all(
    session: Session, row: BureauOrder, sender: Sender, issuer: Issuer, actor: Actor, now: datetime
) -> list[_Answered]:
    """Certificates and security objects card by card, each committed by itself: a crash loses none of them."""
    wanted = select(BureauCard.id, BureauCard.card_id).where(
        BureauCard.order_id == row.id, BureauCard.state == OrderedState.MADE
    )
    answered = []
    for row_id, card_id in session.execute(wanted.order_by(BureauCard.card_id)).all():
        made = _made(session, row, card_id)
        try:
            certificates = certification.issue(session, card_id, made, issuer=issuer)
        except (UnfitKey, RequestRefused) as error:
            _reject(session, row_id, card_id, str(error), actor, now)
            continue
        card = session.get_one(Card, card_id)
        signed = _security_object(session, card_id, sender, now)
        answered.append(
            _Answered(row_id, card, Closing(card.number, bytes.fromhex(card.chip_id or ""), certificates, signed))
        )
    return answered


def _made(session: Session, row: BureauOrder, card_id: int) -> certification.Made:
    """The keys that the bureau reported, with the proofs it gave for this order."""
    records = journal.records(session, card_id)
    kept = next(record.facts for record in reversed(records) if record.kind is RecordKind.KEYS_MADE)
    signatures = kept.get("proofs")
    if not isinstance(signatures, dict):
        raise TypeError("the journal of a bureau's card holds no proofs")
    number, order = session.get_one(Card, card_id).number, row.digest or b""
    proofs = {
        slot: Proof(proof_challenge(order, number, slot), bytes.fromhex(signature))
        for slot, signature in signatures.items()
    }
    return certification.Made(Journal(records).public_keys, proofs)


def _reject(session: Session, row_id: int, card_id: int, reason: str, actor: Actor, now: datetime) -> None:
    target = ORDERED[OrderedState.MADE, OrderedEvent.REJECT]
    session.execute(update(BureauCard).where(BureauCard.id == row_id).values(state=target, reason=reason[:500]))
    apply_event(session, locked(session, Card, card_id), CardEvent.SPOIL, actor=actor, reason=reason, now=now)
    session.commit()


def _security_object(session: Session, card_id: int, sender: Sender, now: datetime) -> bytes:
    digests = _digests(session, card_id)
    prepared = card_jobs.security_object(session, card_id, digests)
    return prepared or security_object.sign(sender.signer, [digests], now=now)[0]


def _digests(session: Session, card_id: int) -> Mapping[int, bytes]:
    return datagroups.digests(card_jobs.data_groups(session, card_id))


def _note_all(session: Session, row: BureauOrder, answered: Sequence[_Answered], sender: Sender, now: datetime) -> None:
    """The intent to close each applet, as a station would have recorded it."""
    pins = sorted(pin_digits(row, sender.profile))
    for one in answered:
        facts = {
            "chip_id": one.card.chip_id,
            "digests": {str(group): value.hex() for group, value in _digests(session, one.card.id).items()},
            "certificates": {slot: digest(content) for slot, content in one.closing.certificates.items()},
            "security_object": digest(one.closing.security_object),
            "pins": pins,
            "pin_master": row.pin_version,
        }
        after = journal.last_number(session, one.card.id)
        record = Record(RecordKind.FINISH_INTENT, facts)
        session.execute(
            insert(JournalEntry), journal.entries(one.card.id, [record], after=after, operation_id=None, at=now)
        )
        target = advance(ORDERED, OrderedState.MADE, OrderedEvent.ANSWER)
        session.execute(update(BureauCard).where(BureauCard.id == one.row_id).values(state=target))
