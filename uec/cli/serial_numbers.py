"""Serial numbers of certificates as people type them: in hex, the way `uec ca list` or OpenSSL prints them."""

import re

from uec.domain.errors import InvalidInput

LONGEST_BYTES = 20
"""RFC 5280 section 4.1.2.2."""
_HEX = re.compile(r"(0x)?([0-9a-f]{2}:)*[0-9a-f]+", re.IGNORECASE)


def serial_number(text: str) -> int:
    """Read a serial number, with or without colons and 0x; raises `InvalidInput`."""
    found = _HEX.fullmatch(text.strip())
    value = int(found[0].replace(":", ""), 16) if found else 0
    if not 0 < value < 1 << 8 * LONGEST_BYTES:
        raise InvalidInput("A serial number is written in hexadecimal digits, as `uec ca list` has it.")
    return value
