"""A production line for tests: a real vault and authority, an office in memory, blanks from the maker."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from card_io.diversification import kdf3
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.faults import FaultPlan
from card_io.virtual.keysets import KeySet
from issuance.keys.port import KeyPurpose
from issuance.pki.ca import CertificateAuthority, CertificateRequest, new_serial
from issuance.pki.config import CaConfig
from issuance.pki.hierarchy import create_hierarchy
from issuance.pki.signing import Signer
from issuance.production import codes
from issuance.production.anchors import Anchors
from issuance.production.datagroups import Fact, build_data_groups
from issuance.production.drivers import run_local
from issuance.production.errors import CardLost
from issuance.production.handover import hand_over
from issuance.production.inspect import inspect
from issuance.production.job import HandedOver, PersonalisedCard, Unblocked
from issuance.production.judge import CardReport
from issuance.production.memory_office import MemoryOffice
from issuance.production.personalise import personalise
from issuance.production.pin_profile import Keeping
from issuance.production.profile import CardProfile, load_profile
from issuance.production.relay import OpenedSlot
from issuance.production.sighting import Sighting
from issuance.production.transcript import Transcript
from issuance.production.unblock import unblock
from tests.support.keys import NOW, TRANSPORT_MASTER, make_vault

UEC_PROFILE = Path(__file__).parents[2] / "config" / "profiles" / "uec.toml"
PIV_PROFILE = UEC_PROFILE.with_name("piv.toml")
PASS_PROFILE = UEC_PROFILE.parents[1] / "samples" / "pass.toml"
HOLDER_PINS = {"pin1": Secret(b"1937"), "pin2": Secret(b"604815")}
LETTER = Secret(b"40718265")
"""What the holder's letter says: the unblock code, or the holder's share of it."""
BATCH = "B-0001"


def card_number(serial: int) -> str:
    """A sixteen-digit number; its check digit does not matter here."""
    return f"96436000{serial:08d}"


def facts_for(number: str) -> dict[str, Fact]:
    """What goes on a card."""
    return {
        "card_number": number,
        "printed_name": "АННА ИВАНОВА",
        "issuer": "УОС Тюменской области",
        "issued_on": NOW.date(),
        "expires_on": date(2031, 3, 2),
        "surname": "Иванова",
        "name": "Анна",
        "patronymic": "Петровна",
        "sex": "F",
        "birth_date": date(1980, 2, 29),
        "birth_place": "г. Тюмень",
        "snils": "11223344595",
        "oms": "7200000000000007",
        "photo": bytes(range(256)) * 5,
    }


def blank_card(seed: int, master: bytes = TRANSPORT_MASTER, *, kind: str = "uec") -> VirtualCard:
    """A blank as the maker delivers it, with keys from the transport master."""
    chip_seed = b"chip" + seed.to_bytes(4, "big")
    keys = kdf3(Secret(master), diversification_data(cplc_for(chip_seed)))
    return VirtualCard.blank(chip_seed, initial_keys=KeySet(keys.enc, keys.mac, keys.dek), profile=kind)


def slot_of(card: VirtualCard) -> OpenedSlot:
    """The card in a slot of this process."""
    return OpenedSlot(lambda: InProcessConnection(card))


@dataclass
class Line:
    """One office and what it takes to run a card through it."""

    office: MemoryOffice
    profile: CardProfile
    anchors: Anchors
    randomness: random.Random = field(default_factory=lambda: random.Random(7))

    def order(self, serial: int = 1, **changes: Fact) -> str:
        """Order a card; its number."""
        number = card_number(serial)
        groups = build_data_groups(self.profile, facts_for(number) | changes)
        self.office.order(number, BATCH, groups)
        return number

    def personalise(
        self, number: str, card: VirtualCard, transcript: Transcript | None = None, *, seen: Sighting | None = None
    ) -> PersonalisedCard:
        """Run one personalisation; `seen` is what the reader told of the card that it found."""
        talk = personalise(self.office.job(number, seen), self.profile, random=self.randomness.randbytes)
        return run_local(talk, slot_of(card), self.office.desk(number), transcript=transcript)

    def inspect(self, number: str, card: VirtualCard, transcript: Transcript | None = None) -> CardReport:
        """Run one inspection."""
        job = self.office.inspection(number)
        talk = inspect(job, self.profile, self.anchors, now=self.office.clock(), random=self.randomness.randbytes)
        return run_local(talk, slot_of(card), self.office.desk(number), transcript=transcript)

    def hand_over(self, number: str, card: VirtualCard, transcript: Transcript | None = None) -> HandedOver:
        """Run one hand-over."""
        chosen = {pin.name for pin in self.profile.pins if pin.chosen_by_holder}
        pins = HOLDER_PINS if self.profile.piv is None else {"pin1": HOLDER_PINS["pin2"]}
        letter = {code.name: LETTER for code in self.profile.unblock_codes}
        job = self.office.handover(number, {name: pins[name] for name in chosen} | letter)
        talk = hand_over(job, self.profile, random=self.randomness.randbytes)
        return run_local(talk, slot_of(card), self.office.desk(number), transcript=transcript)

    def code(self, number: str) -> Secret:
        """The unblock code of a card that was handed over, put together from its letter as the office does."""
        (code,) = self.profile.unblock_codes
        master = self.office.vault.active(KeyPurpose.PIN_MASTER)
        kept = {code.name: code.after_hand_over or Keeping.PRINTED}
        derived = self.office.vault.transport_pins(master, number, codes.shares_wanted([code], kept))
        return codes.whole(code, LETTER, kept=kept[code.name], derived=derived)

    def unblock(
        self,
        number: str,
        card: VirtualCard,
        pin: str,
        new: Secret,
        *,
        code: Secret | None = LETTER,
        transcript: Transcript | None = None,
    ) -> Unblocked:
        """Let the holder set one PIN anew by what the letter says."""
        talk = unblock(self.office.unblocking(number, pin, new, code), self.profile, random=self.randomness.randbytes)
        return run_local(talk, slot_of(card), self.office.desk(number), transcript=transcript)


def make_line(folder: Path, profile_path: Path = UEC_PROFILE) -> Line:
    """An office with everything it needs; the vault is cheap to open."""
    vault = make_vault(folder / "vault")
    config = CaConfig(organization="UOS")
    randomness = random.Random(11)
    hierarchy = create_hierarchy(vault, config, now=NOW, random=randomness.randbytes)
    authority = CertificateAuthority(vault, root=hierarchy.root, issuing=hierarchy.issuing, config=config)
    request = CertificateRequest(
        profile="document-signer",
        public_key=vault.public_key(vault.active(KeyPurpose.DOCUMENT_SIGNER)),
        subject=config.subject(common_name="Document signer"),
        serial=new_serial(randomness.randbytes),
        not_before=NOW,
        not_after=NOW + timedelta(days=3000),
    )
    certificate = authority.sign([authority.prepare(request)], now=NOW)[0]
    profile = load_profile(profile_path)
    office = MemoryOffice(
        vault,
        authority,
        Signer.find(vault, KeyPurpose.DOCUMENT_SIGNER, certificate),
        profile,
        clock=lambda: NOW + timedelta(hours=1),
        random=randomness.randbytes,
    )
    return Line(office, profile, Anchors.of(hierarchy.root, (hierarchy.issuing,), config.policy_arc))


def moment() -> datetime:
    """The tests' now."""
    return NOW + timedelta(hours=1)


def hand_over_torn(line: Line, number: str, card: VirtualCard, *, tears: Iterable[int]) -> None:
    """Hand over with a tear behind each of these commands, an attempt each, until one is whole; the last one is."""
    for at in tears:
        card.faults = FaultPlan(tear_after=at)
        try:
            line.hand_over(number, card)
        except CardLost:
            continue
        break
    card.faults = FaultPlan()
    line.hand_over(number, card)
    assert line.office.cards[number].state == "ACTIVE"
