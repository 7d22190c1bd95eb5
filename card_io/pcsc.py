"""Cards in PC/SC readers: the only module that knows pyscard.

PC/SC part 5 as pcsc-lite implements it; part 10 for PIN pads. Hides contexts (made anew when the service was
restarted), handles, return codes and the difference between T=0 and T=1. Each connection has a context of its own,
so that several readers can be driven from several threads.
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from smartcard import scard

from card_io import pinpad
from card_io.apdu import CommandAPDU
from card_io.connection import t0_command
from card_io.reader_errors import (
    CardMute,
    CardRemoved,
    CardReset,
    NoCard,
    NoPinPad,
    NoReader,
    PinPadFailed,
    ReaderBusy,
    ReaderError,
    ReaderUnplugged,
    ServiceNotRunning,
    reader_error,
)

__all__ = [
    "CardMute",
    "CardRemoved",
    "CardReset",
    "Context",
    "NoCard",
    "NoPinPad",
    "NoReader",
    "PcscConnection",
    "PinPadFailed",
    "ReaderBusy",
    "ReaderError",
    "ReaderUnplugged",
    "ServiceNotRunning",
    "SlotState",
    "list_readers",
    "open_reader",
]

_PLUG_AND_PLAY = "\\\\?PnP?\\Notification"
_FEATURE_REQUEST = 3400
_NOTICE_S = 1.0
"""How long the service may take to notice that a card was pulled out: it looks every 0.2 to 0.4 s."""


def _check(result: int, reader: str = "") -> None:
    if result != scard.SCARD_S_SUCCESS:
        raise reader_error(result, reader, str(scard.SCardGetErrorMessage(result)))


@dataclass(frozen=True, slots=True)
class SlotState:
    """What is in one reader: `changes` counts insertions and removals since the service saw the reader."""

    reader: str
    present: bool
    mute: bool
    in_use: bool
    atr: bytes
    changes: int


class Context:
    """One link to the smart card service; `ServiceNotRunning` when there is no service. Use it as a context manager."""

    def __init__(self) -> None:
        result, self.handle = scard.SCardEstablishContext(scard.SCARD_SCOPE_SYSTEM)
        _check(result)

    def __enter__(self) -> "Context":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Give the link back; a service that has gone is no error here."""
        scard.SCardReleaseContext(self.handle)

    def readers(self) -> list[str]:
        """Names of the readers that are plugged in, in the service's order."""
        result, names = scard.SCardListReaders(self.handle, [])
        if result in (scard.SCARD_E_NO_READERS_AVAILABLE, scard.SCARD_E_READER_UNAVAILABLE):
            return []
        _check(result)
        return list(names)

    def slots(self) -> dict[str, SlotState]:
        """What is in each reader now."""
        names = self.readers()
        if not names:
            return {}
        result, states = scard.SCardGetStatusChange(
            self.handle, 0, [(name, scard.SCARD_STATE_UNAWARE) for name in names]
        )
        if result == scard.SCARD_E_UNKNOWN_READER:  # unplugged between the two calls
            return {}
        if result != scard.SCARD_E_TIMEOUT:
            _check(result)
        return {slot.reader: slot for slot in map(_slot, states)}

    def wait(self, known: dict[str, SlotState], timeout_s: float) -> None:
        """Sleep until something may have changed since `known`, or `timeout_s` have passed."""
        wanted: list[tuple[str, int]] = [(_PLUG_AND_PLAY, len(known) << 16)]
        for slot in known.values():
            base = scard.SCARD_STATE_PRESENT if slot.present else scard.SCARD_STATE_EMPTY
            wanted.append((slot.reader, base | slot.changes << 16))
        result, _ = scard.SCardGetStatusChange(self.handle, max(1, int(timeout_s * 1000)), wanted)
        if result not in (scard.SCARD_E_TIMEOUT, scard.SCARD_E_UNKNOWN_READER, scard.SCARD_E_CANCELLED):
            _check(result)


