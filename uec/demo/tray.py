"""The hand at the demo's counter: a tray of virtual cards, put into readers and taken out again.

The tray stands in for people's hands and for the chip maker, not for any part of the office: it never asks the
database, and tells a card only by what the card itself says in clear (data group 1).
"""

import secrets
import threading
from dataclasses import dataclass
from pathlib import Path

from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.connection import send
from card_io.diversification import kdf3
from card_io.errors import CardError
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.connection import InProcessConnection
from card_io.virtual.keysets import KeySet
from issuance.production.datagroups import read_data_group
from issuance.production.errors import InvalidCardData
from issuance.production.profile import CardProfile
from uec.demo.slots import Held, PcscSlots, Slots
from uec.domain.errors import UecError

SUFFIX = ".card"
# Fabricator, type and batch of the chips that the maker delivers; their serial numbers run from 1 on.
BLANK_LOT = "479005002026"
_END_OF_FILE = 0x6282


class NotOnTray(UecError):
    """A card or a reader that the tray does not have; `wanted` is what was asked for."""

    code = "tray.missing"

    def __init__(self, wanted: str) -> None:
        super().__init__(f"The tray has no {wanted}; look at the list of cards and readers.")
        self.wanted = wanted


@dataclass(frozen=True)
class TrayCard:
    """One card: `number` and `name` as data group 1 tells them (empty on a blank), `reader` where it is inserted."""

    card_id: str
    number: str
    name: str
    reader: int | None


class Tray:
    """Cards in a folder, one file each; `maker_key` is the transport master by which the maker's blanks are keyed.

    `slots` are where they go in: the machine's virtual readers without. Safe for several threads.
    """

    def __init__(self, folder: Path, *, maker_key: Secret, profile: CardProfile, slots: Slots | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._slots: Slots = slots or PcscSlots()
        self._folder = folder
        self._maker_key = maker_key
        self._profile = profile
        self._inserted: dict[int, tuple[str, Held]] = {}
        self._guard = threading.RLock()
        self._hands = tuple(threading.Lock() for _ in self.readers)
        self._faces: dict[str, tuple[str, str]] = {}
        self._made = len(list(folder.glob(f"*{SUFFIX}")))

    @property
    def readers(self) -> tuple[str, ...]:
        """Names of the readers, in order."""
        return self._slots.names

    def use(self, slots: Slots) -> None:
        """Put cards into other slots from now on, as many as before; what is inserted is taken out."""
        self.close()
        self._slots = slots

    def blank(self) -> str:
        """Make a blank as its maker delivers it; returns its name on the tray."""
        seed = secrets.token_bytes(16)
        with self._guard:
            self._made += 1
            cplc = _cplc_of(self._made)
        keys = kdf3(self._maker_key, diversification_data(cplc))
        card_id = seed[:4].hex()
        blank = VirtualCard.blank(seed, initial_keys=KeySet(keys.enc, keys.mac, keys.dek), cplc=cplc)
        blank.save(self._folder / f"{card_id}{SUFFIX}")
        self._faces[card_id] = ("", "")
        return card_id

    def load(self, card_id: str) -> VirtualCard:
        """The card itself, bound to its file, for use in this process."""
        file = self._file(card_id)
        self._faces.pop(card_id, None)
        return VirtualCard.load(file)

    def _file(self, card_id: str) -> Path:
        file = self._folder / f"{card_id}{SUFFIX}"
        if not card_id.isalnum() or not (file.exists() or self._lies_in(card_id)):
            raise NotOnTray(f"card {card_id}")
        return file

    def _lies_in(self, card_id: str) -> bool:
        with self._guard:
            return any(there == card_id for there, _ in self._inserted.values())

    def insert(self, reader: int, card_id: str) -> None:
        """Put a card into a reader; what was in it, and the card from where it was, is taken out first."""
        if reader not in range(len(self.readers)):
            raise NotOnTray(f"reader {reader}")
        with self._hands[reader]:  # one hand a reader, so that readers are served side by side
            file = self._file(card_id)
            with self._guard:
                held = [other for other, (there, _) in self._inserted.items() if other == reader or there == card_id]
            for other in held:
                self.remove(other)
            self._faces.pop(card_id, None)
            inserted = self._slots.put(reader, file)
            with self._guard:
                self._inserted[reader] = (card_id, inserted)

    def put_back(self) -> None:
        """Put the cards back whose reader's service ended and is there again."""
        with self._guard:
            lost = [(reader, there) for reader, (there, card) in self._inserted.items() if not card.inside]
        for reader, card_id in lost:
            self.insert(reader, card_id)

    def remove(self, reader: int) -> None:
        """Take the card out of a reader; an empty one stays empty."""
        with self._guard:
            card_id, inserted = self._inserted.pop(reader, (None, None))
            if inserted is not None and card_id is not None:
                inserted.remove()
                self._faces.pop(card_id, None)

    def cards(self) -> tuple[TrayCard, ...]:
        """Every card of the tray, oldest first."""
        with self._guard:
            where = {card_id: reader for reader, (card_id, _) in self._inserted.items()}
            files = sorted(self._folder.glob(f"*{SUFFIX}"), key=lambda file: file.stat().st_ctime_ns)
            names = list(dict.fromkeys([*(file.stem for file in files), *where]))  # a slot may hold the file itself
            found = [(name, *self._face(name, inserted=name in where)) for name in names]
            return tuple(TrayCard(card_id, number, name, where.get(card_id)) for card_id, number, name in found)

    def close(self) -> None:
        """Take every card out."""
        for reader in range(len(self.readers)):
            self.remove(reader)

    def _face(self, card_id: str, *, inserted: bool) -> tuple[str, str]:
        """What data group 1 says. A card in a reader is left alone: its face is the last one seen."""
        if card_id not in self._faces and not inserted:
            self._faces[card_id] = read_face(VirtualCard.load(self._folder / f"{card_id}{SUFFIX}"), self._profile)
        return self._faces.get(card_id, ("", ""))


def _cplc_of(serial: int) -> bytes:
    """The production record of a blank with a running serial number of the maker's lot (CPLC, tag 9F7F)."""
    record = cplc_for(b"lot of the demo")
    return record[:12] + serial.to_bytes(4, "big") + bytes.fromhex(BLANK_LOT[8:]) + record[18:]


def read_face(card: VirtualCard, profile: CardProfile) -> tuple[str, str]:
    """Card number and printed name from data group 1, which anyone may read; empty strings from a blank."""
    connection = InProcessConnection(card)
    try:
        content = _read_file(connection, layout.Fid.DG1)
    except CardError:
        return "", ""
    finally:
        connection.close()
    group = next(group for group in profile.data_groups if group.fid == layout.Fid.DG1)
    try:
        facts = read_data_group(group, content)
    except InvalidCardData:
        return "", ""
    return str(facts["card_number"]), str(facts["printed_name"])


def _read_file(connection: InProcessConnection, fid: int) -> bytes:
    """A short transparent file of the uec applet, whole (ISO/IEC 7816-4 section 11.2)."""
    steps = (
        CommandAPDU(0x00, 0xA4, 0x04, 0x0C, layout.APPLET_AID),
        CommandAPDU(0x00, 0xA4, 0x08, 0x0C, layout.Fid.UEC.to_bytes(2, "big") + fid.to_bytes(2, "big")),
        CommandAPDU(0x00, 0xB0, 0x00, 0x00, le=256),
    )
    answer = b""
    for command in steps:
        answer = send(connection, command).require(command, _END_OF_FILE)
    return answer
