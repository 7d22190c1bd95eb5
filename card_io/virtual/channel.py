"""What the security domain asks of a secure channel, whichever protocol it speaks.

GlobalPlatform 2.3.1, chapter 10. Security level bits as in EXTERNAL AUTHENTICATE P1: 01 C-MAC, 02 C-DECRYPTION, 10
R-MAC,
20 R-ENCRYPTION.
"""

from dataclasses import replace
from typing import Final, Protocol

from card_io.apdu import SHORT_DATA_MAX, CommandAPDU

C_MAC: Final = 0x01
C_DECRYPTION: Final = 0x02
R_MAC: Final = 0x10
R_ENCRYPTION: Final = 0x20


class SecureChannel(Protocol):
    """One session on the card's side, from INITIALIZE UPDATE on."""

    level: int
    authenticated: bool

    def initialize_answer(self) -> bytes:
        """What follows the diversification data, the key version and the protocol's number in the answer."""

    def authenticate(self, command: CommandAPDU) -> None:
        """Check EXTERNAL AUTHENTICATE; raises `Refused`, 6300 for a wrong cryptogram."""

    def unwrap(self, command: CommandAPDU) -> CommandAPDU:
        """The plain command; raises `Refused` 6982 when its MAC is wrong or missing."""

    def wrap(self, data: bytes, sw: int) -> bytes:
        """The data field of the answer under the current level."""

    def refused(self, sw: int) -> None:
        """The command was answered with an error, bare; chains that cover it move on."""

    def decrypt_key(self, data: bytes) -> bytes:
        """Key data of PUT KEY under the data encryption key; whole blocks."""


def is_success(sw: int) -> bool:
    """True for 9000 and the warnings 62XX and 63XX: only those answers are protected."""
    return sw == 0x9000 or sw >> 8 in {0x62, 0x63}


def length(size: int, *, wide: bool = False) -> bytes:
    """Lc as the MAC covers it: one byte, or three where one does not do or the command came in the extended form."""
    return b"\x00" + size.to_bytes(2, "big") if wide or size > SHORT_DATA_MAX else bytes([size])


def mac_header(command: CommandAPDU, lc: bytes) -> bytes:
    """CLA (secure messaging on, channel 0) INS P1 P2 Lc, as the MAC covers it."""
    return bytes([command.cla & 0x80 | 0x04, command.ins, command.p1, command.p2]) + lc


def plain(command: CommandAPDU, data: bytes) -> CommandAPDU:
    """The command without secure messaging."""
    return replace(command, cla=command.cla & 0x80, data=data)