def _slot(state: tuple[str, int, list[int]]) -> SlotState:
    reader, event, atr = state
    return SlotState(
        reader=reader,
        present=bool(event & scard.SCARD_STATE_PRESENT),
        mute=bool(event & scard.SCARD_STATE_MUTE),
        in_use=bool(event & (scard.SCARD_STATE_EXCLUSIVE | scard.SCARD_STATE_INUSE)),
        atr=bytes(atr),
        changes=event >> 16 & 0xFFFF,
    )


def list_readers() -> list[str]:
    """Names of the readers that are plugged in; an empty list when there is none. Raises `ServiceNotRunning`."""
    with Context() as context:
        return context.readers()


def find_reader(wanted: str | int, names: list[str]) -> str:
    """The reader meant: by position from 0, by its whole name, or by a part of it that only one name has."""
    label = str(wanted)
    if isinstance(wanted, int) or (wanted.isdecimal() and wanted not in names):
        index = int(wanted)
        if not 0 <= index < len(names):
            raise NoReader(label, tuple(names))
        return names[index]
    if wanted in names:
        return wanted
    matches = [name for name in names if wanted.casefold() in name.casefold()]
    if len(matches) != 1:
        raise NoReader(label, tuple(names))
    return matches[0]


class PcscConnection:
    """A powered card in a PC/SC reader; a `Connection`, and a context manager that closes itself."""

    def __init__(self, context: Context, reader: str, share: int) -> None:
        self.reader = reader
        self._context = context
        self._share = share
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, self._card, self._protocol = scard.SCardConnect(context.handle, reader, share, protocols)
        _check(result, reader)
        self._pci: Any = scard.SCARD_PCI_T0 if self._protocol == scard.SCARD_PROTOCOL_T0 else scard.SCARD_PCI_T1
        self._open = True
        self._atr = self._read_atr()

    def _read_atr(self) -> bytes:
        result, _, _, _, atr = scard.SCardStatus(self._card)
        _check(result, self.reader)
        return bytes(atr)

    def __enter__(self) -> "PcscConnection":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def atr(self) -> bytes:
        """The card's answer to reset, or what the reader makes up for a contactless card."""
        return self._atr

    @property
    def protocol(self) -> str:
        """`T=0` or `T=1`; contactless cards appear as T=1."""
        return "T=0" if self._protocol == scard.SCARD_PROTOCOL_T0 else "T=1"

    def transmit(self, command: bytes) -> bytes:
        """Send one command; raises a `ReaderError` that says what happened to the card or the reader."""
        self._require_open()
        sent = t0_command(command) if self._protocol == scard.SCARD_PROTOCOL_T0 else command
        result, answer = scard.SCardTransmit(self._card, self._pci, list(sent))
        if result != scard.SCARD_S_SUCCESS:
            raise self._failure(result)
        if len(answer) < 2:
            raise self._failure(scard.SCARD_E_NOT_TRANSACTED)
        return bytes(answer)

    def _require_open(self) -> None:
        if not self._open:
            raise ReaderError(self.reader, detail="the connection is closed; open the reader again")

    def _failure(self, result: int) -> ReaderError:
        """A failed exchange often hides that the card or the service has gone: look before naming it."""
        error = reader_error(result, self.reader, str(scard.SCardGetErrorMessage(result)))
        if isinstance(error, CardReset | CardRemoved):
            return error
        try:
            gone = self._gone_within(_NOTICE_S)
        except ServiceNotRunning as stopped:
            return stopped
        if gone is not None:
            return gone
        # The handle can outlive a service that was restarted: the card is there, the connection is not.
        return CardReset(self.reader) if isinstance(error, ServiceNotRunning) else error

    def _gone_within(self, timeout_s: float) -> CardRemoved | None:
        deadline = time.monotonic() + timeout_s
        with Context() as fresh:
            while True:
                slot = fresh.slots().get(self.reader)
                if slot is None:
                    return ReaderUnplugged(self.reader)
                if not slot.present:
                    return CardRemoved(self.reader)
                if time.monotonic() > deadline:
                    return None
                time.sleep(_NOTICE_S / 20)

    @contextlib.contextmanager
    def transaction(self) -> Iterator["PcscConnection"]:
        """Keep other programs off the card until the block ends (for connections that are not exclusive)."""
        _check(scard.SCardBeginTransaction(self._card), self.reader)
        try:
            yield self
        finally:
            scard.SCardEndTransaction(self._card, scard.SCARD_LEAVE_CARD)

    def reset(self) -> bytes:
        """Power the card off and on (cold reset) and return its answer; sessions and PIN states end."""
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        result, self._protocol = scard.SCardReconnect(self._card, self._share, protocols, scard.SCARD_UNPOWER_CARD)
        _check(result, self.reader)
        self._atr = self._read_atr()
        return self._atr

    def close(self) -> None:
        """Let the card go: it loses its power, so that no session and no PIN state is left behind."""
        if self._open:
            self._open = False
            scard.SCardDisconnect(self._card, scard.SCARD_UNPOWER_CARD)
            self._context.release()

    def ask_holder(self, command: bytes, entry: pinpad.PinEntry) -> bytes:
        """Have the holder type into a command at the reader's keys; the raw answer, of the card or of the reader.

        A status word in `pinpad.ENDINGS` is the reader's: the holder did not finish, and the card heard nothing.
        Raises `NoPinPad`, `PinPadFailed`, and what `transmit` raises.
        """
        self._require_open()
        answer = self.pin_pad.ask(CommandAPDU.decode(command), entry)
        if len(answer) < 2:
            raise PinPadFailed(self.reader)
        return answer

    @property
    def pin_pad(self) -> pinpad.PinPad:
        """The reader's keys, if it has any (part 10)."""
        return pinpad.PinPad(self._control, request=_feature_request(), reader=self.reader)

    def _control(self, code: int, data: bytes) -> bytes:
        result, answer = scard.SCardControl(self._card, code, list(data))
        if result == scard.SCARD_S_SUCCESS:
            return bytes(answer)
        failed = PinPadFailed(self.reader)
        if not data:  # a question that the reader does not know
            raise failed
        error = self._failure(result)
        if isinstance(error, CardReset | CardRemoved | ServiceNotRunning):
            raise error
        raise failed from error


