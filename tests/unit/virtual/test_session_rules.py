"""Rules of a session with a security domain, one by one as the specification has them."""

import itertools

import pytest

from card_io import keyset, scp02, scp03
from card_io import tlv as codec
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.keysets import TYPE_DES, KeySet
from tests.unit.virtual.cards import HOST_CHALLENGE, KEYS, aes_keys, authenticate, blank, open_session, send

ISD = bytes.fromhex("A000000151000000")
CPLC = "80CA9F7F"
STATES = {"OP_READY": 0x01, "INITIALIZED": 0x07, "SECURED": 0x0F, "CARD_LOCKED": 0x7F, "TERMINATED": 0xFF}
FORWARD = {
    (0x01, 0x07),
    (0x07, 0x0F),
    (0x0F, 0x7F),
    (0x7F, 0x0F),
    (0x01, 0xFF),
    (0x07, 0xFF),
    (0x0F, 0xFF),
    (0x7F, 0xFF),
}


def des_card(i: int = 0x55) -> VirtualCard:
    keys = KeySet(*(Secret(key) for key in KEYS), version=0x20, key_type=TYPE_DES)
    card = VirtualCard.blank(b"des", initial_keys=keys, scp02_i=i)
    card.power_on()
    assert send(card, "00A40400", ISD, 256).ok
    return card


def scp02_session(card: VirtualCard, level: int = 0x01, i: int = 0x55) -> scp02.Scp02Session:
    answer = send(card, "80500000", HOST_CHALLENGE[:8], 256)
    assert answer.ok, hex(answer.sw)
    parsed = scp02.parse_initialize_update(answer.data)
    keys = scp02.derive_session_keys(keyset.KeySet(*(Secret(key) for key in KEYS)), parsed.sequence_counter)
    session = scp02.Scp02Session(keys, level, host_challenge=HOST_CHALLENGE[:8], card=parsed, i=i)
    assert card.process(session.external_authenticate()) == b"\x90\x00"
    return session


@pytest.mark.parametrize(("start", "target"), list(itertools.product(STATES.values(), repeat=2)))
def test_the_card_moves_through_its_life_as_figure_5_1_says(start: int, target: int) -> None:
    card = blank()
    card.platform.life_cycle = start
    card.platform.memory.commit()
    if start == 0xFF:
        assert send(card, "00A40400", ISD, 256).sw == 0x6283
        assert send(card, "80500000", HOST_CHALLENGE[:8], 256).sw == 0x6985
        return
    assert send(card, "00A40400", ISD, 256).sw == (0x6283 if start == 0x7F else 0x9000)
    host = authenticate(card, 0x01)
    answer = host.send(f"80F080{target:02X}", ISD)
    assert answer.ok == ((start, target) in FORWARD)
    assert card.platform.life_cycle == (target if answer.ok else start)
    if not answer.ok:
        assert answer.sw == 0x6985


@pytest.mark.parametrize("state", [0x00, 0x02, 0x03, 0x08, 0x1F, 0x80, 0xFE])
def test_states_that_do_not_exist_are_refused(state: int) -> None:
    assert open_session(blank(), 0x01).send(f"80F080{state:02X}", ISD).sw == 0x6985


@pytest.mark.parametrize("cla", [0x00, 0x80])
def test_get_data_tells_the_object_or_by_an_iso_class_its_value(cla: int) -> None:
    """GlobalPlatform 11.3.3.1: bit 8 of the class says whether tag and length come along."""
    card = blank()
    send(card, "00A40400", ISD, 256)
    for tag in (0x66, 0x67, 0xE0, 0xC1, 0xCF, 0x9F7F, 0xFF21):
        header = f"{tag:04X}"
        whole = send(card, "80CA" + header, b"", 256).data
        value = codec.single(whole, tag)
        assert send(card, f"{cla:02X}CA" + header, b"", 256).data == (whole if cla else value)
    assert send(card, "00CB9F7F", b"", 256).data == card.platform.cplc
    assert send(card, "80CB9F7F", b"", 256).sw == 0x6A81


def test_the_scp03_counter_counts_sessions_and_never_begins_again() -> None:
    card = blank(i=0x70)
    for expected in (1, 2, 3):
        host = open_session(card)
        assert card.platform.keys.counter(0xFF) == expected
        assert host.send("80CA00C1", b"", 256).data == bytes.fromhex("C103") + expected.to_bytes(3, "big")
        card.reset()
    card.platform.keys.set_counter(0xFF, 0xFFFFFE)
    card.platform.memory.commit()
    open_session(card)
    assert card.platform.keys.counter(0xFF) == 0xFFFFFF
    card.reset()
    send(card, "00A40400", ISD, 256)
    assert send(card, "80500000", HOST_CHALLENGE[:8], 256).sw == 0x6985
    assert card.platform.keys.counter(0xFF) == 0xFFFFFF


