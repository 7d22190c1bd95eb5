"""The blanks that were sent to the stand-in: virtual chips with the serial numbers and keys that the order names.

A card lies in a file of the folder `cards`, named by its chip, and can be put into a reader of any station.
"""

import hashlib
from pathlib import Path

from card_io.keyset import KeySet
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import CPLC_SIZE, cplc_for
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.keysets import KeySet as CardKeySet
from card_io.virtual.memory import Durability
from issuance.bureau.order import ChipKeys
from issuance.production.relay import OpenedSlot

SUFFIX = ".card"


def cplc_of(chip_id: bytes, kdd: bytes) -> bytes:
    """The production record of a chip: fabricator, type, batch and serial from its number, the date from its KDD.

    CPLC: fabricator (2 bytes), type (2), system, its date and level (6), date (2), serial (4), batch (2), and the rest.
    """
    usual = cplc_for(b"stand-in bureau")
    record = chip_id[:4] + usual[4:10] + kdd[2:4] + chip_id[6:10] + chip_id[4:6] + usual[18:]
    if len(record) != CPLC_SIZE:
        raise ValueError("a chip's number and diversification data have 10 bytes each")
    return record


def path_of(folder: Path, chip_id: bytes) -> Path:
    """The file of a chip."""
    return folder / f"{chip_id.hex()}{SUFFIX}"


def blank(folder: Path, chip: ChipKeys, keys: KeySet) -> VirtualCard:
    """Take a blank out of the box; a chip that was begun before is the one that lies in its file."""
    path = path_of(folder, chip.chip_id)
    if path.exists():
        return VirtualCard.load(path, durability=Durability.RENAMED)
    seed = hashlib.sha256(b"stand-in blank" + chip.chip_id + keys.enc.reveal()).digest()
    card = VirtualCard.blank(
        seed,
        initial_keys=CardKeySet(keys.enc, keys.mac, keys.dek),
        cplc=cplc_of(chip.chip_id, chip.kdd),
    )
    card.save(path)
    return card


def slot_of(card: VirtualCard) -> OpenedSlot:
    """A reader with the card in it."""
    return OpenedSlot(lambda: InProcessConnection(card))
