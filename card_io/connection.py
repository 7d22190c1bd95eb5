"""The whole transport is one method, `transmit`; everything a card may ask for on top is here.

ISO/IEC 7816-4:2020 §5.3.3 (chaining), §5.3.4 (response chaining, 61XX), §5.6 (6CXX); ISO/IEC 7816-3:2006 §12.2 (T=0).
Hides GET RESPONSE, wrong Le, chaining and logical channels from those who send commands.
"""

from enum import Enum
from typing import Protocol, runtime_checkable

from card_io.apdu import (
    SHORT_LE_MAX,
    CommandAPDU,
    ResponseAPDU,
    chain,
    class_on_channel,
    get_response,
    is_secured,
    manage_channel_close,
    manage_channel_open,
)
from card_io.errors import UnexpectedAnswer
from card_io.pinpad import PinEntry

ANSWER_MAX = 65536
"""More answer data than one command can ask for: a card that goes on answering 61XX is not sane."""
ROUNDS_MAX = 1024
"""Nor is one that gives such an answer in crumbs."""


@runtime_checkable
class Connection(Protocol):
    """A powered card: bytes in, bytes out."""

    @property
    def atr(self) -> bytes:
        """The answer to reset (for contactless cards the one that the reader makes up)."""

    def transmit(self, command: bytes) -> bytes:
        """Send one raw command and return the raw answer, status word last; raises `CardError`."""

    def close(self) -> None:
        """Let the card go; calling it twice does no harm."""


@runtime_checkable
class HolderConnection(Connection, Protocol):
    """A card in a reader that may have keys of its own."""

    def ask_holder(self, command: bytes, entry: PinEntry) -> bytes:
        """Have the holder type into a command at the reader; the raw answer, of the card or of the reader itself.

        Raises `NoPinPad` or `PinPadFailed` when this reader does not do it, else as `transmit`.
        """


class Lengths(Enum):
    """How data longer than a short command can carry travel."""

    CHAINED = "chained"
    EXTENDED = "extended"


def send(connection: Connection, command: CommandAPDU, *, lengths: Lengths = Lengths.CHAINED) -> ResponseAPDU:
    """Send one command to the end: chain it if it is long, follow 61XX and 6CXX.

    Every status word of the last block is returned, none raised: `ResponseAPDU.require` does that. A block of a chain
    that is refused ends the chain, and its answer is returned.
    """
    if not command.extended or lengths is Lengths.EXTENDED:
        return ResponseAPDU.decode(_follow(connection, command.encode()))
    blocks = list(chain(command))
    for block in blocks[:-1]:
        answer = ResponseAPDU.decode(connection.transmit(block.encode()))
        if not answer.ok:
            return answer
    return ResponseAPDU.decode(_follow(connection, blocks[-1].encode()))


def exchange(connection: Connection, raw: bytes) -> bytes:
    """Like `send` for a command that is bytes already: nothing is chained, 61XX and 6CXX are followed."""
    return _follow(connection, raw)


def _follow(connection: Connection, raw: bytes) -> bytes:
    raw_answer = connection.transmit(raw)
    if len(raw_answer) >= 2 and raw_answer[-2] not in (0x61, 0x6C):  # the common case costs nothing
        return raw_answer
    command = CommandAPDU.decode(raw)
    answer = ResponseAPDU.decode(raw_answer)
    if answer.sw >> 8 == 0x6C and command.le is not None and not is_secured(command.cla):
        # A secured command is never sent twice: its MAC is spent.
        answer = _retry_with(connection, command, answer.sw & 0xFF)
    return _collect(connection, command.cla, answer).encode()


def _collect(connection: Connection, cla: int, answer: ResponseAPDU) -> ResponseAPDU:
    """Fetch by GET RESPONSE what 61XX promises."""
    data = bytearray(answer.data)
    rounds = 0
    while answer.sw >> 8 == 0x61:
        rounds += 1
        more = get_response(cla, (answer.sw & 0xFF) or SHORT_LE_MAX)
        answer = ResponseAPDU.decode(connection.transmit(more.encode()))
        if answer.sw >> 8 == 0x6C:
            answer = _retry_with(connection, more, answer.sw & 0xFF)
        if answer.sw >> 8 == 0x61 and not answer.data:
            raise UnexpectedAnswer("the card promises more data and gives none; take it out and try again")
        data += answer.data
        if len(data) > ANSWER_MAX or rounds > ROUNDS_MAX:
            raise UnexpectedAnswer("the card never ends its answer; take it out and try again")
    return ResponseAPDU(bytes(data), answer.sw)


def _retry_with(connection: Connection, command: CommandAPDU, sw2: int) -> ResponseAPDU:
    again = CommandAPDU(command.cla, command.ins, command.p1, command.p2, command.data, sw2 or SHORT_LE_MAX)
    return ResponseAPDU.decode(connection.transmit(again.encode()))


def t0_command(raw: bytes) -> bytes:
    """The TPDU that carries a short command over T=0: case 1 gets P3 = 00, case 4 loses Le (the card says 61XX)."""
    command = CommandAPDU.decode(raw)
    if command.extended:
        raise UnexpectedAnswer("this card speaks T=0, which has no extended length; chain the command instead")
    if command.data:
        return command.header + bytes([len(command.data)]) + command.data
    return command.header + bytes([(command.le or 0) & 0xFF])


class LogicalChannel:
    """A further logical channel of the same card, itself a `Connection`; closing it leaves the card connected."""

    def __init__(self, connection: Connection, number: int) -> None:
        self._connection = connection
        self._open = True
        self.number = number

    @classmethod
    def open(cls, connection: Connection) -> "LogicalChannel":
        """Ask the card for a channel; `StatusWordError` when it has none left, `UnexpectedAnswer` for a bad number."""
        command = manage_channel_open()
        data = send(connection, command).require(command)
        if len(data) != 1 or not 1 <= data[0] <= 19:
            raise UnexpectedAnswer("the card opened a channel and named no valid number; use the basic channel")
        return cls(connection, data[0])

    @property
    def atr(self) -> bytes:
        """The card's answer to reset."""
        return self._connection.atr

    def transmit(self, command: bytes) -> bytes:
        """Send the command with this channel's number in its class byte."""
        return self._connection.transmit(bytes([class_on_channel(command[0], self.number)]) + command[1:])

    def close(self) -> None:
        """Close the channel on the card."""
        if self._open:
            self._open = False
            self._connection.transmit(manage_channel_close(self.number).encode())


__all__ = ["Connection", "HolderConnection", "Lengths", "LogicalChannel", "exchange", "send", "t0_command"]
