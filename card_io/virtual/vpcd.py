"""A virtual card in a virtual PC/SC reader: a TCP client of the reader driver `vpcd` (vsmartcard).

Each message is a two-byte big-endian length and a body. A body of one byte is control: 0 power off, 1 power on, 2
reset, 4 asks for the answer to reset; anything else is a command. The card is in the reader as long as the connection
stands.

The driver writes length and body apart, so that Nagle's algorithm and the delayed acknowledgement wait for each other
(44 ms a command) unless the card's side asks for a quick acknowledgement again after every receive.

pcscd 1.9.9 looks at a reader every 0.4 s and keeps what its last look saw apart from what it tells its clients
(eventhandler.c, winscard.c). A card that goes in before the look that would have missed the last one is never noticed:
clients are told "empty" (or still see the last card) for as long as it stays. Every card that is noticed is powered
within the same look, so a card that is looked at again and again without power, or gets a command without it, knows
that it went in too early; it comes out for `HAND_S` and goes in once more.
"""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol

from card_io.errors import CardError
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import CardElsewhere, CardLost, CardMute
from card_io.virtual.memory import ImageNotWritten

PORT: Final = 35963
"""Port of Debian's first virtual reader, `Virtual PCD 00 00`; the second is one higher."""
HAND_S: Final = 0.6
"""How long a reader has to stay empty for the service to notice: one look of 0.4 s, and some."""
_CONNECT_TIMEOUT_S: Final = 5.0
_PUT_BACK_AFTER_S: Final = 0.05
_ONE_LOOK_S: Final = 0.2
"""Questions for the answer to reset closer together than this belong to one look of the service."""
_LOOKS_UNNOTICED: Final = 3
_TRIES: Final = 8
"""A service that powers no card by itself (a build option) leaves every card unpowered; such a card stays in."""


class Insertable(Protocol):
    """What a virtual reader needs of a card; `card_io.virtual.card.VirtualCard` has it."""

    @property
    def atr(self) -> bytes:
        """The answer to reset."""

    @property
    def present(self) -> bool:
        """False once the card was taken out by itself, so that it is not put back."""

    def power_on(self) -> object:
        """Power or reset; `CardLost` when it is not there."""

    def power_off(self) -> None:
        """No more power."""

    def process(self, command: bytes) -> bytes:
        """Command to answer; `CardLost` or `CardMute` when there is none."""


class NoVirtualReader(CardError):
    """Nothing listens on the port of a virtual reader."""

    code = "card.virtual.reader"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"no virtual reader listens on {host}:{port}; start pcscd with vsmartcard-vpcd, or name its port"
        )
        self.host = host
        self.port = port


class ReaderOccupied(NoVirtualReader):
    """The virtual reader listens, and holds a card with another one waiting behind it."""

    code = "card.virtual.occupied"

    def __init__(self, host: str, port: int) -> None:
        CardError.__init__(
            self, f"the virtual reader on {host}:{port} takes no further card; take out the one that is in it"
        )
        self.host = host
        self.port = port


class _Unnoticed(Exception):
    """The service looks at the card without having noticed that it is another insertion."""


class _Looks:
    """What the service did with the card since it went in: tells an insertion that was not noticed."""

    def __init__(self) -> None:
        self.noticed = False
        self._looks = 0
        self._last = float("-inf")

    def watch(self, message: bytes) -> None:
        """Raise `_Unnoticed` once this message shows that no power will come."""
        if self.noticed:
            return
        if message in (b"\x01", b"\x02"):
            self.noticed = True
        elif message == b"\x04":
            now = time.monotonic()
            self._looks += now - self._last > _ONE_LOOK_S
            self._last = now
            if self._looks >= _LOOKS_UNNOTICED:
                raise _Unnoticed
        elif len(message) != 1:  # a command for the card before
            raise _Unnoticed


