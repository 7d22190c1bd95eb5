"""PIN pads: structures byte by byte, feature lists and properties of good and bad readers, and what a holder types."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from card_io import pinpad
from card_io.apdu import CommandAPDU
from card_io.pinpad import (
    PinEntry,
    PinFormat,
    PinPad,
    Properties,
    Typed,
    modify_structure,
    parse_features,
    parse_pin_properties,
    parse_tlv_properties,
    verify_structure,
)
from card_io.reader_errors import NoPinPad, PinPadFailed
from card_io.virtual.pinpad import FEATURE_REQUEST, MODIFY, VERIFY, Ended, Make, Prompt, VirtualPinPad, abilities

VERIFY_PIN = CommandAPDU(0x00, 0x20, 0x00, 0x81)
CHANGE = CommandAPDU(0x00, 0x24, 0x00, 0x81)
RESET = CommandAPDU(0x00, 0x2C, 0x00, 0x02, b"40718265")
BARE = Make(features=(VERIFY, MODIFY))


def test_pin_verify_is_laid_out_as_part_10_says() -> None:
    structure = verify_structure(VERIFY_PIN, PinFormat(4, 8))
    assert structure.hex(" ") == (
        "1e 1e 82 08 00 08 04 02 01 19 04 00 00 00 00 0d 00 00 00 00 20 00 81 08 ff ff ff ff ff ff ff ff"
    )
    assert len(structure) == 19 + 13


def test_pin_modify_is_laid_out_as_part_10_says() -> None:
    structure = modify_structure(CHANGE, PinEntry(Typed.BOTH, PinFormat(6, 8, timeout_s=60, language="en")))
    assert structure.hex(" ") == (
        "3c 3c 82 08 00 00 08 08 06 03 02 03 09 04 00 01 02 00 00 00 15 00 00 00 "
        "00 24 00 81 10 ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff ff"
    )
    assert len(structure) == 24 + 21


def test_a_new_pin_alone_goes_behind_what_the_host_knows() -> None:
    """RESET RETRY COUNTER with the code from the host; the block is as long as the PIN, and Lc is the reader's."""
    structure = modify_structure(RESET, PinEntry(Typed.NEW, PinFormat(6, 8, block=0)))
    assert structure.hex(" ") == (
        "1e 1e 82 00 00 00 08 08 06 01 02 02 19 04 01 02 00 00 00 00 0d 00 00 00 00 2c 00 02 08 34 30 37 31 38 32 36 35"
    )


def test_a_reader_is_asked_within_what_it_says_of_itself() -> None:
    blind = Properties(ends=pinpad.BY_MAXIMUM, columns=0, lines=0, least=5, most=6)
    verify = verify_structure(VERIFY_PIN, PinFormat(4, 8), blind)
    assert verify[5:9] == bytes([6, 5, pinpad.BY_MAXIMUM, 0]), "five to six digits, ended by the sixth, nothing shown"
    modify = modify_structure(RESET, PinEntry(Typed.NEW, PinFormat(4, 8, block=0)), blind)
    assert modify[7:12] == bytes([6, 5, 1, pinpad.BY_MAXIMUM, 0])


def test_features_are_read_from_their_list() -> None:
    features = parse_features(bytes.fromhex("060442330006" + "070442330007"))
    assert features[pinpad.FEATURE_VERIFY_PIN_DIRECT] == 0x42330006
    assert features[pinpad.FEATURE_MODIFY_PIN_DIRECT] == 0x42330007
    assert parse_features(b"") == {}
    for wrong in ("060342330006", "0604423300", "060442330006" + "07", "060442330006" + "0702423307"):
        assert parse_features(bytes.fromhex(wrong)) == {}, wrong


@given(st.binary(max_size=60))
def test_whatever_a_reader_tells_is_read_without_harm(data: bytes) -> None:
    assert all(0 <= tag <= 255 for tag in parse_features(data))
    for told in (parse_tlv_properties(data), parse_pin_properties(data)):
        assert told.condition in (pinpad.BY_KEY, pinpad.BY_MAXIMUM, pinpad.BY_TIMEOUT)
        fitting = told.fit(PinFormat(4, 8))
        assert fitting is None or 4 <= fitting[0] <= fitting[1] <= 8


