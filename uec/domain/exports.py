"""Hides what becomes of a list that somebody asked for as a file: waiting, being made, ready, or failed."""

from collections.abc import Mapping
from enum import StrEnum


class ExportState(StrEnum):
    """WAITING for a worker, RUNNING at one, READY to be taken, FAILED for a reason that stands beside."""

    WAITING = "WAITING"
    RUNNING = "RUNNING"
    READY = "READY"
    FAILED = "FAILED"


class ExportEvent(StrEnum):
    """A worker takes it on (also after one that went silent), finishes it, or gives it up."""

    CLAIM = "CLAIM"
    FINISH = "FINISH"
    FAIL = "FAIL"


EXPORT: Mapping[tuple[ExportState, ExportEvent], ExportState] = {
    (ExportState.WAITING, ExportEvent.CLAIM): ExportState.RUNNING,
    (ExportState.RUNNING, ExportEvent.CLAIM): ExportState.RUNNING,
    (ExportState.RUNNING, ExportEvent.FINISH): ExportState.READY,
    (ExportState.RUNNING, ExportEvent.FAIL): ExportState.FAILED,
}
