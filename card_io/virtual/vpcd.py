"""A virtual card in a virtual PC/SC reader: a TCP client of the reader driver `vpcd` (vsmartcard).

Each message is a two-byte big-endian length and a body. A body of one byte is control: 0 power off, 1 power on, 2
reset, 4 asks for the answer to reset; anything else is a command. The card is in the reader as long as the connection
stands.

The driver writes length and body apart, so that Nagle's algorithm and the delayed acknowledgement wait for each other
(44 ms a command) unless the card's side asks for a quick acknowledgement again after every receive.
"""

import contextlib
import socket
import struct
import threading
from pathlib import Path
from types import TracebackType
from typing import Final

from card_io.errors import CardError
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import CardElsewhere, CardLost, CardMute
from card_io.virtual.memory import ImageNotWritten

PORT: Final = 35963
"""Port of Debian's first virtual reader, `Virtual PCD 00 00`; the second is one higher."""
_CONNECT_TIMEOUT_S: Final = 5.0
_PUT_BACK_AFTER_S: Final = 0.05


class NoVirtualReader(CardError):
    """Nothing listens on the port of a virtual reader."""

    code = "card.virtual.reader"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"no virtual reader listens on {host}:{port}; start pcscd with vsmartcard-vpcd, or name its port"
        )
        self.host = host
        self.port = port


class InsertedCard:
    """A card in the reader at `host`:`port`, served by a thread of its own until `remove` (or the end of `with`).

    A card that is torn or mute by its plan of faults loses contact and is put back at once; one that was taken out
    stays out. Raises `NoVirtualReader`.
    """

    def __init__(self, card: VirtualCard, host: str = "127.0.0.1", port: int = PORT) -> None:
        self.card = card
        self._address = (host, port)
        self._removed = threading.Event()
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
            return
        finally:
            self._socket.close()
            self.card.power_off()

    def _serve_one_insertion(self) -> bool:
        """Answer until contact is lost; True when the card is still there and goes back in.

        The driver itself hangs up now and then, when a card came while it still held the one before.
        """
        try:
            while True:
                (size,) = struct.unpack(">H", self._receive(2))
                answer = self._answer(self._receive(size))
                if answer is not None:
                    self._socket.sendall(struct.pack(">H", len(answer)) + answer)
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


def serve(card: VirtualCard | Path, host: str = "127.0.0.1", port: int = PORT) -> None:
    """Put a card (or the card in a file) into a virtual reader and stay until it is taken out or the reader goes.

    Raises `NoVirtualReader`; for a file that is no card `BadImage`, for one that cannot be written `ImageNotWritten`,
    for one that another program changed `CardElsewhere`.
    """
    with InsertedCard(VirtualCard.load(card) if isinstance(card, Path) else card, host, port) as inserted:
        inserted.wait()
        if inserted.failure is not None:
            raise inserted.failure
