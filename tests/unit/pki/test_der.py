"""DER against the library's encodings, and strictness against noise."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from issuance.pki import der

ARCS = st.integers(0, 2**32 - 1)
OIDS = st.builds(
    lambda first, second, rest: ".".join(map(str, (first, second % 40 if first < 2 else second, *rest))),
    st.integers(0, 2),
    st.integers(0, 900),
    st.lists(ARCS, max_size=5),
)


@given(dotted=OIDS)
def test_object_identifiers_are_the_librarys(dotted: str) -> None:
    usage = x509.ExtendedKeyUsage([x509.ObjectIdentifier(dotted)])
    assert der.sequence(der.oid(dotted)) == usage.public_bytes()


@pytest.mark.parametrize("dotted", ["1", "3.1", "1.40", "1.-1", "", "a.b", "1..2"])
def test_no_object_identifier_is_refused(dotted: str) -> None:
    with pytest.raises(ValueError):
        der.oid(dotted)


@given(value=st.integers(0, 1 << 200))
def test_integers_read_back_and_are_shortest(value: int) -> None:
    encoded = der.integer(value)
    assert der.read(encoded, der.INTEGER).integer() == value
    assert encoded == x509.CRLNumber(value).public_bytes()


def test_negative_integers_are_neither_written_nor_read() -> None:
    with pytest.raises(ValueError):
        der.integer(-1)
    with pytest.raises(der.BadDer):
        der.read(b"\x02\x01\x80", der.INTEGER).integer()
    with pytest.raises(der.BadDer):
        der.read(b"\x02\x02\x00\x01", der.INTEGER).integer()


@given(value=st.binary(max_size=70_000), tag=st.sampled_from([der.OCTET_STRING, der.SEQUENCE, 0xA0]))
def test_elements_read_back(value: bytes, tag: int) -> None:
    encoded = der.tlv(tag, value)
    element = der.read(encoded, tag)
    assert (element.tag, element.value, element.raw) == (tag, value, encoded)


@given(parts=st.lists(st.binary(max_size=300), max_size=6))
def test_children_come_in_order(parts: list[bytes]) -> None:
    encoded = der.sequence(*(der.octets(part) for part in parts))
    assert [child.value for child in der.read(encoded).children()] == parts


@given(parts=st.lists(st.binary(max_size=9), max_size=6))
def test_a_set_is_in_order_of_its_bytes(parts: list[bytes]) -> None:
    encoded = [der.octets(part) for part in parts]
    assert [child.raw for child in der.read(der.set_of(encoded), der.SET).children()] == sorted(encoded)


@given(noise=st.binary(max_size=40))
def test_noise_is_read_strictly_or_refused(noise: bytes) -> None:
    try:
        found = list(der.elements(noise))
    except der.BadDer:
        return
    assert b"".join(element.raw for element in found) == noise
    assert all(der.tlv(element.tag, element.value) == element.raw for element in found)


@pytest.mark.parametrize(
    "data",
    ["", "30", "3080", "308100", "30817f", "30820080" + "00" * 128, "3085000000000100", "1f0100", "3003020101ff"],
)
def test_long_unfinished_and_trailing_forms_are_refused(data: str) -> None:
    with pytest.raises(der.BadDer):
        der.read(bytes.fromhex(data))


def test_another_tag_is_refused() -> None:
    with pytest.raises(der.BadDer):
        der.read(der.octets(b"x"), der.SEQUENCE)


@given(st.datetimes(datetime(1950, 1, 1), datetime(2120, 1, 1)))
def test_times_read_back_to_the_second(moment: datetime) -> None:
    aware = moment.replace(tzinfo=UTC, microsecond=0)
    encoded = der.time(aware)
    assert encoded[0] == (der.UTC_TIME if aware.year < 2050 else der.GENERALIZED_TIME)
    assert der.parse_time(der.read(encoded, encoded[0])) == aware


def test_times_are_written_in_utc() -> None:
    moment = datetime(2026, 1, 1, 3, 0, tzinfo=timezone(timedelta(hours=5)))
    assert der.time(moment) == der.tlv(der.UTC_TIME, b"251231220000Z")


@pytest.mark.parametrize("text", [b"2512312200Z", b"251231220000", b"251331220000Z", b"\xff" * 13, b""])
def test_malformed_times_are_refused(text: bytes) -> None:
    with pytest.raises(der.BadDer):
        der.parse_time(der.Element(der.UTC_TIME, text, b""))
