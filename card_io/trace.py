"""A log of what goes over a connection that can be shown to anyone.

Hides data by default: only commands whose data and answers are never secret nor personal are written out, every other
one with lengths alone. The list names what may be seen, so that an unknown command is hidden.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

from card_io.apdu import CommandAPDU, channel_of
from card_io.connection import Connection
from card_io.errors import CardError, InvalidApdu
from card_io.status import meaning

_GET_RESPONSE = 0xC0
_SHOWN = {
    0x22,  # MANAGE SECURITY ENVIRONMENT
    0x50,  # INITIALIZE UPDATE
    0x70,  # MANAGE CHANNEL
    0xA4,  # SELECT
    0xE4,  # DELETE
    0xE8,  # LOAD
    0xF0,  # SET STATUS
    0xF2,  # GET STATUS
}
_GET_DATA = 0xCA
_SHOWN_TAGS = {0x0042, 0x0045, 0x0066, 0x0067, 0x00C1, 0x00C2, 0x00CF, 0x00D3, 0x00E0, 0x2F00, 0x9F7F, 0xFF21}
"""What GET DATA asks a security domain for; whatever else an applet gives for it may be a person's data."""


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One exchange: command header, data as hex or None when hidden, sizes in bytes, status word, time in ms."""

    number: int
    header: bytes
    data: str | None
    data_size: int
    answer: str | None
    answer_size: int
    sw: int | None
    took_ms: float

    def __str__(self) -> str:
        sent = _field(self.data, self.data_size)
        head = f"{self.number:4d} > {self.header.hex(' ').upper()}{sent}"
        if self.sw is None:
            return f"{head}  < no answer  {self.took_ms:.1f} ms"
        back = _field(self.answer, self.answer_size)
        return f"{head}  <{back} {self.sw:04X} {meaning(self.sw)}  {self.took_ms:.1f} ms"


def _field(shown: str | None, size: int) -> str:
    if not size:
        return ""
    return f" [{size}] {shown if shown is not None else '***'}"


class TracedConnection:
    """A `Connection` that tells `log` about every exchange of the one inside it."""

    def __init__(
        self,
        connection: Connection,
        log: Callable[[TraceEntry], None],
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._connection = connection
        self._log = log
        self._clock = clock
        self._number = 0
        self._shown_before: set[int] = set()

    @property
    def atr(self) -> bytes:
        """The card's answer to reset."""
        return self._connection.atr

    def close(self) -> None:
        """Close the connection inside."""
        self._connection.close()

    def transmit(self, command: bytes) -> bytes:
        """Send one command and log it, also when the exchange fails."""
        self._number += 1
        started = self._clock()
        try:
            answer = self._connection.transmit(command)
        except CardError:
            self._log(self._entry(command, b"", started))
            raise
        self._log(self._entry(command, answer, started))
        return answer

    def _entry(self, command: bytes, answer: bytes, started: float) -> TraceEntry:
        data = _data_of(command)
        shown = self._may_be_shown(command)
        body = answer[:-2]
        return TraceEntry(
            number=self._number,
            header=command[:4],
            data=data.hex().upper() if shown else None,
            data_size=len(data),
            answer=body.hex().upper() if shown else None,
            answer_size=len(body),
            sw=int.from_bytes(answer[-2:], "big") if len(answer) >= 2 else None,
            took_ms=(self._clock() - started) * 1000,
        )

    def _may_be_shown(self, command: bytes) -> bool:
        """GET RESPONSE carries on the last answer on its logical channel and is shown like that one."""
        if len(command) < 4:
            return False
        channel = channel_of(command[0])
        if command[1] != _GET_RESPONSE:
            self._shown_before.discard(channel)
            if _is_public(command):
                self._shown_before.add(channel)
        return channel in self._shown_before


def _is_public(command: bytes) -> bool:
    if command[1] != _GET_DATA:
        return command[1] in _SHOWN
    return bool(command[0] & 0x80) and int.from_bytes(command[2:4], "big") in _SHOWN_TAGS


def _data_of(command: bytes) -> bytes:
    try:
        return CommandAPDU.decode(command).data
    except InvalidApdu:
        return command[4:]
