"""What readers are asked and answered, as far as no reader is needed: PIN pads, return codes, names, differences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import pinpad
from card_io.apdu import CommandAPDU
from card_io.errors import CardError
from card_io.monitor import Happening, ReaderEvent, differences
from card_io.pcsc import NoReader, SlotState, find_reader
from card_io.pinpad import PinFormat, modify_structure, parse_features, verify_structure
from card_io.reader_errors import (
    CardMute,
    CardRemoved,
    CardReset,
    NoCard,
    PinEntryEnded,
    ReaderBusy,
    ReaderError,
    ReaderUnplugged,
    ServiceNotRunning,
    reader_error,
)

VERIFY = CommandAPDU(0x00, 0x20, 0x00, 0x81)
CHANGE = CommandAPDU(0x00, 0x24, 0x00, 0x81)


def test_pin_verify_is_laid_out_as_part_10_says() -> None:
    structure = verify_structure(VERIFY, PinFormat(4, 8))
    assert structure.hex(" ") == (
        "1e 1e 82 08 00 08 04 02 01 19 04 00 00 00 00 0d 00 00 00 00 20 00 81 08 ff ff ff ff ff ff ff ff"
    )
    assert len(structure) == 19 + 13


def test_pin_modify_is_laid_out_as_part_10_says() -> None:
    structure = modify_structure(CHANGE, PinFormat(6, 8, timeout_s=60, language="en"))
    assert structure.hex(" ") == (
        "3c 3c 82 08 00 00 08 08 06 03 02 03 09 04 00 01 02 00 00 00 15 00 00 00 "
        "00 24 00 81 10 ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff"
    )
    assert len(structure) == 24 + 21


def test_features_are_read_from_their_list() -> None:
    features = parse_features(bytes.fromhex("060442330006" + "070442330007"))
    assert features[pinpad.FEATURE_VERIFY_PIN_DIRECT] == 0x42330006
    assert features[pinpad.FEATURE_MODIFY_PIN_DIRECT] == 0x42330007
    assert parse_features(b"") == {}
    assert parse_features(bytes.fromhex("060342330006")) == {}


@given(st.binary(max_size=60))
def test_any_feature_list_is_read_without_harm(data: bytes) -> None:
    assert all(0 <= tag <= 255 for tag in parse_features(data))


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0x8010001D, ServiceNotRunning),
        (-2146435043, ServiceNotRunning),
        (0x8010000C, NoCard),
        (0x80100069, CardRemoved),
        (0x80100017, ReaderUnplugged),
        (0x80100068, CardReset),
        (0x80100066, CardMute),
        (0x8010000B, ReaderBusy),
        (0x80100009, NoReader),
        (0x8010002E, NoReader),
        (0x80100004, ReaderError),
    ],
)
def test_return_codes_become_errors_that_say_what_to_do(code: int, kind: type[ReaderError]) -> None:
    error = reader_error(code, "Reader 1", "something")
    assert type(error) is kind
    assert isinstance(error, CardError)
    assert any(word in str(error) for word in ("insert", "start", "put", "open", "take", "close", "choose", "unplug"))


def test_an_unknown_code_is_shown_with_the_words_of_pcsc() -> None:
    assert "80100004 (Invalid parameter)" in str(reader_error(0x80100004, "R", "Invalid parameter"))


def test_every_reader_error_has_a_code_of_its_own() -> None:
    kinds: list[type[ReaderError]] = [
        ServiceNotRunning,
        NoReader,
        NoCard,
        CardRemoved,
        CardReset,
        ReaderBusy,
        CardMute,
        PinEntryEnded,
    ]
    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.code.startswith("reader.") for kind in kinds)
    assert PinEntryEnded("R", "timeout").reason == "timeout"


NAMES = ["ACS ACR39U 00 00", "Gemalto PC Twin 01 00", "Gemalto PC Twin 02 00"]


@pytest.mark.parametrize(
    ("wanted", "name"),
    [(0, NAMES[0]), ("1", NAMES[1]), ("acr39", NAMES[0]), (NAMES[2], NAMES[2]), ("twin 02", NAMES[2])],
)
def test_readers_are_found(wanted: str | int, name: str) -> None:
    assert find_reader(wanted, NAMES) == name


@pytest.mark.parametrize("wanted", [3, -1, "3", "Twin", "Omnikey", ""])
def test_readers_that_are_not_meant_by_one_name_are_refused(wanted: str | int) -> None:
    with pytest.raises(NoReader) as caught:
        find_reader(wanted, NAMES)
    assert caught.value.available == tuple(NAMES)
    with pytest.raises(NoReader, match="no reader at all"):
        find_reader(wanted, [])


def slot(name: str, changes: int, atr: bytes = b"") -> dict[str, SlotState]:
    return {name: SlotState(name, bool(atr), False, False, atr, changes)}


A, B = "A", "B"
ATR = b"\x3b\x00"


@pytest.mark.parametrize(
    ("before", "now", "events"),
    [
        ({}, {}, []),
        ({}, slot(A, 0), [ReaderEvent(Happening.READER_ADDED, A)]),
        (
            {},
            slot(A, 1, ATR),
            [ReaderEvent(Happening.READER_ADDED, A), ReaderEvent(Happening.CARD_INSERTED, A, ATR)],
        ),
        (slot(A, 0), slot(A, 1, ATR), [ReaderEvent(Happening.CARD_INSERTED, A, ATR)]),
        (slot(A, 1, ATR), slot(A, 2), [ReaderEvent(Happening.CARD_REMOVED, A)]),
        (slot(A, 1, ATR), slot(A, 1, ATR), []),
        (
            slot(A, 1, ATR),
            slot(A, 3, ATR),
            [ReaderEvent(Happening.CARD_REMOVED, A), ReaderEvent(Happening.CARD_INSERTED, A, ATR)],
        ),
        (
            slot(A, 1, ATR),
            slot(B, 0),
            [
                ReaderEvent(Happening.CARD_REMOVED, A),
                ReaderEvent(Happening.READER_REMOVED, A),
                ReaderEvent(Happening.READER_ADDED, B),
            ],
        ),
    ],
)
def test_differences_say_what_happened(
    before: dict[str, SlotState], now: dict[str, SlotState], events: list[ReaderEvent]
) -> None:
    assert differences(before, now) == events
