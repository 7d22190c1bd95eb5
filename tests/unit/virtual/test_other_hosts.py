"""What other GlobalPlatform hosts send, fact by fact: forms that this project's host does not use and a card must take.

Facts from GlobalPlatformPro and pySim as they stand on the wire; no code of theirs.
"""

import pytest

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.virtual.primitives import aes_cbc_encrypt, check_value
from tests.support.caps import APPLET, PACKAGE, components
from tests.unit.virtual.cards import KEYS, HostSession, blank, install_uec, open_session, send

ISD = bytes.fromhex("A000000151000000")
ORDER = ("Header", "Directory", "Import", "Applet", "Class", "Method", "StaticField", "ConstantPool", "RefLocation")


@pytest.fixture
def host() -> HostSession:
    return open_session(blank(), 0x01)


def lv(*fields: bytes) -> bytes:
    return b"".join(bytes([len(field)]) + field for field in fields)


def load(host: HostSession, *, token: bytes = b"", block: int = 200) -> None:
    parts = components()
    image = tlv.encode(0xC4, b"".join(parts[name] for name in ORDER))
    assert host.send("80E60200", lv(PACKAGE, ISD, b"", b"") + token, 256).ok
    for number, at in enumerate(range(0, len(image), block)):
        last = 0x80 if at + block >= len(image) else 0x00
        assert host.send(f"80E8{last:02X}{number:02X}", image[at : at + block], 256).ok


def test_selecting_without_a_name_finds_the_domain_and_its_block_size() -> None:
    answer = send(blank(), "00A40400", b"", 256)
    control = tlv.parse(tlv.single(answer.data, 0x6F))
    assert [item.tag for item in control] == [0x84, 0xA5]
    assert control[0].value == ISD
    assert tlv.require(control[1].value, 0x9F65) == b"\xff"


@pytest.mark.parametrize("name", [ISD, ISD[:7], ISD[:5]], ids=bytes.hex)
def test_a_part_of_the_domains_name_selects_it(name: bytes) -> None:
    assert tlv.require(send(blank(), "00A40400", name, 256).data, 0x6F, 0x84) == ISD


@pytest.mark.parametrize("le", [None, 256])
def test_every_command_may_ask_for_an_answer(le: int | None) -> None:
    """GlobalPlatformPro sends Le with all it sends, EXTERNAL AUTHENTICATE too."""
    card = blank()
    send(card, "00A40400", ISD, 256)
    host = open_session(card, 0x01)
    install_uec(host)
    assert host.send("80F04080", layout.APPLET_AID, le).ok
    assert host.send("80F04000", layout.APPLET_AID, le).ok


@pytest.mark.parametrize("token", [b"", b"\x00"], ids=["left out", "empty"])
def test_a_token_may_be_left_out_or_empty(host: HostSession, token: bytes) -> None:
    load(host, token=token)
    fields = lv(PACKAGE, APPLET, APPLET, bytes(3), b"\xc9\x00")
    assert host.send("80E60C00", fields + token, 256).ok


@pytest.mark.parametrize("block", [1, 16, 111, 247])
def test_code_in_blocks_of_any_size(host: HostSession, block: int) -> None:
    load(host, block=block)
    assert host.send("80E40080", lv(b"")[:0] + tlv.encode(0x4F, PACKAGE), 256).ok


def test_make_selectable_gives_the_default_selection_to_what_is_selectable_already(host: HostSession) -> None:
    load(host)
    assert host.send("80E60C00", lv(PACKAGE, APPLET, APPLET, bytes(3), b"\xc9\x00", b""), 256).ok
    assert host.send("80E60800", lv(b"", b"", APPLET, b"\x04\x00\x00", b""), 256).ok
    entry = host.send("80F24002", tlv.encode(0x4F, APPLET), 256).data
    assert tlv.require(entry, 0xE3, 0xC5) == b"\x04\x00\x00"
    assert host.send("80E60800", lv(b"", b"", APPLET, b"\x00", b""), 256).sw == 0x6985


def test_only_card_reset_is_taken_from_make_selectable(host: HostSession) -> None:
    load(host)
    assert host.send("80E60400", lv(PACKAGE, APPLET, APPLET, b"\x00", b"\xc9\x00", b""), 256).ok
    assert host.send("80E60800", lv(b"", b"", APPLET, b"\x9e\xfe\x80", b"", b""), 256).ok
    entry = host.send("80F24002", tlv.encode(0x4F, APPLET), 256).data
    assert tlv.require(entry, 0xE3, 0xC5) == b"\x04\x00\x00"


@pytest.mark.parametrize("data", [b"", ISD], ids=["no name", "name"])
def test_the_card_is_moved_with_or_without_its_name(host: HostSession, data: bytes) -> None:
    assert host.send("80F08007", data).ok
    assert host.send("80F0800F", data).ok
    assert host.card.platform.life_cycle == 0x0F


@pytest.mark.parametrize("p2", [0x00, 0x02])
def test_the_registry_in_the_old_and_the_new_form(host: HostSession, p2: int) -> None:
    load(host)
    answer = host.send(f"80F210{p2:02X}", tlv.encode(0x4F, PACKAGE), 256)
    assert answer.ok
    if p2:
        assert tlv.require(answer.data, 0xE3, 0x84) == APPLET
    else:
        assert answer.data == lv(PACKAGE) + b"\x01\x00\x01" + lv(APPLET)


@pytest.mark.parametrize("padding", [b"", bytes(16)], ids=["one block", "padded to two"])
def test_aes_keys_with_their_length_and_random_padding(padding: bytes) -> None:
    card = blank()
    host = open_session(card, 0x33)
    field = b""
    for key in KEYS:
        enciphered = aes_cbc_encrypt(KEYS[2], key + padding)
        field += bytes([0x88, 1 + len(enciphered), 16]) + enciphered + b"\x03" + check_value(key, aes=True)
    answer = host.send("80D80081", b"\x31" + field, 256)
    assert answer.ok
    assert answer.data == b"\x31" + b"".join(check_value(key, aes=True) for key in KEYS)
    open_session(card, 0x33, kvn=0x31)


def test_s16_is_found_by_trial() -> None:
    """A host that does not know tries eight bytes, is told 6700, and tries sixteen."""
    card = blank(i=0x71)
    send(card, "00A40400", ISD, 256)
    assert send(card, "80500000", bytes(8), 256).sw == 0x6700
    assert len(send(card, "80500000", bytes(16), 256).data) == 48


def test_data_of_the_domain_before_any_session() -> None:
    """What such hosts read first, in clear."""
    card = blank()
    send(card, "00A40400", ISD, 256)
    for tag in ("9F7F", "0066", "0067", "00E0", "00C1", "00CF"):
        assert card.process(CommandAPDU(0x80, 0xCA, *bytes.fromhex(tag), le=256).encode())[-2:] == b"\x90\x00"
    for tag in ("0042", "0045", "00C2", "5F50"):
        assert card.process(CommandAPDU(0x80, 0xCA, *bytes.fromhex(tag), le=256).encode()) == b"\x6a\x88"
