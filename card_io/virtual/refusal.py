"""How the card side says no: one exception that carries the status word up to the answer."""

from card_io.errors import CardError


class Refused(CardError):
    """The command is answered with `sw` and nothing it did is kept."""

    code = "card.virtual.refused"

    def __init__(self, sw: int) -> None:
        super().__init__(f"the virtual card answers {sw:04X}; look the status word up and change the command")
        self.sw = sw


WRONG_LENGTH = 0x6700
CHANNEL_NOT_SUPPORTED = 0x6881
LAST_OF_CHAIN_EXPECTED = 0x6883
SECURITY_STATUS = 0x6982
BLOCKED = 0x6983
REFERENCE_NOT_USABLE = 0x6984
CONDITIONS = 0x6985
NO_CURRENT_FILE = 0x6986
WRONG_DATA = 0x6A80
NOT_SUPPORTED = 0x6A81
NOT_FOUND = 0x6A82
NO_MEMORY = 0x6A84
WRONG_P1P2 = 0x6A86
REFERENCE_NOT_FOUND = 0x6A88
WRONG_OFFSET = 0x6B00
INS_UNKNOWN = 0x6D00
CLA_UNKNOWN = 0x6E00
"""Status words of ISO/IEC 7816-4:2020, 5.6."""
