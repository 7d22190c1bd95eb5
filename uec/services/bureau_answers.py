"""The office's answer to results: certificates for the keys that a bureau reported, where the bureau writes them.

What goes onto a card for good is intended first: certificates by `bureau_certifying` (on hold until hand-over), the
closing of the applet by the card's journal, both committed before the file lies in the bureau's folder. Making the
answer again finds the same certificates. The file is written part by part, whatever its size; one that was committed
and not put into its place, because its maker was killed just then, is put there by the next run (`put_into_place`).
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from issuance.bureau.answer import Closing
from issuance.bureau.records import FileKind, Tag
from issuance.bureau.sealed import VaultKey, sealing
from issuance.pki import security_object
from issuance.pki.hygiene import public_key_digest
from issuance.production import datagroups
from issuance.production.bundle import Record, RecordKind
from issuance.production.groups_writer import read_groupings
from issuance.production.writing import digest
from uec.domain.actors import Actor
from uec.domain.bureau import (
    ORDERED,
    BureauRefused,
    Certificates,
    FileOutcome,
    OrderedEvent,
    OrderedState,
    OrderState,
)
from uec.domain.lifecycle import CardState, CertificateState, advance
from uec.domain.permissions import Permission
from uec.services import bureau_certifying, bureaux, journal
from uec.services.bureau_certifying import Keys, Waiting
from uec.services.bureau_orders import parts, tell
from uec.services.bureau_sending import SUFFIX, Measured, Sender, header, outgoing, pin_digits, signed_object
from uec.services.bureaux import Ready
from uec.services.certification import Issuer
from uec.services.rows import locked
from uec.store.arrays import listed
from uec.store.bulk import insert_rows
from uec.store.tables import BureauCard, BureauFile, BureauOrder, Card, CardData, Certificate, JournalEntry
from uec.store.tables.production import PreparedPart

PART = ".part"
NOTHING = "nothing-to-answer"


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
    while True:
        bureau_certifying.certify(session, order_id, issuer=issuer, actor=actor, now=now)
        try:
            return _make(session, order_id, ready, folder=folder, sender=sender, actor=actor, now=now)
        except _Overtaken:
            session.rollback()  # what was written says too much: those cards are rejected, the others answered


class _Overtaken(Exception):
    """A card of the answer was ended while the answer was written: its certificates are revoked."""


def _make(
    session: Session, order_id: int, ready: Ready, *, folder: Path, sender: Sender, actor: Actor, now: datetime
) -> Path:
    """Write the answer with every card that is certified; raises `_Overtaken`, `BureauRefused`."""
    row = locked(session, BureauOrder, order_id)
    sequence = 1 + (session.scalar(select(func.max(BureauFile.sequence)).where(BureauFile.order_id == order_id)) or 1)
    path = folder / ready.bureau.code / "in" / f"{row.number}-{sequence}-answer{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(PART)
    try:
        with part.open("wb") as file:
            written, cards = Measured(file), list[int]()
            head = header(session, row, FileKind.ANSWER, sequence, made_at=now)
            signer = VaultKey(sender.signer)
            with sealing(written.write, head, signer=signer, recipient=ready.recipient, now=now) as writer:
                for waiting in bureau_certifying.waiting(session, order_id):
                    for card_id, closing in _closed(session, row, waiting, sender, now):
                        writer.add(Tag.CLOSING, closing.encode())
                        cards.append(card_id)
                writer.close()
            written.keep()
        row.held_up_by = row.held_up_why = None
        if not cards:
            session.commit()
            raise BureauRefused(f"No card of order {row.number} waits for certificates.", finding=NOTHING)
        _require_standing(session, cards)
        session.add(outgoing(row, FileKind.ANSWER, sequence, path.name, written, actor, now))
        tell(session, row, "answer", actor, now, cards=len(cards), sha256=written.sha256)
        session.flush()
        session.commit()
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    _put(part, path)
    return path


def _require_standing(session: Session, card_ids: Sequence[int]) -> None:
    """Raise `_Overtaken` when one of the cards was ended meanwhile; none is, from here to the commit."""
    for chosen in parts(card_ids):
        standing = (
            select(Card.state).where(listed(session, Card.id, chosen)).order_by(Card.id).with_for_update(key_share=True)
        )
        if set(session.scalars(standing)) != {CardState.WRITING}:
            raise _Overtaken


def put_into_place(session: Session, folder: Path) -> list[Path]:
    """Put answers whose maker was killed after the commit where the bureau finds them; returns them."""
    placed = []
    for part in sorted(folder.glob(f"*/in/*{PART}")):
        path = part.with_suffix(SUFFIX)
        noted = select(BureauFile.sha256).where(BureauFile.name == path.name, BureauFile.outcome == FileOutcome.SENT)
        try:
            with part.open("rb") as file:
                measured = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            continue  # whoever made it has put it into its place, or has given it up
        if measured in session.scalars(noted).all():
            _put(part, path)
            placed.append(path)
    return placed


def _put(part: Path, path: Path) -> None:
    """Put a committed file into its place, where another process may have put it just now."""
    try:
        part.replace(path)
    except FileNotFoundError:
        if not path.exists():
            raise


def _closed(
    session: Session, row: BureauOrder, waiting: Sequence[Waiting], sender: Sender, now: datetime
) -> list[tuple[int, Closing]]:
    """By card what the bureau is to write onto it; noted is the intent to close its applet, as by a station.

    A card that was reported after the others were certified, or whose certificates were revoked meanwhile, waits: it is
    in the next answer, or rejected then.
    """
    reported = [one.card_id for one in waiting]
    certificates, keys = _certificates(session, reported), bureau_certifying.reported_keys(session, reported)
    cards = [
        one
        for one in waiting
        if one.state is CardState.WRITING and _is_certified(keys[one.card_id], certificates.get(one.card_id, {}))
    ]
    ids = [one.card_id for one in cards]
    objects = _objects(session, ids, sender, now)
    last: Mapping[int, int] = dict(
        session.execute(
            select(JournalEntry.card_id, func.max(JournalEntry.seq))
            .where(listed(session, JournalEntry.card_id, ids))
            .group_by(JournalEntry.card_id)
        ).all()
    )
    fixed = {"pins": sorted(pin_digits(row, sender.profile)), "pin_master": row.pin_version}
    closings, entries = [], []
    for one in cards:
        digests, signed = objects[one.card_id]
        written = _of_slots(keys[one.card_id], certificates[one.card_id])
        facts = {
            "chip_id": one.chip_id,
            "digests": {str(group): value.hex() for group, value in digests.items()},
            "certificates": {slot: digest(content) for slot, content in written.items()},
            "security_object": digest(signed),
            **fixed,
        }
        record = Record(RecordKind.FINISH_INTENT, facts)
        entries += journal.entries(one.card_id, [record], after=last[one.card_id], operation_id=None, at=now)
        closings.append((one.card_id, Closing(one.number, bytes.fromhex(one.chip_id), written, signed)))
    if not cards:
        return []
    insert_rows(session, JournalEntry, entries)
    target = advance(ORDERED, OrderedState.MADE, OrderedEvent.ANSWER)
    answered = update(BureauCard).where(listed(session, BureauCard.id, [one.row_id for one in cards]))
    answered = answered.values(state=target)
    session.execute(answered, execution_options={"synchronize_session": False})
    return closings


def _objects(
    session: Session, card_ids: Sequence[int], sender: Sender, now: datetime
) -> dict[int, tuple[dict[int, bytes], bytes]]:
    """The digests of each card's data groups, and the security object over them; signed here where it was not yet."""
    prepared = (
        select(CardData.card_id, CardData.groups, CardData.signature, PreparedPart.signer, PreparedPart.prepared_at)
        .join(PreparedPart, PreparedPart.id == CardData.part_id)
        .where(listed(session, CardData.card_id, card_ids))
    )
    found = {
        card_id: (datagroups.digests(read_groupings(groups)), signed_object(groups, signature, signer, at))
        for card_id, groups, signature, signer, at in session.execute(prepared)
    }
    unsigned = {card_id: digests for card_id, (digests, signed) in found.items() if not signed}
    made = security_object.sign(sender.signer, list(unsigned.values()), now=now) if unsigned else []
    return found | {
        card_id: (digests, signed) for (card_id, digests), signed in zip(unsigned.items(), made, strict=True)
    }


def _certificates(session: Session, card_ids: Sequence[int]) -> dict[int, dict[str, bytes]]:
    """The certificates of cards that stand, by the digest of their public key."""
    wanted = select(Certificate.card_id, Certificate.public_key_digest, Certificate.der)
    standing = (listed(session, Certificate.card_id, card_ids), Certificate.state != CertificateState.REVOKED)
    found: dict[int, dict[str, bytes]] = {}
    for card_id, key, content in session.execute(wanted.where(*standing)):
        if card_id is not None and content is not None:
            found.setdefault(card_id, {})[key] = content
    return found


def _is_certified(keys: Keys, certificates: Mapping[str, bytes]) -> bool:
    """Whether every key of a card has its certificate; none has before it, and some may have been revoked instead."""
    return all(public_key_digest(key) in certificates for key in keys.public.values())


def _of_slots(keys: Keys, certificates: Mapping[str, bytes]) -> dict[str, bytes]:
    """A card's certificates by key slot."""
    return {slot: certificates[public_key_digest(key)] for slot, key in keys.public.items()}
