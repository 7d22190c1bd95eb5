"""Takes what comes back from bureaux: whose file it is shows by its signature, and only then is it looked into.

A file counts whole or not at all. One that is not what it should be (unsigned, altered, cut off, another batch's, taken
before) is refused and recorded with its reason; nothing moves. A file may be given in any number of times.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.bureau.errors import BureauFileRefused
from issuance.bureau.records import CONTROL, FileKind, Header, RecordReader, checked
from issuance.bureau.reply import Word
from issuance.bureau.sealed import opened_reply, spool
from issuance.pki.hygiene import WeakKeyList
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor
from uec.domain.bureau import (
    ORDER,
    BureauRefused,
    FileOutcome,
    FileRefused,
    OrderedState,
    OrderEvent,
    OrderState,
    PartnerState,
)
from uec.domain.lifecycle import ApplicationEvent, BatchEvent, BatchState, CardEvent, CardState, advance
from uec.domain.permissions import Permission
from uec.services import bureau_results, bureaux, stock_ledger
from uec.services.bureau_checks import Measure, read
from uec.services.bureau_orders import lock_cards, recall, tell
from uec.services.bureau_report import Report
from uec.services.moves import move, move_all
from uec.services.rows import locked, present
from uec.store import audit
from uec.store.tables import Application, Batch, Bureau, BureauCard, BureauCertificate, BureauFile, BureauOrder, Card

NAME_LIMIT, SENTENCE_LIMIT = 200, 500
CLOCKS_APART = timedelta(days=1)
Profiles = Callable[[str], CardProfile]
NO_LIST = WeakKeyList()


@dataclass(frozen=True)
class Taken:
    """What a file was and did."""

    order: str
    kind: FileKind
    facts: Mapping[str, Any]


@dataclass
class _File:
    """A file as it came, and what is known of it so far."""

    name: str
    sha256: str
    size_bytes: int
    bureau_id: int | None = None
    order_id: int | None = None
    header: Header | None = None


@dataclass(frozen=True)
class _Judge:
    """What results are judged by."""

    profiles: Profiles
    weak_keys: WeakKeyList


def take(
    session: Session,
    stream: BinaryIO,
    name: str,
    *,
    profiles: Profiles,
    weak_keys: WeakKeyList = NO_LIST,
    actor: Actor,
    now: datetime,
) -> Taken:
    """Take an acknowledgement or results; raises `FileRefused`, recorded, when it is not what it should be."""
    actor.require(Permission.PRODUCE_CARD)
    with spool() as kept:
        file = _measure(stream, kept, name)
        try:
            return _take(session, kept, file, _Judge(profiles, weak_keys), actor, now)
        except (BureauFileRefused, BureauRefused) as error:
            session.rollback()
            sentence = str(error)[:SENTENCE_LIMIT]
            _record(session, file, FileOutcome.REFUSED, actor, now, finding=error.finding, sentence=sentence)
            session.commit()
            raise FileRefused(f"{file.name}: {sentence}", finding=error.finding, file=file.name) from error


def known(session: Session, path: Path) -> bool:
    """Whether exactly this file was looked at before, taken or refused."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return session.scalar(select(BureauFile.id).where(BureauFile.sha256 == digest).limit(1)) is not None


def _measure(stream: BinaryIO, kept: BinaryIO, name: str) -> _File:
    digest, size = hashlib.sha256(), 0
    while piece := stream.read(1 << 16):
        digest.update(piece)
        size += len(piece)
        kept.write(piece)
    kept.seek(0)
    return _File(_plain(name), digest.hexdigest(), size)


def _plain(name: str) -> str:
    """A file's name as a database holds it; what a partner calls its files may be anything."""
    printable = CONTROL.sub("", name.encode("utf-8", "replace").decode())
    return Path(printable).name[:NAME_LIMIT]


