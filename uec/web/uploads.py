"""Hides how a photo comes in: read whole (the request itself is limited), None when no file was chosen."""

from typing import Any


def photo_of(field: Any) -> bytes | None:
    """Return the bytes of an uploaded photo, or None."""
    upload = field.data
    if not upload or not getattr(upload, "filename", ""):
        return None
    content: bytes = upload.read()
    return content or None
