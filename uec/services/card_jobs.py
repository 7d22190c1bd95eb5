"""Puts together the orders for the generators of `issuance.production` from what the office knows of a card."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import Row, bindparam, func, select
from sqlalchemy.orm import Session

from card_io.secret import Secret
from issuance.keys.port import KeyPurpose, Vault
from issuance.pki import security_batch
from issuance.production.bundle import Record, RecordKind
from issuance.production.errors import UnfitPin
from issuance.production.groups_writer import read_groupings
from issuance.production.job import CardJob, HandOverJob, InspectionJob, UnblockJob
from issuance.production.journal import Journal
from issuance.production.profile import CardProfile
from issuance.production.sighting import Sighting
from uec.domain.errors import NotFound
from uec.services import journal
from uec.services.rows import missing, present
from uec.store.tables import Batch, Card, CardData, Certificate, JournalEntry
from uec.store.tables.production import PreparedPart

# Built once: every card asks them.
_ORDERED = (
    select(Card.number.label("card"), Batch.number.label("batch"), CardData.groups)
    .join(Batch, Batch.id == Card.batch_id)
    .outerjoin(CardData, CardData.card_id == Card.id)
    .where(Card.id == bindparam("this"))
)
_NAMED = select(Card.number, Card.chip_id).where(Card.id == bindparam("this"))
_CHOSEN = select(JournalEntry.facts).where(
    JournalEntry.operation_id == bindparam("this"), JournalEntry.kind == RecordKind.PIN_CHOSEN.value
)
_CERTIFIED = select(func.max(Certificate.not_before)).where(Certificate.card_id == bindparam("this"))
_SIGNED = (
    select(CardData.signature, CardData.groups, PreparedPart.signer, PreparedPart.prepared_at)
    .join(PreparedPart, PreparedPart.id == CardData.part_id)
    .where(CardData.card_id == bindparam("this"))
)


def card_job(session: Session, card_id: int, vault: Vault, *, seen: Sighting | None = None) -> CardJob:
    """The order to personalise a prepared card, or to go on with one that was begun; `seen` lies in the reader."""
    ordered = session.connection().execute(_ORDERED, {"this": card_id}).first()
    if ordered is None:
        raise missing(Card, card_id)
    return CardJob(
        card_number=ordered.card,
        batch_number=ordered.batch,
        data_groups=read_groupings(ordered.groups) if ordered.groups else {},
        blank_master=vault.active(KeyPurpose.BLANK_TRANSPORT),
        card_master=vault.active(KeyPurpose.CARD_MASTER),
        journal=journal.records(session, card_id),
        seen=seen,
    )


def inspection_job(session: Session, card_id: int) -> InspectionJob:
    """The order to read a written card back; raises `NotFound` for a card that was never written."""
    card = present(session, Card, card_id)
    return InspectionJob(
        card_number=card.number,
        chip_id=_chip_of(card),
        data_groups=data_groups(session, card_id),
        public_keys=Journal(journal.records(session, card_id)).public_keys,
    )


def judged_at(session: Session, card_id: int, *, now: datetime) -> datetime:
    """The moment to judge a card at that the office has just made: `now`, never before its certificates begin.

    A clock that was set back since they were signed is no fault of the card.
    """
    begun = session.connection().execute(_CERTIFIED, {"this": card_id}).scalar()
    return now if begun is None else max(now, begun)


def hand_over_job(
    session: Session, card_id: int, *, profile: CardProfile, pins: dict[str, Secret], operation_id: int
) -> HandOverJob:
    """The order to hand a card over; PINs chosen at the reader in the same operation are chosen already."""
    card = session.connection().execute(_NAMED, {"this": card_id}).one()
    records = journal.records(session, card_id)
    return HandOverJob(
        card_number=card.number,
        chip_id=_chip_of(card),
        card_key=_card_key(profile, records),
        pins=pins,
        journal=records,
        chosen=_chosen(session, operation_id),
    )


def _chosen(session: Session, operation_id: int) -> frozenset[str]:
    rows = session.connection().execute(_CHOSEN, {"this": operation_id})
    return frozenset(str(facts["pin"]) for (facts,) in rows)


def unblock_job(session: Session, card_id: int, *, profile: CardProfile, typed: Mapping[str, Secret]) -> UnblockJob:
    """The order to set a PIN anew; `typed` holds its new value by its name, and what the holder's letter says."""
    card = present(session, Card, card_id)
    records = journal.records(session, card_id)
    pin = next((pin for pin in profile.chosen_pins if pin.name in typed), None)
    if pin is None:
        raise UnfitPin("", "length")
    return UnblockJob(
        card_number=card.number,
        chip_id=_chip_of(card),
        card_key=_card_key(profile, records),
        pin=pin.name,
        new=typed[pin.name],
        code=typed.get(pin.unblocked_by),
        journal=records,
    )


def _card_key(profile: CardProfile, records: Sequence[Record]) -> bytes:
    """The public half of the key that answers without a PIN; empty for a card that has none."""
    return Journal(records).public_keys[profile.card_key.name] if profile.keys else b""


def data_groups(session: Session, card_id: int) -> dict[int, bytes]:
    """The prepared files of a card by number."""
    prepared = session.scalar(select(CardData.groups).where(CardData.card_id == card_id))
    return read_groupings(prepared) if prepared else {}


def security_object(session: Session, card_id: int, digests: Mapping[int, bytes]) -> bytes | None:
    """The security object that was signed when the card was prepared; None when none was, or over other digests."""
    found = session.connection().execute(_SIGNED, {"this": card_id}).first()
    if found is None or found.signature is None or found.signer is None:
        return None
    signed = security_batch.hash_list(read_groupings(found.groups))
    if signed != dict(digests):
        return None
    return security_batch.assemble(found.signer, signed, signed_at=found.prepared_at, signature=found.signature)


def pin_master_version(session: Session, card_id: int) -> int | None:
    """Which version of the PIN master the transport PINs on a finished card derive from; None before it is finished."""
    records = journal.records(session, card_id)
    if not any(record.kind is RecordKind.FINISHED for record in records):
        return None
    versions = [record.facts.get("pin_master") for record in records if record.kind is RecordKind.FINISH_INTENT]
    return int(str(versions[-1])) if versions and versions[-1] is not None else None


def _chip_of(card: Card | Row[str, str | None]) -> str:
    if card.chip_id is None:
        raise NotFound(f"Card {card.number} has never been written: personalise it first.", kind="chip", id=card.number)
    return card.chip_id