def _take(session: Session, stream: BinaryIO, file: _File, judge: _Judge, actor: Actor, now: datetime) -> Taken:
    certificate = _signer_of(session, stream, file)
    signer_id, file.bureau_id = certificate.id, certificate.bureau_id
    with opened_reply(stream, certificate.der) as records, Report() as report:
        found = checked(records)
        file.header = found.header
        row = _admitted(session, file, found.header, signer_id, actor, now)
        if found.header.kind is FileKind.RESULTS:
            bureau_results.require_awaited(row)
            session.rollback()  # nothing is locked while keys are looked at; then all of it is looked at once more
            read(RecordReader(records), report, Measure(judge.profiles(found.header.profile), judge.weak_keys))
            row = _admitted(session, file, found.header, signer_id, actor, now)
            facts = bureau_results.apply(session, row, report, actor=actor, now=now)
        elif found.header.kind is FileKind.ACKNOWLEDGEMENT:
            facts = _hear(session, row, RecordReader(records), actor, now)
        else:
            kind = found.header.kind
            raise BureauRefused(f"A file of the kind {kind} does not come from a bureau.", finding="other-kind")
        _record(session, file, FileOutcome.TAKEN, actor, now, facts=facts)
        session.commit()
        return Taken(row.number, found.header.kind, facts)


def _admitted(
    session: Session, file: _File, header: Header, signer_id: int, actor: Actor, now: datetime
) -> BureauOrder:
    """The order that a file of a bureau may speak of, locked; raises `BureauRefused`, `SamePerson`."""
    certificate = present(session, BureauCertificate, signer_id)
    _require_in_use(certificate, now)
    row = _order_of(session, header, certificate.bureau_id, file)
    _require_new(session, row, file, actor)
    _require_clock(header, row, now)
    return row


def _signer_of(session: Session, stream: BinaryIO, file: _File) -> BureauCertificate:
    """The certificate that the file is signed with; raises the last refusal when it is nobody's."""
    refusal: BureauFileRefused | None = None
    for certificate in bureaux.signers(session):
        stream.seek(0)
        try:
            with opened_reply(stream, certificate.der):
                stream.seek(0)
                return certificate
        except BureauFileRefused as error:
            if refusal is None or refusal.finding == "wrong-signer":
                refusal = error
            if error.finding not in {"wrong-signer", "not-cms"}:
                file.bureau_id = certificate.bureau_id
                break
    raise refusal or BureauRefused("No bureau is known whose file this could be: add one first.", finding="no-bureau")


def _require_in_use(certificate: BureauCertificate, now: datetime) -> None:
    if certificate.state is not PartnerState.APPROVED:
        raise BureauRefused(
            f"The file is signed with a certificate that is {certificate.state}: ask for a file with the one in use.",
            finding="certificate-not-in-use",
        )
    if now < certificate.not_before:
        raise BureauRefused(
            f"The file is signed with a certificate that is valid from {certificate.not_before:%Y-%m-%d %H:%M} UTC on: "
            "compare the clocks here and at the bureau, then take the file again.",
            finding="certificate-not-yet",
        )
    if now > certificate.not_after:
        raise BureauRefused(
            f"The file is signed with a certificate that was valid until {certificate.not_after:%Y-%m-%d}: ask the "
            "bureau for a new certificate and a new file.",
            finding="certificate-expired",
        )


def _order_of(session: Session, header: Header, bureau_id: int, file: _File) -> BureauOrder:
    """The order that the file speaks of, locked; raises `BureauRefused` for one of others."""
    if header.bureau != present(session, Bureau, bureau_id).code:
        raise BureauRefused(f"The file speaks in the name of {header.bureau}, another bureau.", finding="wrong-bureau")
    found = session.scalar(select(BureauOrder.id).where(BureauOrder.number == header.order))
    row = locked(session, BureauOrder, found) if found is not None else None
    if row is None or row.bureau_id != bureau_id:
        raise BureauRefused(f"This bureau has no order {header.order} of ours.", finding="unknown-order")
    file.order_id = row.id
    batch = present(session, Batch, row.batch_id)
    if header.batch != batch.number:
        raise BureauRefused(
            f"The file speaks of batch {header.batch}, another one than the order's.", finding="wrong-batch"
        )
    if header.profile != batch.profile:
        raise BureauRefused(
            f"The file speaks of cards of the profile {header.profile}, others than the order's.",
            finding="wrong-profile",
        )
    if header.answers != row.digest:
        raise BureauRefused("The file speaks of another file than the order that was sent.", finding="wrong-order")
    return row