def _feature_request() -> int:
    """CM_IOCTL_GET_FEATURE_REQUEST, which is another number on Windows."""
    return int(scard.SCARD_CTL_CODE(_FEATURE_REQUEST))


def pin_pad_abilities(reader: str) -> tuple[str, ...] | None:
    """What a holder may do at the keys of a reader, with or without a card in it: `verify`, `modify`; () without keys.

    None when it cannot be asked just now: another program has it, or it has gone.
    """
    with Context() as context:
        result, handle, _ = scard.SCardConnect(context.handle, reader, scard.SCARD_SHARE_DIRECT, 0)
        if result != scard.SCARD_S_SUCCESS:
            return None

        def control(code: int, data: bytes) -> bytes:
            answered, answer = scard.SCardControl(handle, code, list(data))
            _check(answered, reader)
            return bytes(answer)

        try:
            return pinpad.PinPad(control, request=_feature_request(), reader=reader).abilities
        finally:
            scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)


def open_reader(reader: str | int, *, exclusive: bool = True) -> PcscConnection:
    """Power the card in a reader named by position or by (part of) its name.

    An exclusive connection keeps every other program away until it is closed; a shared one takes `transaction()` for
    what belongs together. Raises `ServiceNotRunning`, `NoReader`, `NoCard`, `ReaderBusy`, `CardMute`.
    """
    context = Context()
    share = scard.SCARD_SHARE_EXCLUSIVE if exclusive else scard.SCARD_SHARE_SHARED
    try:
        return PcscConnection(context, find_reader(reader, context.readers()), share)
    except BaseException:
        context.release()
        raise
