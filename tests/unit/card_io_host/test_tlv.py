"""BER-TLV and data groupings: what is written is read back, and what cannot be is refused with a reason."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import tlv
from card_io.errors import InvalidTlv

primitive_tags = st.one_of(
    st.integers(0, 0xFF).filter(lambda tag: tag & 0x1F != 0x1F and not tag & 0x20),
    st.builds(
        lambda lead, low: (lead | 0x1F) << 8 | low, st.sampled_from([0x00, 0x40, 0x80, 0xC0]), st.integers(31, 127)
    ),
    st.builds(
        lambda lead, mid, low: (lead | 0x1F) << 16 | mid << 8 | low,
        st.sampled_from([0x00, 0x40, 0x80, 0xC0]),
        st.integers(0x81, 0xFF),
        st.integers(0, 127),
    ),
)
constructed_tags = primitive_tags.map(
    lambda tag: tag | 0x20 << (8 * ((tag.bit_length() + 7) // 8 - 1)) if tag else 0x20
)
values = st.binary(max_size=400)
items = st.builds(tlv.Tlv, primitive_tags, values)


@given(st.lists(items, max_size=8))
def test_objects_are_read_back(objects: list[tlv.Tlv]) -> None:
    assert tlv.parse(tlv.concatenate(objects)) == objects


@given(constructed_tags, st.lists(items, max_size=5))
def test_constructed_objects_give_their_children_back(tag: int, objects: list[tlv.Tlv]) -> None:
    outer = tlv.Tlv(tag, tlv.concatenate(objects))
    assert outer.constructed
    assert tlv.parse(outer.encode()) == [outer]
    assert outer.children() == objects


@given(items, st.data())
def test_a_cut_object_is_refused(item: tlv.Tlv, data: st.DataObject) -> None:
    raw = item.encode()
    cut = data.draw(st.integers(1, len(raw) - 1))
    with pytest.raises(InvalidTlv):
        tlv.parse(raw[:cut])


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_and_nothing_else(data: bytes) -> None:
    try:
        objects = tlv.parse(data)
    except InvalidTlv as error:
        assert error.reason
        assert 0 <= error.offset <= len(data)
        return
    # What was read is the same object again, though its lengths may get shorter.
    assert tlv.parse(tlv.concatenate(objects)) == objects


@pytest.mark.parametrize(
    ("size", "field"),
    [(0, "00"), (127, "7f"), (128, "8180"), (255, "81ff"), (256, "820100"), (65535, "82ffff"), (65536, "83010000")],
)
def test_lengths_are_written_as_short_as_they_can_be(size: int, field: str) -> None:
    assert tlv.length_bytes(size).hex() == field


def test_lengths_longer_than_needed_are_read() -> None:
    assert tlv.parse(bytes.fromhex("5A8103AABBCC")) == [tlv.Tlv(0x5A, b"\xaa\xbb\xcc")]
    assert tlv.parse(bytes.fromhex("5A8400000001AA")) == [tlv.Tlv(0x5A, b"\xaa")]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("6F80840000", "indefinite"),
        ("5A850000000001AA", "more than four"),
        ("5AFFAA", "more than four"),
        ("5A", "where a length"),
        ("5A82 01", "inside a length"),
        ("5A02AA", "promises 2 bytes and 1"),
        ("1F", "inside a tag"),
        ("1F80 01 00", "zero group"),
        ("1F1E00", "short tag number"),
        ("1F8181810100", "longer than four"),
    ],
)
def test_what_cannot_be_is_refused_with_its_reason(raw: str, reason: str) -> None:
    with pytest.raises(InvalidTlv, match=reason):
        tlv.parse(bytes.fromhex(raw))


@pytest.mark.parametrize("tag", [-1, 0x1F, 0x9F, 0x5F1E, 0x5A5A, 0x1F8081, 0x5FFFFFFF01])
def test_tags_that_do_not_exist_are_not_written(tag: int) -> None:
    with pytest.raises(InvalidTlv):
        tlv.encode(tag, b"")


def test_objects_are_found_by_their_path() -> None:
    fci = bytes.fromhex("6F108408A000000151000000A5049F6501FF")
    assert tlv.find(fci, 0x6F, 0x84) == bytes.fromhex("A000000151000000")
    assert tlv.find(fci, 0x6F, 0xA5, 0x9F65) == b"\xff"
    assert tlv.find(fci, 0x6F, 0x73) is None
    assert tlv.require(fci, 0x6F, 0xA5, 0x9F65) == b"\xff"
    with pytest.raises(InvalidTlv, match="6F/73"):
        tlv.require(fci, 0x6F, 0x73)


def test_a_single_object_must_stand_alone() -> None:
    assert tlv.single(bytes.fromhex("5A01AA"), 0x5A) == b"\xaa"
    with pytest.raises(InvalidTlv, match="stands where"):
        tlv.single(bytes.fromhex("5A01AA"), 0x5B)
    with pytest.raises(InvalidTlv, match="1 bytes follow"):
        tlv.single(bytes.fromhex("5A01AA00"), 0x5A)


def test_padding_between_objects_is_skipped_only_where_asked() -> None:
    padded = bytes.fromhex("00005A01AA00005B0000")
    assert tlv.parse_padded(padded) == [tlv.Tlv(0x5A, b"\xaa"), tlv.Tlv(0x5B, b"")]
    with pytest.raises(InvalidTlv):
        tlv.parse(padded)


def test_a_primitive_object_has_no_children() -> None:
    with pytest.raises(InvalidTlv, match="primitive"):
        tlv.Tlv(0x5A, b"").children()


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=600)), max_size=6))
def test_data_groupings_are_read_back(groupings: list[tuple[int, bytes]]) -> None:
    raw = b"".join(tlv.encode_dgi(dgi, value) for dgi, value in groupings)
    assert tlv.parse_dgis(raw) == groupings


def test_data_groupings_switch_to_three_length_bytes_at_255() -> None:
    assert tlv.encode_dgi(0x0101, bytes(254))[:3].hex() == "0101fe"
    assert tlv.encode_dgi(0x0101, bytes(255))[:5].hex() == "0101ff00ff"


@pytest.mark.parametrize("raw", ["01", "0101", "010102AA", "0101FF", "0101FF01", "0101FF0002AA"])
def test_cut_data_groupings_are_refused(raw: str) -> None:
    with pytest.raises(InvalidTlv):
        tlv.parse_dgis(bytes.fromhex(raw))


def test_data_groupings_that_cannot_be_are_not_written() -> None:
    with pytest.raises(InvalidTlv):
        tlv.encode_dgi(0x10000, b"")
    with pytest.raises(InvalidTlv):
        tlv.encode_dgi(0x0101, bytes(65536))
