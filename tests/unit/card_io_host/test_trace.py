"""A trace shows what may be shown, hides the rest, and says how each exchange ended."""

import pytest

from card_io.apdu import CommandAPDU
from card_io.connection import Connection, send
from card_io.errors import CardError
from card_io.trace import TracedConnection, TraceEntry


class Card:
    """Answers every command with the same bytes, or fails."""

    atr = b"\x3b\x00"

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.closed = False

    def transmit(self, command: bytes) -> bytes:
        if not self.answers:
            raise CardError("the card was taken out")
        return self.answers.pop(0)

    def close(self) -> None:
        self.closed = True


def traced(*answers: bytes) -> tuple[TracedConnection, list[TraceEntry], Card]:
    entries: list[TraceEntry] = []
    ticks = iter(range(1000))
    card = Card(*answers)
    return TracedConnection(card, entries.append, lambda: next(ticks) / 1000), entries, card


def test_it_is_a_connection_that_passes_everything_on() -> None:
    connection, entries, card = traced(b"\xaa\x90\x00")
    assert isinstance(connection, Connection)
    assert connection.atr == b"\x3b\x00"
    assert connection.transmit(bytes.fromhex("00A4040000")) == b"\xaa\x90\x00"
    connection.close()
    assert card.closed
    assert len(entries) == 1


def test_a_select_is_shown_in_full() -> None:
    connection, entries, _ = traced(bytes.fromhex("6F009000"))
    connection.transmit(bytes.fromhex("00A4040008A00000015100000000"))
    assert str(entries[0]) == "   1 > 00 A4 04 00 [8] A000000151000000  < [2] 6F00 9000 success  1.0 ms"


SECRET = "13243546"


@pytest.mark.parametrize(
    "command",
    [
        CommandAPDU(0x00, 0x20, 0, 0x81, bytes.fromhex(SECRET)),  # VERIFY
        CommandAPDU(0x00, 0x24, 0, 0x81, bytes.fromhex(SECRET)),  # CHANGE REFERENCE DATA
        CommandAPDU(0x00, 0x2C, 0, 0x81, bytes.fromhex(SECRET)),  # RESET RETRY COUNTER
        CommandAPDU(0x80, 0xD8, 0, 0x81, bytes.fromhex(SECRET)),  # PUT KEY
        CommandAPDU(0x84, 0xE2, 0, 0x81, bytes.fromhex(SECRET)),  # STORE DATA
        CommandAPDU(0x80, 0xE6, 0x0C, 0, bytes.fromhex(SECRET)),  # INSTALL
        CommandAPDU(0x00, 0x87, 0x11, 0x9B, bytes.fromhex(SECRET)),  # GENERAL AUTHENTICATE
        CommandAPDU(0x00, 0xB0, 0, 0, le=4),  # READ BINARY
        CommandAPDU(0x00, 0xCB, 0x3F, 0xFF, bytes.fromhex(SECRET), 256),  # GET DATA of an applet
        CommandAPDU(0x00, 0xCA, 0x5F, 0xFF, le=256),
        CommandAPDU(0x00, 0xDA, 0x3F, 0xFF, bytes.fromhex(SECRET)),  # one the list does not know
    ],
)
def test_secret_and_personal_data_show_their_length_alone(command: CommandAPDU) -> None:
    connection, entries, _ = traced(bytes.fromhex(SECRET) + b"\x90\x00", b"\x90\x00")
    connection.transmit(command.encode())
    line = str(entries[0])
    assert SECRET not in line
    assert SECRET not in repr(entries[0])
    assert "[4] ***" in line
    assert "9000" in line


def test_get_response_is_shown_like_the_command_it_ends() -> None:
    connection, entries, _ = traced(b"\x61\x02", b"\xaa\xbb\x90\x00", b"\x61\x02", b"\xcc\xdd\x90\x00")
    send(connection, CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256))
    send(connection, CommandAPDU(0x00, 0xB0, 0, 0, le=256))
    assert [entry.answer for entry in entries] == ["", "AABB", None, None]
    assert "CCDD" not in "".join(map(str, entries))


def test_a_failed_exchange_is_logged_too() -> None:
    connection, entries, _ = traced()
    with pytest.raises(CardError):
        connection.transmit(bytes.fromhex("00A4040000"))
    assert entries[0].sw is None
    assert "no answer" in str(entries[0])


def test_bytes_that_are_no_command_are_logged_without_their_content() -> None:
    connection, entries, _ = traced(b"\x67\x00", b"\x67\x00")
    connection.transmit(bytes.fromhex("00200080081122"))
    connection.transmit(b"\x00")
    assert "1122" not in str(entries[0])
    assert entries[0].data_size == 3
    assert [entry.number for entry in entries] == [1, 2]
