r"""The file that office and bureau exchange, inside its CMS envelope: a header, records, a trailer.

All four kinds have one form. A file is a row of data objects (BER-TLV, ISO/IEC 7816-4:2020 section 6), each a record:

| tag | record | in |
|---|---|---|
| E0 | header, exactly one, first | all |
| E1 | a card to make | order |
| E2 | key sets for a chip of the stock sent to the bureau | order |
| E3 | the bureau's word on the order | acknowledgement |
| E4 | a card whose keys were made | results |
| E5 | a blank that was spoiled | results |
| E6 | a card that was not made | results |
| E7 | what to write onto a card whose keys were certified | answer |
| E8 | a card that was finished | results |
| E9 | a consignment of cards on its way | results |
| EF | trailer, exactly one, last | all |

Header: 80 format `UEC-BUREAU-1` \| 81 kind \| 82 number of the order \| 83 code of the bureau \| 84 number of the batch
\| 85 card profile \| 86 made at (ISO 8601, UTC) \| 87 number of the file within the order (2 bytes) \| 88 SHA-256 of
the order's records that the file speaks of (not in an order itself) \| 89 a term `name=value`, any number of them.

Trailer: 80 tag of a record kind and how many there are (1 + 4 bytes), for each kind there is, in order of tags \| 81
SHA-256 over all bytes before the trailer. Text is UTF-8 without control characters, numbers are big-endian. Bodies of
E1 and E2 see `order`, of E3 to E6, E8 and E9 `reply`, of E7 `answer`; `format.md` is the whole of it for partners.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from typing import BinaryIO

from card_io import tlv
from card_io.errors import InvalidTlv
from issuance.bureau.errors import BureauFileRefused, refused

FORMAT = "UEC-BUREAU-1"
RECORD_BYTES = 1 << 20
"""No record is longer; a card with its photo has some tens of thousands of bytes."""
DIGEST_BYTES = 32
NAME_LIMIT = 60
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


class FileKind(StrEnum):
    """What a file is."""

    ORDER = "order"
    ACKNOWLEDGEMENT = "acknowledgement"
    RESULTS = "results"
    ANSWER = "answer"


class Tag(IntEnum):
    """Tags of records."""

    HEADER = 0xE0
    CARD = 0xE1
    CHIP = 0xE2
    WORD = 0xE3
    MADE = 0xE4
    SPOILED = 0xE5
    NOT_MADE = 0xE6
    CLOSING = 0xE7
    FINISHED = 0xE8
    SHIPPED = 0xE9
    TRAILER = 0xEF


ALLOWED: Mapping[FileKind, frozenset[Tag]] = {
    FileKind.ORDER: frozenset({Tag.CARD, Tag.CHIP}),
    FileKind.ACKNOWLEDGEMENT: frozenset({Tag.WORD}),
    FileKind.RESULTS: frozenset({Tag.MADE, Tag.SPOILED, Tag.NOT_MADE, Tag.FINISHED, Tag.SHIPPED}),
    FileKind.ANSWER: frozenset({Tag.CLOSING}),
}


@dataclass(frozen=True)
class Header:
    """What a file is and what it belongs to; `terms` are an order's conditions by name."""

    kind: FileKind
    order: str
    bureau: str
    batch: str
    profile: str
    made_at: datetime
    sequence: int
    answers: bytes = b""
    terms: Mapping[str, str] = field(default_factory=dict)

    def encode(self) -> bytes:
        """The record's body."""
        texts = (FORMAT, self.kind.value, self.order, self.bureau, self.batch, self.profile)
        body = b"".join(tlv.encode(0x80 + place, text.encode()) for place, text in enumerate(texts))
        made = self.made_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        body += tlv.encode(0x86, made.encode()) + tlv.encode(0x87, self.sequence.to_bytes(2, "big"))
        body += tlv.encode(0x88, self.answers) if self.answers else b""
        return body + b"".join(tlv.encode(0x89, f"{name}={value}".encode()) for name, value in self.terms.items())

    @classmethod
    def decode(cls, body: bytes) -> "Header":
        """Read a body; raises `BureauFileRefused`."""
        fields = Fields(body)
        if fields.text(0x80) != FORMAT:
            raise refused("other-version", f"the file is not of the format {FORMAT}")
        try:
            kind, made = FileKind(fields.text(0x81)), datetime.fromisoformat(fields.text(0x86))
            if made.tzinfo is not UTC:
                raise ValueError("another time than UTC")
        except ValueError as error:
            raise refused("malformed", "the header of the file names an unknown kind or time") from error
        if any(len(fields.text(tag)) > NAME_LIMIT for tag in range(0x82, 0x86)):
            raise refused("malformed", "the header of the file holds an impossibly long name")
        terms = dict(term.partition("=")[::2] for term in fields.texts(0x89))
        return cls(
            kind=kind,
            order=fields.text(0x82),
            bureau=fields.text(0x83),
            batch=fields.text(0x84),
            profile=fields.text(0x85),
            made_at=made,
            sequence=int.from_bytes(fields.sized(0x87, 2), "big"),
            answers=fields.value(0x88, b""),
            terms=terms,
        )


