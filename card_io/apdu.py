"""Commands and answers as bytes: the four cases, short and extended length, class byte, chaining.

ISO/IEC 7816-3:2006 §12.1.3 (cases and lengths), ISO/IEC 7816-4:2020 §5.3.3 (command chaining), §5.4.1 (class byte),
§11.1.1 (MANAGE CHANNEL). Hides how lengths and channel numbers are encoded.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from card_io.errors import InvalidApdu
from card_io.status import SUCCESS, StatusWordError, meaning, tries_left

__all__ = [
    "CommandAPDU",
    "ResponseAPDU",
    "StatusWordError",
    "chain",
    "channel_of",
    "class_on_channel",
    "get_response",
    "is_secured",
    "manage_channel_close",
    "manage_channel_open",
    "meaning",
    "tries_left",
]

SHORT_DATA_MAX = 255
SHORT_LE_MAX = 256
EXTENDED_DATA_MAX = 65535
EXTENDED_LE_MAX = 65536
CHAINING = 0x10
MAX_CHANNEL = 19


@dataclass(frozen=True, slots=True, repr=False)
class CommandAPDU:
    """One command.

    `data` up to 65535 bytes; `le` is None (no answer data wanted) or the number wanted, 1..65536; 0 is taken as 256,
    which is what the byte 00 means. `extended` asks for the extended form where the short one would do; it becomes
    true by itself where only the extended form can carry the lengths.
    """

    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes = b""
    le: int | None = None
    extended: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.cla | self.ins | self.p1 | self.p2 <= 0xFF:
            raise InvalidApdu(f"{self.cla}, {self.ins}, {self.p1}, {self.p2} is no header; each must be one byte")
        if self.cla == 0xFF:
            raise InvalidApdu("class FF belongs to the reader, not to a card; use another class")
        if self.ins & 0xF0 in {0x60, 0x90}:
            raise InvalidApdu(f"instruction {self.ins:02X} is invalid (6X and 9X are status bytes); use another one")
        if len(self.data) > EXTENDED_DATA_MAX:
            raise InvalidApdu(f"{len(self.data)} bytes of data; send at most 65535 in one command")
        if self.le is not None and not 0 <= self.le <= EXTENDED_LE_MAX:
            raise InvalidApdu(f"Le is {self.le}; ask for 1 to 65536 bytes")
        object.__setattr__(self, "data", bytes(self.data))
        if self.le == 0:
            object.__setattr__(self, "le", SHORT_LE_MAX)
        has_length = bool(self.data) or self.le is not None
        needed = len(self.data) > SHORT_DATA_MAX or (self.le or 0) > SHORT_LE_MAX
        object.__setattr__(self, "extended", needed or (self.extended and has_length))

    def __repr__(self) -> str:
        head = f"{self.cla:02X} {self.ins:02X} {self.p1:02X} {self.p2:02X}"
        return f"CommandAPDU({head}, {len(self.data)} bytes, le={self.le})"

    @property
    def header(self) -> bytes:
        """CLA INS P1 P2."""
        return bytes([self.cla, self.ins, self.p1, self.p2])

    def encode(self) -> bytes:
        """The command as it is transmitted."""
        return self.header + (self._extended_body() if self.extended else self._short_body())

    def _short_body(self) -> bytes:
        lc = bytes([len(self.data)]) if self.data else b""
        le = b"" if self.le is None else bytes([self.le & 0xFF])
        return lc + self.data + le

    def _extended_body(self) -> bytes:
        lc = len(self.data).to_bytes(2, "big") if self.data else b""
        le = b"" if self.le is None else (self.le & 0xFFFF).to_bytes(2, "big")
        return b"\x00" + lc + self.data + le

    @classmethod
    def decode(cls, raw: bytes) -> "CommandAPDU":
        """Read a command; `InvalidApdu` when the lengths do not add up to one of the seven forms."""
        if len(raw) < 4:
            raise InvalidApdu(f"a command of {len(raw)} bytes; it has at least four")
        data, le, extended = _read_body(bytes(raw[4:]))
        return cls(raw[0], raw[1], raw[2], raw[3], data, le, extended)


def _read_body(body: bytes) -> tuple[bytes, int | None, bool]:
    """Data, Le and whether the extended form was used."""
    if not body:
        return b"", None, False
    if len(body) == 1:
        return b"", body[0] or SHORT_LE_MAX, False
    if body[0]:
        return *_split(body[1:], body[0], le_size=1), False
    if len(body) == 3:
        return b"", int.from_bytes(body[1:], "big") or EXTENDED_LE_MAX, True
    lc = int.from_bytes(body[1:3], "big")
    if len(body) < 3 or lc == 0:
        raise InvalidApdu("an Lc of zero; leave the field out when there is no data")
    return *_split(body[3:], lc, le_size=2), True


def _split(rest: bytes, lc: int, *, le_size: int) -> tuple[bytes, int | None]:
    if len(rest) == lc:
        return rest, None
    if len(rest) == lc + le_size:
        maximum = 1 << (8 * le_size)
        return rest[:lc], int.from_bytes(rest[lc:], "big") or maximum
    raise InvalidApdu(f"Lc promises {lc} bytes and {len(rest)} follow; send exactly those, and Le if wanted")


@dataclass(frozen=True, slots=True, repr=False)
class ResponseAPDU:
    """One answer: data and status word."""

    data: bytes
    sw: int

    @classmethod
    def decode(cls, raw: bytes) -> "ResponseAPDU":
        """Read an answer; `InvalidApdu` when it has no status word (6XXX or 9XXX)."""
        if len(raw) < 2:
            raise InvalidApdu(f"an answer of {len(raw)} bytes has no status word; try the card again")
        sw = int.from_bytes(raw[-2:], "big")
        if raw[-2] & 0xF0 not in {0x60, 0x90} or raw[-2] == 0x60:
            raise InvalidApdu(f"an answer ends with {sw:04X}, which is no status word; try the card again")
        return cls(bytes(raw[:-2]), sw)

    def encode(self) -> bytes:
        """The answer as it is transmitted."""
        return self.data + self.sw.to_bytes(2, "big")

    def __repr__(self) -> str:
        return f"ResponseAPDU({len(self.data)} bytes, {self.sw:04X})"

    @property
    def ok(self) -> bool:
        """True for 9000."""
        return self.sw == SUCCESS

    def require(self, command: CommandAPDU | None = None, *allowed: int) -> bytes:
        """The data when the status word is 9000 or one of `allowed`; else `StatusWordError`."""
        if self.ok or self.sw in allowed:
            return self.data
        raise StatusWordError(self.sw, None if command is None else command.ins)


def channel_of(cla: int) -> int:
    """The logical channel (0..19) that a class byte names."""
    return 4 + (cla & 0x0F) if cla & 0x40 else cla & 0x03


def is_secured(cla: int) -> bool:
    """True when the class byte announces secure messaging."""
    return bool(cla & 0x20) if cla & 0x40 else bool(cla & 0x0C)


def class_on_channel(cla: int, channel: int) -> int:
    """The same class on another logical channel: chaining and the presence of secure messaging are kept.

    Channels 4 to 19 use the further interindustry form, where one bit says that there is secure messaging.
    """
    if not 0 <= channel <= MAX_CHANNEL:
        raise InvalidApdu(f"channel {channel} does not exist; use 0 to 19")
    kept = cla & (0x80 | CHAINING)
    if channel < 4:
        secured = cla & 0x0C if not cla & 0x40 else (0x04 if cla & 0x20 else 0)
        return kept | secured | channel
    return kept | 0x40 | (0x20 if is_secured(cla) else 0) | (channel - 4)


def get_response(cla: int, le: int) -> CommandAPDU:
    """GET RESPONSE on the channel of the command with class `cla`, in plain."""
    return CommandAPDU(class_on_channel(0x00, channel_of(cla)), 0xC0, 0x00, 0x00, le=le)


def manage_channel_open() -> CommandAPDU:
    """MANAGE CHANNEL: open one; the card answers with its number (one byte)."""
    return CommandAPDU(0x00, 0x70, 0x00, 0x00, le=1)


def manage_channel_close(channel: int) -> CommandAPDU:
    """MANAGE CHANNEL: close channel 1..19, sent on the basic channel."""
    if not 1 <= channel <= MAX_CHANNEL:
        raise InvalidApdu(f"channel {channel} cannot be closed; only 1 to 19 can")
    return CommandAPDU(0x00, 0x70, 0x80, channel)


def chain(command: CommandAPDU, block: int = SHORT_DATA_MAX) -> Iterator[CommandAPDU]:
    """The command in short blocks with the chaining bit on all but the last, which carries Le."""
    if not 1 <= block <= SHORT_DATA_MAX:
        raise InvalidApdu(f"blocks of {block} bytes; use 1 to 255")
    le = None if command.le is None else min(command.le, SHORT_LE_MAX)
    last = (max(len(command.data), 1) - 1) // block * block
    for offset in range(0, last, block):
        part = command.data[offset : offset + block]
        yield CommandAPDU(command.cla | CHAINING, command.ins, command.p1, command.p2, part)
    yield replace(command, data=command.data[last:], le=le, extended=False)
