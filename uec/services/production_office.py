"""The office's side of a card session: answers what a personalisation, inspection or hand-over asks.

Implements `issuance.production.office.OfficePort` over the database, the vault and the authority. Records are durable
before the next bundle leaves: nothing goes to a chip that the office would not remember. Those that move card,
application or batch are a transaction of the card's own, all others share one with the cards in flight; how far the
work is goes along with whatever is committed next.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session, sessionmaker

from card_io.scp03 import SessionKeys
from card_io.secret import Secret
from issuance.keys.port import ForetoldSession, KeyPurpose, KeyRef, PutKeyData, Vault
from issuance.pki import chuid_signature, security_object
from issuance.pki.ca import CertificateAuthority
from issuance.pki.signing import Signer
from issuance.production.bundle import (
    AdminKeyWanted,
    CertificatesWanted,
    ForetoldSessionWanted,
    IdentifierSignatureWanted,
    KnownChip,
    PinsWanted,
    Progress,
    PutKeyWanted,
    Record,
    RecordKind,
    SecurityObjectWanted,
    SessionKeysWanted,
    WhoIs,
)
from issuance.production.errors import ForeignCard
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import NotFound, Stale, StoreUnavailable
from uec.services import card_jobs, certification, journal, operations, print_orders, stock_cards
from uec.services.applicant_secret import RandomBytes
from uec.services.journal_writer import JournalWriter, Page
from uec.services.views import OperationView
from uec.store.engine import reading
from uec.store.tables import Batch, Card

HUB = system_actor("hub")
PRINTED = frozenset({RecordKind.CHIP_CLAIMED, RecordKind.INSPECTED})
"""Where a card whose profile asks for a print must have an order: from its beginning, and at its end."""
_BOUND = (
    select(Card.number, Card.state, Batch.number)
    .join(Batch, Batch.id == Card.batch_id)
    .where(Card.chip_id == bindparam("chip"))
    .order_by(Card.id.desc())
    .limit(1)
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Bench:
    """What every card session of a process shares; `clock` gives the present moment, aware.

    A process with many cards in flight gives all its benches one `writer`; `zone` is the office's.
    """

    sessions: sessionmaker[Session]
    vault: Vault
    ca: CertificateAuthority
    document_signer: Signer
    profile: CardProfile
    clock: Callable[[], datetime]
    random: RandomBytes
    writer: JournalWriter | None = None
    zone: tzinfo = UTC


class DatabaseOffice:
    """Answers for one card.

    `card_id` is None for a card that is only looked at: such a session leaves no journal. `operation_id` is the
    operation the session belongs to, if any.
    """

    def __init__(
        self, bench: Bench, card_id: int | None, *, operation_id: int | None = None, actor: Actor = HUB
    ) -> None:
        """Bind to the card; nothing is asked of the database yet."""
        self._bench, self._card_id = bench, card_id
        self._operation_id, self._actor = operation_id, actor
        self._writer = bench.writer or JournalWriter(bench.sessions)
        self._pin_master: KeyRef | None = None
        self._boxed: int | None = None
        self._pending: list[Record] = []
        self._seq: int | None = None
        self._shown: dict[str, Any] | None = None
        self._reached = 0, ""

    def who_is(self, request: WhoIs) -> KnownChip | None:
        """The card that the chip is bound to among those still alive, else the last one it ever was.

        Raises `ForeignCard` for a blank from a box of another profile.
        """
        with reading(self._bench.sessions) as session:
            found = session.connection().execute(_BOUND, {"chip": request.chip_id}).first()
            boxed = stock_cards.boxed(session, request.chip_id)
        wanted = self._bench.profile.name
        if boxed is not None and boxed.profile != wanted:
            raise ForeignCard(f"its box holds blanks for {boxed.profile}, not for {wanted}")
        self._boxed = boxed.transport_version if boxed else None
        return KnownChip(found[0], found[1].value, found[2]) if found else None

    def record(self, record: Record) -> None:
        """Take an entry of the card's journal; `commit` makes it durable."""
        if self._card_id is None:
            return
        if record.kind is RecordKind.FINISH_INTENT and self._pin_master is not None:
            record = replace(record, facts={**record.facts, "pin_master": self._pin_master.version})
        self._pending.append(record)

    def commit(self) -> None:
        """Make durable what was recorded; what the entries prove moves the card.

        Raises `ChipTaken`, `CardMovedOn` or `TakenOver`; outcomes at the card are kept all the same.
        """
        pending, self._pending = self._pending, []
        if any(record.kind in journal.MOVING for record in pending):
            with self._bench.sessions() as session:
                self._append(session, pending)
                session.commit()
        elif pending:
            self._share(pending)

    def close(self) -> None:
        """What was recorded last is committed by `finish`, or here when no operation waits for its end."""
        if self._operation_id is None:
            self.commit()

    def finish(self, result: Mapping[str, Any]) -> OperationView:
        """Close the operation as done, in one transaction with what was recorded last; raises what `commit` does."""
        if self._operation_id is None:
            raise NotFound("This session belongs to no operation.", kind="CardOperation", id=None)
        pending, self._pending = self._pending, []
        with self._bench.sessions() as session:
            if pending:
                self._append(session, pending)
            return operations.finish_operation(session, self._operation_id, result=result, now=self._bench.clock())

    def _append(self, session: Session, pending: list[Record]) -> None:
        try:
            self._append_all(session, pending)
        except journal.CardMovedOn:
            session.rollback()
            if kept := [record for record in pending if record.kind in journal.OUTCOMES]:
                self._append_all(session, kept)
                session.commit()
            raise

    def _append_all(self, session: Session, records: list[Record]) -> None:
        card_id = self._known_card()
        after = journal.last_number(session, card_id) if self._seq is None else self._seq
        if self._bench.profile.orders_print and any(record.kind in PRINTED for record in records):
            print_orders.order_missing(session, card_id, actor=self._actor, now=self._bench.clock())
        journal.append_all(
            session,
            card_id,
            records,
            after=after,
            operation_id=self._operation_id,
            actor=self._actor,
            now=self._bench.clock(),
        )
        if self._shown and self._operation_id is not None:
            operations.show_progress(session, self._operation_id, self._shown)
        self._shown, self._seq = None, after + len(records)

    def _share(self, pending: list[Record]) -> None:
        """In one transaction with other cards' entries."""
        card_id = self._known_card()
        if self._seq is None:
            with reading(self._bench.sessions) as session:
                self._seq = journal.last_number(session, card_id)
        rows = journal.entries(
            card_id, pending, after=self._seq, operation_id=self._operation_id, at=self._bench.clock()
        )
        changed = [journal.keys_of(record.facts) for record in pending if record.kind is RecordKind.KEY_CHANGED]
        keys = [{"this": card_id, "new_kvn": one["kvn"], "new_version": one["key_version"]} for one in changed]
        self._writer.write(Page(card_id, rows, keys[-1] if keys else None, self._progress_row()))
        self._seq += len(pending)

    def _show(self) -> None:
        """Show how far the work is, with nothing to remember; a database that is busy or away ends no session."""
        try:
            self._writer.write(Page(self._card_id or 0, progress=self._progress_row()))
        except (StoreUnavailable, Stale) as error:
            _log.info("progress of operation %s is not shown: %s", self._operation_id, error)

    def _progress_row(self) -> dict[str, Any] | None:
        shown, self._shown = self._shown, None
        return {"this": self._operation_id, "shown": shown} if shown and self._operation_id is not None else None

    def session_keys(self, request: SessionKeysWanted) -> SessionKeys:
        """Ask the vault."""
        wanted = request.request
        return self._bench.vault.card_session(replace(wanted, master=self._as_boxed(wanted.master)))

    def foretold_session(self, request: ForetoldSessionWanted) -> ForetoldSession:
        """Ask the vault."""
        wanted = request.request
        return self._bench.vault.foretell_session(replace(wanted, master=self._as_boxed(wanted.master)))

    def put_key_data(self, request: PutKeyWanted) -> PutKeyData:
        """Ask the vault."""
        wanted = request.request
        return self._bench.vault.put_key_data([replace(wanted, current=self._as_boxed(wanted.current))])[0]

    def admin_key(self, request: AdminKeyWanted) -> Secret:
        """Ask the vault."""
        return self._bench.vault.admin_key(request.master, request.chip_id, request.size_bytes)

    def certificates(self, request: CertificatesWanted) -> Mapping[str, bytes]:
        """Intend, sign and keep certificates, on hold; the same request gives the same ones."""
        bench = self._bench
        issuer = certification.Issuer(
            bench.ca, bench.profile, bench.clock(), bench.random, self._actor.reference, bench.zone
        )
        with bench.sessions() as session:
            made = certification.Made(request.public_keys, request.proofs)
            return certification.issue(session, self._known_card(), made, issuer=issuer)

    def security_object(self, request: SecurityObjectWanted) -> bytes:
        """The one signed when the card's data were prepared; else have the document signer sign the digests now."""
        with reading(self._bench.sessions) as session:
            prepared = card_jobs.security_object(session, self._known_card(), request.digests)
        if prepared is not None:
            return prepared
        (signed,) = security_object.sign(self._bench.document_signer, [request.digests], now=self._bench.clock())
        return signed

    def identifier_signature(self, request: IdentifierSignatureWanted) -> bytes:
        """Have the document signer sign what the card's identifier says."""
        bench = self._bench
        return chuid_signature.sign(bench.document_signer, request.content, now=bench.clock())

    def pins(self, request: PinsWanted) -> Mapping[str, Secret]:
        """The card's transport PINs, of the PIN master that they were or will be set from."""
        if self._pin_master is None:
            with reading(self._bench.sessions) as session:
                version = card_jobs.pin_master_version(session, self._known_card())
            active = self._bench.vault.active(KeyPurpose.PIN_MASTER)
            self._pin_master = active if version is None else KeyRef(KeyPurpose.PIN_MASTER, version)
        return self._bench.vault.transport_pins(self._pin_master, request.card_number, request.digits)

    def progress(self, progress: Progress) -> None:
        """Show it on the operation's page with the next commit; what a person has to do is shown at once."""
        if self._operation_id is None:
            return
        if progress.of and progress.step >= self._reached[0]:
            self._reached = progress.step, progress.label
        # A card that comes back is recognised from the first step on; the page goes on where it was.
        self._shown = {
            "step": progress.step,
            "of": progress.of,
            "label": progress.label,
            "reached": self._reached[1],
        }
        if progress.facts:  # the holder is asked something now
            self._shown |= {**progress.facts, "at": self._bench.clock().isoformat()}
        if progress.facts or not progress.of:
            self._show()

    def _as_boxed(self, master: KeyRef) -> KeyRef:
        """The transport key set that the maker's letter names for the chip's box, where the stock knows its box."""
        if master.purpose is not KeyPurpose.BLANK_TRANSPORT or self._boxed is None:
            return master
        return KeyRef(KeyPurpose.BLANK_TRANSPORT, self._boxed)

    def _known_card(self) -> int:
        if self._card_id is None:
            raise NotFound("This session only looks at a card: name the card to write it.", kind="Card", id=None)
        return self._card_id
