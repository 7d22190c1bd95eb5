"""Playing a bundle to a card: what a station does, and the local drivers too.

Follows 61xx and 6Cxx, stops at the first answer that a step does not expect, times every command. No key and no
knowledge of what the bytes mean is needed here.
"""

import time
from collections.abc import Callable
from typing import Protocol

from card_io.connection import Connection, HolderConnection, exchange
from card_io.errors import CardError
from card_io.reader_errors import CardMute, CardRemoved, CardReset, NoCard, NoPinPad, PinPadFailed, ReaderError
from issuance.production.asking import SW_BYTES, body, status
from issuance.production.bundle import Answers, Fault, Send, Step

CARD_LOST = "card.lost"
"""The code of a virtual card that lost its power."""


class Slot(Protocol):
    """A place for one card."""

    def connect(self, *, fresh: bool) -> Connection:
        """The connection to the card that lies there; `fresh` resets the card and makes a new one.

        Raises `CardError` when there is no card or no reader.
        """

    def close(self) -> None:
        """Let the card go."""


class OpenedSlot:
    """A slot made of a way to open a connection; each opening must reset the card."""

    def __init__(self, open_connection: Callable[[], Connection]) -> None:
        """`open_connection` powers the card up anew and connects to it."""
        self._open = open_connection
        self._connection: Connection | None = None

    def connect(self, *, fresh: bool) -> Connection:
        """The open connection, or a new one."""
        if self._connection is None or fresh:
            self.close()
            self._connection = self._open()
        return self._connection

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def play(slot: Slot, bundle: Send, *, on_step: Callable[[int, str], None] | None = None) -> Answers:
    """Send the bundle's commands to the card in the slot; faults of card and reader become part of the answer.

    `on_step` hears the number and label of each step before it goes (progress; it must not raise).
    """
    responses: list[bytes] = []
    elapsed_ms: list[int] = []
    try:
        connection = slot.connect(fresh=bundle.fresh)
        for number, step in enumerate(bundle.steps):
            if on_step is not None:
                on_step(number, step.label)
            begun = time.monotonic()
            response = _answer(connection, step)
            elapsed_ms.append(round((time.monotonic() - begun) * 1000))
            responses.append(response)
            if not expected(step, response):
                return Answers(tuple(responses), complete=False, atr=connection.atr, elapsed_ms=tuple(elapsed_ms))
        return Answers(tuple(responses), complete=True, atr=connection.atr, elapsed_ms=tuple(elapsed_ms))
    except CardError as error:
        slot.close()
        return Answers(
            tuple(responses), complete=False, fault=_fault(error), detail=str(error), elapsed_ms=tuple(elapsed_ms)
        )


def _answer(connection: Connection, step: Step) -> bytes:
    if step.pad is None:
        return exchange(connection, step.command)
    if not isinstance(connection, HolderConnection):
        raise NoPinPad
    return connection.ask_holder(step.command, step.pad)


def expected(step: Step, response: bytes) -> bool:
    """Whether the response lets the bundle go on."""
    if len(response) < SW_BYTES or status(response) not in step.expect:
        return False
    return step.answer is None or body(response) == step.answer


def _fault(error: CardError) -> Fault:
    match error:
        case NoPinPad() | PinPadFailed():
            return Fault.PAD_UNFIT
        case CardRemoved() | CardReset() | NoCard():
            return Fault.CARD_REMOVED
        case ReaderError() if not isinstance(error, CardMute):
            return Fault.READER_LOST
        case _:
            return Fault.CARD_REMOVED if error.code == CARD_LOST else Fault.CARD_MUTE
