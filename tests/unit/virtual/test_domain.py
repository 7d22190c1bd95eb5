"""The issuer security domain: channels at every level, counters of failures, keys put and deleted, data objects."""

import itertools

import pytest

from card_io import globalplatform as gp
from card_io import tlv
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.globalplatform import AesForm, aes_key
from card_io.virtual.card import VirtualCard
from card_io.virtual.chip import cplc_for, diversification_data
from card_io.virtual.faults import CardLost, FaultPlan
from card_io.virtual.keysets import TRIES
from card_io.virtual.primitives import aes_cbc_encrypt, check_value
from tests.unit.virtual.cards import HOST_CHALLENGE, KEYS, HostSession, aes_keys, blank, install_uec, open_session, send

SIZES = (16, 24, 32)
NEW = (bytes(range(0x10, 0x20)), bytes(range(0x20, 0x30)), bytes(range(0x30, 0x40)))


def keys_of(size: int, start: int = 1) -> tuple[bytes, bytes, bytes]:
    first, second, third = (bytes((start + part + at) & 0xFF for at in range(size)) for part in (0, 40, 80))
    return first, second, third


def levels_of(i: int) -> list[int]:
    return [0x00, 0x01, 0x03] + ([0x11, 0x13] if i & 0x20 else []) + ([0x33] if i & 0x40 else [])


OPTIONS = [base | s16 for base in (0x00, 0x10, 0x20, 0x30, 0x60, 0x70) for s16 in (0, 1)]


@pytest.mark.parametrize(("i", "size"), list(itertools.product(OPTIONS, SIZES)))
def test_scp03_in_every_option_key_size_and_level(i: int, size: int) -> None:
    keys = keys_of(size)
    card = blank(i=i, keys=aes_keys(keys=keys))
    for level in levels_of(i):
        host = open_session(card, level, keys=keys)
        assert host.send("80F28002", b"\x4f\x00", 256).ok
        assert host.send("80F24002", b"\x4f\x00", 256).sw == 0x6A88  # an error, never protected
        assert host.send("80CA00E0", b"", 256).ok
        assert host.send("80E60C00", b"\x00", 256).sw == 0x6A80
        assert host.send("80CA9F7F", b"", 256).data[-42:] == card.platform.cplc


@pytest.mark.parametrize(
    ("i", "level"), [(0x00, 0x11), (0x10, 0x33), (0x20, 0x33), (0x70, 0x02), (0x70, 0x31), (0x70, 0xFF)]
)
def test_levels_that_the_option_does_not_know(i: int, level: int) -> None:
    card = blank(i=i)
    send(card, "80500000", HOST_CHALLENGE[:8], 256)
    assert send(card, f"8482{level:02X}00", bytes(16)).sw == 0x6A86


def test_the_challenge_counts_and_never_repeats() -> None:
    card = blank()
    seen = set()
    for number in range(1, 5):
        answer = send(card, "80500000", HOST_CHALLENGE[:8], 256).data
        assert int.from_bytes(answer[-3:], "big") == number
        seen.add(answer[13:21])
    assert len(seen) == 4
    card.reset()
    assert send(card, "80500000", HOST_CHALLENGE[:8], 256).data[-3:] == b"\x00\x00\x05"


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("80500000", HOST_CHALLENGE, 0x6700),
        ("80500000", b"", 0x6700),
        ("80500001", HOST_CHALLENGE[:8], 0x6A86),
        ("80500700", HOST_CHALLENGE[:8], 0x6A88),
        ("00500000", HOST_CHALLENGE[:8], 0x6E00),
        ("84820300", bytes(16), 0x6985),
        ("80F28002", b"\x4f\x00", 0x6982),
        ("84F28002", b"\x4f\x00", 0x6982),
        ("80E60200", b"", 0x6982),
        ("80D80081", b"", 0x6982),
        ("80440000", b"", 0x6D00),
        ("00F28002", b"\x4f\x00", 0x6E00),
        ("A0CA9F7F", b"", 0x6E00),
        ("0CCA9F7F", b"", 0x6E00),
    ],
)
def test_without_a_session(header: str, data: bytes, sw: int) -> None:
    assert send(blank(), header, data, 256).sw == sw


def test_failed_authentications_end_the_key_set() -> None:
    card = blank()
    for _ in range(TRIES):
        assert send(card, "80500000", HOST_CHALLENGE[:8], 256).ok
        assert send(card, "84820300", bytes(16)).sw in {0x6300, 0x6982}
        assert send(card, "84820300", bytes(16)).sw == 0x6985
    assert send(card, "80500000", HOST_CHALLENGE[:8], 256).sw == 0x6983
    card.reset()
    assert send(card, "80500000", HOST_CHALLENGE[:8], 256).sw == 0x6983


