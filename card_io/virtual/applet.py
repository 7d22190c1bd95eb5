"""What the card's operating system asks of an applet, and what it gives to one.

Names follow Java Card: an applet is selected, processes commands, is deselected; `Surroundings` is its world.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.virtual.chip import Randomness
from card_io.virtual.memory import Area


@dataclass(frozen=True)
class Surroundings:
    """What an instance may use: its area of the memory, randomness, its life cycle in the registry."""

    aid: bytes
    area: Area
    randomness: Randomness
    life_cycle: Callable[[], int]
    set_life_cycle: Callable[[int], None]
    spend: Callable[[str], None]
    """Tells the timing model what kind of slow work was done."""


class Applet(Protocol):
    """One instance's code; attributes are memory that is lost without power."""

    other_names: ClassVar[tuple[bytes, ...]]

    def __init__(self, world: Surroundings) -> None: ...

    def install(self) -> None:
        """Lay out the instance's area; called once, inside the transaction of INSTALL."""

    def select(self, name: bytes, p2: int) -> ResponseAPDU:
        """Answer SELECT by `name` (the AID, its beginning, or one of `other_names`; empty after a reset)."""

    def deselect(self) -> None:
        """Forget what was verified or chosen."""

    def process(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer any other command; raises `Refused`."""

    def check_personalisable(self) -> None:
        """Raise `Refused` when the instance takes no personalisation any more."""

    def store(self, p1: int, data: bytes, *, encrypted: bool) -> bytes:
        """Take one block of STORE DATA and return its answer; `encrypted` tells that it came encrypted."""
