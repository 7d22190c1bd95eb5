"""The office's side of a card session: answers what a personalisation, inspection or hand-over asks.

Implements `issuance.production.office.OfficePort` over the database, the vault and the authority. Every answer is a
transaction of its own, and it is durable when the method returns: nothing goes to a chip that the office would not
remember.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session, sessionmaker

from card_io.scp03 import SessionKeys
from card_io.secret import Secret
from issuance.keys.port import KeyPurpose, KeyRef, PutKeyData, Vault
from issuance.pki import security_object
from issuance.pki.ca import CertificateAuthority
from issuance.pki.signing import Signer
from issuance.production.bundle import (
    CertificatesWanted,
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
from issuance.production.profile import CardProfile
from uec.domain.actors import Actor, system_actor
from uec.domain.errors import NotFound, Stale, StoreUnavailable
from uec.services import authority, card_jobs, certification, journal, operations
from uec.services.applicant_secret import RandomBytes
from uec.store.engine import reading
from uec.store.tables import Batch, Card

HUB = system_actor("hub")
_log = logging.getLogger(__name__)
SHOWN_FOR = timedelta(milliseconds=200)


@dataclass(frozen=True)
class Bench:
    """What every card session of a process shares; `clock` gives the present moment, aware."""

    sessions: sessionmaker[Session]
    vault: Vault
    ca: CertificateAuthority
    document_signer: Signer
    profile: CardProfile
    clock: Callable[[], datetime]
    random: RandomBytes


def document_signer(session: Session, vault: Vault) -> Signer:
    """The key and certificate that security objects are signed with; raises `NoAuthority`."""
    certificate = authority.certificates(session).document_signer
    return Signer.find(vault, KeyPurpose.DOCUMENT_SIGNER, certificate)


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
        self._pin_master: KeyRef | None = None
        self._shown_at: datetime | None = None

    def who_is(self, request: WhoIs) -> KnownChip | None:
        """The card that the chip is bound to among those still alive, else the last one it ever was."""
        with reading(self._bench.sessions) as session:
            bound = select(Card.number, Card.state, Batch.number).join(Batch, Batch.id == Card.batch_id)
            found = session.execute(bound.where(Card.chip_id == request.chip_id).order_by(Card.id.desc())).first()
            return KnownChip(found[0], found[1].value, found[2]) if found else None

    def record(self, record: Record) -> None:
        """Append to the card's journal, durably; what the entry proves moves the card."""
        if self._card_id is None:
            return
        if record.kind is RecordKind.FINISH_INTENT and self._pin_master is not None:
            record = replace(record, facts={**record.facts, "pin_master": self._pin_master.version})
        with self._bench.sessions() as session:
            journal.append(
                session,
                self._card_id,
                record,
                operation_id=self._operation_id,
                actor=self._actor,
                now=self._bench.clock(),
            )

    def session_keys(self, request: SessionKeysWanted) -> SessionKeys:
        """Ask the vault."""
        return self._bench.vault.card_session(request.request)

    def put_key_data(self, request: PutKeyWanted) -> PutKeyData:
        """Ask the vault."""
        return self._bench.vault.put_key_data([request.request])[0]

    def certificates(self, request: CertificatesWanted) -> Mapping[str, bytes]:
        """Intend, sign and keep certificates, on hold; the same request gives the same ones."""
        bench = self._bench
        issuer = certification.Issuer(bench.ca, bench.profile, bench.clock(), bench.random, self._actor.reference)
        with bench.sessions() as session:
            return certification.issue(session, self._known_card(), request.public_keys, issuer=issuer)

    def security_object(self, request: SecurityObjectWanted) -> bytes:
        """The one signed when the card's data were prepared; else have the document signer sign the digests now."""
        with reading(self._bench.sessions) as session:
            prepared = card_jobs.security_object(session, self._known_card(), request.digests)
        if prepared is not None:
            return prepared
        (signed,) = security_object.sign(self._bench.document_signer, [request.digests], now=self._bench.clock())
        return signed

    def pins(self, request: PinsWanted) -> Mapping[str, Secret]:
        """The card's transport PINs, of the PIN master that they were or will be set from."""
        with reading(self._bench.sessions) as session:
            version = card_jobs.pin_master_version(session, self._known_card())
        active = self._bench.vault.active(KeyPurpose.PIN_MASTER)
        self._pin_master = active if version is None else KeyRef(KeyPurpose.PIN_MASTER, version)
        return self._bench.vault.transport_pins(self._pin_master, request.card_number, request.digits)

    def progress(self, progress: Progress) -> None:
        """Show it on the operation's page; steps that follow at once are left out, each costs a write to the disk.

        Nothing depends on it, so a database that is busy or away just then ends no session.
        """
        now = self._bench.clock()
        at_once = self._shown_at is not None and now - self._shown_at < SHOWN_FOR
        if self._operation_id is None or (at_once and 0 < progress.step < progress.of):
            return
        self._shown_at = now
        try:
            with self._bench.sessions() as session:
                operations.report_progress(
                    session, self._operation_id, step=progress.step, of=progress.of, label=progress.label
                )
        except (StoreUnavailable, Stale) as error:
            _log.warning("progress of operation %d is not shown: %s", self._operation_id, error)

    def _known_card(self) -> int:
        if self._card_id is None:
            raise NotFound("This session only looks at a card: name the card to write it.", kind="Card", id=None)
        return self._card_id
