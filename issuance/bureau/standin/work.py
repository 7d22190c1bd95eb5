"""One order at the stand-in: takes blanks out of the box, personalises each, has its keys proven, reports.

What it knows lies in a folder of its own for each order, so that an answer of the office, or a run after a crash, goes
on with the same chips: `cards/NUMBER.journal` (one card's journal) and `chips.json` (which chip became which card).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from card_io.secret import Secret
from issuance.bureau.answer import Closing
from issuance.bureau.order import CardOrder, ChipKeys, pin_digits
from issuance.bureau.proof import prove
from issuance.bureau.records import Header, RecordReader, Tag
from issuance.bureau.reply import Made, MadeKey, Spoiled, proof_challenge
from issuance.bureau.standin import chips
from issuance.bureau.standin.desk import AwaitingCertificates, CardBook, ChipSecrets, Desk
from issuance.bureau.standin.identity import Identity
from issuance.keys.bureau_keys import unwrap_keys, unwrap_pins
from issuance.keys.port import KeyPurpose, KeyRef
from issuance.production.bundle import RecordKind
from issuance.production.drivers import run_local
from issuance.production.job import CardJob
from issuance.production.journal import Journal
from issuance.production.personalise import personalise
from issuance.production.profile import CardProfile

Random = Callable[[int], bytes]
ASSIGNED = "chips.json"


@dataclass
class Workshop:
    """An order being worked on; `cards_folder` is where the chips lie."""

    folder: Path
    cards_folder: Path
    header: Header
    digest: bytes
    identity: Identity
    profile: CardProfile
    random: Random
    cards: list[CardOrder] = field(default_factory=list)
    chips: dict[str, ChipKeys] = field(default_factory=dict)
    assigned: dict[str, str] = field(default_factory=dict)

    @classmethod
    def open(
        cls,
        reader: RecordReader,
        digest: bytes,
        *,
        folder: Path,
        identity: Identity,
        profile: CardProfile,
        random: Random,
    ) -> "Workshop":
        """Read an order that was found whole before; `folder` is the bureau's."""
        own = folder / "work" / reader.header.order
        (own / "cards").mkdir(parents=True, exist_ok=True)
        (folder / "cards").mkdir(exist_ok=True)
        made = cls(own, folder / "cards", reader.header, digest, identity, profile, random)
        for tag, body in reader.records():
            if tag is Tag.CARD:
                made.cards.append(CardOrder.decode(body))
            else:
                chip = ChipKeys.decode(body)
                made.chips[chip.chip_id.hex()] = chip
        if (own / ASSIGNED).exists():
            made.assigned = json.loads((own / ASSIGNED).read_text("utf-8"))
        return made

    def free_chips(self) -> Iterator[ChipKeys]:
        """Chips of the order that are no card and were not spoiled, in their order."""
        taken = set(self.assigned.values())
        return (chip for name, chip in self.chips.items() if name not in taken)

    def chip_of(self, card: CardOrder) -> ChipKeys | None:
        """The chip that a card was begun on before, if any."""
        name = self.assigned.get(card.number)
        return self.chips[name] if name else None

    def assign(self, name: str, chip: ChipKeys) -> None:
        """Note which chip is used for what: a card number, or `spoiled-CHIP`."""
        self.assigned[name] = chip.chip_id.hex()
        path = self.folder / ASSIGNED
        path.with_suffix(".new").write_text(json.dumps(self.assigned), "utf-8")
        path.with_suffix(".new").replace(path)

    def spoil(self, chip: ChipKeys, reason: str, number: str = "") -> Spoiled:
        """Put a blank aside."""
        self.assign(f"spoiled-{chip.chip_id.hex()}", chip)
        return Spoiled(chip.chip_id, reason, f"the blank failed: {reason}", number)

    def make(self, card: CardOrder, chip: ChipKeys) -> Made:
        """Personalise a blank up to its certificates and have its keys proven; raises a `ProductionError`."""
        self.assign(card.number, chip)
        desk, book, secrets = self._desk(card, chip, None)
        blank = chips.blank(self.cards_folder, chip, secrets.blank)
        slot = chips.slot_of(blank)
        with suppress(AwaitingCertificates):
            run_local(personalise(self._job(card, book), self.profile, random=self.random), slot, desk)
        challenges = {key.name: proof_challenge(self.digest, card.number, key.name) for key in self.profile.keys}
        proofs = run_local(prove(self._job(card, book), self.profile, challenges, random=self.random), slot, desk)
        return self._made(card, chip, book, proofs)

    def finish(self, card: CardOrder, closing: Closing) -> None:
        """Write what the office answered and close the applet; raises a `ProductionError`."""
        chip = self.chips[self.assigned[card.number]]
        desk, book, secrets = self._desk(card, chip, closing)
        blank = chips.blank(self.cards_folder, chip, secrets.blank)
        run_local(personalise(self._job(card, book), self.profile, random=self.random), chips.slot_of(blank), desk)

    def _desk(self, card: CardOrder, chip: ChipKeys, closing: Closing | None) -> tuple[Desk, CardBook, ChipSecrets]:
        transport, keys = self.identity.transport, chip.keys
        secrets = ChipSecrets(
            unwrap_keys(transport, keys.current, keys.current_check_values),
            unwrap_keys(transport, keys.new, keys.new_check_values),
        )
        book = CardBook.open(self.folder / "cards" / f"{card.number}.journal")
        return Desk(card, secrets, book, pins=self._pins(card), closing=closing), book, secrets

    def _pins(self, card: CardOrder) -> Mapping[str, Secret]:
        digits = pin_digits(self.header.terms)
        return unwrap_pins(self.identity.transport, card.pins, list(digits)) if digits else {}

    def _job(self, card: CardOrder, book: CardBook) -> CardJob:
        return CardJob(
            card_number=card.number,
            batch_number=self.header.batch,
            data_groups=card.data_groups,
            blank_master=KeyRef(KeyPurpose.BLANK_TRANSPORT, 1),
            card_master=KeyRef(KeyPurpose.CARD_MASTER, int(self.header.terms["key_version"])),
            journal=tuple(book.records),
        )

    def _made(self, card: CardOrder, chip: ChipKeys, book: CardBook, proofs: Mapping[str, bytes]) -> Made:
        changed = next(record.facts for record in reversed(book.records) if record.kind is RecordKind.KEY_CHANGED)
        values = changed["check_values"]
        if not isinstance(values, list):
            raise TypeError("the journal entry key_changed holds no check values")
        enc, mac, dek = (bytes.fromhex(str(value)) for value in values)
        public = Journal(book.records).public_keys
        return Made(
            number=card.number,
            chip_id=chip.chip_id,
            cplc=chips.cplc_of(chip.chip_id, chip.kdd),
            kvn=int(str(changed["kvn"])),
            check_values=(enc, mac, dek),
            keys={slot: MadeKey(key, proofs[slot]) for slot, key in public.items()},
        )
