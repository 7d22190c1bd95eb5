"""An office in memory: everything a card session asks, with a real vault and a real authority and no database.

For tests, benchmarks and rehearsals. It keeps the rules that matter to a card: records are kept whole or not at all by
a commit, a chip belongs to one card only, the same public key gives the same certificate, and no certificate is signed
for a chip that was not claimed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from card_io.keyset import SessionKeys
from card_io.secret import Secret
from issuance.errors import IssuanceError
from issuance.keys.port import ForetoldSession, KeyPurpose, PutKeyData, Vault
from issuance.pki import chuid_signature, security_object
from issuance.pki.ca import CertificateAuthority, CertificateRequest, new_serial
from issuance.pki.possession import check_proofs
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
from issuance.production.errors import ChipTaken
from issuance.production.job import CardJob, HandOverJob, InspectionJob, Random, UnblockJob
from issuance.production.journal import Journal
from issuance.production.piv.objects import card_names
from issuance.production.profile import CardProfile
from issuance.production.sighting import Sighting

VALID_DAYS = 1800
STATES = {
    RecordKind.CHIP_CLAIMED: "WRITING",
    RecordKind.INSPECTED: "PERSONALISED",
    RecordKind.HANDED_OVER: "ACTIVE",
    RecordKind.SCRAPPED: "SPOILED",
}


@dataclass(slots=True)
class CardFile:
    """What the office keeps of one card."""

    number: str
    batch_number: str
    data_groups: Mapping[int, bytes]
    state: str = "PREPARED"
    chip_id: str = ""
    journal: list[Record] = field(default_factory=list)


class MemoryOffice:
    """The cards of one office. `desk(number)` is the port for one card's session."""

    def __init__(
        self,
        vault: Vault,
        authority: CertificateAuthority,
        document_signer: Signer,
        profile: CardProfile,
        *,
        clock: Callable[[], datetime],
        random: Random,
    ) -> None:
        """Bind the office to its keepers; `clock` gives aware UTC."""
        self.vault = vault
        self.authority = authority
        self.document_signer = document_signer
        self.profile = profile
        self.clock = clock
        self.random = random
        self.cards: dict[str, CardFile] = {}
        self.certificates: dict[bytes, tuple[str, bytes]] = {}
        self.on_commit: Callable[[str, Sequence[Record]], None] = lambda number, records: None
        """Hears of every commit right after it, with the records that were kept."""

    def order(self, number: str, batch_number: str, data_groups: Mapping[int, bytes]) -> None:
        """A new card to make."""
        self.cards[number] = CardFile(number, batch_number, dict(data_groups))

    def job(self, number: str, seen: Sighting | None = None) -> CardJob:
        """The order to personalise a card, with its journal so far; `seen` is what the reader told of it."""
        card = self.cards[number]
        return CardJob(
            card_number=number,
            batch_number=card.batch_number,
            data_groups=card.data_groups,
            blank_master=self.vault.active(KeyPurpose.BLANK_TRANSPORT),
            card_master=self.vault.active(KeyPurpose.CARD_MASTER),
            journal=tuple(card.journal),
            seen=seen,
        )

    def inspection(self, number: str) -> InspectionJob:
        """The order to inspect a written card."""
        card = self.cards[number]
        return InspectionJob(number, card.chip_id, card.data_groups, Journal(card.journal).public_keys)

    def handover(self, number: str, pins: Mapping[str, Secret]) -> HandOverJob:
        """The order to hand an inspected card over."""
        card = self.cards[number]
        return HandOverJob(number, card.chip_id, self._card_key(card), pins, tuple(card.journal))

    def unblocking(self, number: str, pin: str, new: Secret, code: Secret | None) -> UnblockJob:
        """The order to give a PIN of a card in use another value."""
        card = self.cards[number]
        return UnblockJob(number, card.chip_id, self._card_key(card), pin, new, code, tuple(card.journal))

    def _card_key(self, card: CardFile) -> bytes:
        return Journal(card.journal).public_keys[self.profile.card_key.name] if self.profile.keys else b""

    def desk(self, number: str) -> "Desk":
        """The port for one card's session."""
        return Desk(self, self.cards[number])


