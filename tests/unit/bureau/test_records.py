"""The files between office and bureau: every order survives a round trip, and anything altered is refused by name."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import tlv
from issuance.bureau.answer import Closing
from issuance.bureau.errors import BureauFileRefused
from issuance.bureau.order import CardOrder, ChipKeys, pin_digits
from issuance.bureau.records import ALLOWED, Fields, FileKind, Header, RecordReader, RecordWriter, Tag, checked
from issuance.bureau.reply import Finished, Made, MadeKey, NotMade, Shipped, Spoiled, Word, proof_challenge
from issuance.keys.port import BureauKeys
from issuance.production.groups_writer import groupings
from tests.support.bureau import header

NUMBERS = st.text("0123456789", min_size=16, max_size=19)
WORDS = st.text(max_size=40).filter(lambda text: "\x00" not in text and text.isprintable())
CHIP, KCV = st.binary(min_size=10, max_size=10), st.tuples(*[st.binary(min_size=3, max_size=3)] * 3)
GROUPS = st.dictionaries(st.integers(1, 15), st.binary(min_size=1, max_size=600), min_size=1)
KEYS = st.builds(BureauKeys, st.binary(min_size=56, max_size=104), KCV, st.binary(min_size=56, max_size=104), KCV)
SLOTS = st.text("abcdefghijklmnop-", min_size=1, max_size=12)

CARDS = st.builds(
    CardOrder, NUMBERS, GROUPS.map(groupings), st.binary(max_size=900), st.binary(max_size=80), WORDS, WORDS
)
CHIPS = st.builds(ChipKeys, CHIP, CHIP, KEYS)
MADE_KEYS = st.builds(MadeKey, st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=80))
MADE = st.builds(
    Made,
    NUMBERS,
    CHIP,
    st.binary(min_size=42, max_size=42),
    st.integers(0, 255),
    KCV,
    st.dictionaries(SLOTS, MADE_KEYS, max_size=5),
)
SPOILED = st.builds(Spoiled, CHIP, WORDS, WORDS, NUMBERS)
NOT_MADE = st.builds(NotMade, NUMBERS, WORDS, WORDS)
FINISHED = st.builds(Finished, NUMBERS, CHIP)
SHIPPED = st.builds(Shipped, WORDS.filter(bool), WORDS.filter(bool), st.lists(NUMBERS, max_size=5).map(tuple))
CLOSING = st.builds(
    Closing, NUMBERS, CHIP, st.dictionaries(SLOTS, st.binary(min_size=1, max_size=900), max_size=5), st.binary()
)
COUNT = st.integers(0, 2**32 - 1)
CONTROLS = st.characters(categories=["Cc"])
WORD = st.builds(Word, st.booleans(), WORDS, COUNT, COUNT)


def written(head: Header, records: list[tuple[Tag, bytes]]) -> tuple[bytes, bytes]:
    out = BytesIO()
    writer = RecordWriter(out.write, head)
    for tag, body in records:
        writer.add(tag, body)
    return writer.close(), out.getvalue()


def reading(content: bytes) -> list[tuple[Tag, bytes]]:
    return list(RecordReader(BytesIO(content)).records())


@given(st.lists(CARDS, max_size=4), st.lists(CHIPS, max_size=4))
def test_any_order_survives_a_round_trip(cards: list[CardOrder], chips: list[ChipKeys]) -> None:
    records = [(Tag.CHIP, chip.encode()) for chip in chips] + [(Tag.CARD, card.encode()) for card in cards]
    digest, content = written(header(), records)
    reader = checked(BytesIO(content))
    assert (reader.header, reader.digest) == (header(), digest)
    assert (reader.counts[Tag.CARD], reader.counts[Tag.CHIP]) == (len(cards), len(chips))
    found = reading(content)
    assert [ChipKeys.decode(body) for tag, body in found if tag is Tag.CHIP] == chips
    assert [CardOrder.decode(body) for tag, body in found if tag is Tag.CARD] == cards


@given(st.one_of(CARDS, CHIPS, MADE, SPOILED, NOT_MADE, FINISHED, SHIPPED, CLOSING, WORD))
def test_every_record_survives_a_round_trip(
    record: CardOrder | ChipKeys | Made | Spoiled | NotMade | Finished | Shipped | Closing | Word,
) -> None:
    assert type(record).decode(record.encode()) == record


@given(st.tuples(WORDS, CONTROLS, WORDS).map("".join))
def test_no_text_holds_a_control_character(text: str) -> None:
    """It would break a line of a log, or be refused by a database."""
    for record in (NotMade("1" * 16, "lost", text), Spoiled(bytes(10), text, "bad"), Shipped(f"C{text}", "S", ())):
        with pytest.raises(BureauFileRefused, match="control character"):
            type(record).decode(record.encode())


@given(GROUPS)
def test_the_data_groups_of_an_order_are_the_cards(groups: dict[int, bytes]) -> None:
    card = CardOrder("1" * 16, groupings(groups), b"", b"", "IVANOV", "2031-03-01")
    assert CardOrder.decode(card.encode()).data_groups == groups


@given(st.data())
def test_any_flipped_byte_of_the_records_is_refused(data: st.DataObject) -> None:
    records = [(Tag.CARD, data.draw(CARDS).encode()), (Tag.CHIP, data.draw(CHIPS).encode())]
    _, content = written(header(), records)
    place, flip = data.draw(st.integers(0, len(content) - 1)), data.draw(st.integers(1, 255))
    damaged = bytearray(content)
    damaged[place] ^= flip
    with pytest.raises(BureauFileRefused):
        checked(BytesIO(bytes(damaged)))


@given(st.data())
def test_a_file_cut_off_anywhere_is_refused(data: st.DataObject) -> None:
    _, content = written(header(FileKind.RESULTS), [(Tag.MADE, data.draw(MADE).encode())])
    with pytest.raises(BureauFileRefused) as caught:
        checked(BytesIO(content[: data.draw(st.integers(0, len(content) - 1))]))
    assert caught.value.finding == "cut-off"


@given(st.binary(max_size=300))
def test_no_other_bytes_are_taken_or_crash(content: bytes) -> None:
    with pytest.raises(BureauFileRefused):
        checked(BytesIO(content))


def promise_one_more(content: bytes) -> bytes:
    promised, record = bytes([Tag.MADE, 0, 0, 0, 1]), bytes([Tag.MADE, 0, 0, 0, 2])
    assert promised in content
    return content.replace(promised, record)


def other_digest(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1])


MADE_ONE = Made("1" * 16, bytes(10), bytes(42), 0x30, (b"abc", b"def", b"ghi"), {"card": MadeKey(b"k", b"p")})


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (promise_one_more, "wrong-count"),
        (other_digest, "wrong-digest"),
        (lambda content: content + b"\x00", "trailing-bytes"),
        (lambda content: content.replace(b"UEC-BUREAU-1", b"UEC-BUREAU-2"), "other-version"),
        (lambda content: content.replace(b"results", b"resulta"), "malformed"),
        (lambda content: b"\xe4" + content[1:], "malformed"),
        (lambda content: b"\xe3" + content[1:], "malformed"),
        (lambda content: b"\xee" + content[1:], "malformed"),
        (lambda content: b"\xe0\x83\xff\xff\xff" + content[2:], "too-large"),
        (lambda content: b"\xe0\x81\x05" + content[2:], "malformed"),
        (lambda _content: b"", "cut-off"),
    ],
)
def test_what_is_wrong_has_a_name(change: Callable[[bytes], bytes], finding: str) -> None:
    _, content = written(header(FileKind.RESULTS, answers=bytes(32)), [(Tag.MADE, MADE_ONE.encode())])
    with pytest.raises(BureauFileRefused) as caught:
        checked(BytesIO(change(content)))
    assert caught.value.finding == finding


@pytest.mark.parametrize("kind", FileKind)
def test_a_record_belongs_into_its_own_kind_of_file(kind: FileKind) -> None:
    for tag in set(Tag) - {Tag.HEADER, Tag.TRAILER}:
        if tag in ALLOWED[kind]:
            assert reading(written(header(kind), [(tag, b"\x80\x00")])[1]) == [(tag, b"\x80\x00")]
            continue
        with pytest.raises(ValueError, match="does not belong"):
            written(header(kind), [(tag, b"")])


def test_a_record_of_another_kind_of_file_is_refused() -> None:
    _, content = written(header(FileKind.RESULTS), [(Tag.MADE, MADE_ONE.encode())])
    with pytest.raises(BureauFileRefused, match="does not belong"):
        checked(BytesIO(swap_kind(content)))


def swap_kind(content: bytes) -> bytes:
    head = tlv.encode(Tag.HEADER, header(FileKind.RESULTS).encode())
    return tlv.encode(Tag.HEADER, header(FileKind.ANSWER).encode()) + content[len(head) :]


@pytest.mark.parametrize(
    "change",
    [{"answers": bytes(32)}, {"sequence": 65535}, {"terms": {}}, {"made_at": datetime(2040, 1, 1, tzinfo=UTC)}],
)
def test_headers_come_back(change: dict[str, object]) -> None:
    head = header(**change)
    assert Header.decode(head.encode()) == head


def test_fields_are_counted_and_sized() -> None:
    fields = Fields(bytes.fromhex("8001008001018201ff"))
    assert fields.values(0x80) == [b"\x00", b"\x01"]
    for read in (lambda: fields.value(0x80), lambda: fields.value(0x81), lambda: fields.sized(0x82, 2)):
        with pytest.raises(BureauFileRefused):
            read()
    with pytest.raises(BureauFileRefused, match="UTF-8"):
        fields.text(0x82)
    assert fields.value(0x85, b"none") == b"none"


def test_a_proof_is_bound_to_order_card_and_slot() -> None:
    base = (bytes(32), "1" * 16, "card")
    others = [(b"\x01" * 32, "1" * 16, "card"), (bytes(32), "2" * 16, "card"), (bytes(32), "1" * 16, "signature")]
    assert len({proof_challenge(*one) for one in (base, *others)}) == 4
    assert len(proof_challenge(*base)) == 32


def test_pins_of_an_order() -> None:
    assert pin_digits({"pins": "pin1:8,krp:6"}) == {"pin1": 8, "krp": 6}
    assert pin_digits({}) == pin_digits({"pins": ""}) == {}
    with pytest.raises(BureauFileRefused):
        pin_digits({"pins": "pin1:many"})


def test_a_card_whose_record_was_altered_is_refused_by_its_own_digest() -> None:
    body = CardOrder("1" * 16, groupings({1: b"facts"}), b"", b"", "A", "2031-01-01").encode()
    altered = body.replace(b"facts", b"lies.")
    assert hashlib.sha256(body).digest() != hashlib.sha256(altered).digest()
    with pytest.raises(BureauFileRefused) as caught:
        CardOrder.decode(altered)
    assert caught.value.finding == "wrong-digest"