def test_a_success_forgives_the_failures() -> None:
    card = blank()
    for _ in range(TRIES - 1):
        send(card, "80500000", HOST_CHALLENGE[:8], 256)
        send(card, "84820300", bytes(16))
    open_session(card)
    assert card.platform.keys.tries_left(0xFF) == TRIES


def test_a_power_cut_gives_no_free_authentication() -> None:
    card = blank()
    send(card, "80500000", HOST_CHALLENGE[:8], 256)
    card.faults = FaultPlan(tear_after=1)
    with pytest.raises(CardLost):
        send(card, "84820300", bytes(16))
    card.power_on()
    assert card.platform.keys.tries_left(0xFF) == TRIES - 1


@pytest.mark.parametrize("spoil", ["replayed", "in clear", "swapped", "cut short"])
def test_a_command_out_of_order_ends_the_session(spoil: str) -> None:
    card = blank()
    host = open_session(card, 0x01)
    first = host.session.wrap(CommandAPDU(0x80, 0xCA, 0x00, 0xE0, le=256))
    second = host.session.wrap(CommandAPDU(0x80, 0xCA, 0x9F, 0x7F, le=256))
    if spoil == "replayed":
        assert card.process(first)[-2:] == b"\x90\x00"
    bad = {"replayed": first, "in clear": bytes.fromhex("80CA00E000"), "swapped": second, "cut short": first[:-2]}[
        spoil
    ]
    assert card.process(bad)[-2:] in {b"\x69\x82", b"\x67\x00"}
    assert card.process(second)[-2:] == b"\x69\x82" or spoil == "cut short"


def test_selecting_anything_ends_the_session() -> None:
    card = blank()
    host = open_session(card, 0x01)
    send(card, "00A40400", bytes.fromhex("A000000151000000"), 256)
    assert host.send("80CA00E0", b"", 256).sw == 0x6982


def put_key(
    host: HostSession, new: tuple[bytes, bytes, bytes], form: AesForm, *, replaced: int = 0, version: int = 0x30
) -> ResponseAPDU:
    fields = []
    for key in new:
        enciphered = aes_cbc_encrypt(KEYS[2], key + bytes(-len(key) % 16))
        fields.append(aes_key(enciphered, len(key), check_value(key, aes=True), form))
    command = gp.put_key(replaced, 1, version, fields)
    return host.send(command.header.hex(), command.data, 256)


@pytest.mark.parametrize(
    ("form", "size"), [(form, size) for form in AesForm for size in SIZES if (form, size) != (AesForm.BARE, 24)]
)
def test_put_key_in_both_forms_changes_the_keys(form: AesForm, size: int) -> None:
    card, new = blank(), keys_of(size)
    answer = put_key(open_session(card), new, form)
    assert answer.data == b"\x30" + b"".join(check_value(key, aes=True) for key in new)
    assert card.platform.keys.versions() == [0x30]  # the maker's set went
    open_session(card, keys=new, kvn=0x30)
    assert send(card, "8050FF00", HOST_CHALLENGE[:8], 256).sw == 0x6A88


def test_bare_aes_192_is_recognised_by_its_check_value() -> None:
    card, new = blank(), keys_of(24)
    fields = b"".join(
        b"\x88\x20" + aes_cbc_encrypt(KEYS[2], key + bytes(8)) + b"\x03" + check_value(key, aes=True) for key in new
    )
    assert open_session(card).send("80D80081", b"\x31" + fields, 256).ok
    open_session(card, keys=new, kvn=0x31)


