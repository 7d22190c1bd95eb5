"""The answer to reset.

ISO/IEC 7816-3:2006, 8.2; historical bytes in compact TLV, ISO/IEC 7816-4:2020, 12.1.1.
"""

from enum import Enum
from functools import reduce


class Protocols(Enum):
    """Transmission protocols that the card offers, the first one first."""

    T0 = 0
    T1 = 1
    T0_T1 = 2


_EXTENDED = bytes.fromhex("73F821D3")
_SHORT = bytes.fromhex("73F82193")
"""Capabilities: selection by full and partial name, by path and identifier; command chaining (and, over T=1, extended
lengths), four logical channels whose numbers the card gives."""


def answer_to_reset(name: bytes, protocols: Protocols = Protocols.T1) -> bytes:
    """The whole answer; `name` goes into the historical bytes as issuer's data.

    Over T=1 the information field has 254 bytes. With T=0 alone there is no check byte (8.2.5) and no extended length.
    """
    capabilities = _SHORT if protocols is Protocols.T0 else _EXTENDED
    historical = b"\x80\x31\xc0" + bytes([0x50 | len(name)]) + name + capabilities
    count = len(historical)
    match protocols:
        case Protocols.T0:
            return b"\x3b" + bytes([0x10 | count, 0x96]) + historical
        case Protocols.T1:
            body = bytes([0x90 | count, 0x96, 0x81, 0x31, 0xFE, 0x45]) + historical
        case Protocols.T0_T1:
            body = bytes([0x90 | count, 0x96, 0x80, 0x81, 0x31, 0xFE, 0x45]) + historical
    return b"\x3b" + body + bytes([reduce(lambda a, b: a ^ b, body)])