@pytest.mark.parametrize(
    ("told", "meant"),
    [
        ("0102100202010703010006010407010c", Properties(ends=7, columns=16, lines=2, least=4, most=12)),
        ("01020000" + "020102", Properties(ends=2, columns=0, lines=0)),
        ("0801ff" + "0902ab05", Properties()),
        ("", Properties()),
        ("0602", Properties()),
    ],
)
def test_tlv_properties(told: str, meant: Properties) -> None:
    assert parse_tlv_properties(bytes.fromhex(told)) == meant


def test_pin_properties() -> None:
    assert parse_pin_properties(bytes.fromhex("10020701")) == Properties(ends=7, columns=16, lines=2)
    assert parse_pin_properties(b"\x10\x02\x07") == Properties()
    assert Properties().displays and not Properties(lines=0).displays


@pytest.mark.parametrize(
    "wrong",
    [
        {"minimum": 0, "maximum": 8},
        {"minimum": 8, "maximum": 4},
        {"minimum": 4, "maximum": 17, "block": 0},
        {"minimum": 4, "maximum": 9},
        {"minimum": 4, "maximum": 8, "block": 16},
        {"minimum": 4, "maximum": 8, "fill": 256},
        {"minimum": 4, "maximum": 8, "timeout_s": 0},
        {"minimum": 4, "maximum": 8, "timeout_s": 256},
        {"minimum": 4, "maximum": 8, "language": "xx"},
    ],
)
def test_what_the_structures_cannot_say_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"reader|messages"):
        PinFormat(**wrong)  # type: ignore[arg-type]


class Keys:
    """A holder who does these things one after the other; what reached the card."""

    def __init__(self, *done: str | Ended) -> None:
        self._done = list(done)
        self.sent: list[bytes] = []

    def press(self, prompt: Prompt) -> str | Ended:
        return self._done.pop(0)

    def card(self, command: bytes) -> bytes:
        self.sent.append(command)
        return b"\x90\x00"

    def ask(self, command: CommandAPDU, entry: PinEntry, make: Make = BARE) -> bytes:
        reader = VirtualPinPad(self.card, self.press, make)
        return PinPad(reader.control, request=FEATURE_REQUEST, reader="R").ask(command, entry)


@pytest.mark.parametrize("make", [BARE, Make(), Make(lines=0), Make(ends=0x01), Make(ends=0x04), Make(most=8)])
@pytest.mark.parametrize(
    ("command", "entry", "keys", "sent"),
    [
        (VERIFY_PIN, PinEntry(Typed.PRESENT, PinFormat(4, 8)), ("2846",), "00200081" + "08" + "32383436ffffffff"),
        (VERIFY_PIN, PinEntry(Typed.PRESENT, PinFormat(4, 8, block=0)), ("2846",), "00200081" + "04" + "32383436"),
        (
            CHANGE,
            PinEntry(Typed.BOTH, PinFormat(6, 8)),
            ("123456", "7302648", "7302648"),
            "00240081" + "10" + "313233343536ffff" + "37333032363438ff",
        ),
        (
            RESET,
            PinEntry(Typed.NEW, PinFormat(4, 8, block=0)),
            ("73026", "73026"),
            "002c0002" + "0d" + "3430373138323635" + "3733303236",
        ),
        (
            CommandAPDU(0x00, 0x2C, 0x00, 0x80, b"12345678"),
            PinEntry(Typed.NEW, PinFormat(6, 8)),
            ("730264", "730264"),
            "002c0080" + "10" + "3132333435363738" + "373330323634ffff",
        ),
        (
            CommandAPDU(0x00, 0x2C, 0x00, 0x02),
            PinEntry(Typed.BOTH, PinFormat(4, 8, block=0)),
            ("40718265", "73026", "73026"),
            "002c0002" + "0d" + "3430373138323635" + "3733303236",
        ),
    ],
)
def test_what_is_typed_reaches_the_card_in_its_place(
    command: CommandAPDU, entry: PinEntry, keys: tuple[str, ...], sent: str, make: Make
) -> None:
    holder = Keys(*keys)
    assert holder.ask(command, entry, make) == b"\x90\x00"
    assert [one.hex() for one in holder.sent] == [sent]


