"""Code of a load file that this chip cannot run: it installs, is selected, and knows no command.

A real card would run the bytecode; content management around it (INSTALL, LOAD, DELETE, GET STATUS) is all that is
shown here."""

from typing import ClassVar

from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.virtual.applet import Surroundings
from card_io.virtual.refusal import CONDITIONS, INS_UNKNOWN, Refused


class ForeignApplet:
    """An applet with no instruction of its own."""

    other_names: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self, world: Surroundings) -> None:
        self._world = world

    def install(self) -> None:
        """Nothing to lay out."""

    def select(self, name: bytes, p2: int) -> ResponseAPDU:
        """Selectable, with no answer data."""
        del name, p2
        return ResponseAPDU(b"", 0x9000)

    def deselect(self) -> None:
        """Nothing to forget."""

    def process(self, command: CommandAPDU) -> ResponseAPDU:
        """No instruction is known."""
        del command
        raise Refused(INS_UNKNOWN)

    def check_personalisable(self) -> None:
        """Never."""
        raise Refused(CONDITIONS)

    def store(self, p1: int, data: bytes, *, encrypted: bool) -> bytes:
        """Never."""
        del p1, data, encrypted
        raise Refused(CONDITIONS)