def test_the_scp02_counter_counts_successful_sessions_and_never_begins_again() -> None:
    card = des_card()
    scp02_session(card)
    assert card.platform.keys.counter(0x20) == 1
    answer = send(card, "80500000", HOST_CHALLENGE[:8], 256)
    assert answer.data[12:14] == b"\x00\x01"
    assert card.process(bytes.fromhex("8482010010") + bytes(16)) == b"\x63\x00"
    assert card.platform.keys.counter(0x20) == 1  # a failed one does not count (E.1.2)
    card.platform.keys.set_counter(0x20, 0xFFFE)
    card.platform.memory.commit()
    scp02_session(card)
    assert card.platform.keys.counter(0x20) == 0xFFFF
    assert send(card, "80500000", HOST_CHALLENGE[:8], 256).sw == 0x6985


def test_every_session_has_other_challenges_and_keys() -> None:
    seen = set()
    for i in (0x60, 0x70):
        card = blank(i=i)
        send(card, "00A40400", ISD, 256)
        for _ in range(5):
            answer = send(card, "80500000", HOST_CHALLENGE[:8], 256).data
            seen.add(answer[13:21])
            card.reset()
            send(card, "00A40400", ISD, 256)
    assert len(seen) == 10


def test_external_authenticate_needs_initialize_update_right_before() -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    command = bytes.fromhex("8482010010") + bytes(16)
    assert card.process(command) == b"\x69\x85"
    host = open_session(card, 0x01)
    assert card.process(command) == b"\x69\x85"  # an open session ends by that
    assert host.send(CPLC, b"", 256).sw == 0x6982


@pytest.mark.parametrize("level", [0x02, 0x10, 0x12, 0x20, 0x21, 0x23, 0x30, 0x31, 0x32, 0x40, 0x80, 0xFF])
def test_levels_that_scp03_does_not_have(level: int) -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    send(card, "80500000", HOST_CHALLENGE[:8], 256)
    assert card.process(bytes([0x84, 0x82, level, 0, 16]) + bytes(16)) == b"\x6a\x86"
    assert card.process(bytes.fromhex("8482010010") + bytes(16)) == b"\x69\x85"


@pytest.mark.parametrize("i", [0x00, 0x10, 0x20, 0x30])
def test_levels_beyond_what_the_option_says(i: int) -> None:
    card = blank(i=i)
    send(card, "00A40400", ISD, 256)
    send(card, "80500000", HOST_CHALLENGE[:8], 256)
    refused = 0x33 if i & 0x20 else 0x11
    assert card.process(bytes([0x84, 0x82, refused, 0, 16]) + bytes(16)) == b"\x6a\x86"


@pytest.mark.parametrize("level", [0x01, 0x03, 0x11, 0x13, 0x33])
def test_a_command_without_its_mac_ends_the_session(level: int) -> None:
    card = blank()
    host = open_session(card, level)
    assert send(card, "80F28002", b"\x4f\x00", 256).sw == 0x6982
    assert host.send(CPLC, b"", 256).sw == 0x6982


@pytest.mark.parametrize("position", range(0, 24, 3))
def test_a_flipped_bit_anywhere_ends_the_session(position: int) -> None:
    card = blank()
    host = open_session(card, 0x03)
    wrapped = bytearray(host.session.wrap(CommandAPDU(0x80, 0xF2, 0x80, 0x02, b"\x4f\x00", 256)))
    at = position % (len(wrapped) - 1)
    wrapped[at] ^= 0x01 if at not in (0, 4) else 0x00
    answer = card.process(bytes(wrapped))
    if at in (0, 4):
        assert answer[-2:] == b"\x90\x00"
        return
    assert answer[-2:] != b"\x90\x00"
    assert send(card, "84CA9F7F", bytes(8), 256).sw == 0x6982


def test_a_replayed_command_is_refused() -> None:
    card = blank()
    host = open_session(card, 0x03)
    wrapped = host.session.wrap(CommandAPDU(0x80, 0xF2, 0x80, 0x02, b"\x4f\x00", 256))
    assert card.process(wrapped)[-2:] == b"\x90\x00"
    assert card.process(wrapped) == b"\x69\x82"


def test_a_command_left_out_is_noticed() -> None:
    card = blank()
    host = open_session(card, 0x01)
    host.session.wrap(CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256))
    assert card.process(host.session.wrap(CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256))) == b"\x69\x82"


@pytest.mark.parametrize("ends", ["reset", "select", "initialize_update", "close"])
def test_what_ends_a_session(ends: str) -> None:
    card = blank()
    host = open_session(card, 0x01)
    wrapped = host.session.wrap(CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256))
    match ends:
        case "reset":
            card.reset()
        case "select":
            send(card, "00A40400", ISD, 256)
        case "initialize_update":
            send(card, "80500000", HOST_CHALLENGE[:8], 256)
        case _:
            card.power_off()
            card.power_on()
    assert card.process(wrapped) == b"\x69\x82"


