"""Hides how a photo comes in, and whether it came in whole; None when no file was chosen.

PNG (ISO/IEC 15948, clause 5): chunks with their checksums up to IEND. JPEG (ITU-T T.81, annex B): marker segments up to
the start of a scan, a frame among them, and the end of the image near the end of the file.
"""

import zlib
from typing import Any

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
START_OF_SCAN = 0xDA
# SOF0..SOF15 without DHT, JPG and DAC, which share their range.
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
END_OF_IMAGE = b"\xff\xd9"
TAIL_BYTES = 4096


def photo_of(field: Any) -> bytes | None:
    """Return the bytes of an uploaded photo, or None."""
    upload = field.data
    if not upload or not getattr(upload, "filename", ""):
        return None
    content: bytes = upload.read()
    upload.close()  # a large one lies in a temporary file
    return content


def is_damaged(content: bytes) -> bool:
    """Tell whether a PNG or JPEG was cut off or altered; anything else is not this function's question."""
    if content.startswith(PNG):
        return not _png_is_whole(content)
    return content.startswith(JPEG) and not _jpeg_is_whole(content)


def _png_is_whole(content: bytes) -> bool:
    place = len(PNG)
    while place + 12 <= len(content):
        end = place + 8 + int.from_bytes(content[place : place + 4], "big")
        kind = content[place + 4 : place + 8]
        if zlib.crc32(content[place + 4 : end]) != int.from_bytes(content[end : end + 4], "big"):
            return False
        if kind == b"IEND":
            return True
        place = end + 4
    return False


def _jpeg_is_whole(content: bytes) -> bool:
    place, framed = 2, False
    while place + 4 <= len(content) and content[place] == 0xFF:
        marker = content[place + 1]
        if marker == START_OF_SCAN:
            return framed and END_OF_IMAGE in content[-TAIL_BYTES:]
        framed = framed or marker in FRAMES
        place += 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return False
