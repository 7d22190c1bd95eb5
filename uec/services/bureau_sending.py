"""Makes the file of an order: streamed from the database through the vault into a signed and encrypted file.

Chips' keys are wrapped by the vault a thousand at a time, cards read by the thousand; no order is ever held whole. The
same order gives the same records however often its file is made (its moment is that of the approval), so a crash
between file and commit leaves nothing that a second run does not repeat. Refusals and deaths are looked at once more.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from issuance.bureau.order import CardOrder, ChipKeys
from issuance.bureau.records import FileKind, Header, RecordWriter, Tag
from issuance.bureau.sealed import VaultKey, sealing
from issuance.keys.port import BureauKeyRequest, KeyPurpose, KeyRef, Vault
from issuance.pki import security_batch
from issuance.pki.signing import Signer
from issuance.production.groups_writer import read_groupings
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor
from uec.domain.bureau import (
    ORDER,
    BureauRefused,
    Certificates,
    FileOutcome,
    OrderedState,
    OrderEvent,
    OrderState,
    kdd_of,
)
from uec.domain.lifecycle import ApplicationEvent, CardEvent, CardState, advance
from uec.domain.permissions import Permission
from uec.domain.stock import Place
from uec.services import bureau_masters, bureaux, stock_ledger
from uec.services.bureau_orders import lock_cards, overlapping, parts, ranges_of, tell
from uec.services.bureaux import Ready
from uec.services.moves import move_all
from uec.services.refusals import barred
from uec.services.rows import locked, present
from uec.store.tables import (
    Application,
    Batch,
    Bureau,
    BureauCard,
    BureauChip,
    BureauFile,
    BureauLot,
    BureauOrder,
    Card,
    CardData,
    StockBox,
    StockDelivery,
)
from uec.store.tables.production import PreparedPart

CHUNK = 1000
SUFFIX = ".p7m"


@dataclass(frozen=True)
class Sender:
    """What an order is made with: the vault, the office's signer, the card profile."""

    vault: Vault
    signer: Signer
    profile: CardProfile


@dataclass(frozen=True)
class _Chip:
    """A chip given out with an order, and which transport key set its box came with."""

    chip_id: str
    kdd: bytes
    transport: KeyRef


def due(session: Session) -> Sequence[int]:
    """Approved orders whose file is to be made."""
    wanted = select(BureauOrder.id).where(BureauOrder.state == OrderState.APPROVED)
    return session.scalars(wanted.order_by(BureauOrder.id)).all()


def send(session: Session, order_id: int, *, folder: Path, sender: Sender, actor: Actor, now: datetime) -> Path:
    """Make an approved order's file in the bureau's folder (`CODE/in`) and note it as sent; returns its path.

    Raises `BureauNotReady`, `BureauRefused` (`unknown-lot`, `one-master`), `IllegalMove`, and what the vault raises; no
    file then.
    """
    actor.require(Permission.RELEASE_BATCH)
    row = locked(session, BureauOrder, order_id)
    state = advance(ORDER, row.state, OrderEvent.SEND)
    ready = bureaux.ready(session, row.bureau_id, now=now)
    _leave_out_barred(session, row, actor, now)
    _fix_terms(session, row, sender)
    place = folder / ready.bureau.code / "in"
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"{row.number}{SUFFIX}"
    part = path.with_suffix(".part")
    try:
        with part.open("wb") as file:
            written = Measured(file)
            row.digest = _write(session, row, written.write, ready, sender, now)
            written.keep()
        row.state, row.sent_at, row.held_up_by, row.held_up_why = state, now, None, None
        session.add(outgoing(row, FileKind.ORDER, 1, path.name, written, actor, now))
        tell(session, row, "send", actor, now, cards=row.cards, sha256=written.sha256, digest=row.digest.hex())
        session.flush()
        part.replace(path)
        session.commit()
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    return path