def test_the_recorded_key_facts() -> None:
    """The value that an independent host puts for key 40..4F under the static DEK 40..4F."""
    forty = bytes(range(0x40, 0x50))
    card = blank(keys=aes_keys(keys=(KEYS[0], KEYS[1], forty)))
    field = b"\x88\x10" + bytes.fromhex("80D2A5B08FA0EE51143B459E638106DF") + b"\x03" + bytes.fromhex("504A77")
    host = open_session(card, keys=(KEYS[0], KEYS[1], forty))
    assert host.send("80D80081", b"\x30" + field * 3, 256).data == b"\x30" + bytes.fromhex("504A77") * 3


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("80D80081", b"", 0x6A80),
        ("80D80081", b"\x00", 0x6A80),
        ("80D80081", b"\x80", 0x6A80),
        ("80D80081", b"\x30", 0x6A80),
        ("80D80081", b"\x30\x88\x10" + bytes(16) + b"\x03\x00\x00\x00", 0x6982),
        ("80D80081", b"\x30\x88\x10" + bytes(10), 0x6A80),
        ("80D80081", b"\x30\x88\x12" + bytes(18) + b"\x00", 0x6A80),
        ("80D80081", b"\x30\x85\x10" + bytes(16) + b"\x00", 0x6A80),
        ("80D80081", b"\x30\x88\x10" + bytes(16) + b"\x00", 0x6A80),  # one key is not a new set
        ("80D80080", b"\x30", 0x6A86),
        ("80D84481", b"\x44" + (b"\x88\x10" + bytes(16) + b"\x00") * 3, 0x6A88),
        ("80D80081", b"\xff" + (b"\x88\x10" + bytes(16) + b"\x00") * 3, 0x6A80),
        ("80D80082", b"\x30" + (b"\x88\x10" + bytes(16) + b"\x00") * 3, 0x6A86),
        ("80D80081", b"\x30" + (b"\x88\x10" + bytes(16) + b"\x00") * 2 + b"\x80\x10" + bytes(16) + b"\x00", 0x6A80),
    ],
)
def test_put_key_refusals_leave_the_keys(header: str, data: bytes, sw: int) -> None:
    card = blank()
    assert open_session(card).send(header, data, 256).sw == sw
    open_session(card)


@pytest.mark.parametrize("level", [0x01, 0x03, 0x33])
def test_extended_commands_and_long_ones_in_segments(level: int) -> None:
    card = blank()
    host = open_session(card, level)
    objects = tlv.encode(0x42, b"i" * 32) * 9
    answer = host.session.unwrap(card.process(host.session.wrap(CommandAPDU(0x80, 0xE2, 0x90, 0x00, objects, 256))))
    assert answer == b"\x90\x00"
    fields = bytes([0, 0, 9]) + bytes(9) + b"\x00\x82\x01\x00" + bytes(0x100) + b"\x00"
    whole = CommandAPDU(0x80, 0xE6, 0x40, 0x00, fields, 256)
    segments = list(gp.segment(host.session.wrap(whole)))
    assert len(segments) > 1
    assert all(card.process(part) == b"\x90\x00" for part in segments[:-1])
    assert host.session.unwrap(card.process(segments[-1])) == b"\x6a\x88"  # heard as a whole: no such instance
    assert host.send("80CA00E0", b"", 256).ok


def test_segments_of_different_commands_are_refused() -> None:
    host = open_session(blank(), 0x00)
    assert host.send("80D88081", b"\x30").ok
    assert host.send("80E40000", bytes.fromhex("D20131"), 256).sw == 0x6985
    assert host.send("80D88081", b"\x30").ok
    assert host.send("80CA00E0", b"", 256).sw == 0x6985  # another command ends what was begun (11.1.5.1)
    assert host.send("80CA00E0", b"", 256).ok
    assert host.send("80D80081", b"\x88\x10", 256).sw == 0x6A80


def test_replacing_one_key_and_adding_a_second_set() -> None:
    card = blank()
    put_key(open_session(card), NEW, AesForm.INNER_LENGTH)
    host = open_session(card, keys=NEW)
    enciphered = aes_cbc_encrypt(NEW[2], KEYS[1])
    one = aes_key(enciphered, 16, check_value(KEYS[1], aes=True), AesForm.INNER_LENGTH)
    assert host.send("80D83002", b"\x30" + one.encode(), 256).ok
    mixed = (NEW[0], KEYS[1], NEW[2])
    host = open_session(card, keys=mixed)
    fields = b"".join(
        aes_key(aes_cbc_encrypt(NEW[2], key), 16, check_value(key, aes=True), AesForm.BARE).encode() for key in KEYS
    )
    assert host.send("80D80081", b"\x31" + fields, 256).ok
    assert card.platform.keys.versions() == [0x30, 0x31]
    assert host.send("80D80081", b"\x31" + fields, 256).sw == 0x6985
    open_session(card, keys=KEYS, kvn=0x31)
    assert open_session(card, keys=mixed, kvn=0x30).send("80E40000", bytes.fromhex("D20131"), 256).ok
    last = open_session(card, keys=mixed)
    assert last.send("80E40000", bytes.fromhex("D20130"), 256).sw == 0x6985
    assert last.send("80E40000", bytes.fromhex("D20177"), 256).sw == 0x6A88
    assert last.send("80E40000", bytes.fromhex("D00101"), 256).sw == 0x6A80


