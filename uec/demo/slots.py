"""Where the demo's hand puts cards: the machine's virtual PC/SC readers, or the folder of a station without PC/SC.

Both take a card's file and give back what holds it; the tray knows no difference.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from card_io.pcsc import Context
from card_io.pcscd import READERS, reader_ports
from card_io.reader_errors import ReaderError
from card_io.virtual.card import VirtualCard
from card_io.virtual.vpcd import HAND_S, InsertedCard
from issuance.station.readers import CARD_SUFFIX

SEEN_TIMEOUT_S = 5.0


class Held(Protocol):
    """A card in a slot."""

    @property
    def inside(self) -> bool:
        """Whether it still is; not when the reader's service ended."""

    def remove(self) -> None:
        """Take it out; its file lies where it lay before."""


class Slots(Protocol):
    """Slots for cards, in order; each is used by one thread at a time."""

    @property
    def names(self) -> tuple[str, ...]:
        """Of the readers, as the office knows them."""

    def put(self, slot: int, file: Path) -> Held:
        """Put the card of a file in, and return when it has been seen."""


class PcscSlots:
    """The virtual readers of the machine's smart card service."""

    names: tuple[str, ...] = READERS

    def __init__(self) -> None:
        self._emptied_at: dict[int, float] = {}

    def put(self, slot: int, file: Path) -> Held:
        """As slowly as a hand; raises `NoVirtualReader`."""
        card = VirtualCard.load(file)
        # A swap between two looks of the service would be noticed too, but later.
        time.sleep(max(0.0, self._emptied_at.get(slot, 0.0) + HAND_S - time.monotonic()))
        inserted = InsertedCard(card, port=reader_ports()[slot])
        self._until_seen(slot)
        return _Inserted(inserted, lambda: self._emptied_at.__setitem__(slot, time.monotonic()))

    def _until_seen(self, slot: int) -> None:
        """Return when the service has seen the card, or when it cannot be asked."""
        deadline = time.monotonic() + SEEN_TIMEOUT_S
        with contextlib.suppress(ReaderError), Context() as context:
            while time.monotonic() < deadline:
                state = context.slots().get(self.names[slot])
                if state is None or state.present:
                    return
                time.sleep(0.02)


@dataclass(frozen=True)
class _Inserted:
    card: InsertedCard
    emptied: Callable[[], None]

    @property
    def inside(self) -> bool:
        return self.card.inside

    def remove(self) -> None:
        self.card.remove()
        self.emptied()


class FolderSlots:
    """The folder that a station looks into (`virtual:FOLDER`): a file that comes is a card inserted."""

    names: tuple[str, ...] = ("Virtual reader 1", "Virtual reader 2")

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def put(self, slot: int, file: Path) -> Held:
        """Move the file in: a chip is in one place."""
        there = self._folder / f"{self.names[slot]}{CARD_SUFFIX}"
        file.rename(there)
        return _Moved(there, file)


@dataclass(frozen=True)
class _Moved:
    there: Path
    home: Path

    @property
    def inside(self) -> bool:
        return self.there.exists()

    def remove(self) -> None:
        self.there.rename(self.home)
