"""The seven forms of a command, answers, class bytes and chaining."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io.apdu import (
    CommandAPDU,
    ResponseAPDU,
    chain,
    channel_of,
    class_on_channel,
    get_response,
    is_secured,
    manage_channel_close,
    manage_channel_open,
)
from card_io.errors import InvalidApdu
from card_io.status import StatusWordError

instructions = st.integers(0, 255).filter(lambda ins: ins & 0xF0 not in (0x60, 0x90))
commands = st.builds(
    CommandAPDU,
    st.integers(0, 0xFE),
    instructions,
    st.integers(0, 255),
    st.integers(0, 255),
    st.one_of(st.binary(max_size=300), st.just(bytes(65535))),
    st.one_of(st.none(), st.integers(0, 65536)),
    st.booleans(),
)


@given(commands)
def test_commands_are_read_back(command: CommandAPDU) -> None:
    assert CommandAPDU.decode(command.encode()) == command


@pytest.mark.parametrize(
    ("command", "raw"),
    [
        (CommandAPDU(0, 0xA4, 4, 0), "00A40400"),
        (CommandAPDU(0, 0xB0, 0, 0, le=256), "00B0000000"),
        (CommandAPDU(0, 0xB0, 0, 0, le=0), "00B0000000"),
        (CommandAPDU(0, 0xB0, 0, 0, le=1), "00B0000001"),
        (CommandAPDU(0, 0xB0, 0, 0, le=257), "00B00000000101"),
        (CommandAPDU(0, 0xB0, 0, 0, le=65536), "00B00000000000"),
        (CommandAPDU(0, 0xA4, 4, 0, b"\xaa\xbb"), "00A4040002AABB"),
        (CommandAPDU(0, 0xA4, 4, 0, b"\xaa\xbb", 256), "00A4040002AABB00"),
        (CommandAPDU(0, 0xA4, 4, 0, b"\xaa\xbb", 256, extended=True), "00A40400000002AABB0100"),
        (CommandAPDU(0, 0xA4, 4, 0, b"\xaa", 65536), "00A40400000001AA0000"),
        (CommandAPDU(0, 0xA4, 4, 0, b"\xaa", extended=True), "00A40400000001AA"),
    ],
)
def test_each_form_is_written_as_the_standard_says(command: CommandAPDU, raw: str) -> None:
    assert command.encode() == bytes.fromhex(raw)


def test_long_data_make_the_command_extended() -> None:
    command = CommandAPDU(0, 0xDB, 0x3F, 0xFF, bytes(256))
    assert command.extended
    assert command.encode()[4:7] == b"\x00\x01\x00"
    assert not CommandAPDU(0, 0xDB, 0x3F, 0xFF, bytes(255)).extended


@pytest.mark.parametrize(
    "raw",
    ["", "00A404", "00A4040002AA", "00A4040002AABBCCDD", "00A40400000000AA", "00A404000000", "00A404000000010203"],
)
def test_lengths_that_do_not_add_up_are_refused(raw: str) -> None:
    with pytest.raises(InvalidApdu):
        CommandAPDU.decode(bytes.fromhex(raw))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_refused(raw: bytes) -> None:
    try:
        command = CommandAPDU.decode(raw)
    except InvalidApdu:
        return
    assert CommandAPDU.decode(command.encode()) == command


@pytest.mark.parametrize(
    "fields",
    [(256, 0, 0, 0), (0, -1, 0, 0), (0, 0x61, 0, 0), (0, 0x9A, 0, 0), (0xFF, 0xA4, 0, 0), (0, 0xA4, 256, 0)],
)
def test_header_bytes_that_cannot_be_are_refused(fields: tuple[int, int, int, int]) -> None:
    with pytest.raises(InvalidApdu):
        CommandAPDU(*fields)


def test_sizes_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidApdu, match="65535"):
        CommandAPDU(0, 0xA4, 0, 0, bytes(65536))
    with pytest.raises(InvalidApdu, match="Le"):
        CommandAPDU(0, 0xA4, 0, 0, le=65537)


def test_neither_command_nor_answer_prints_its_data() -> None:
    assert "31323334" not in repr(CommandAPDU(0, 0x20, 0, 0x80, b"1234")).lower()
    assert repr(CommandAPDU(0, 0x20, 0, 0x80, b"1234")) == "CommandAPDU(00 20 00 80, 4 bytes, le=None)"
    assert repr(ResponseAPDU(b"secret", 0x9000)) == "ResponseAPDU(6 bytes, 9000)"


def test_answers_are_read_and_written() -> None:
    answer = ResponseAPDU.decode(bytes.fromhex("AABB9000"))
    assert (answer.data, answer.sw, answer.ok) == (b"\xaa\xbb", 0x9000, True)
    assert answer.encode() == bytes.fromhex("AABB9000")
    for raw in ("", "90", "AABB", "6000"):
        with pytest.raises(InvalidApdu):
            ResponseAPDU.decode(bytes.fromhex(raw))


def test_a_refusal_is_a_typed_error_with_its_facts() -> None:
    command = CommandAPDU(0, 0x20, 0, 0x80, b"12345678")
    with pytest.raises(StatusWordError) as caught:
        ResponseAPDU(b"", 0x63C2).require(command)
    assert caught.value.sw == 0x63C2
    assert caught.value.command_ins == 0x20
    assert caught.value.tries_left == 2
    assert "2 tries left" in str(caught.value)
    assert "12345678" not in str(caught.value)
    assert ResponseAPDU(b"x", 0x6310).require(command, 0x6310) == b"x"


@given(st.integers(0, 19), st.integers(0, 19), st.booleans(), st.booleans(), st.booleans())
def test_a_class_byte_moves_between_channels(a: int, b: int, proprietary: bool, chained: bool, secured: bool) -> None:
    first = (0x80 if proprietary else 0) | (0x10 if chained else 0) | (0x04 if secured else 0)
    moved = class_on_channel(class_on_channel(first, a), b)
    assert channel_of(moved) == b
    assert is_secured(moved) is secured
    assert bool(moved & 0x80) is proprietary
    assert bool(moved & 0x10) is chained


@pytest.mark.parametrize(
    ("cla", "channel", "expected"),
    [(0x00, 3, 0x03), (0x80, 1, 0x81), (0x84, 2, 0x86), (0x80, 4, 0xC0), (0x84, 19, 0xEF), (0x0C, 1, 0x0D)],
)
def test_class_bytes_of_the_tables(cla: int, channel: int, expected: int) -> None:
    assert class_on_channel(cla, channel) == expected


def test_channels_beyond_19_do_not_exist() -> None:
    with pytest.raises(InvalidApdu):
        class_on_channel(0, 20)
    with pytest.raises(InvalidApdu):
        manage_channel_close(0)
    assert manage_channel_open().encode().hex() == "0070000001"
    assert manage_channel_close(3).encode().hex() == "00708003"


def test_get_response_stays_on_the_channel_and_goes_in_plain() -> None:
    assert get_response(0x84, 16).encode().hex() == "00c0000010"
    assert get_response(0x82, 256).encode().hex() == "02c0000000"
    assert get_response(0xE1, 5).encode().hex() == "41c0000005"


@given(st.binary(min_size=0, max_size=2000), st.integers(1, 255))
def test_a_chain_carries_all_data_in_order(data: bytes, block: int) -> None:
    parts = list(chain(CommandAPDU(0, 0xDB, 0x3F, 0xFF, data, 256), block))
    assert b"".join(part.data for part in parts) == data
    assert all(part.cla == 0x10 and part.le is None and len(part.data) == block for part in parts[:-1])
    assert parts[-1].cla == 0x00
    assert parts[-1].le == 256
    assert not any(part.extended for part in parts)
