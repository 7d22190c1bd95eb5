"""Personalisation: what each data grouping does, what is refused, and that a block is all or nothing."""

import pytest

from card_io import tlv
from card_io.apdu import ResponseAPDU
from card_io.applets.uec import layout, personalisation
from card_io.applets.uec.layout import Fid, PinFlag, PinRef, Rule
from card_io.secret import Secret
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import CardLost, FaultPlan
from tests.unit.virtual.cards import (
    HostSession,
    begin_personalisation,
    blank,
    install_uec,
    open_session,
    personalise,
    send,
)

CREATE_DG1 = personalisation.create_file(Fid.UEC, 0) + personalisation.create_file(Fid.DG1, 4)


@pytest.fixture
def host() -> HostSession:
    card = blank()
    session = open_session(card)
    install_uec(session)
    assert begin_personalisation(session).ok
    return session


def store(host: HostSession, data: bytes, *, p1: int = 0x08, block: int = 0, le: int | None = None) -> ResponseAPDU:
    return host.send(f"80E2{p1:02X}{block:02X}", data, le)


def read_dg1(card: VirtualCard) -> ResponseAPDU:
    card.reset()
    send(card, "00A4080C", bytes.fromhex("55000101"))
    return send(card, "00B00000", b"", 256)


def test_create_and_write(host: HostSession) -> None:
    assert store(host, CREATE_DG1 + personalisation.write_file(Fid.DG1, b"abcd")[0]).ok
    assert read_dg1(host.card).data == b"abcd"


def test_a_long_file_goes_in_pieces(host: HostSession) -> None:
    content = bytes(range(256)) * 20
    dgis = [personalisation.create_file(Fid.UEC, 0), personalisation.create_file(Fid.DG1, len(content))]
    blocks = personalisation.pack(dgis + personalisation.write_file(Fid.DG1, content))
    assert max(map(len, blocks)) <= personalisation.BLOCK_BYTES
    for number, block in enumerate(blocks):
        assert store(host, block, block=number).ok
    card = host.card
    card.reset()
    send(card, "00A4080C", bytes.fromhex("55000101"))
    read = b"".join(send(card, f"00B0{at:04X}", b"", 256).data for at in range(0, len(content), 256))
    assert read == content


def test_a_file_created_anew_is_empty_again(host: HostSession) -> None:
    store(host, CREATE_DG1 + personalisation.write_file(Fid.DG1, b"abcd")[0])
    assert store(host, personalisation.create_file(Fid.DG1, 4), block=1).ok
    assert read_dg1(host.card).data == bytes(4)


@pytest.mark.parametrize(
    ("data", "sw"),
    [
        (personalisation.create_file(Fid.DG1, 4), 0x6A82),  # its directory is not there
        (CREATE_DG1 + personalisation.write_file(Fid.DG1, b"abcde")[0], 0x6A84),
        (personalisation.write_file(Fid.DG1, b"a")[0], 0x6A82),
        (personalisation.write_file(Fid.MF, b"a")[0], 0x6A82),
        (tlv.encode_dgi(0x0E01, bytes.fromhex("3F00550038000000")), 0x6A80),
        (tlv.encode_dgi(0x0E01, bytes.fromhex("3F00550005000000FF")), 0x6A80),  # record file
        (tlv.encode_dgi(0x0E01, bytes.fromhex("3F00550038001000FF")), 0x6A80),  # a DF with a size
        (tlv.encode_dgi(0x0E01, bytes.fromhex("3F003F0038000000FF")), 0x6A80),
        (tlv.encode_dgi(0x0E01, bytes.fromhex("3F00010101001007FF")), 0x6A80),  # no such rule
        (tlv.encode_dgi(0x0E01, bytes.fromhex("3F00010101800000FF")), 0x6A80),  # beyond READ BINARY
        (tlv.encode_dgi(0x0E01, bytes.fromhex("3F00550038000000FFA0")), 0x6A80),  # name too short
        (tlv.encode_dgi(0x0E01, bytes.fromhex("5500550038000000FF")), 0x6A82),
        (tlv.encode_dgi(0x0E02, b"\x01\x01\x00\x00"), 0x6A80),
        (tlv.encode_dgi(0x0E03, bytes.fromhex("01010001")), 0x6A80),  # key generation without an answer
        (tlv.encode_dgi(0x0E09, b""), 0x6A80),
        (b"\x0e\x01", 0x6A80),
        (b"\x0e\x01\x09\x3f", 0x6A80),
    ],
)
def test_refused_blocks(host: HostSession, data: bytes, sw: int) -> None:
    assert store(host, data).sw == sw