def _require_new(session: Session, row: BureauOrder, file: _File, actor: Actor) -> None:
    if session.scalar(
        select(BureauFile.id).where(BureauFile.sha256 == file.sha256, BureauFile.outcome == FileOutcome.TAKEN)
    ):
        raise BureauRefused("This very file was taken before: nothing is to be done.", finding="taken-before")
    stock_ledger.refuse_same(actor, row.drawn_by, did="drew the order up", now="take what comes back of it")


def _require_clock(header: Header, row: BureauOrder, now: datetime) -> None:
    """Raise `BureauRefused` for a file from before its order, or from after now, by more than clocks differ."""
    earliest = (row.sent_at or now) - CLOCKS_APART
    if not earliest <= header.made_at <= now + CLOCKS_APART:
        raise BureauRefused(
            f"The file says that it was made on {header.made_at:%Y-%m-%d %H:%M} UTC: compare the clocks here and at "
            "the bureau, then take the file again.",
            finding="wrong-clock",
        )


def _hear(session: Session, row: BureauOrder, reader: RecordReader, actor: Actor, now: datetime) -> Mapping[str, Any]:
    """The bureau's word on an order that was sent."""
    words = [Word.decode(body) for _, body in reader.records()]
    if len(words) != 1:
        raise BureauRefused("An acknowledgement is one word: ask for it again.", finding="malformed")
    (word,) = words
    if row.state is not OrderState.SENT:
        raise BureauRefused(f"Order {row.number} is {row.state}: the bureau's word came before.", finding="not-awaited")
    if word.accepted and word.cards != row.cards:
        raise BureauRefused(
            f"The bureau read {word.cards} cards and {row.cards} were ordered: send it the order again.",
            finding="wrong-count",
        )
    if not word.accepted:
        row.state = advance(ORDER, row.state, OrderEvent.DECLINE)
        row.reason, row.ended_at = (word.reason or "declined")[:SENTENCE_LIMIT], now
        recall(session, row, actor, now)
        tell(session, row, "decline", actor, now, reason=row.reason)
        return {"accepted": False, "reason": row.reason}
    row.state, row.accepted_at = advance(ORDER, row.state, OrderEvent.ACCEPT), now
    _begin(session, row, actor, now)
    tell(session, row, "accept", actor, now, cards=word.cards)
    return {"accepted": True, "cards": word.cards}


def _begin(session: Session, row: BureauOrder, actor: Actor, now: datetime) -> None:
    """The cards are being made from now on: cards before their batch, in the order of the hub."""
    ordered = select(BureauCard.card_id).where(BureauCard.order_id == row.id, BureauCard.state == OrderedState.ORDERED)
    lock_cards(session, select(Card.id).where(Card.id.in_(ordered)))
    move_all(session, Card, CardEvent.START_WRITING, Card.id.in_(ordered), actor=actor, now=now)
    requests = select(Card.application_id).where(Card.id.in_(ordered), Card.state == CardState.WRITING)
    move_all(session, Application, ApplicationEvent.PRODUCE, Application.id.in_(requests), actor=actor, now=now)
    batch = locked(session, Batch, row.batch_id)
    if batch.state is BatchState.RELEASED:
        move(session, batch, BatchEvent.PRODUCE, actor=actor, now=now)


def _record(
    session: Session,
    file: _File,
    outcome: FileOutcome,
    actor: Actor,
    now: datetime,
    *,
    finding: str | None = None,
    sentence: str | None = None,
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Keep what became of a file, with its audit entry; the caller commits."""
    row = BureauFile(
        bureau_id=file.bureau_id,
        order_id=file.order_id,
        kind=file.header.kind.value if file.header else "",
        sequence=file.header.sequence if file.header else 0,
        name=file.name,
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        outcome=outcome,
        finding=finding,
        sentence=sentence,
        facts=dict(facts or {}),
        by=actor.reference,
        at=now,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        actor=actor.reference,
        action="bureau_file.take" if outcome is FileOutcome.TAKEN else "bureau_file.refuse",
        subject_kind="bureau_file",
        subject_id=row.id,
        details={"name": file.name, "sha256": file.sha256, "finding": finding, **dict(facts or {})},
        now=now,
    )