@pytest.mark.parametrize(
    ("keys", "answer"),
    [
        ((Ended.TIMEOUT,), 0x6400),
        (("730264", Ended.CANCELLED), 0x6401),
        (("730264", "730265"), 0x6402),
        (("73",), 0x6403),
        (("730264730264",), 0x6403),
    ],
)
def test_a_holder_who_does_not_finish_is_told_by_the_reader_and_the_card_hears_nothing(
    keys: tuple[str | Ended, ...], answer: int
) -> None:
    holder = Keys(*keys)
    said = holder.ask(RESET, PinEntry(Typed.NEW, PinFormat(4, 8, block=0)))
    assert int.from_bytes(said, "big") == answer and answer in pinpad.ENDINGS
    assert not holder.sent


@pytest.mark.parametrize(
    ("make", "answer"),
    [
        (Make(any_length=False), "6b80"),
        (Make(instructions=frozenset({0x20, 0x24})), "6b80"),
        (Make(says=b"\x6b\x80"), "6b80"),
        (Make(says=b"\x6c\x10"), "6c10"),
        (Make(features=(MODIFY,), least=6), "6b80"),
    ],
)
def test_firmware_that_does_not_do_it_answers_for_itself(make: Make, answer: str) -> None:
    holder = Keys("730264", "730264")
    assert holder.ask(RESET, PinEntry(Typed.NEW, PinFormat(4, 8, block=0)), make).hex() == answer
    assert not holder.sent


@pytest.mark.parametrize("make", [Make(features=()), Make(features=(VERIFY,)), Make(most=3), Make(least=9, most=16)])
def test_a_reader_that_cannot_ask_for_a_new_pin_says_so(make: Make) -> None:
    with pytest.raises(NoPinPad, match="no PIN pad"):
        Keys().ask(RESET, PinEntry(Typed.NEW, PinFormat(4, 8, block=0)), make)
    if MODIFY not in make.features:
        with pytest.raises(NoPinPad):
            Keys().ask(CHANGE, PinEntry(Typed.BOTH, PinFormat(4, 8)), make)


@pytest.mark.parametrize("make", [Make(most=6), Make(least=5), Make(least=5, most=6)])
def test_a_reader_that_cuts_an_entry_of_two_values_is_not_asked(make: Make) -> None:
    """Its limits hold for both: a code of eight digits, cut to six, would be a wrong one, and cost a try."""
    holder = Keys("407182", "730264", "730264")
    with pytest.raises(NoPinPad):
        holder.ask(CommandAPDU(0x00, 0x2C, 0x00, 0x02), PinEntry(Typed.BOTH, PinFormat(4, 8, block=0)), make)
    assert not holder.sent
    assert Keys("73026", "73026").ask(RESET, PinEntry(Typed.NEW, PinFormat(4, 8, block=0)), make) == b"\x90\x00"


def test_a_control_call_that_fails_is_no_answer() -> None:
    with pytest.raises(PinPadFailed, match="another reader"):
        Keys().ask(RESET, PinEntry(Typed.NEW, PinFormat(4, 8, block=0)), Make(breaks=True))


def test_what_a_station_tells_of_a_reader() -> None:
    assert abilities(Make()) == ("verify", "modify")
    assert abilities(Make(features=(VERIFY,))) == ("verify",)
    assert abilities(Make(features=())) == ()


GOOD = modify_structure(RESET, PinEntry(Typed.NEW, PinFormat(6, 8, block=0)))


@pytest.mark.parametrize("place", [2, 4, 6, 8, 9, 11, 14, 15, 16, 17, 20, 25, 28])
def test_the_virtual_reader_refuses_a_structure_with_one_byte_wrong(place: int) -> None:
    """Format, lengths, offsets, confirmation, messages, prologue, size, instruction, Lc: 6B80, and nobody is asked."""
    wrong = bytearray(GOOD)
    wrong[place] ^= 0x48
    holder = Keys()
    reader = VirtualPinPad(holder.card, holder.press, BARE)
    assert reader.control(FEATURE_REQUEST + MODIFY, bytes(wrong)) == b"\x6b\x80"
    for length in (0, 10, 23, len(GOOD) - 1):
        assert reader.control(FEATURE_REQUEST + MODIFY, GOOD[:length]) == b"\x6b\x80"
    assert not holder.sent and not reader.displayed


@given(st.binary(max_size=80))
def test_the_virtual_reader_takes_any_bytes(data: bytes) -> None:
    reader = VirtualPinPad(lambda command: b"\x90\x00", lambda prompt: Ended.CANCELLED)
    for tag in (VERIFY, MODIFY):
        assert reader.control(FEATURE_REQUEST + tag, data) in (b"\x6b\x80", b"\x64\x01")