class InsertedCard:
    """A card in the reader at `host`:`port`, served by a thread of its own until `remove` (or the end of `with`).

    A card that is torn or mute by its plan of faults loses contact and is put back at once; one that was taken out
    stays out. Raises `NoVirtualReader`, and `ReaderOccupied` for a reader that holds cards already.
    """

    def __init__(self, card: Insertable, host: str = "127.0.0.1", port: int = PORT) -> None:
        self.card = card
        self._address = (host, port)
        self._removed = threading.Event()
        self._tries = _TRIES
        self.failure: CardError | None = None
        """Why the card left the reader by itself, once it did."""
        self._socket = self._connect()
        self._thread = threading.Thread(target=self._serve, name=f"virtual card on {port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> "InsertedCard":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.remove()

    def remove(self) -> None:
        """Take the card out of the reader."""
        self._removed.set()
        while self._thread.is_alive():
            # Once more when the card was just going back in: the connection is another one then.
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            if self._thread is threading.current_thread():
                return
            self._thread.join(_PUT_BACK_AFTER_S)

    @property
    def inside(self) -> bool:
        """Whether the card is still in the reader; not when the reader's service ended or the card left by itself."""
        return self._thread.is_alive()

    def wait(self) -> None:
        """Wait until the card is out of the reader, or the reader is gone."""
        self._thread.join()

    def _connect(self) -> socket.socket:
        host, port = self._address
        try:
            link = socket.create_connection(self._address, timeout=_CONNECT_TIMEOUT_S)
        except TimeoutError as error:  # the driver's queue holds one card that waits; the next gets no answer
            raise ReaderOccupied(host, port) from error
        except OSError as error:
            raise NoVirtualReader(host, port) from error
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.settimeout(None)
        return link

    def _serve(self) -> None:
        try:
            while self._serve_one_insertion() and not self._removed.is_set():
                self._socket = self._connect()
        except NoVirtualReader:
            return  # the reader has gone, and the card with it
        finally:
            self._socket.close()
            self.card.power_off()

    def _serve_one_insertion(self) -> bool:
        """Answer until contact is lost; True when the card is still there and goes back in.

        The driver itself hangs up now and then, when a card came while it still held the one before.
        """
        looks = _Looks()
        self.card.power_off()  # nothing of the last insertion lives on
        try:
            while True:
                (size,) = struct.unpack(">H", self._receive(2))
                message = self._receive(size)
                if self._tries:
                    looks.watch(message)
                answer = self._answer(message)
                if answer is not None:
                    self._socket.sendall(struct.pack(">H", len(answer)) + answer)
        except _Unnoticed:
            self._socket.close()
            self._tries -= 1
            return not self._removed.wait(HAND_S)
        except (CardElsewhere, ImageNotWritten) as error:
            self.failure = error
            return False
        except (CardLost, CardMute):
            self._socket.close()
            return self.card.present
        except OSError:
            self._socket.close()
            return not self._removed.wait(_PUT_BACK_AFTER_S)

    def _receive(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self._socket.recv(size - len(data))
            if not part:
                raise ConnectionError
            data += part
            if hasattr(socket, "TCP_QUICKACK"):
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return data

    def _answer(self, message: bytes) -> bytes | None:
        if len(message) != 1:
            return self.card.process(message)
        match message[0]:
            case 0:
                self.card.power_off()
            case 1 | 2:
                self.card.power_on()
            case 4:
                return self.card.atr
        return None


def serve(
    card: VirtualCard | Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    *,
    put_in: Callable[[], None] = lambda: None,
) -> None:
    """Put a card (or the card in a file) into a virtual reader and stay until it is taken out or the reader goes.

    `put_in` is called once it lies there. Raises `NoVirtualReader`; for a file that is no card `BadImage`, for one that
    cannot be written `ImageNotWritten`, for one that another program changed `CardElsewhere`.
    """
    with InsertedCard(VirtualCard.load(card) if isinstance(card, Path) else card, host, port) as inserted:
        put_in()
        inserted.wait()
        if inserted.failure is not None:
            raise inserted.failure
