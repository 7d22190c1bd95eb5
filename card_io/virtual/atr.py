"""The answer to reset.

ISO/IEC 7816-3:2006, 8.2; historical bytes in compact TLV, ISO/IEC 7816-4:2020, 12.1.1.
"""

from functools import reduce


def answer_to_reset(name: bytes) -> bytes:
    """T=1, information field of 254 bytes; historical bytes: card services, `name` as issuer's data, capabilities.

    Capabilities: selection by full and partial name, by path and identifier; command chaining and extended length, four
    logical channels whose numbers the card gives.
    """
    services = b"\x31\xc0"
    historical = b"\x80" + services + bytes([0x50 | len(name)]) + name + bytes.fromhex("73F821D3")
    body = bytes([0x90 | len(historical), 0x96, 0x81, 0x31, 0xFE, 0x45]) + historical
    return b"\x3b" + body + bytes([reduce(lambda a, b: a ^ b, body)])
