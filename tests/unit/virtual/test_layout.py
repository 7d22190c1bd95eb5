"""The writer's side of the layout: places, data groupings, blocks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import tlv
from card_io.applets.uec import layout, personalisation
from card_io.applets.uec.layout import FILES, PLACES, Fid, KeySlot, PinRef, Rule
from card_io.secret import Secret


def test_every_file_has_one_place_below_a_directory_that_comes_first() -> None:
    seen = {Fid.MF}
    for place in FILES:
        assert place.parent in seen
        assert place.fid not in seen
        seen.add(place.fid)
    assert seen == set(Fid)


def test_paths() -> None:
    assert PLACES[Fid.DIR].path.hex() == "3f002f00"
    assert PLACES[Fid.DG1].path.hex() == "3f0055000101"


def test_person_documents_and_photo_are_protected() -> None:
    protected = {place.fid for place in FILES if place.read is not Rule.ALWAYS}
    assert protected == {Fid.DG2, Fid.DG3, Fid.DG4}


def test_names_are_application_identifiers_and_different() -> None:
    names = [layout.PACKAGE_AID, layout.MODULE_AID, layout.APPLET_AID, layout.ISOAPPLET_AID, layout.CIA_AID]
    assert all(5 <= len(name) <= 16 for name in names)
    assert len(set(names)) == 5


def test_the_default_profile_has_every_key_and_pin() -> None:
    assert {spec.slot for spec in personalisation.DEFAULT_KEYS} == set(KeySlot)
    assert {spec.ref for spec in personalisation.DEFAULT_PINS} == set(PinRef)
    assert set(layout.CERTIFICATE_FILE) == set(KeySlot)


def test_the_bytes_of_each_grouping() -> None:
    assert personalisation.create_file(Fid.DG2, 0x1234).hex() == "0e01095500010201123401ff"
    assert personalisation.create_file(Fid.CIA, 0).hex() == "0e01093f00501538000000ff"
    assert personalisation.create_file(Fid.DG2, 1, read=Rule.ALWAYS)[-2:] == b"\x00\xff"
    assert personalisation.write_file(Fid.DG1, b"ab") == [bytes.fromhex("0e020601010000") + b"ab"]
    assert personalisation.generate_key(personalisation.DEFAULT_KEYS[1]).hex() == "0e030402010201"
    pin = personalisation.set_pin(personalisation.DEFAULT_PINS[0], Secret(b"1234"))
    assert pin.hex() == "0e040a01030408030131323334"
    assert personalisation.finish().hex() == "0e05020100"


@given(content=st.binary(max_size=3000), block=st.one_of(st.integers(20, 255), st.integers(262, 2000)))
def test_pieces_put_together_are_the_file(content: bytes, block: int) -> None:
    pieces = personalisation.write_file(Fid.DG4, content, block_bytes=block)
    written = bytearray(len(content))
    for piece in pieces:
        assert len(piece) <= block
        ((number, value),) = tlv.parse_dgis(piece)
        assert number == personalisation.DGI_WRITE_FILE
        assert value[:2] == b"\x01\x04"
        offset = int.from_bytes(value[2:4], "big")
        written[offset : offset + len(value) - 4] = value[4:]
    assert bytes(written) == content


@given(sizes=st.lists(st.integers(0, 200), max_size=30))
def test_blocks_hold_whole_groupings_in_order(sizes: list[int]) -> None:
    items = [tlv.encode_dgi(0x0E02, bytes([at % 256]) * size) for at, size in enumerate(sizes)]
    blocks = personalisation.pack(items)
    assert b"".join(blocks) == b"".join(items)
    assert all(0 < len(block) <= personalisation.BLOCK_BYTES for block in blocks)
    assert [item for block in blocks for item in tlv.parse_dgis(block)] == [tlv.parse_dgis(item)[0] for item in items]


def test_a_block_is_filled_before_the_next_begins() -> None:
    assert len(personalisation.pack([bytes(100)] * 4, block_bytes=200)) == 2


@pytest.mark.parametrize("mac", [8, 16])
def test_a_full_block_fits_a_short_command_at_every_level(mac: int) -> None:
    padded = (personalisation.BLOCK_BYTES // 16 + 1) * 16
    assert padded + mac <= 255
