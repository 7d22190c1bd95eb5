"""Hides how a dated rule or a public notice comes into force: proposed by one person, confirmed by another."""

from collections.abc import Mapping
from enum import StrEnum


class ChangeState(StrEnum):
    """Where a proposed change or notice stands."""

    PROPOSED = "PROPOSED"
    CONFIRMED = "CONFIRMED"
    WITHDRAWN = "WITHDRAWN"


class ChangeEvent(StrEnum):
    """What can happen to it."""

    CONFIRM = "CONFIRM"
    WITHDRAW = "WITHDRAW"


CHANGE: Mapping[tuple[ChangeState, ChangeEvent], ChangeState] = {
    (ChangeState.PROPOSED, ChangeEvent.CONFIRM): ChangeState.CONFIRMED,
    (ChangeState.PROPOSED, ChangeEvent.WITHDRAW): ChangeState.WITHDRAWN,
}
