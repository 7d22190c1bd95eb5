"""PIN entry at the reader: what readers with keys of their own are asked, and what they can.

Interoperability Specification for ICCs and Personal Computer Systems, part 10, 2.02.09: §2.2 (feature list), §2.5
(PIN_VERIFY, PIN_MODIFY), §2.6 (properties); PIN block bits as in USB CCID 1.1 §6.1.11 and §6.1.12. Hides the packed
little-endian layouts. What is typed never reaches this computer: the reader puts it into the command itself.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from card_io.apdu import CommandAPDU
from card_io.errors import CardError
from card_io.reader_errors import NoPinPad

FEATURE_VERIFY_PIN_DIRECT = 0x06
FEATURE_MODIFY_PIN_DIRECT = 0x07
FEATURE_IFD_PIN_PROPERTIES = 0x0A
FEATURE_GET_TLV_PROPERTIES = 0x12

UNITS_ARE_BYTES = 0x80
ASCII = 0x02
BY_MAXIMUM, BY_KEY, BY_TIMEOUT = 0x01, 0x02, 0x04
"""What ends the entry of one PIN: its greatest length, the validation key, no key for a while."""
CONFIRM, PRESENT_TOO = 0x01, 0x02
"""bConfirmPIN: the new PIN is typed twice; the present one is typed before it."""
LANGUAGES: Mapping[str, int] = {"ru": 0x0419, "en": 0x0409}
BLOCK_MAX, TIMEOUT_MAX_S, DIGITS_MAX = 15, 255, 16

ENDINGS: Mapping[int, str] = {0x6400: "timeout", 0x6401: "cancelled", 0x6402: "mismatch", 0x6403: "length"}
"""Status words that the reader itself makes up when the holder does not finish (§2.5.2); the card heard nothing."""

Control = Callable[[int, bytes], bytes]
"""SCardControl on one reader: control code and data in, data out; raises `ReaderError`."""


class Typed(StrEnum):
    """What the holder types into a command.

    PRESENT: a PIN that the card has (VERIFY). NEW: another one, twice; what the command holds in front of it is known
    to the computer (CHANGE REFERENCE DATA, RESET RETRY COUNTER). BOTH: the present PIN or the unblock code, then the
    new one twice.
    """

    PRESENT = "present"
    NEW = "new"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class PinFormat:
    """How a PIN stands in the command: ASCII digits, left, filled up to `block` bytes with `fill`.

    A `block` of 0 is as long as the PIN: the reader corrects Lc. `timeout_s` is how long it waits for the first key of
    an entry, and then for the others. `ValueError` for what the structures cannot say.
    """

    minimum: int
    maximum: int
    block: int = 8
    fill: int = 0xFF
    timeout_s: int = 30
    language: str = "ru"

    def __post_init__(self) -> None:
        """Whatever comes over a link is held against what fits."""
        digits = 1 <= self.minimum <= self.maximum <= DIGITS_MAX and 0 <= self.block <= BLOCK_MAX
        fits = not self.block or self.maximum <= self.block
        if not (digits and fits and 0 <= self.fill <= 0xFF and 1 <= self.timeout_s <= TIMEOUT_MAX_S):
            raise ValueError("a PIN entry that no reader could be asked for")
        if self.language not in LANGUAGES:
            raise ValueError(f"no messages in {self.language!r}; choose one of {', '.join(LANGUAGES)}")

    def padding(self) -> bytes:
        """The PIN field as it stands before the holder has typed anything."""
        return bytes([self.fill]) * self.block


@dataclass(frozen=True, slots=True)
class PinEntry:
    """What the holder is asked for at the reader's keys."""

    typed: Typed
    format: PinFormat


@dataclass(frozen=True, slots=True)
class Properties:
    """What a reader says of its keys; zero where it says nothing.

    `ends` are the conditions (`BY_...`) that may end an entry. `lines` and `columns` are those of its display, None
    where it did not say whether there is one. `least` and `most` are the digits it takes.
    """

    ends: int = 0
    columns: int | None = None
    lines: int | None = None
    least: int = 0
    most: int = 0

    @property
    def displays(self) -> bool:
        """Whether it may be told to show something."""
        return self.lines is None or self.lines > 0

    @property
    def condition(self) -> int:
        """What to end an entry by: the key, as long as the reader has nothing against it."""
        return next((one for one in (BY_KEY, BY_MAXIMUM, BY_TIMEOUT) if self.ends & one), BY_KEY)

    def fit(self, pin: PinFormat) -> tuple[int, int] | None:
        """Least and most digits that reader and card both take; None when there are no such."""
        least, most = max(pin.minimum, self.least), min(pin.maximum, self.most or pin.maximum)
        return (least, most) if least <= most else None

    def takes(self, entry: PinEntry) -> bool:
        """Whether the holder can be asked for this.

        A new PIN may be chosen within the reader's own limits. Of two values in one entry the format tells the limits
        of both together: cut by the reader, the one that is there already might not be typed to its end, and a
        shortened one costs a try.
        """
        fitting, whole = self.fit(entry.format), (entry.format.minimum, entry.format.maximum)
        return fitting == whole if entry.typed is Typed.BOTH else fitting is not None


def parse_features(data: bytes) -> dict[int, int]:
    """The reader's features: tag to control code. A list that does not parse is taken as no feature at all."""
    items = list(_items(data))
    if sum(2 + len(value) for _, value in items) != len(data) or any(len(value) != 4 for _, value in items):
        return {}
    return {tag: int.from_bytes(code, "big") for tag, code in items}


