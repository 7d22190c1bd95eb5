"""The office's answer to results: certificates for the keys that a bureau reported, where the bureau writes them.

What goes onto a card for good is intended first: certificates by `certification` (on hold until hand-over), the closing
of the applet by the card's journal, both committed before the file lies in the bureau's folder. Making the answer again
finds the same certificates. A card whose certificates are refused is rejected and made again; one that nobody may have
any more is rejected for good. The file is written card by card, whatever its size.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.orm import Session

from issuance.bureau.answer import Closing
from issuance.bureau.records import FileKind, Tag
from issuance.bureau.reply import proof_challenge
from issuance.bureau.sealed import VaultKey, sealing
from issuance.errors import RequestRefused, UnfitKey
from issuance.pki import security_object
from issuance.pki.hygiene import public_key_digest
from issuance.pki.possession import Proof
from issuance.production import datagroups
from issuance.production.bundle import Record, RecordKind
from issuance.production.journal import Journal
from issuance.production.writing import digest
from uec.domain.actors import Actor
from uec.domain.bureau import ORDERED, BureauRefused, Certificates, OrderedEvent, OrderedState, OrderState
from uec.domain.lifecycle import advance
from uec.domain.permissions import Permission
from uec.services import bureaux, card_jobs, certification, journal
from uec.services.bureau_orders import tell
from uec.services.bureau_rejecting import BARRED, barred_among, reject
from uec.services.bureau_sending import SUFFIX, Measured, Sender, header, outgoing, pin_digits
from uec.services.certification import Issuer
from uec.services.rows import locked
from uec.store.tables import BureauCard, BureauFile, BureauOrder, Card, Certificate, JournalEntry


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
    _certify_all(session, row, issuer, actor, now)
    row = locked(session, BureauOrder, order_id)
    waiting = _waiting(session, order_id)
    if not waiting:
        raise BureauRefused(f"No card of order {row.number} waits for certificates.", finding="nothing-to-answer")
    sequence = 1 + (session.scalar(select(func.max(BureauFile.sequence)).where(BureauFile.order_id == order_id)) or 1)
    path = folder / ready.bureau.code / "in" / f"{row.number}-{sequence}-answer{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            written = Measured(file)
            head = header(session, row, FileKind.ANSWER, sequence, made_at=now)
            signer = VaultKey(sender.signer)
            with sealing(written.write, head, signer=signer, recipient=ready.recipient, now=now) as writer:
                for one in waiting:
                    writer.add(Tag.CLOSING, _closed(session, row, one, sender, now).encode())
                writer.close()
        session.add(outgoing(row, FileKind.ANSWER, sequence, path.name, written, actor, now))
        tell(session, row, "answer", actor, now, cards=len(waiting), sha256=written.sha256)
        session.flush()
        session.commit()
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


_Waiting = Sequence[Row[int, int]]


def _waiting(session: Session, order_id: int) -> _Waiting:
    """Cards with keys and no answer yet: their rows in the order, and their ids."""
    wanted = select(BureauCard.id, BureauCard.card_id)
    wanted = wanted.where(BureauCard.order_id == order_id, BureauCard.state == OrderedState.MADE)
    return session.execute(wanted.order_by(BureauCard.card_id)).all()


def _certify_all(session: Session, row: BureauOrder, issuer: Issuer, actor: Actor, now: datetime) -> None:
    """Certificates card by card, each committed by itself: a crash loses none of them."""
    waiting = _waiting(session, row.id)
    barred = barred_among(session, [card_id for _, card_id in waiting])
    for row_id, card_id in waiting:
        reason = BARRED if card_id in barred else ""
        if not reason:
            try:
                certification.issue(session, card_id, _made(session, row, card_id), issuer=issuer)
            except (UnfitKey, RequestRefused) as error:
                reason = str(error)
        if reason:
            reject(session, row_id, card_id, state=OrderedState.MADE, reason=reason, actor=actor, now=now)
            session.commit()


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


def _closed(session: Session, row: BureauOrder, waiting: Row[int, int], sender: Sender, now: datetime) -> Closing:
    """What the bureau is to write onto a card; noted is the intent to close its applet, as by a station."""
    row_id, card_id = waiting
    card, records = session.get_one(Card, card_id), journal.records(session, card_id)
    digests = datagroups.digests(card_jobs.data_groups(session, card_id))
    signed = card_jobs.security_object(session, card_id, digests)
    signed = signed or security_object.sign(sender.signer, [digests], now=now)[0]
    closing = Closing(card.number, bytes.fromhex(card.chip_id or ""), _certificates(session, card_id, records), signed)
    facts = {
        "chip_id": card.chip_id,
        "digests": {str(group): value.hex() for group, value in digests.items()},
        "certificates": {slot: digest(content) for slot, content in closing.certificates.items()},
        "security_object": digest(signed),
        "pins": sorted(pin_digits(row, sender.profile)),
        "pin_master": row.pin_version,
    }
    after = journal.last_number(session, card_id)
    record = Record(RecordKind.FINISH_INTENT, facts)
    session.execute(insert(JournalEntry), journal.entries(card_id, [record], after=after, operation_id=None, at=now))
    target = advance(ORDERED, OrderedState.MADE, OrderedEvent.ANSWER)
    session.execute(update(BureauCard).where(BureauCard.id == row_id).values(state=target))
    return closing


def _certificates(session: Session, card_id: int, records: Sequence[Record]) -> dict[str, bytes]:
    """The card's certificates by key slot."""
    wanted = select(Certificate.public_key_digest, Certificate.der).where(Certificate.card_id == card_id)
    known: Mapping[str, bytes | None] = dict(session.execute(wanted).all())
    certificates = {slot: known[public_key_digest(key)] for slot, key in Journal(records).public_keys.items()}
    return {slot: content for slot, content in certificates.items() if content is not None}
