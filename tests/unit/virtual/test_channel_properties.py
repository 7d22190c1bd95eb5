"""Host and card sides of the secure channels, which share no code, agree on any row of commands and answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from card_io import keyset, scp02, scp03
from card_io.apdu import CommandAPDU
from card_io.errors import SecureChannelError, WrongCryptogram
from card_io.secret import Secret
from card_io.virtual import scp02 as card02
from card_io.virtual import scp03 as card03
from card_io.virtual.keysets import TYPE_AES, TYPE_DES, KeySet
from card_io.virtual.refusal import Refused

HOST, CARD = bytes(range(8)), bytes(range(0x80, 0x88))
LEVELS_03 = [0x01, 0x03, 0x11, 0x13, 0x33]
LEVELS_02 = [0x01, 0x03, 0x11, 0x13]
ANSWERS = st.tuples(st.binary(max_size=220), st.sampled_from([0x9000, 0x6283, 0x6310, 0x6A88, 0x6985]))
COMMANDS = st.builds(
    CommandAPDU,
    st.sampled_from([0x80, 0x84 & 0x80, 0x00]),
    st.sampled_from([0xCA, 0xE2, 0xF2, 0xD8]),
    st.integers(0, 255),
    st.integers(0, 255),
    st.binary(max_size=222),
    st.sampled_from([None, 256]),
)
ROWS = st.lists(st.tuples(COMMANDS, ANSWERS), min_size=1, max_size=8)
SIZES = st.sampled_from([16, 24, 32])


def pair03(size: int, level: int, wide: bool) -> tuple[scp03.Scp03Session, card03.Scp03]:
    values = [bytes((start + index) % 256 for index in range(size)) for start in (1, 2, 3)]
    host, challenge = (HOST * 2, CARD * 2) if wide else (HOST, CARD)
    i = 0x71 if wide else 0x70
    card = card03.Scp03(KeySet(*(Secret(value) for value in values), 0x30, TYPE_AES), i, host, challenge, 1)
    answer = bytes(10) + b"\x30\x03" + card.initialize_answer()
    parsed = scp03.parse_initialize_update(answer)
    keys = scp03.derive_session_keys(keyset.KeySet(*(Secret(v) for v in values)), host, challenge, len(challenge))
    session = scp03.Scp03Session(keys, level, host_challenge=host, card=parsed)
    card.authenticate(CommandAPDU.decode(session.external_authenticate()))
    return session, card


def pair02(level: int, i: int, counter: int = 7) -> tuple[scp02.Scp02Session, card02.Scp02]:
    values = [bytes(range(start, start + 16)) for start in (0x10, 0x30, 0x50)]
    card = card02.Scp02(KeySet(*(Secret(v) for v in values), 0x20, TYPE_DES), i, HOST, CARD[:6], counter)
    parsed = scp02.parse_initialize_update(bytes(10) + b"\x20\x02" + card.initialize_answer())
    keys = scp02.derive_session_keys(keyset.KeySet(*(Secret(v) for v in values)), counter)
    session = scp02.Scp02Session(keys, level, host_challenge=HOST, card=parsed, i=i)
    card.authenticate(CommandAPDU.decode(session.external_authenticate()))
    return session, card


def is_error(sw: int) -> bool:
    return sw not in (0x9000, 0x6283, 0x6310)


def check_conversation(
    host: scp03.Scp03Session | scp02.Scp02Session,
    card: card03.Scp03 | card02.Scp02,
    row: list[tuple[CommandAPDU, tuple[bytes, int]]],
) -> None:
    """Every command arrives as it was meant, every answer too."""
    for command, (data, sw) in row:
        plain = card.unwrap(CommandAPDU.decode(host.wrap(command)))
        assert (plain.ins, plain.p1, plain.p2, plain.data) == (command.ins, command.p1, command.p2, command.data)
        if is_error(sw):
            card.refused(sw)
            assert host.unwrap(sw.to_bytes(2, "big")) == sw.to_bytes(2, "big")
        else:
            answer = card.wrap(data, sw) + sw.to_bytes(2, "big")
            assert host.unwrap(answer) == data + sw.to_bytes(2, "big")


@settings(max_examples=60, deadline=None)
@given(row=ROWS, size=SIZES, level=st.sampled_from(LEVELS_03), wide=st.booleans())
def test_scp03(row: list[tuple[CommandAPDU, tuple[bytes, int]]], size: int, level: int, wide: bool) -> None:
    host, card = pair03(size, level, wide)
    check_conversation(host, card, row)


@settings(max_examples=60, deadline=None)
@given(row=ROWS, level=st.sampled_from(LEVELS_02), i=st.sampled_from([0x35, 0x75]), counter=st.integers(0, 0xFFFE))
def test_scp02(row: list[tuple[CommandAPDU, tuple[bytes, int]]], level: int, i: int, counter: int) -> None:
    host, card = pair02(level, i, counter)
    check_conversation(host, card, row)


@settings(max_examples=60, deadline=None)
@given(command=COMMANDS, level=st.sampled_from(LEVELS_03), at=st.integers(0, 400), bit=st.integers(0, 7))
def test_scp03_no_altered_command_is_taken(command: CommandAPDU, level: int, at: int, bit: int) -> None:
    host, card = pair03(16, level, wide=False)
    wrapped = CommandAPDU.decode(host.wrap(command))
    data = bytearray(wrapped.data)
    data[at % len(data)] ^= 1 << bit
    altered = CommandAPDU(wrapped.cla, wrapped.ins, wrapped.p1, wrapped.p2, bytes(data), wrapped.le)
    with pytest.raises(Refused) as caught:
        card.unwrap(altered)
    assert caught.value.sw == 0x6982


@settings(max_examples=60, deadline=None)
@given(command=COMMANDS, level=st.sampled_from(LEVELS_03), field=st.sampled_from(["ins", "p1", "p2"]))
def test_scp03_no_altered_header_is_taken(command: CommandAPDU, level: int, field: str) -> None:
    host, card = pair03(16, level, wide=False)
    sent = CommandAPDU.decode(host.wrap(command))
    header = {"ins": sent.ins, "p1": sent.p1, "p2": sent.p2}
    header[field] ^= 0x01
    with pytest.raises(Refused):
        card.unwrap(CommandAPDU(sent.cla, header["ins"], header["p1"], header["p2"], sent.data, sent.le))


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), level=st.sampled_from([0x11, 0x13, 0x33]), at=st.integers(0, 300))
def test_scp03_no_altered_answer_is_taken(data: bytes, level: int, at: int) -> None:
    host, card = pair03(16, level, wide=False)
    card.unwrap(CommandAPDU.decode(host.wrap(CommandAPDU(0x80, 0xCA, 0, 0x66, le=256))))
    answer = bytearray(card.wrap(data, 0x9000))
    answer[at % len(answer)] ^= 0x10
    with pytest.raises(WrongCryptogram):
        host.unwrap(bytes(answer) + b"\x90\x00")
    with pytest.raises(SecureChannelError):
        host.wrap(CommandAPDU(0x80, 0xCA, 0, 0x66, le=256))


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=200), level=st.sampled_from([0x11, 0x13]), at=st.integers(0, 300))
def test_scp02_no_altered_answer_is_taken(data: bytes, level: int, at: int) -> None:
    host, card = pair02(level, 0x75)
    card.unwrap(CommandAPDU.decode(host.wrap(CommandAPDU(0x80, 0xCA, 0, 0x66, le=256))))
    answer = bytearray(card.wrap(data, 0x9000))
    answer[at % len(answer)] ^= 0x10
    with pytest.raises(WrongCryptogram):
        host.unwrap(bytes(answer) + b"\x90\x00")


@settings(max_examples=60, deadline=None)
@given(command=COMMANDS, level=st.sampled_from(LEVELS_02), at=st.integers(0, 300), bit=st.integers(0, 7))
def test_scp02_no_altered_command_is_taken(command: CommandAPDU, level: int, at: int, bit: int) -> None:
    host, card = pair02(level, 0x75)
    sent = CommandAPDU.decode(host.wrap(command))
    data = bytearray(sent.data)
    data[at % len(data)] ^= 1 << bit
    with pytest.raises(Refused):
        card.unwrap(CommandAPDU(sent.cla, sent.ins, sent.p1, sent.p2, bytes(data), sent.le))


@settings(max_examples=40, deadline=None)
@given(row=ROWS, added=st.sampled_from([0x10, 0x30]), data=st.binary(max_size=24))
def test_scp03_within_an_r_mac_session(
    row: list[tuple[CommandAPDU, tuple[bytes, int]]], added: int, data: bytes
) -> None:
    host, card = pair03(16, 0x03, wide=False)
    begun = card.unwrap(CommandAPDU.decode(host.begin_r_mac(added, data)))
    assert begun.data == bytes([len(data)]) + data
    card.begin_r_mac(added)
    assert host.unwrap(card.wrap(b"", 0x9000) + b"\x90\x00") == b"\x90\x00"
    check_conversation(host, card, row)
    card.unwrap(CommandAPDU.decode(host.end_r_mac()))
    card.end_r_mac()
    last = card.wrap(b"", 0x9000)
    assert len(last) == 8
    assert host.unwrap(last + b"\x90\x00") == b"\x90\x00"
    assert card.level == 0x03
    check_conversation(host, card, row)
