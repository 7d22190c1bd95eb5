"""What `send` does for those who send: 61XX, 6CXX, chaining, channels, and where it stops."""

from collections.abc import Iterator

import pytest

from card_io.apdu import CommandAPDU
from card_io.connection import Connection, Lengths, LogicalChannel, exchange, send, t0_command
from card_io.errors import UnexpectedAnswer
from card_io.status import StatusWordError


class Script:
    """A connection that expects these commands and gives these answers, in hex."""

    def __init__(self, *pairs: tuple[str, str]) -> None:
        self._pairs: Iterator[tuple[str, str]] = iter(pairs)
        self.closed = 0

    @property
    def atr(self) -> bytes:
        return b"\x3b\x00"

    def transmit(self, command: bytes) -> bytes:
        expected, answer = next(self._pairs)
        assert command.hex() == expected.lower().replace(" ", "")
        return bytes.fromhex(answer)

    def close(self) -> None:
        self.closed += 1

    def done(self) -> bool:
        return next(self._pairs, None) is None


def test_the_script_is_a_connection() -> None:
    assert isinstance(Script(), Connection)


def test_more_data_are_fetched_and_joined() -> None:
    card = Script(("80CA9F7F00", "AA6102"), ("00C0000002", "BBCC6101"), ("00C0000001", "DD9000"))
    assert send(card, CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256)).encode().hex() == "aabbccdd9000"
    assert card.done()


def test_61_00_means_256_or_more() -> None:
    card = Script(("80CA006600", "6100"), ("00C0000000", "AA9000"))
    assert send(card, CommandAPDU(0x80, 0xCA, 0, 0x66, le=256)).data == b"\xaa"


def test_a_wrong_le_is_corrected_once() -> None:
    card = Script(("00B0000000", "6C02"), ("00B0000002", "AABB9000"))
    assert send(card, CommandAPDU(0, 0xB0, 0, 0, le=256)).data == b"\xaa\xbb"
    card = Script(("00B0000000", "6C02"), ("00B0000002", "6C03"))
    assert send(card, CommandAPDU(0, 0xB0, 0, 0, le=256)).sw == 0x6C03
    assert card.done()


def test_a_wrong_le_of_get_response_is_corrected() -> None:
    card = Script(("80CA006600", "6100"), ("00C0000000", "6C03"), ("00C0000003", "AABBCC9000"))
    assert send(card, CommandAPDU(0x80, 0xCA, 0, 0x66, le=256)).data == b"\xaa\xbb\xcc"


def test_a_secured_command_is_never_sent_twice() -> None:
    card = Script(("84CA006608111111111111111100", "6C10"))
    raw = bytes.fromhex("84CA006608111111111111111100")
    assert exchange(card, raw) == bytes.fromhex("6C10")
    assert card.done()


def test_the_answer_of_a_secured_command_is_fetched_in_plain() -> None:
    card = Script(("84CA006608111111111111111100", "6102"), ("00C0000002", "AABB9000"))
    assert exchange(card, bytes.fromhex("84CA006608111111111111111100")) == bytes.fromhex("AABB9000")


def test_a_card_that_promises_and_gives_nothing_is_stopped() -> None:
    card = Script(("00B0000000", "6110"), ("00C0000010", "6110"))
    with pytest.raises(UnexpectedAnswer, match="gives none"):
        send(card, CommandAPDU(0, 0xB0, 0, 0, le=256))


def test_a_card_that_never_ends_is_stopped() -> None:
    class Endless(Script):
        def transmit(self, command: bytes) -> bytes:
            return bytes(255) + b"\x61\xff"

    with pytest.raises(UnexpectedAnswer, match="never ends"):
        send(Endless(), CommandAPDU(0, 0xB0, 0, 0, le=256))


def test_long_data_are_chained() -> None:
    first = "10DB3FFFFF" + "AA" * 255
    card = Script((first, "9000"), (first, "9000"), ("00DB3FFF01AA", "9000"))
    assert send(card, CommandAPDU(0, 0xDB, 0x3F, 0xFF, b"\xaa" * 511)).ok
    assert card.done()


def test_a_refused_block_ends_the_chain() -> None:
    card = Script(("10DB3FFFFF" + "AA" * 255, "6A84"))
    assert send(card, CommandAPDU(0, 0xDB, 0x3F, 0xFF, b"\xaa" * 400)).sw == 0x6A84
    assert card.done()


def test_long_data_go_in_one_command_where_the_card_takes_it() -> None:
    card = Script(("00DB3FFF000190" + "AA" * 400, "9000"))
    assert send(card, CommandAPDU(0, 0xDB, 0x3F, 0xFF, b"\xaa" * 400), lengths=Lengths.EXTENDED).ok


@pytest.mark.parametrize(
    ("command", "tpdu"),
    [
        ("00440000", "0044000000"),
        ("00B0000010", "00B0000010"),
        ("00A4040002AABB", "00A4040002AABB"),
        ("00A4040002AABB00", "00A4040002AABB"),
    ],
)
def test_t0_carries_the_four_cases(command: str, tpdu: str) -> None:
    assert t0_command(bytes.fromhex(command)) == bytes.fromhex(tpdu)


def test_t0_has_no_extended_length() -> None:
    with pytest.raises(UnexpectedAnswer, match="chain"):
        t0_command(CommandAPDU(0, 0xB0, 0, 0, le=1000).encode())


def test_a_logical_channel_stamps_its_number_and_closes_itself_only() -> None:
    card = Script(("0070000001", "029000"), ("02A4040000", "9000"), ("8682030000", "9000"), ("00708002", "9000"))
    channel = LogicalChannel.open(card)
    assert isinstance(channel, Connection)
    assert channel.number == 2
    channel.transmit(bytes.fromhex("00A4040000"))
    channel.transmit(bytes.fromhex("8482030000"))
    channel.close()
    assert card.closed == 0
    assert card.done()


def test_no_channel_left_is_a_status_word() -> None:
    with pytest.raises(StatusWordError) as caught:
        LogicalChannel.open(Script(("0070000001", "6A81")))
    assert caught.value.sw == 0x6A81


@pytest.mark.parametrize("number", ["", "00", "14", "0101"])
def test_a_channel_number_that_cannot_be_is_refused(number: str) -> None:
    with pytest.raises(UnexpectedAnswer):
        LogicalChannel.open(Script(("0070000001", number + "9000")))
