"""BER as strangers cut it: every way of writing the same bytes is read alike, and no file makes the reader fall."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from issuance.bureau.ber import CONSTRUCTED_OCTETS, END, NESTING_MAX, SMALL_BYTES, BerReader, opened
from issuance.bureau.errors import BureauFileRefused
from issuance.pki import der

CONTENT_TAG = 0x80
"""[0] IMPLICIT OCTET STRING, as CMS has the content of EnvelopedData."""


def reader(data: bytes) -> BerReader:
    return BerReader(io.BytesIO(data))


def element(tag: int, content: bytes) -> bytes:
    return der.head(tag, len(content)) + content


def content_of(data: bytes, tag: int = der.OCTET_STRING) -> bytes:
    reading = reader(data)
    found = b"".join(reading.octets(tag))
    reading.end()
    return found


PARTS = st.lists(st.binary(max_size=300), max_size=8)


@given(PARTS)
def test_however_a_string_is_cut_its_bytes_are_the_same(parts: list[bytes]) -> None:
    whole = b"".join(parts)
    pieces = b"".join(element(der.OCTET_STRING, part) for part in parts)
    assert content_of(element(der.OCTET_STRING, whole)) == whole
    assert content_of(element(CONSTRUCTED_OCTETS, pieces)) == whole
    assert content_of(opened(CONSTRUCTED_OCTETS) + pieces + END) == whole
    assert content_of(opened(CONTENT_TAG | der.CONSTRUCTED) + pieces + END, CONTENT_TAG) == whole


@given(PARTS, st.integers(1, NESTING_MAX - 2))
def test_parts_within_parts(parts: list[bytes], depth: int) -> None:
    pieces = b"".join(element(der.OCTET_STRING, part) for part in parts)
    nested = opened(CONSTRUCTED_OCTETS) * depth + pieces + END * depth
    assert content_of(nested) == b"".join(parts)


@pytest.mark.parametrize("depth", [NESTING_MAX, 1_000, 100_000])
def test_a_string_of_endless_depth_is_no_file(depth: int) -> None:
    with pytest.raises(BureauFileRefused, match="no CMS file"):
        content_of(opened(CONSTRUCTED_OCTETS) * depth + element(der.OCTET_STRING, b"x") + END * depth)


@given(PARTS, st.data())
def test_a_file_cut_off_anywhere_is_refused(parts: list[bytes], data: st.DataObject) -> None:
    pieces = b"".join(element(der.OCTET_STRING, part) for part in parts)
    whole = opened(CONSTRUCTED_OCTETS) + pieces + END
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(BureauFileRefused) as caught:
        content_of(whole[:cut])
    assert caught.value.finding == "cut-off"


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused_by_name(data: bytes) -> None:
    for tag in (der.OCTET_STRING, CONTENT_TAG):
        try:
            content_of(data, tag)
        except BureauFileRefused as refusal:
            assert refusal.finding in {"cut-off", "not-cms", "trailing-bytes"}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("04810161", "a long form where the short one does"),
        ("0482007f" + "61" * 127, "a leading zero in the length"),
        ("0486000000000001" + "61", "a length of six bytes"),
        ("1f8100", "a tag of several bytes"),
        ("0480610000", "a primitive string without a length"),
        ("24030c0161", "a part that is no octet string"),
        ("2403040261", "a part longer than what it is a part of"),
        ("2480040161", "no end mark"),
        ("3003040161", "another element"),
    ],
    ids=lambda value: value.replace(" ", "-") if " " in value else "",
)
def test_second_spellings_are_refused(data: str, why: str) -> None:
    with pytest.raises(BureauFileRefused):
        content_of(bytes.fromhex(data))


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(BureauFileRefused) as caught:
        content_of(element(der.OCTET_STRING, b"x") + b"\0")
    assert caught.value.finding == "trailing-bytes"


def test_small_parts_are_never_larger_than_what_is_kept_in_memory() -> None:
    assert reader(element(der.SEQUENCE, b"abc")).small(der.SEQUENCE) == element(der.SEQUENCE, b"abc")
    for data, finding in (
        (der.head(der.SEQUENCE, SMALL_BYTES + 1), "too-large"),
        (opened(der.SEQUENCE) + END, "not-cms"),
        (element(der.OCTET_STRING, b""), "not-cms"),
        (element(der.SEQUENCE, b"abc")[:-1], "cut-off"),
    ):
        with pytest.raises(BureauFileRefused) as caught:
            reader(data).small(der.SEQUENCE)
        assert caught.value.finding == finding


def test_elements_are_entered_and_left() -> None:
    for data in (opened(der.SEQUENCE) + element(der.OCTET_STRING, b"x") + END, bytes.fromhex("3003040178")):
        reading = reader(data)
        size = reading.open(der.SEQUENCE)
        assert reading.peek() == reading.peek() == (der.OCTET_STRING, 1)
        assert b"".join(reading.octets(der.OCTET_STRING)) == b"x"
        reading.close(size)
        reading.end()
    with pytest.raises(BureauFileRefused):
        reader(opened(der.SEQUENCE)).open(der.OCTET_STRING)
    reading = reader(opened(der.SEQUENCE) + element(der.OCTET_STRING, b"x"))
    size = reading.open(der.SEQUENCE)
    with pytest.raises(BureauFileRefused):
        reading.close(size)
