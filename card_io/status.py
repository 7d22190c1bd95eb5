"""Status words: what the specifications say they mean, and the error that carries one.

ISO/IEC 7816-4:2020 §5.6 tables 5 and 6; GlobalPlatform Card Specification 2.3.1 §11.1.3
(general error conditions) and the tables of its commands.
"""

from card_io.errors import CardError

SUCCESS = 0x9000
NO_SUCH_APPLET = frozenset({0x6A82, 0x6999, 0x6D00, 0x6E00})
"""How cards answer SELECT of an applet that they do not have: as specified, as Java Cards do, as simple cards do."""

_EXACT: dict[int, str] = {
    0x6200: "warning, nothing changed",
    0x6281: "part of the returned data may be corrupted",
    0x6282: "end of file or record reached before Ne bytes, or no match found",
    0x6283: "the selected file or card is deactivated or locked",
    0x6284: "file or control information not formatted as it should be",
    0x6285: "the selected file is in termination state",
    0x6286: "no input data available from a sensor",
    0x6300: "warning, memory changed; in authentication: the cryptogram was not verified",
    0x6310: "more data available",
    0x6381: "file filled up by the last write",
    0x6400: "execution error, nothing changed",
    0x6401: "the card asks for an immediate response",
    0x6438: "the command is not allowed on an alternate interface",
    0x6500: "execution error, memory changed",
    0x6581: "memory failure",
    0x6600: "security-related issue",
    0x6700: "wrong length",
    0x6701: "command APDU format not compliant with the standard",
    0x6702: "the value of Lc is not the one expected",
    0x6881: "logical channel not supported",
    0x6882: "secure messaging not supported",
    0x6883: "last command of the chain expected",
    0x6884: "command chaining not supported",
    0x6900: "command not allowed",
    0x6981: "command incompatible with file structure",
    0x6982: "security status not satisfied",
    0x6983: "authentication method blocked",
    0x6984: "reference data not usable",
    0x6985: "conditions of use not satisfied",
    0x6986: "command not allowed, no current file",
    0x6987: "expected secure messaging data objects missing",
    0x6988: "incorrect secure messaging data objects",
    0x6999: "applet selection failed",
    0x6A80: "incorrect parameters in the command data field",
    0x6A81: "function not supported, or card locked",
    0x6A82: "file or applet not found",
    0x6A83: "record not found",
    0x6A84: "not enough memory space",
    0x6A85: "Nc inconsistent with TLV structure",
    0x6A86: "incorrect parameters P1-P2",
    0x6A87: "Nc inconsistent with parameters P1-P2",
    0x6A88: "referenced data or reference data not found",
    0x6A89: "file already exists",
    0x6A8A: "DF name already exists",
    0x6B00: "wrong parameters P1-P2",
    0x6D00: "instruction code not supported or invalid",
    0x6E00: "class not supported",
    0x6F00: "no precise diagnosis",
    SUCCESS: "success",
    0x9484: "algorithm not supported",
    0x9485: "invalid key check value",
}

_BY_SW1: dict[int, str] = {
    0x61: "{sw2} more bytes available",
    0x62: "warning, nothing changed",
    0x63: "warning, memory changed",
    0x64: "execution error, nothing changed",
    0x65: "execution error, memory changed",
    0x66: "security-related issue",
    0x67: "wrong length",
    0x68: "function in the class byte not supported",
    0x69: "command not allowed",
    0x6A: "wrong parameters",
    0x6C: "wrong Le; {sw2} bytes are there",
    0x6D: "instruction code not supported or invalid",
    0x6E: "class not supported",
    0x6F: "no precise diagnosis",
}


def meaning(sw: int) -> str:
    """What the specifications say about `sw`, as a phrase; a status word of no specification says so."""
    if sw in _EXACT:
        return _EXACT[sw]
    if sw & 0xFFF0 == 0x63C0:
        return f"verification failed, {sw & 0x0F} tries left"
    if 0x6202 <= sw <= 0x6280 or 0x6402 <= sw <= 0x6480:
        return f"the card asks for {sw & 0xFF} bytes to be read by GET DATA"
    text = _BY_SW1.get(sw >> 8)
    return text.format(sw2=(sw & 0xFF) or 256) if text else "status word of no specification"


def tries_left(sw: int) -> int | None:
    """The tries left that 63Cx tells, 0 for a blocked method (6983), None for any other status word."""
    if sw & 0xFFF0 == 0x63C0:
        return sw & 0x0F
    return 0 if sw == 0x6983 else None


class StatusWordError(CardError):
    """The card refused: `sw`, the instruction `command_ins` (None when unknown) and the meaning."""

    code = "card.status"

    def __init__(self, sw: int, command_ins: int | None = None, action: str = "") -> None:
        self.sw = sw
        self.command_ins = command_ins
        self.meaning = meaning(sw)
        what = action or ("the command" if command_ins is None else f"command {command_ins:02X}")
        super().__init__(f"the card refused {what}: {sw:04X}, {self.meaning}")

    @property
    def tries_left(self) -> int | None:
        """Tries left where the status word tells them."""
        return tries_left(self.sw)