@pytest.mark.parametrize(
    "value",
    ["00010001", "10010001", "01090001", "0101FF01", "01010000", "01010008", "010100", "0101000101", "01030004"],
)
def test_refused_keys(host: HostSession, value: str) -> None:
    answer = store(host, tlv.encode_dgi(0x0E03, bytes.fromhex(value)), p1=0x09, le=256)
    assert answer.sw in {0x6A80, 0x6A81}
    assert not answer.data


def test_a_key_goes_alone_in_its_block(host: HostSession) -> None:
    key = personalisation.generate_key(personalisation.DEFAULT_KEYS[0])
    assert store(host, CREATE_DG1 + key, p1=0x09, le=256).sw == 0x6A80
    assert store(host, key + key, p1=0x09, le=256).sw == 0x6A80


@pytest.mark.parametrize(
    ("spec", "value"),
    [
        (personalisation.PinSpec(PinRef.PIN1, 0, 4, 8, None, PinFlag.NONE), b"1234"),
        (personalisation.PinSpec(PinRef.PIN1, 16, 4, 8, None, PinFlag.NONE), b"1234"),
        (personalisation.PinSpec(PinRef.PIN1, 3, 5, 8, None, PinFlag.NONE), b"1234"),
        (personalisation.PinSpec(PinRef.PIN1, 3, 4, 8, None, PinFlag.NONE), b"12a4"),
        (personalisation.PinSpec(PinRef.PIN1, 3, 8, 4, None, PinFlag.NONE), b"1234"),
        (personalisation.PinSpec(PinRef.PIN1, 3, 4, 17, None, PinFlag.NONE), b"1234"),
        (personalisation.PinSpec(PinRef.PIN1, 3, 4, 8, PinRef.PIN1, PinFlag.NONE), b"1234"),
        (personalisation.PinSpec(PinRef.PIN1, 3, 4, 8, None, PinFlag.BLOCKED), b"1234"),
    ],
)
def test_refused_pins(host: HostSession, spec: personalisation.PinSpec, value: bytes) -> None:
    assert store(host, personalisation.set_pin(spec, Secret(value))).sw == 0x6A80


def test_pins_only_through_an_encrypted_channel() -> None:
    card = blank()
    host = open_session(card, 0x01)
    install_uec(host)
    begin_personalisation(host)
    pin = personalisation.set_pin(personalisation.DEFAULT_PINS[0], Secret(b"1234"))
    assert store(host, pin).sw == 0x6982
    assert store(host, CREATE_DG1).ok


def test_a_block_is_all_or_nothing(host: HostSession) -> None:
    assert store(host, CREATE_DG1 + personalisation.write_file(Fid.DG2, b"x")[0]).sw == 0x6A82
    assert read_dg1(host.card).sw == 0x6986


@pytest.mark.parametrize("p1", [0x00, 0x10, 0x18, 0x28, 0x68])
def test_only_data_groupings_in_clear_structure(host: HostSession, p1: int) -> None:
    assert store(host, CREATE_DG1, p1=p1).sw == 0x6A86


def test_blocks_come_in_order(host: HostSession) -> None:
    assert store(host, CREATE_DG1, block=1).sw == 0x6A86
    assert store(host, CREATE_DG1, block=0).ok
    assert store(host, CREATE_DG1, block=0).sw == 0x6A86
    assert store(host, CREATE_DG1, block=1, p1=0x88).ok
    # After the last block STORE DATA is the domain's own again, which knows no such grouping.
    assert store(host, CREATE_DG1, block=0).sw == 0x6A80


