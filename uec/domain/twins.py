"""Hides what twins are: records of the register that share what only one person can have; and how a case of them moves.

Nobody merges them by a rule: a clerk decides, and until then no card is made for anyone in the case.
"""

from collections.abc import Mapping
from enum import StrEnum


class TwinKind(StrEnum):
    """Why records are in one case."""

    SAME_PERSON = "SAME_PERSON"
    SNILS_REUSED = "SNILS_REUSED"
    DOCUMENT_REUSED = "DOCUMENT_REUSED"


class TwinState(StrEnum):
    """Where a case stands."""

    OPEN = "OPEN"
    DECIDED = "DECIDED"
    CLOSED = "CLOSED"


class TwinEvent(StrEnum):
    """What can happen to a case."""

    DECIDE = "DECIDE"
    REOPEN = "REOPEN"
    CLOSE = "CLOSE"


class TwinRole(StrEnum):
    """What the clerk said of a record."""

    STANDS = "STANDS"
    SUPERSEDED = "SUPERSEDED"
    RIGHT = "RIGHT"
    WRONG = "WRONG"


TWIN_CASE: Mapping[tuple[TwinState, TwinEvent], TwinState] = {
    (TwinState.OPEN, TwinEvent.DECIDE): TwinState.DECIDED,
    # The records changed: what was decided was decided about others.
    (TwinState.DECIDED, TwinEvent.REOPEN): TwinState.OPEN,
    (TwinState.CLOSED, TwinEvent.REOPEN): TwinState.OPEN,
    # A later export set it right: nothing is shared any more.
    (TwinState.OPEN, TwinEvent.CLOSE): TwinState.CLOSED,
    (TwinState.DECIDED, TwinEvent.CLOSE): TwinState.CLOSED,
}