class Fields:
    """The objects of a record's body by tag; raises `BureauFileRefused` for what is missing, unknown or not a text."""

    def __init__(self, body: bytes) -> None:
        """Read the body once."""
        self._found: dict[int, list[bytes]] = {}
        try:
            for item in tlv.iterate(body):
                self._found.setdefault(item.tag, []).append(item.value)
        except InvalidTlv as error:
            raise refused("malformed", f"a record of the file cannot be read ({error})") from error

    def value(self, tag: int, default: bytes | None = None) -> bytes:
        """The one value of a tag."""
        values = self._found.get(tag, [default] if default is not None else [])
        if len(values) != 1:
            raise refused("malformed", f"a record of the file has {len(values)} objects {tag:02X} where one belongs")
        return values[0]

    def values(self, tag: int) -> list[bytes]:
        """All values of a tag, in order."""
        return self._found.get(tag, [])

    def text(self, tag: int, default: str | None = None) -> str:
        """The one text of a tag."""
        return _text(self.value(tag, None if default is None else default.encode()))

    def texts(self, tag: int) -> list[str]:
        """All texts of a tag."""
        return [_text(value) for value in self.values(tag)]

    def sized(self, tag: int, size: int) -> bytes:
        """The one value of a tag, of exactly this size."""
        value = self.value(tag)
        if len(value) != size:
            raise refused("malformed", f"an object {tag:02X} of the file has {len(value)} bytes instead of {size}")
        return value


def _text(value: bytes) -> str:
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise refused("malformed", "a text of the file is not UTF-8") from error
    if CONTROL.search(text):
        raise refused("malformed", "a text of the file holds a control character")
    return text


class RecordWriter:
    """Writes a file record by record."""

    def __init__(self, write: Callable[[bytes], object], header: Header) -> None:
        """Begin with the header."""
        self._write, self._hash = write, hashlib.sha256()
        self.counts: Counter[Tag] = Counter()
        self._allowed = ALLOWED[header.kind]
        self._put(Tag.HEADER, header.encode())

    def add(self, tag: Tag, body: bytes) -> None:
        """Add a record."""
        if tag not in self._allowed or len(body) >= RECORD_BYTES:
            raise ValueError(f"a record {tag.name} of {len(body)} bytes does not belong into this file")
        self.counts[tag] += 1
        self._put(tag, body)

    def close(self) -> bytes:
        """End with the trailer; returns the digest of the records, by which the file is known."""
        counts = b"".join(
            tlv.encode(0x80, bytes([tag]) + count.to_bytes(4, "big")) for tag, count in sorted(self.counts.items())
        )
        digest = self._hash.digest()
        self._write(tlv.encode(Tag.TRAILER, counts + tlv.encode(0x81, digest)))
        return digest

    def _put(self, tag: Tag, body: bytes) -> None:
        record = tlv.encode(tag, body)
        self._hash.update(record)
        self._write(record)


class RecordReader:
    """Reads a file record by record; `header` at once, `digest` and `counts` once `records` has been read to its end.

    Raises `BureauFileRefused` as soon as something is wrong; that the file is whole shows only at its end, so `checked`
    reads it once before anything of it counts.
    """

    def __init__(self, stream: BinaryIO) -> None:
        """Read the header."""
        self._stream, self._hash = stream, hashlib.sha256()
        self.counts: Counter[Tag] = Counter()
        self.digest = b""
        tag, body = self._next()
        if tag is not Tag.HEADER:
            raise refused("malformed", "the file does not begin with a header")
        self.header = Header.decode(body)

    def records(self) -> Iterator[tuple[Tag, bytes]]:
        """The records between header and trailer."""
        allowed = ALLOWED[self.header.kind]
        while True:
            before = self._hash.copy()
            tag, body = self._next()
            if tag is Tag.TRAILER:
                self._finish(body, before.digest())
                return
            if tag not in allowed:
                raise refused(
                    "malformed", f"a record {tag.name} does not belong into a file of the kind {self.header.kind}"
                )
            self.counts[tag] += 1
            yield tag, body

    def _finish(self, body: bytes, measured: bytes) -> None:
        fields = Fields(body)
        promised = {value[0]: int.from_bytes(value[1:], "big") for value in fields.values(0x80) if value}
        if promised != {int(tag): count for tag, count in self.counts.items()}:
            raise refused("wrong-count", "the file does not hold as many records as it says")
        if fields.sized(0x81, DIGEST_BYTES) != measured:
            raise refused("wrong-digest", "the file's records are not those its digest was made of")
        if self._stream.read(1):
            raise refused("trailing-bytes", "bytes follow the end of the file")
        self.digest = measured

    def _next(self) -> tuple[Tag, bytes]:
        head = self._exactly(2)
        size = head[1]
        if size & 0x80:
            count = size & 0x7F
            more = self._exactly(count) if 1 <= count <= 3 else b""
            head, size = head + more, int.from_bytes(more, "big")
            if not more or tlv.length_bytes(size) != head[1:]:
                raise refused("malformed", "a record of the file has an impossible length")
        if head[0] not in set(Tag):
            raise refused("malformed", f"the file has a record of the unknown kind {head[0]:02X}")
        if size >= RECORD_BYTES:
            raise refused("too-large", "a record of the file is impossibly large")
        body = self._exactly(size)
        self._hash.update(head + body)
        return Tag(head[0]), body

    def _exactly(self, size: int) -> bytes:
        data = self._stream.read(size)
        if len(data) != size:
            raise refused("cut-off", "the file ends too early")
        return data


def checked(stream: BinaryIO) -> RecordReader:
    """A file that was read to its end and found whole; the stream is at its beginning again."""
    start = stream.tell()
    reader = RecordReader(stream)
    for _ in reader.records():
        pass
    stream.seek(start)
    return reader


__all__ = ["BureauFileRefused", "Fields", "FileKind", "Header", "RecordReader", "RecordWriter", "Tag", "checked"]