class Measured:
    """A file that knows its digest and size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._hash, self.size_bytes = file, hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        self._hash.update(data)
        self.size_bytes += len(data)
        self._file.write(data)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def keep(self) -> None:
        """Have it on the disk before anything says that it is there."""
        self._file.flush()
        os.fsync(self._file.fileno())


def outgoing(
    row: BureauOrder, kind: FileKind, sequence: int, name: str, written: Measured, actor: Actor, now: datetime
) -> BureauFile:
    """The note of a file that left."""
    return BureauFile(
        bureau_id=row.bureau_id,
        order_id=row.id,
        kind=kind.value,
        sequence=sequence,
        name=name,
        sha256=written.sha256,
        size_bytes=written.size_bytes,
        outcome=FileOutcome.SENT,
        facts={"cards": row.cards},
        by=actor.reference,
        at=now,
    )


def header(session: Session, row: BureauOrder, kind: FileKind, sequence: int, *, made_at: datetime) -> Header:
    """The header of a file of this order."""
    return Header(
        kind=kind,
        order=row.number,
        bureau=present(session, Bureau, row.bureau_id).code,
        batch=present(session, Batch, row.batch_id).number,
        profile=present(session, Batch, row.batch_id).profile,
        made_at=made_at.replace(microsecond=0),
        sequence=sequence,
        answers=row.digest or b"",
    )


def _leave_out_barred(session: Session, row: BureauOrder, actor: Actor, now: datetime) -> None:
    """Who has died or refused since gets no card: it is annulled and not ordered."""
    gone = select(Card.id).join(Application, Application.id == Card.application_id)
    gone = gone.where(Card.batch_id == row.batch_id, Card.state == CardState.PREPARED, barred())
    found = lock_cards(session, gone)
    for chosen in parts(found):
        requests = select(Card.application_id).where(Card.id.in_(chosen))
        closed = {"closed_at": now}
        move_all(
            session, Application, ApplicationEvent.WITHDRAW, Application.id.in_(requests),
            actor=actor, now=now, values=closed,
        )  # fmt: skip
        move_all(session, Card, CardEvent.ANNUL, Card.id.in_(chosen), actor=actor, now=now, values={"ended_at": now})
        ordered = (BureauCard.order_id == row.id, BureauCard.card_id.in_(chosen))
        session.execute(update(BureauCard).where(*ordered).values(state=OrderedState.RECALLED))
    row.cards -= len(found)
    if not row.cards:
        raise BureauRefused("Nobody in this order may get a card any more: cancel it.", finding="empty")


def _fix_terms(session: Session, row: BureauOrder, sender: Sender) -> None:
    """Which keys the cards get; a second making of the file finds them decided."""
    row.key_version = row.key_version or bureau_masters.for_orders(sender.vault)
    row.kvn = sender.profile.secure_channel.kvn(row.key_version)
    if row.certificates is Certificates.ANSWER and row.pin_version is None:
        row.pin_version = sender.vault.active(KeyPurpose.PIN_MASTER).version
    session.flush()


def _write(
    session: Session,
    row: BureauOrder,
    write: Callable[[bytes], object],
    ready: Ready,
    sender: Sender,
    now: datetime,
) -> bytes:
    """All of the file; returns the digest of its records."""
    made_at = row.approved_at or now
    row.digest = None
    head = header(session, row, FileKind.ORDER, 1, made_at=made_at)
    head = Header(**{**vars(head), "terms": _terms(row, ready, sender)})
    signer = VaultKey(sender.signer)
    with sealing(write, head, signer=signer, recipient=ready.recipient, now=now) as writer:
        _write_chips(session, row, writer, ready, sender)
        _write_cards(session, row, writer, ready, sender)
        return writer.close()


def _terms(row: BureauOrder, ready: Ready, sender: Sender) -> Mapping[str, str]:
    transport = KeyRef(KeyPurpose.BUREAU_TRANSPORT, ready.transport_version)
    known = {info.ref: info.check_value for info in sender.vault.describe(KeyPurpose.BUREAU_TRANSPORT)}
    channel = sender.profile.secure_channel
    return {
        "transport": f"{transport.version}:{known.get(transport, '')}",
        "kvn": str(row.kvn),
        "key_version": str(row.key_version),
        "derivation": channel.derivation,
        "aes_form": channel.aes_form.value,
        "certificates": row.certificates.value,
        "pins": ",".join(f"{name}:{size}" for name, size in pin_digits(row, sender.profile).items()),
    }


def pin_digits(row: BureauOrder, profile: CardProfile) -> dict[str, int]:
    """The PINs that the bureau sets, with their lengths: all where it closes the applet, none where a window does."""
    if row.certificates is not Certificates.ANSWER:
        return {}
    return {pin.name: pin.transport_digits for pin in profile.pins}


def _write_chips(session: Session, row: BureauOrder, writer: RecordWriter, ready: Ready, sender: Sender) -> None:
    transport = KeyRef(KeyPurpose.BUREAU_TRANSPORT, ready.transport_version)
    master = KeyRef(KeyPurpose.CARD_MASTER, row.key_version or 0)
    derivation = sender.profile.secure_channel.derivation
    left = _chips(session, row, ready.bureau.store_id)
    while chips := list(islice(left, CHUNK)):
        requests = [BureauKeyRequest(chip.transport, master, chip.kdd, derivation) for chip in chips]
        rows = []
        for chip, keys in zip(chips, sender.vault.bureau_keys(transport, requests), strict=True):
            writer.add(Tag.CHIP, ChipKeys(bytes.fromhex(chip.chip_id), chip.kdd, keys).encode())
            values = b"".join(keys.new_check_values)
            rows.append({"order_id": row.id, "chip_id": chip.chip_id, "check_values": values})
        session.execute(insert(BureauChip), rows)


def _chips(session: Session, row: BureauOrder, store_id: int) -> Iterator[_Chip]:
    """The chips given out with the order, in order of their serials; raises `BureauRefused`."""
    patterns: Mapping[str, str] = dict(session.execute(select(BureauLot.lot, BureauLot.kdd)).all())
    lying = stock_ledger.held_in(session, [stock_ledger.account(session, Place.HAND, store_id=store_id)])
    versions = _transport_versions(session, {one.box_id for one in lying if one.box_id is not None})
    for chips in ranges_of(row):
        if chips.lot not in patterns:
            raise BureauRefused(
                f"How chips of lot {chips.lot} diversify is not known: enter it from the maker's letter.",
                finding="unknown-lot",
                lot=chips.lot,
            )
        for part in overlapping(lying, chips):
            transport = KeyRef(KeyPurpose.BLANK_TRANSPORT, versions.get(part.box_id or 0, 1))
            for serial in range(part.chips.first, part.chips.last + 1):
                yield _Chip(chips.chip(serial), kdd_of(patterns[chips.lot], serial), transport)


def _transport_versions(session: Session, boxes: set[int]) -> Mapping[int, int]:
    wanted = select(StockBox.id, StockDelivery.transport_version)
    joined = wanted.join(StockDelivery, StockDelivery.id == StockBox.delivery_id).where(StockBox.id.in_(boxes))
    return dict(session.execute(joined).all())


def _write_cards(session: Session, row: BureauOrder, writer: RecordWriter, ready: Ready, sender: Sender) -> None:
    digits = pin_digits(row, sender.profile)
    transport = KeyRef(KeyPurpose.BUREAU_TRANSPORT, ready.transport_version)
    last = 0
    while rows := _cards_after(session, row.id, last):
        last = rows[-1].id
        pins: Sequence[bytes] = [b""] * len(rows)
        if digits:
            master = KeyRef(KeyPurpose.PIN_MASTER, row.pin_version or 0)
            pins = sender.vault.bureau_pins(transport, master, [one.number for one in rows], digits)
        for one, wrapped in zip(rows, pins, strict=True):
            signed = signed_object(one.groups, one.signature, one.signer, one.prepared_at)
            expires = one.expires_on.isoformat()
            writer.add(Tag.CARD, CardOrder(one.number, one.groups, signed, wrapped, one.printed_name, expires).encode())


def _cards_after(session: Session, order_id: int, card_id: int) -> Sequence[Any]:
    wanted = (
        select(
            Card.id,
            Card.number,
            Card.printed_name,
            Card.expires_on,
            CardData.groups,
            CardData.signature,
            PreparedPart.signer,
            PreparedPart.prepared_at,
        )
        .join(BureauCard, BureauCard.card_id == Card.id)
        .join(CardData, CardData.card_id == Card.id)
        .join(PreparedPart, PreparedPart.id == CardData.part_id)
        .where(BureauCard.order_id == order_id, BureauCard.state == OrderedState.ORDERED, Card.id > card_id)
    )
    return session.execute(wanted.order_by(Card.id).limit(CHUNK)).all()


def signed_object(groups: bytes, signature: bytes | None, signer: bytes | None, signed_at: datetime) -> bytes:
    """The security object that was signed when the card was prepared; empty when none was."""
    if signature is None or signer is None:
        return b""
    digests = security_batch.hash_list(read_groupings(groups))
    return security_batch.assemble(signer, digests, signed_at=signed_at, signature=signature)