@pytest.mark.parametrize("version", ["0100", "0101", "01", ""])
def test_an_empty_card_cannot_be_finished(host: HostSession, version: str) -> None:
    expected = 0x6985 if version == "0100" else 0x6A80
    assert store(host, tlv.encode_dgi(0x0E05, bytes.fromhex(version))).sw == expected


def test_a_card_is_finished_with_the_pins_that_it_names_and_no_key(host: HostSession) -> None:
    """EF.OD alone will do; a file behind a PIN, and a PIN that another unblocks, want that PIN to be there."""
    files = [
        personalisation.create_file(Fid.CIA, 0),
        personalisation.create_file(Fid.OD, 0),
        personalisation.create_file(Fid.UEC, 0),
        personalisation.create_file(Fid.DG2, 0, read=Rule.PIN1),
    ]
    first, _, krp = personalisation.DEFAULT_PINS
    assert store(host, b"".join(files), block=0).ok
    assert store(host, personalisation.finish(), block=1).sw == 0x6985, "nobody could ever read the file"
    assert store(host, personalisation.set_pin(first, Secret(b"12345678")), block=1).ok
    assert store(host, personalisation.finish(), block=2).sw == 0x6985, "nobody could ever unblock it"
    assert store(host, personalisation.set_pin(krp, Secret(b"12345678")), block=2).ok
    assert store(host, personalisation.finish(), block=3).ok


def test_a_finished_card_is_closed() -> None:
    card = blank()
    personalise(card)
    host = open_session(card)
    assert begin_personalisation(host).sw == 0x6985
    # The session that finished the card cannot add to it either.
    other = blank(b"other")
    personalise(other, finish=False)
    again = open_session(other)
    assert begin_personalisation(again).ok
    assert store(again, personalisation.finish()).ok
    assert store(again, CREATE_DG1, block=1).sw == 0x6985


def test_the_registry_shows_the_state() -> None:
    card = blank()
    personalise(card)
    entry = open_session(card).send("80F24002", b"\x4f\x00", 256).data
    assert tlv.require(entry, 0xE3, 0x4F) == layout.APPLET_AID
    assert tlv.require(entry, 0xE3, 0x9F70) == b"\x0f"


def test_a_card_torn_at_any_write_is_finished_by_starting_over() -> None:
    """Every point at which the memory changes: before it, the card goes on from the state before."""
    torn = 0
    for write in range(1, 60):
        card = blank(b"torn")
        card.faults = FaultPlan(tear_at_write=write)
        try:
            personalise(card)
        except CardLost:
            torn += 1
        else:
            break
        card.power_on()
        card.faults = FaultPlan()
        host = open_session(card)
        if host.send("80F24002", b"\x4f\x00", 256).sw == 0x6A88:
            install_uec(host)
        if begin_personalisation(host).sw == 0x9000:
            finish_over(host)
        card.reset()
        assert send(card, "00CADF20", b"", 256).data == bytes.fromhex("01000F")
        assert send(card, "00200001", b"4321").ok
    assert torn > 10


def finish_over(host: HostSession) -> None:
    """Everything that FINISH asks for, written anew."""
    number = 0
    for spec in personalisation.DEFAULT_KEYS:
        assert store(host, personalisation.generate_key(spec), p1=0x09, block=number, le=256).ok
        number += 1
    dgis = [personalisation.create_file(Fid.CIA, 0), personalisation.create_file(Fid.OD, 4, read=Rule.ALWAYS)]
    values = {PinRef.PIN1: b"4321", PinRef.PIN2: b"654321", PinRef.KRP: b"87654321"}
    for pin in personalisation.DEFAULT_PINS:
        plain = personalisation.PinSpec(pin.ref, pin.tries, pin.least, pin.greatest, pin.unblocked_by, PinFlag.NONE)
        dgis.append(personalisation.set_pin(plain, Secret(values[pin.ref])))
    for block in personalisation.pack([*dgis, personalisation.finish()]):
        assert store(host, block, block=number).ok
        number += 1