@pytest.mark.parametrize("size", [0, 1, 7, 9, 16, 255])
def test_challenges_of_another_size(size: int) -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    assert send(card, "80500000", bytes(size), 256).sw == 0x6700


@pytest.mark.parametrize(("p1", "p2", "sw"), [(0x00, 0x01, 0x6A86), (0x31, 0x00, 0x6A88), (0x7F, 0x00, 0x6A88)])
def test_key_versions_that_are_not_there(p1: int, p2: int, sw: int) -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    assert send(card, f"8050{p1:02X}{p2:02X}", HOST_CHALLENGE[:8], 256).sw == sw


CLEAR = ["80F28002", "80F0800F", "80E60200", "80E80000", "80E40000", "80E28000", "80D80081", "807A1001", "80780003"]


@pytest.mark.parametrize("header", CLEAR)
def test_nothing_is_managed_in_clear(header: str) -> None:
    card = blank()
    before = dict(card.platform.memory.durable())
    send(card, "00A40400", ISD, 256)
    assert send(card, header, b"\x4f\x00", 256).sw == 0x6982
    assert send(card, "84" + header[2:], b"\x4f\x00" + bytes(8), 256).sw == 0x6982
    assert card.platform.memory.durable() == before


@pytest.mark.parametrize("cla", [0x01, 0x02, 0x03])
def test_channels_that_are_not_open(cla: int) -> None:
    assert send(blank(), f"{cla:02X}A40400", ISD, 256).sw == 0x6881


@pytest.mark.parametrize("cla", [0x40, 0x4F, 0x60, 0xC0, 0xE0])
def test_classes_of_channels_that_the_card_does_not_have(cla: int) -> None:
    assert send(blank(), f"{cla:02X}A40400", ISD, 256).sw == 0x6881


@pytest.mark.parametrize("cla", [0x08, 0x0C, 0x20, 0x88, 0x8C, 0xA0])
def test_classes_that_the_domain_does_not_know(cla: int) -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    assert send(card, f"{cla:02X}CA9F7F", b"", 256).sw == 0x6E00


UNKNOWN = [0x00, 0x04, 0x0E, 0x20, 0x22, 0x24, 0x2A, 0x2C, 0x44, 0x46, 0x86, 0x88, 0xB0, 0xD6, 0xDA, 0xEE, 0xFE]


@pytest.mark.parametrize("ins", UNKNOWN, ids=hex)
@pytest.mark.parametrize("cla", [0x00, 0x80])
def test_instructions_that_the_domain_does_not_know(ins: int, cla: int) -> None:
    card = blank()
    send(card, "00A40400", ISD, 256)
    assert send(card, f"{cla:02X}{ins:02X}0000", b"", 256).sw == 0x6D00


def segments(card: VirtualCard, raw: bytes, *sizes: int) -> list[int]:
    """A wrapped command cut into parts of these sizes and the rest; the status words."""
    command = CommandAPDU.decode(raw)
    parts, at = [], 0
    for size in sizes:
        parts.append(command.data[at : at + size])
        at += size
    parts.append(command.data[at:])
    answers = []
    for number, part in enumerate(parts):
        p1 = command.p1 | (0x80 if number < len(parts) - 1 else 0)
        one = CommandAPDU(command.cla, command.ins, p1, command.p2, part, 256 if number == len(parts) - 1 else None)
        answers.append(ResponseAPDU.decode(card.process(one.encode())).sw)
    return answers


LONG = bytes.fromhex("07F0000000010203") + b"\x00\x00"


@pytest.mark.parametrize("level", [0x01, 0x03, 0x11, 0x33])
@pytest.mark.parametrize("sizes", [(10,), (1, 1, 1), (5, 20)])
def test_a_short_command_may_come_in_parts_and_its_mac_covers_a_length_of_one_byte(
    level: int, sizes: tuple[int, ...]
) -> None:
    """11.1.5.1: three length bytes only where one does not do."""
    card = blank()
    host = open_session(card, level)
    raw = host.session.wrap(CommandAPDU(0x80, 0xE6, 0x02, 0x00, LONG + bytes(2), 256))
    assert segments(card, raw, *sizes) == [0x9000] * (len(sizes) + 1)


