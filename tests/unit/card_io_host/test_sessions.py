"""Secure channel sessions: sizes, boundaries, and input that no card should send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import globalplatform as gp
from card_io import scp02, scp03
from card_io.apdu import CommandAPDU, class_on_channel
from card_io.ciphers import mac_des_des3, pad80, unpad80
from card_io.errors import InvalidApdu, SecureChannelError, UnexpectedAnswer, WrongCryptogram
from card_io.keyset import KeySet, SessionKeys
from card_io.secret import Secret
from tests.support.vectors import Session, recorded_sessions

STATIC = KeySet(*(Secret(bytes(range(start, start + 16))) for start in (0x40, 0x50, 0x60)))
HOST = bytes(range(8))
AID = gp.ISD_AID


def scp03_session(level: int = 0x33, s_mode: int = 8, i: int = 0x70) -> scp03.Scp03Session:
    """A session computed with no card at all: pseudo-random challenge from the sequence counter."""
    host = HOST * (s_mode // 8)
    challenge = scp03.calculate_card_challenge(STATIC.enc, 1, AID, s_mode)
    keys = scp03.derive_session_keys(STATIC, host, challenge, s_mode)
    card = scp03.InitializeUpdateResponse(
        bytes(10), 0x30, 3, i | (s_mode == 16), challenge, scp03.card_cryptogram(keys, host, challenge), 1
    )
    return scp03.Scp03Session(keys, level, host_challenge=host, card=card)


def scp02_session(level: int = 0x13, i: int = 0x75) -> scp02.Scp02Session:
    keys = scp02.derive_session_keys(STATIC, 5)
    challenge = scp02.calculate_card_challenge(keys, AID)
    card = scp02.InitializeUpdateResponse(bytes(10), 0x20, 2, 5, challenge, b"")
    card = scp02.InitializeUpdateResponse(bytes(10), 0x20, 2, 5, challenge, scp02.card_cryptogram(keys, HOST, card))
    return scp02.Scp02Session(keys, level, host_challenge=HOST, card=card, i=i)


RECORDED = [item for item in recorded_sessions() if item.name.startswith("pysim-SCP03")]
RECORDED_AID = bytes.fromhex("A0000005591010FFFFFFFF8900000100")
"""The security domain that those sessions were recorded with: the root of an embedded SIM."""


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda item: item.name)
def test_recorded_card_challenges_are_computed_with_no_card(recorded: Session) -> None:
    card = scp03.parse_initialize_update(recorded.initialize_update_response)
    assert card.sequence_counter is not None
    challenge = scp03.calculate_card_challenge(recorded.keys.enc, card.sequence_counter, RECORDED_AID)
    assert challenge == card.card_challenge


def test_there_are_recorded_challenges() -> None:
    assert len(RECORDED) == 4


@given(st.binary(max_size=223), st.sampled_from([0x00, 0x01, 0x03, 0x11, 0x13, 0x33]), st.sampled_from([8, 16]))
def test_scp03_commands_keep_header_le_and_bounds(data: bytes, level: int, s_mode: int) -> None:
    session = scp03_session(level, s_mode)
    session.external_authenticate()
    command = CommandAPDU(0x80, 0xE2, 0x91, 0x05, data, 256)
    wrapped = CommandAPDU.decode(session.wrap(command))
    assert (wrapped.ins, wrapped.p1, wrapped.p2, wrapped.le) == (0xE2, 0x91, 0x05, 256)
    if level == 0:
        assert wrapped == command
        return
    assert wrapped.cla == 0x84
    extra = len(wrapped.data) - s_mode
    enciphered = level & 2 and data
    assert extra == (len(data) // 16 * 16 + 16 if enciphered else len(data))
    assert len(data) < 16 or bool(enciphered) == (wrapped.data[: len(data)] != data)


@given(st.lists(st.binary(max_size=60), min_size=2, max_size=5, unique=True))
def test_every_mac_hangs_on_all_commands_before(datas: list[bytes]) -> None:
    first, second = scp03_session(1), scp03_session(1)
    for data in datas[:-1]:
        first.wrap(CommandAPDU(0x80, 0xE2, 0, 0, data))
    last = CommandAPDU(0x80, 0xE2, 0, 0, datas[-1])
    assert first.wrap(last) != second.wrap(last)


@pytest.mark.parametrize("channel", [1, 3, 4, 19])
def test_the_logical_channel_is_outside_the_mac(channel: int) -> None:
    command = gp.get_status(gp.Subset.APPLETS)
    elsewhere = CommandAPDU(
        class_on_channel(0x80, channel), command.ins, command.p1, command.p2, command.data, command.le
    )
    for here, there in ((scp03_session(), scp03_session()), (scp02_session(), scp02_session())):
        basic, moved = here.wrap(command), there.wrap(elsewhere)
        assert basic[1:] == moved[1:]
        assert moved[0] == class_on_channel(0x84, channel)


def test_scp03_extended_commands_carry_three_length_bytes() -> None:
    wrapped = CommandAPDU.decode(scp03_session(0x03).wrap(CommandAPDU(0x80, 0xE2, 0, 0, bytes(1000), 65536)))
    assert wrapped.extended
    assert len(wrapped.data) == 1008 + 8
    assert wrapped.le == 65536


@pytest.mark.parametrize(("level", "most"), [(0x00, 255), (0x01, 247), (0x03, 239), (0x10, 255), (0x13, 239)])
def test_scp02_bounds(level: int, most: int) -> None:
    session = scp02_session(level)
    assert session.data_max == most
    assert not CommandAPDU.decode(session.wrap(CommandAPDU(0x80, 0xE2, 0, 0, bytes(most)))).extended
    if most < 255:
        with pytest.raises(InvalidApdu, match=str(most)):
            session.wrap(CommandAPDU(0x80, 0xE2, 0, 0, bytes(most + 1)))


def test_long_commands_are_secured_whole_and_cut_afterwards() -> None:
    for session in (scp02_session(0x03), scp03_session(0x03)):
        whole = session.wrap(CommandAPDU(0x80, 0xD8, 0x30, 0x81, bytes(600), 256, extended=True))
        parts = [CommandAPDU.decode(part) for part in gp.segment(whole)]
        assert [part.p1 for part in parts] == [0xB0, 0xB0, 0x30]
        assert b"".join(part.data for part in parts) == CommandAPDU.decode(whole).data
        assert {part.cla for part in parts} == {0x84}


def scp02_answer(keys: SessionKeys, chain: bytes, block: bytes) -> bytes:
    return mac_des_des3(keys.rmac.reveal(), block, chain)


def test_the_scp02_r_mac_chain_runs_over_command_answer_and_refusals() -> None:
    keys = scp02.derive_session_keys(STATIC, 5)
    session = scp02_session(0x11)
    chain = session.external_authenticate()[-8:]
    command = bytes.fromhex("80F28002024F0000")
    stripped = bytes.fromhex("80F28002024F00")
    session.wrap(command)
    session.wrap(command)
    session.wrap(command)
    chain = scp02_answer(keys, chain, stripped + b"\x02\xaa\xbb\x90\x00")
    assert session.unwrap(b"\xaa\xbb" + chain + b"\x90\x00") == b"\xaa\xbb\x90\x00"
    chain = scp02_answer(keys, chain, stripped + b"\x00\x6a\x88")
    assert session.unwrap(b"\x6a\x88") == b"\x6a\x88"
    chain = scp02_answer(keys, chain, stripped + b"\x00\x63\x10")
    assert session.unwrap(chain + b"\x63\x10") == b"\x63\x10"
    assert session.pending == 0
    with pytest.raises(SecureChannelError, match="without a command"):
        session.unwrap(b"\x90\x00")


def test_a_refusal_of_scp02_may_carry_its_r_mac() -> None:
    keys = scp02.derive_session_keys(STATIC, 5)
    session = scp02_session(0x11)
    chain = session.external_authenticate()[-8:]
    session.wrap(bytes.fromhex("80F28002024F0000"))
    mac = scp02_answer(keys, chain, bytes.fromhex("80F28002024F00") + b"\x00\x69\x85")
    assert session.unwrap(mac + b"\x69\x85") == b"\x69\x85"
    session.wrap(bytes.fromhex("80F28002024F0000"))
    with pytest.raises(WrongCryptogram):
        session.unwrap(mac + b"\x69\x85")
    with pytest.raises(SecureChannelError, match="open a new one"):
        session.wrap(bytes.fromhex("80F28002024F0000"))


@pytest.mark.parametrize(("level", "i"), [(0x02, 0x55), (0x33, 0x75), (0x11, 0x55), (0x01, 0x1A), (0x01, 0x05)])
def test_scp02_refuses_levels_and_options_that_it_does_not_speak(level: int, i: int) -> None:
    with pytest.raises(SecureChannelError):
        scp02_session(level, i)


def test_a_card_with_other_keys_is_refused_before_anything_is_sent() -> None:
    other = SessionKeys(Secret(bytes(16)), Secret(bytes(16)), Secret(bytes(16)))
    card = scp03.InitializeUpdateResponse(bytes(10), 0x30, 3, 0x70, bytes(8), bytes(8), 1)
    with pytest.raises(WrongCryptogram, match="other keys"):
        scp03.Scp03Session(other, 3, host_challenge=HOST, card=card)
    two = scp02.InitializeUpdateResponse(bytes(10), 0x20, 2, 5, bytes(6), bytes(8))
    with pytest.raises(WrongCryptogram, match="other keys"):
        scp02.Scp02Session(other, 3, host_challenge=HOST, card=two)
    with pytest.raises(SecureChannelError, match="no DEK"):
        scp02.encrypt_sensitive(other, bytes(16))


@given(st.binary(max_size=60))
def test_any_answer_to_initialize_update_is_read_or_refused(data: bytes) -> None:
    for parse in (scp02.parse_initialize_update, scp03.parse_initialize_update):
        try:
            found = parse(data)
        except UnexpectedAnswer:
            continue
        assert found.kdd == data[:10]


@pytest.mark.parametrize(("host", "card", "mode"), [(8, 16, 8), (16, 8, 16), (8, 8, 12), (0, 0, 0)])
def test_challenges_of_wrong_size_make_no_keys(host: int, card: int, mode: int) -> None:
    with pytest.raises(SecureChannelError, match="challenges"):
        scp03.derive_session_keys(STATIC, bytes(host), bytes(card), mode)


@given(st.binary(max_size=100), st.sampled_from([8, 16]))
def test_padding_comes_off_again(data: bytes, block: int) -> None:
    padded = pad80(data, block)
    assert len(padded) % block == 0
    assert len(data) < len(padded) <= len(data) + block
    assert unpad80(padded) == data


@pytest.mark.parametrize("data", [b"", bytes(16), b"\x01" * 16])
def test_missing_padding_is_named(data: bytes) -> None:
    with pytest.raises(SecureChannelError, match="padding"):
        unpad80(data)
