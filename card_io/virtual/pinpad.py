"""A reader with keys of its own around a virtual card: control codes in, what the holder types goes to the card alone.

PC/SC part 10, 2.02.09, §2.2, §2.5 and §2.6, from the reader's side: the structures are taken apart by the byte and by
rules of their own, and whatever the specification does not allow, or this make of reader does not do, is answered with
6B80. Nothing that builds structures (`card_io.pinpad`) reads them here, so that no error is shared.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from card_io.apdu import CommandAPDU
from card_io.pinpad import PinEntry, PinPad
from card_io.reader_errors import PinPadFailed
from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection

FEATURE_REQUEST = 0x42000D48
"""CM_IOCTL_GET_FEATURE_REQUEST as pcsc-lite numbers it; the codes of the features follow it."""
VERIFY, MODIFY, PIN_PROPERTIES, TLV_PROPERTIES = 0x06, 0x07, 0x0A, 0x12
VERIFY_HEAD, MODIFY_HEAD = struct.Struct("<BBBBBBBBBHB3sI"), struct.Struct("<BBBBBBBBBBBBHBBB3sI")
ASCII_LEFT_IN_BYTES = 0x82
NO_MESSAGE, DEFAULT_MESSAGE = 0x00, 0xFF
BAD_STRUCTURE = b"\x6b\x80"


class Prompt(StrEnum):
    """What the reader shows: a PIN, a new one, the new one once more."""

    PRESENT = "present"
    NEW = "new"
    AGAIN = "again"


class Ended(StrEnum):
    """What a holder does instead of typing."""

    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


ANSWERS = {Ended.TIMEOUT: b"\x64\x00", Ended.CANCELLED: b"\x64\x01"}
MISMATCH, LENGTH = b"\x64\x02", b"\x64\x03"

Holder = Callable[[Prompt], str | Ended]
"""Who stands before the reader: digits typed at each prompt, or how the entry ends."""


@dataclass(frozen=True, slots=True)
class Make:
    """What a make of reader can, and what its firmware does wrong.

    `features` are tags. `any_length` is false for readers that only know blocks of a fixed length. `says` is what the
    firmware answers to every entry instead of playing it; `breaks` makes the control call itself fail.
    """

    features: tuple[int, ...] = (VERIFY, MODIFY, PIN_PROPERTIES, TLV_PROPERTIES)
    ends: int = 0x07
    columns: int = 16
    lines: int = 2
    least: int = 0
    most: int = 16
    any_length: bool = True
    instructions: frozenset[int] = frozenset({0x20, 0x24, 0x2C})
    says: bytes = b""
    breaks: bool = False


@dataclass(frozen=True, slots=True)
class _Asked:
    """One structure, taken apart: where which entries go in which command."""

    prompts: tuple[Prompt, ...]
    offsets: dict[Prompt, int]
    least: int
    most: int
    block: int
    apdu: bytes


class VirtualPinPad:
    """The reader; `transmit` leads to its card."""

    def __init__(self, transmit: Callable[[bytes], bytes], holder: Holder, make: Make = Make()) -> None:
        """Nothing is asked of card and holder yet."""
        self._transmit, self._holder, self._make = transmit, holder, make
        self.displayed: list[Prompt] = []

    def control(self, code: int, data: bytes) -> bytes:
        """SCardControl; `PinPadFailed` for a code that this reader does not know."""
        if code == FEATURE_REQUEST:
            return b"".join(bytes([tag, 4]) + (FEATURE_REQUEST + tag).to_bytes(4, "big") for tag in self._make.features)
        tag = code - FEATURE_REQUEST
        if tag not in self._make.features or (self._make.breaks and data):
            raise PinPadFailed("virtual")
        if tag == PIN_PROPERTIES:
            return bytes([self._make.columns, self._make.lines, self._make.ends, 0x01])
        if tag == TLV_PROPERTIES:
            return self._properties()
        asked = self._verify(data) if tag == VERIFY else self._modify(data)
        if asked is None or not self._does(asked):
            return BAD_STRUCTURE
        return self._make.says or self._play(asked)

    def _properties(self) -> bytes:
        make = self._make
        values = {
            0x01: bytes([make.columns, make.lines]),
            0x02: bytes([make.ends]),
            0x03: b"\x01",
            0x06: bytes([make.least]),
            0x07: bytes([make.most]),
        }
        return b"".join(bytes([tag, len(value)]) + value for tag, value in values.items())

    def _verify(self, data: bytes) -> _Asked | None:
        if len(data) < VERIFY_HEAD.size:
            return None
        _, _, form, block, length, most, least, ends, messages, _, index, prologue, size = VERIFY_HEAD.unpack_from(data)
        apdu = data[VERIFY_HEAD.size :]
        sound = self._sound(form, block, length, ends, prologue) and len(apdu) == size and index == 0
        if not sound or messages not in self._messages(1):
            return None
        return _Asked((Prompt.PRESENT,), {Prompt.PRESENT: 0}, least, most, block, apdu)

    def _modify(self, data: bytes) -> _Asked | None:
        if len(data) < MODIFY_HEAD.size:
            return None
        (_, _, form, block, length, old, new, most, least, confirm, ends, messages, _, *indexes, prologue, size) = (
            MODIFY_HEAD.unpack_from(data)
        )
        apdu = data[MODIFY_HEAD.size :]
        wanted = {0x01: (2, [1, 2, 0]), 0x03: (3, [0, 1, 2])}
        if confirm not in wanted or not self._sound(form, block, length, ends, prologue) or len(apdu) != size:
            return None
        count, shown = wanted[confirm]
        if messages not in self._messages(count) or indexes != shown:
            return None
        prompts = (Prompt.PRESENT,) if count == 3 else ()
        places = {Prompt.PRESENT: old} if count == 3 else {}
        return _Asked((*prompts, Prompt.NEW, Prompt.AGAIN), {**places, Prompt.NEW: new}, least, most, block, apdu)

    def _sound(self, form: int, block: int, length: int, ends: int, prologue: bytes) -> bool:
        """What both structures share: ASCII, left, no length inside, an end that this reader knows."""
        known = form == ASCII_LEFT_IN_BYTES and block <= 0x0F and length == 0 and prologue == bytes(3)
        return known and ends > 0 and not ends & ~self._make.ends

    def _messages(self, count: int) -> tuple[int, ...]:
        """A reader without a display is told to show nothing."""
        return (count, DEFAULT_MESSAGE) if self._make.lines else (NO_MESSAGE,)

    def _does(self, asked: _Asked) -> bool:
        """Whether the PINs fit into the command, and this make of reader lets such a command through."""
        apdu, make = asked.apdu, self._make
        if len(apdu) < 5 or len(apdu) != 5 + apdu[4] or apdu[1] not in make.instructions:
            return False
        if not (make.least <= asked.least <= asked.most <= make.most and asked.least):
            return False
        if asked.block == 0:  # appended one after the other
            return make.any_length and all(place in (0, apdu[4]) for place in asked.offsets.values())
        return asked.most <= asked.block and all(place + asked.block <= apdu[4] for place in asked.offsets.values())

    def _play(self, asked: _Asked) -> bytes:
        typed: dict[Prompt, bytes] = {}
        for prompt in asked.prompts:
            self.displayed.append(prompt)
            keys = self._holder(prompt)
            if isinstance(keys, Ended):
                return ANSWERS[keys]
            if not asked.least <= len(keys) <= asked.most:
                return LENGTH
            typed[prompt] = keys.encode("ascii")
        if Prompt.AGAIN in typed and typed[Prompt.AGAIN] != typed[Prompt.NEW]:
            return MISMATCH
        data = asked.apdu[5:]
        for prompt, place in asked.offsets.items():
            data = _put(data, typed[prompt], place=place, block=asked.block)
        return self._transmit(asked.apdu[:4] + bytes([len(data)]) + data)


def _put(data: bytes, pin: bytes, *, place: int, block: int) -> bytes:
    """The PIN in its block, whose rest stays as the host filled it; without a block behind what is there."""
    return data[:place] + pin + data[place + len(pin) :] if block else data + pin


class PadConnection(InProcessConnection):
    """A virtual card in a virtual reader with keys."""

    def __init__(self, card: VirtualCard, holder: Holder, make: Make = Make()) -> None:
        """Powers the card."""
        super().__init__(card)
        self.reader = VirtualPinPad(self.transmit, holder, make)

    def ask_holder(self, command: bytes, entry: PinEntry) -> bytes:
        """As a real reader's driver does it: through the control codes."""
        pad = PinPad(self.reader.control, request=FEATURE_REQUEST, reader="virtual")
        return pad.ask(CommandAPDU.decode(command), entry)


def abilities(make: Make) -> tuple[str, ...]:
    """What a station tells of a reader of this make."""
    silent = VirtualPinPad(lambda command: b"", lambda prompt: Ended.CANCELLED, make)
    return PinPad(silent.control, request=FEATURE_REQUEST, reader="virtual").abilities