@pytest.mark.parametrize("level", [0x01, 0x03, 0x11, 0x33])
@pytest.mark.parametrize("size", [240, 247, 248, 255, 256, 300, 800])
def test_a_long_command_comes_in_parts_and_its_mac_covers_three_length_bytes(level: int, size: int) -> None:
    card = blank()
    host = open_session(card, level)
    parameters = b"\xef\x82" + (size - 4).to_bytes(2, "big") + bytes(size - 4)
    count = len(parameters)
    field = b"\x82" + count.to_bytes(2, "big") if count > 255 else bytes([0x81, count])
    data = LONG + field + parameters + b"\x00"
    raw = host.session.wrap(CommandAPDU(0x80, 0xE6, 0x02, 0x00, data, 256, extended=True))
    parts = len(CommandAPDU.decode(raw).data) // 200
    assert segments(card, raw, *[200] * parts) == [0x9000] * (parts + 1)


@pytest.mark.parametrize("level", [0x01, 0x03])
@pytest.mark.parametrize("size", [231, 232, 239, 240, 247, 248, 255, 400])
def test_scp02_parts_with_the_length_of_the_plain_data_in_the_mac(level: int, size: int) -> None:
    """E.4.4: the MAC is made before encryption, so the length in it is that of the plain data."""
    card = des_card()
    session = scp02_session(card, level)
    filler = size - len(LONG) - 3
    head = b"\x81" + bytes([filler]) if filler <= 255 else b"\x82" + filler.to_bytes(2, "big")
    data = LONG + head + bytes(filler) + b"\x00"
    raw = session.wrap(CommandAPDU(0x80, 0xE6, 0x02, 0x00, data, 256, extended=True))
    count = len(CommandAPDU.decode(raw).data) // 200
    assert segments(card, raw, *[200] * count) == [0x9000] * (count + 1)
    again = session.wrap(CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256))
    assert card.process(again)[-2:] == b"\x90\x00"


def test_a_chain_longer_than_the_card_takes() -> None:
    card = blank()
    open_session(card, 0x00)
    answers = [send(card, "80E68200", bytes(255)).sw for _ in range(17)]
    assert answers == [0x9000] * 16 + [0x6A86]
    assert send(card, "80CA9F7F", b"", 256).ok


@pytest.mark.parametrize(
    "header", ["80E60400", "80E40000", "80CA9F7F", "80F28002", "80E28000"], ids=lambda header: header[2:4]
)
def test_another_command_in_a_chain_is_6985_and_ends_it(header: str) -> None:
    card = blank()
    open_session(card, 0x00)
    assert send(card, "80E68200", b"\x07").ok
    assert send(card, header, b"\x4f\x00", 256).sw == 0x6985
    assert send(card, "80E60200", LONG + bytes(2), 256).ok


def test_tries_are_counted_before_the_cryptogram_is_looked_at() -> None:
    from card_io.virtual.faults import CardLost, FaultPlan

    card = blank()
    for left in range(9, 4, -1):
        card.faults = FaultPlan(tear_after=3)
        send(card, "00A40400", ISD, 256)
        send(card, "80500000", HOST_CHALLENGE[:8], 256)
        with pytest.raises(CardLost):
            card.process(bytes.fromhex("8482010010") + bytes(16))
        card.faults = FaultPlan()
        card.power_on()
        assert card.platform.keys.tries_left(0xFF) == left
    open_session(card)
    assert card.platform.keys.tries_left(0xFF) == 10


@pytest.mark.parametrize("size", [16, 24, 32])
@pytest.mark.parametrize("i", [0x00, 0x70, 0x71])
def test_sessions_with_keys_of_every_size(size: int, i: int) -> None:
    keys = tuple(bytes(range(start, start + size)) for start in (1, 2, 3))
    card = blank(i=i, keys=aes_keys(0x30, keys))  # type: ignore[arg-type]
    host = open_session(card, 0x33 if i & 0x40 else 0x03, keys=keys)  # type: ignore[arg-type]
    assert host.send(CPLC, b"", 256).data[3:] == card.platform.cplc


def test_the_answer_to_initialize_update_is_laid_out_as_table_7_2_says() -> None:
    card = blank(i=0x70)
    send(card, "00A40400", ISD, 256)
    answer = send(card, "80500000", HOST_CHALLENGE[:8], 256).data
    assert len(answer) == 32
    assert answer[:10] == card.platform.diversification_data
    assert answer[10:13] == bytes([0xFF, 0x03, 0x70])
    assert answer[29:] == b"\x00\x00\x01"
    static = Secret(KEYS[0])
    assert answer[13:21] == scp03.calculate_card_challenge(static, 1, ISD)


def test_a_data_block_longer_than_its_length_says_is_refused() -> None:
    host = open_session(blank(), 0x01)
    assert host.send("80E60200", bytes.fromhex("07F0000000010203") + b"\x00\x00\x82\x01", 256).sw == 0x6A80
    assert host.send("80E60200", bytes.fromhex("07F0000000010203") + b"\x00\x00\x82", 256).sw == 0x6A80
    assert host.send("80E60200", bytes.fromhex("07F0000000010203") + b"\x00\x00\x81", 256).sw == 0x6A80