def test_a_torn_put_key_leaves_the_old_keys_or_the_new_ones() -> None:
    outcomes = set()
    for plan in (FaultPlan(tear_before=1), FaultPlan(tear_at_write=1), FaultPlan(tear_after=1)):
        card = blank()
        host = open_session(card)
        card.faults = plan
        with pytest.raises(CardLost):
            put_key(host, NEW, AesForm.INNER_LENGTH)
        card.power_on()
        version = card.platform.keys.versions()
        assert len(version) == 1
        open_session(card, keys=NEW if version == [0x30] else KEYS)
        outcomes.add(version[0])
    assert outcomes == {0x30, 0xFF}


def test_data_objects() -> None:
    card = blank(b"chip")
    cplc = gp.parse_cplc(send(card, "80CA9F7F", b"", 256).data)
    assert cplc.encode()[-42:] == cplc_for(b"chip")
    assert [(key.key_id, key.kvn) for key in gp.parse_key_information(send(card, "80CA00E0", b"", 256).data)] == [
        (1, 0xFF),
        (2, 0xFF),
        (3, 0xFF),
    ]
    assert (3, 0x70) in gp.parse_card_data(send(card, "80CA0066", b"", 256).data).protocols
    assert tlv.require(send(card, "80CA0067", b"", 256).data, 0x67, 0xA0, 0x80) == b"\x03"
    assert tlv.single(send(card, "80CA00CF", b"", 256).data, 0xCF) == diversification_data(cplc_for(b"chip"))
    assert tlv.single(send(card, "80CA00C1", b"", 256).data, 0xC1) == bytes(3)
    assert send(card, "80CA2F00", b"\x5c\x00", 256).data == b""
    resources = tlv.single(send(card, "80CAFF21", b"", 256).data, 0xFF21)
    assert tlv.require(resources, 0x81) == b"\x00\x00"
    assert int.from_bytes(tlv.require(resources, 0x82), "big") > 100_000
    assert send(card, "80CA0042", b"", 256).sw == 0x6A88
    assert send(card, "00CA9F7F", b"", 256).ok
    assert send(card, "80CB3FFF", b"", 256).sw == 0x6A81


@pytest.mark.parametrize(("p1", "data"), [("90", "42054946494E31450343494E"), ("88", "00700C42054946494E31450343494E")])
def test_issuer_and_card_number_are_stored(p1: str, data: str) -> None:
    card = blank()
    assert open_session(card).send(f"80E2{p1}00", bytes.fromhex(data)).ok
    card.reset()
    assert tlv.single(send(card, "80CA0042", b"", 256).data, 0x42) == b"IFIN1"
    assert tlv.single(send(card, "80CA0045", b"", 256).data, 0x45) == b"CIN"


@pytest.mark.parametrize(
    ("header", "data", "sw"),
    [
        ("80E29000", "9F7F0101", 0x6A80),
        ("80E29000", "4200", 0x6A80),
        ("80E29000", "42", 0x6A80),
        ("80E29800", "420101", 0x6A86),
        ("80E2D000", "420101", 0x6A86),
        ("80E29001", "420101", 0x6A86),
        ("80E28800", "00420A01", 0x6A80),
    ],
)
def test_store_data_refusals(header: str, data: str, sw: int) -> None:
    assert open_session(blank()).send(header, bytes.fromhex(data)).sw == sw


def test_two_chips_have_different_numbers_and_one_seed_the_same() -> None:
    one, two, again = (VirtualCard.blank(seed, initial_keys=aes_keys()) for seed in (b"1", b"2", b"1"))
    assert one.platform.cplc != two.platform.cplc
    assert one.platform.cplc == again.platform.cplc
    assert len(one.platform.diversification_data) == 10


def test_secured_cards_want_a_mac() -> None:
    card = blank()
    host = open_session(card, 0x00)
    assert host.send("80F08007", b"").ok
    assert host.send("80F0800F", b"").ok
    assert host.send("80F28002", b"\x4f\x00", 256).sw == 0x6982
    assert open_session(card, 0x01).send("80F28002", b"\x4f\x00", 256).ok


def test_personalisation_of_someone_elses_applet_is_refused() -> None:
    card = blank()
    host = open_session(card)
    install_uec(host)
    assert host.send("80E62000", bytes.fromhex("000005A000000099000000"), 256).sw == 0x6A88
