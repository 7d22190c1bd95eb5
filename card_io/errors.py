"""The errors of the room: one root, a stable code on each, the facts as attributes.

Every message is one sentence that says what to do next. Status words are described in `card_io.status`.
"""

from typing import ClassVar


class CardError(Exception):
    """Root of everything this room raises on purpose."""

    code: ClassVar[str] = "card"


class InvalidApdu(CardError, ValueError):
    """A command or an answer that ISO 7816-4 does not allow."""

    code = "card.apdu"


class InvalidTlv(CardError, ValueError):
    """A data object that cannot be read or written; `offset` is where reading stopped."""

    code = "card.tlv"

    def __init__(self, reason: str, offset: int = 0) -> None:
        super().__init__(f"{reason} (at byte {offset}); ask for the object again or check who wrote it")
        self.reason = reason
        self.offset = offset


class UnexpectedAnswer(CardError):
    """The card answered 9000 with data that the specification does not allow there."""

    code = "card.answer"


class SecureChannelError(CardError):
    """The secure channel cannot go on; open a new one."""

    code = "card.channel"


class WrongCryptogram(SecureChannelError):
    """The card's cryptogram or response MAC is not what the session keys give."""

    code = "card.cryptogram"


class AttemptsSpent(SecureChannelError):
    """One authentication failed already; another could end the card."""

    code = "card.attempts"
