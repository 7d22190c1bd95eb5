"""BER as CMS streams have it (ITU-T X.690, 8.1): written piece by piece, read without holding it in memory.

Hides lengths that are not known beforehand: a constructed string of unknown length is read as its pieces, whoever cut
them. The reader is strict where a second spelling could hide something: shortest lengths, end marks where they belong.
"""

from collections.abc import Iterator
from typing import BinaryIO

from issuance.bureau.errors import BureauFileRefused, refused
from issuance.pki import der

INDEFINITE = 0x80
END = b"\x00\x00"
CONSTRUCTED_OCTETS = der.OCTET_STRING | der.CONSTRUCTED
PIECE_BYTES = 1 << 16
NESTING_MAX = 16
"""Parts within parts of a string; writers cut one level deep."""
SMALL_BYTES = 1 << 20
"""What is read into memory at once (certificates, signer, recipients) is never larger."""


def opened(tag: int) -> bytes:
    """The head of an element whose length is not known yet; `END` closes it."""
    return bytes((tag, INDEFINITE))


class BerReader:
    """Reads elements of a stream one after the other; raises `BureauFileRefused`."""

    def __init__(self, stream: BinaryIO) -> None:
        """Read from the stream's present place."""
        self._stream = stream
        self._ahead: tuple[int, int | None] | None = None

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        data = self._stream.read(size)
        if len(data) != size:
            raise refused("cut-off", "the file ends too early")
        return data

    def head(self) -> tuple[int, int | None]:
        """Tag and length of the next element; None for a length that its end mark tells."""
        if self._ahead is not None:
            head, self._ahead = self._ahead, None
            return head
        tag, first = self.exactly(2)
        if tag & 0x1F == 0x1F:
            raise _malformed()
        if first == INDEFINITE:
            return tag, None
        if first < 0x80:
            return tag, first
        count = first & 0x7F
        if count > 5:
            raise _malformed()
        size = int.from_bytes(self.exactly(count), "big")
        if size < 0x80 or size.bit_length() <= 8 * (count - 1):
            raise _malformed()
        return tag, size

    def peek(self) -> tuple[int, int | None]:
        """The head of the next element, which stays the next one."""
        if self._ahead is None:
            self._ahead = self.head()
        return self._ahead

    def open(self, tag: int) -> int | None:
        """Enter a constructed element; returns what `close` wants to know."""
        found, size = self.head()
        if found != tag:
            raise _malformed()
        return size

    def close(self, size: int | None) -> None:
        """Leave an element entered with an unknown length; one with a known length ends by itself."""
        if size is None and self.head() != (0, 0):
            raise _malformed()

    def small(self, tag: int) -> bytes:
        """A whole element with a known length, as it stands."""
        found, size = self.head()
        if found != tag or size is None:
            raise _malformed()
        if size > SMALL_BYTES:
            raise refused("too-large", "a part of the file is impossibly large")
        return der.head(tag, size) + self.exactly(size)

    def octets(self, tag: int, nesting: int = NESTING_MAX) -> Iterator[bytes]:
        """The content of an octet string in pieces: in one part (`tag`), or cut into parts (`tag`, constructed)."""
        if not nesting:
            raise _malformed()
        found, size = self.head()
        if found == tag and size is not None:
            yield from self._pieces(size)
        elif found == tag | der.CONSTRUCTED and size is None:
            while self.peek() != (0, 0):
                yield from self.octets(der.OCTET_STRING, nesting - 1)
            self.head()
        elif found == tag | der.CONSTRUCTED and size is not None:
            yield from self._parts(size)
        else:
            raise _malformed()

    def end(self) -> None:
        """Nothing follows."""
        if self._ahead is not None or self._stream.read(1):
            raise refused("trailing-bytes", "bytes follow the end of the file")

    def _parts(self, size: int) -> Iterator[bytes]:
        """Primitive parts inside a constructed string of known length."""
        while size:
            tag, inner = self.head()
            if tag != der.OCTET_STRING or inner is None:
                raise _malformed()
            size -= len(der.head(tag, inner)) + inner
            if size < 0:
                raise _malformed()
            yield from self._pieces(inner)

    def _pieces(self, size: int) -> Iterator[bytes]:
        while size:
            piece = self.exactly(min(size, PIECE_BYTES))
            size -= len(piece)
            yield piece


def _malformed() -> BureauFileRefused:
    return refused("not-cms", "this is no CMS file of the agreed kind")
