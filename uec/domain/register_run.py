"""Hides how far an import of the register can be, so that one that was killed goes on where it stopped."""

from enum import StrEnum


class ImportState(StrEnum):
    """STAGING: rows are being checked; MOVED: they are in the register, the reject file is not out yet; DONE."""

    STAGING = "STAGING"
    MOVED = "MOVED"
    DONE = "DONE"