def parse_tlv_properties(data: bytes) -> Properties:
    """Properties out of FEATURE_GET_TLV_PROPERTIES (§2.6.14); unknown and misshapen ones are passed over."""
    found = {tag: int.from_bytes(value, "little") for tag, value in _items(data)}
    display = found.get(0x01)
    return Properties(
        ends=found.get(0x02, 0) & 0x07,
        columns=None if display is None else display & 0xFF,
        lines=None if display is None else display >> 8 & 0xFF,
        least=found.get(0x06, 0),
        most=found.get(0x07, 0),
    )


def parse_pin_properties(data: bytes) -> Properties:
    """Properties out of FEATURE_IFD_PIN_PROPERTIES (§2.6.3): wLcdLayout, bEntryValidationCondition, bTimeOut2."""
    if len(data) != 4:
        return Properties()
    return Properties(ends=data[2] & 0x07, columns=data[0], lines=data[1])


def _items(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag, one byte of length, value; what is cut off at the end is left out."""
    at = 0
    while at + 2 <= len(data) and at + 2 + data[at + 1] <= len(data):
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def verify_structure(command: CommandAPDU, pin: PinFormat, reader: Properties = Properties()) -> bytes:
    """PIN_VERIFY for a VERIFY command; its data are replaced by an empty PIN block."""
    apdu = command.header + bytes([pin.block]) + pin.padding()
    return (
        struct.pack("<BBBBB", pin.timeout_s, pin.timeout_s, UNITS_ARE_BYTES | ASCII, pin.block, 0x00)
        + _limits(pin, reader)
        + struct.pack("<BBHB", reader.condition, _messages(1, reader), LANGUAGES[pin.language], 0x00)
        + bytes(3)
        + struct.pack("<I", len(apdu))
        + apdu
    )


def modify_structure(command: CommandAPDU, entry: PinEntry, reader: Properties = Properties()) -> bytes:
    """PIN_MODIFY for a command that gives a PIN another value.

    Where the holder types the new PIN alone, it goes behind the data that the command has; else these are replaced by
    two empty PIN blocks.
    """
    pin, ahead = entry.format, command.data if entry.typed is Typed.NEW else entry.format.padding()
    data = ahead + pin.padding()
    apdu = command.header + bytes([len(data)]) + data
    both = entry.typed is Typed.BOTH
    first, confirm = (0x00, CONFIRM | PRESENT_TOO) if both else (0x01, CONFIRM)
    messages = _messages(3 if both else 2, reader)
    return (
        struct.pack("<BBBBB", pin.timeout_s, pin.timeout_s, UNITS_ARE_BYTES | ASCII, pin.block, 0x00)
        + struct.pack("<BB", 0x00, len(ahead))
        + _limits(pin, reader)
        + struct.pack("<BBBH", confirm, reader.condition, messages, LANGUAGES[pin.language])
        + bytes([first, first + 1, first + 2 if both else 0x00])
        + bytes(3)
        + struct.pack("<I", len(apdu))
        + apdu
    )


def _limits(pin: PinFormat, reader: Properties) -> bytes:
    least, most = reader.fit(pin) or (pin.minimum, pin.maximum)
    return struct.pack("<H", least << 8 | most)


def _messages(count: int, reader: Properties) -> int:
    """How many messages a reader shows: none without a display."""
    return count if reader.displays else 0


class PinPad:
    """The keys of one reader, if it has any; what it can do is asked once."""

    def __init__(self, control: Control, *, request: int, reader: str) -> None:
        """`request` is the control code of CM_IOCTL_GET_FEATURE_REQUEST here; `reader` is a name for messages."""
        self._control, self._reader = control, reader
        self._request = request
        self._features: dict[int, int] | None = None

    @property
    def features(self) -> dict[int, int]:
        """Features by tag; empty for a reader that knows none."""
        if self._features is None:
            self._features = parse_features(self._told(self._request))
        return self._features

    @property
    def abilities(self) -> tuple[str, ...]:
        """What a holder may do at it: `verify`, `modify`; empty without keys."""
        known = {"verify": FEATURE_VERIFY_PIN_DIRECT, "modify": FEATURE_MODIFY_PIN_DIRECT}
        return tuple(name for name, tag in known.items() if tag in self.features)

    @property
    def properties(self) -> Properties:
        """What the reader says of its keys and display."""
        if (code := self.features.get(FEATURE_GET_TLV_PROPERTIES)) is not None:
            return parse_tlv_properties(self._told(code))
        if (code := self.features.get(FEATURE_IFD_PIN_PROPERTIES)) is not None:
            return parse_pin_properties(self._told(code))
        return Properties()

    def ask(self, command: CommandAPDU, entry: PinEntry) -> bytes:
        """Let the holder type into the command; the card's raw answer, or a status word of the reader's (`ENDINGS`).

        Raises `NoPinPad` when the reader cannot ask for this, and what its `Control` raises.
        """
        present = entry.typed is Typed.PRESENT
        code = self.features.get(FEATURE_VERIFY_PIN_DIRECT if present else FEATURE_MODIFY_PIN_DIRECT)
        properties = self.properties
        if code is None or not properties.takes(entry):
            raise NoPinPad(self._reader)
        if present:
            return self._control(code, verify_structure(command, entry.format, properties))
        return self._control(code, modify_structure(command, entry, properties))

    def _told(self, code: int) -> bytes:
        """What a reader answers to a mere question; one that does not understand it has said nothing."""
        try:
            return self._control(code, b"")
        except CardError:
            return b""