class Desk:
    """`OfficePort` for one card."""

    def __init__(self, office: MemoryOffice, card: CardFile) -> None:
        """Use `MemoryOffice.desk`."""
        self._office = office
        self._card = card
        self._pending: list[Record] = []
        self.shown: list[Progress] = []

    def who_is(self, request: WhoIs) -> KnownChip | None:
        """Whichever card holds the chip, spoiled ones included."""
        for card in self._office.cards.values():
            if card.chip_id == request.chip_id:
                return KnownChip(card.number, card.state, card.batch_number)
        return None

    def record(self, record: Record) -> None:
        """Taken; kept by the next commit."""
        self._pending.append(replace(record, facts=dict(record.facts)))

    def commit(self) -> None:
        """Keep what was recorded, and let the card's state follow."""
        pending, self._pending = self._pending, []
        for record in pending:
            if record.kind is RecordKind.CHIP_CLAIMED:
                self._claim(str(record.facts["chip_id"]))
            elif record.kind is RecordKind.CHIP_RELEASED:
                self._card.chip_id = ""
        self._card.journal += pending
        for record in pending:
            self._card.state = STATES.get(record.kind, self._card.state)
        if pending:
            self._office.on_commit(self._card.number, pending)

    def close(self) -> None:
        """Nothing waits for more."""
        self.commit()

    def _claim(self, chip_id: str) -> None:
        known = self.who_is(WhoIs(chip_id))
        if known is not None and known.card_number != self._card.number:
            raise ChipTaken(chip_id, known.card_number, known.state, known.batch_number)
        self._card.chip_id = chip_id

    def session_keys(self, request: SessionKeysWanted) -> SessionKeys:
        """From the vault."""
        return self._office.vault.card_session(request.request)

    def foretold_session(self, request: ForetoldSessionWanted) -> ForetoldSession:
        """From the vault."""
        return self._office.vault.foretell_session(request.request)

    def put_key_data(self, request: PutKeyWanted) -> PutKeyData:
        """From the vault."""
        return self._office.vault.put_key_data([request.request])[0]

    def admin_key(self, request: AdminKeyWanted) -> Secret:
        """From the vault."""
        return self._office.vault.admin_key(request.master, request.chip_id, request.size_bytes)

    def certificates(self, request: CertificatesWanted) -> dict[str, bytes]:
        """One certificate a key; a key that has one keeps it, and a key of another card is refused."""
        if self._card.chip_id != request.chip_id:
            raise IssuanceError("certificates are asked for another chip than the card's; end the session")
        if len(set(request.public_keys.values())) != len(request.public_keys):
            raise IssuanceError("two slots of the card hold the same key; keep the card and call security")
        unsigned = {slot: key for slot, key in request.public_keys.items() if key not in self._office.certificates}
        check_proofs(unsigned, request.proofs)
        return {slot: self._certificate(slot, public_key) for slot, public_key in request.public_keys.items()}

    def _certificate(self, slot: str, public_key: bytes) -> bytes:
        kept = self._office.certificates.get(public_key)
        if kept is not None:
            if kept[0] != self._card.number:
                raise IssuanceError("this key is in another card already; keep both cards and call security")
            return kept[1]
        office, now = self._office, self._office.clock()
        request = CertificateRequest(
            profile=office.profile.key(slot).certificate_profile,
            public_key=public_key,
            subject=office.authority.config.subject(common_name="Holder", serial_number=self._card.number),
            serial=new_serial(office.random),
            not_before=now,
            not_after=now + timedelta(days=VALID_DAYS),
            card_number=self._card.number,
            card_names=card_names(office.profile, self._card.number),
        )
        certificate = office.authority.sign([office.authority.prepare(request)], now=now)[0]
        office.certificates[public_key] = (self._card.number, certificate)
        return certificate

    def security_object(self, request: SecurityObjectWanted) -> bytes:
        """Signed by the document signer."""
        signer, now = self._office.document_signer, self._office.clock()
        return security_object.sign(signer, [dict(request.digests)], now=now)[0]

    def identifier_signature(self, request: IdentifierSignatureWanted) -> bytes:
        """Signed by the document signer."""
        return chuid_signature.sign(self._office.document_signer, request.content, now=self._office.clock())

    def pins(self, request: PinsWanted) -> dict[str, Secret]:
        """Derived by the vault."""
        ref = self._office.vault.active(KeyPurpose.PIN_MASTER)
        return self._office.vault.transport_pins(ref, request.card_number, request.digits)

    def progress(self, progress: Progress) -> None:
        """Kept for whoever looks."""
        self.shown.append(progress)
