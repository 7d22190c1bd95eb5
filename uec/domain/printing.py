"""Hides how the order to print a card's face moves: ordered, printed, matched with the chip by number, or spoiled."""

from collections.abc import Mapping
from enum import StrEnum


class PrintState(StrEnum):
    """Where the printing of a card stands."""

    ORDERED = "ORDERED"
    PRINTED = "PRINTED"
    MATCHED = "MATCHED"
    SPOILED = "SPOILED"


class PrintEvent(StrEnum):
    """What can happen to an order."""

    PRINT = "PRINT"
    MATCH = "MATCH"
    SPOIL = "SPOIL"


PRINT: Mapping[tuple[PrintState, PrintEvent], PrintState] = {
    (PrintState.ORDERED, PrintEvent.PRINT): PrintState.PRINTED,
    # A sheet that jammed is printed again; the plastic that did not come out right is the stock's to count.
    (PrintState.PRINTED, PrintEvent.PRINT): PrintState.PRINTED,
    (PrintState.PRINTED, PrintEvent.MATCH): PrintState.MATCHED,
    (PrintState.ORDERED, PrintEvent.SPOIL): PrintState.SPOILED,
    (PrintState.PRINTED, PrintEvent.SPOIL): PrintState.SPOILED,
    (PrintState.MATCHED, PrintEvent.SPOIL): PrintState.SPOILED,
}
