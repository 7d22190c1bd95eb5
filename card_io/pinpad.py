"""PIN entry at the reader: the structures that PC/SC part 10 gives to readers with their own keys.

Interoperability Specification for ICCs and Personal Computer Systems, part 10, 2.02.09, §2.2 to §2.5; PIN block bits as
in USB CCID 1.1 §6.1.11. Hides the packed little-endian layouts. The PIN itself never reaches this computer.
"""

import struct
from dataclasses import dataclass

from card_io.apdu import CommandAPDU

FEATURE_VERIFY_PIN_DIRECT = 0x06
FEATURE_MODIFY_PIN_DIRECT = 0x07

_UNITS_ARE_BYTES = 0x80
_ASCII = 0x02
_VALIDATION_KEY = 0x02
_LANGUAGES = {"ru": 0x0419, "en": 0x0409}

END_REASONS = {0x6400: "timeout", 0x6401: "cancelled", 0x6402: "mismatch", 0x6403: "length"}
"""Status words that the reader itself makes up when the holder does not finish (§2.5.2)."""


@dataclass(frozen=True, slots=True)
class PinFormat:
    """How the PIN stands in the command: ASCII digits, left, filled up to `block` bytes with `fill`."""

    minimum: int
    maximum: int
    block: int = 8
    fill: int = 0xFF
    timeout_s: int = 30
    language: str = "ru"

    def padding(self) -> bytes:
        """The PIN field as it stands before the holder has typed anything."""
        return bytes([self.fill]) * self.block


def parse_features(data: bytes) -> dict[int, int]:
    """The reader's features: tag to control code. A list that does not parse is taken as no feature at all."""
    features: dict[int, int] = {}
    for offset in range(0, len(data) - 5, 6):
        tag, size, code = data[offset], data[offset + 1], data[offset + 2 : offset + 6]
        if size != 4:
            return {}
        features[tag] = int.from_bytes(code, "big")
    return features


def verify_structure(command: CommandAPDU, pin: PinFormat) -> bytes:
    """PIN_VERIFY for a VERIFY command; its data are replaced by an empty PIN block."""
    apdu = command.header + bytes([pin.block]) + pin.padding()
    head = struct.pack(
        "<BBBBBHBBHB3xI",
        pin.timeout_s,
        pin.timeout_s,
        _UNITS_ARE_BYTES | _ASCII,
        pin.block,
        0x00,
        pin.minimum << 8 | pin.maximum,
        _VALIDATION_KEY,
        0x01,
        _LANGUAGES[pin.language],
        0x00,
        len(apdu),
    )
    return head + apdu


def modify_structure(command: CommandAPDU, pin: PinFormat) -> bytes:
    """PIN_MODIFY for CHANGE REFERENCE DATA with P1 = 00: the old PIN, then the new one, which is typed twice."""
    apdu = command.header + bytes([2 * pin.block]) + pin.padding() * 2
    head = struct.pack(
        "<BBBBBBBHBBBHBBB3xI",
        pin.timeout_s,
        pin.timeout_s,
        _UNITS_ARE_BYTES | _ASCII,
        pin.block,
        0x00,
        0x00,
        pin.block,
        pin.minimum << 8 | pin.maximum,
        0x03,  # the new PIN is confirmed, the old one is asked for
        _VALIDATION_KEY,
        0x03,
        _LANGUAGES[pin.language],
        0x00,
        0x01,
        0x02,
        len(apdu),
    )
    return head + apdu
