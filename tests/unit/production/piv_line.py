"""A line of PIV cards: an office in memory with the shipped profile, or with one changed by a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from card_io.applets.piv import ObjectId, PivSession, Slot, parse_chuid
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection
from issuance.keys.port import KeyPurpose
from issuance.production.journal import Journal
from issuance.production.piv.commands import ADMIN_SLOT
from issuance.production.profile import PivProfile
from tests.support.line import HOLDER_PINS, PIV_PROFILE, Line, make_line

FACTORY_KEY = bytes.fromhex("010203040506070801020304050607080102030405060708")
HOLDER_PIN = HOLDER_PINS["pin2"]


@contextmanager
def open_line(folder: Path, *changes: tuple[str, str]) -> Iterator[Line]:
    """A line whose profile is the shipped one with these words replaced, or with more at its end (`("", more)`)."""
    text = PIV_PROFILE.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1) if old else text + new
    path = folder / "piv.toml"
    path.write_text(text, encoding="utf-8")
    line = make_line(folder, path)
    try:
        yield line
    finally:
        line.office.vault.close()


def whole_way(line: Line, number: str, card: VirtualCard) -> None:
    """Personalise and inspect."""
    line.personalise(number, card)
    line.inspect(number, card)


def require_one_good_card(line: Line, number: str, card: VirtualCard) -> None:
    """What must hold in the end, seen by another client of PIV: the vault's keys and PINs open it."""
    kept = line.office.cards[number]
    assert kept.state == "PERSONALISED"
    report = line.inspect(number, card)
    assert report.genuine and report.chip_id == kept.chip_id
    keys = Journal(kept.journal).public_keys
    certified = {key for key, (owner, _) in line.office.certificates.items() if owner == number}
    assert certified == set(keys.values()), "no certificate without a key on the card"
    session = PivSession(fresh_connection(card))
    chuid = session.get_object(ObjectId.CHUID)
    assert chuid is not None and parse_chuid(chuid).guid
    session.authenticate_admin(admin_key(line, number), piv_of(line).cipher.algorithm, bytes(range(16)))
    pins = transport_pins(line, number)
    session.verify_pin(pins["pin1"])
    session.change_puk(pins["krp"], pins["krp"])
    assert all(session.certificate(Slot(key.reference)) for key in line.profile.keys)


def fresh_connection(card: VirtualCard) -> InProcessConnection:
    """The card, just powered up."""
    card.power_on()
    return InProcessConnection(card)


def piv_of(line: Line) -> PivProfile:
    """The PIV part of the profile."""
    assert line.profile.piv is not None
    return line.profile.piv


def admin_key(line: Line, number: str) -> Secret:
    """The admin key that the vault derives for the card's chip."""
    kept = line.office.cards[number]
    master = line.office.vault.active(KeyPurpose.CARD_MASTER)
    assert Journal(kept.journal).key_version_of(ADMIN_SLOT) == master.version
    return line.office.vault.admin_key(master, kept.chip_id, piv_of(line).cipher.algorithm.key_bytes)


def transport_pins(line: Line, number: str) -> dict[str, Secret]:
    """The PINs that the vault derives for the card."""
    master = line.office.vault.active(KeyPurpose.PIN_MASTER)
    return line.office.vault.transport_pins(master, number, {"pin1": 8, "krp": 8})
