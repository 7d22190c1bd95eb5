"""The link between this machine's smart card service and one program, so that a test can cut it.

pcsc-lite's clients take the socket from `PCSCLITE_CSOCK_NAME`; a program started behind such a link sees the service
die and come back without anyone stopping the real one.
"""

import contextlib
import os
import selectors
import socket
import threading
from pathlib import Path

SERVICE_SOCKET = Path(os.environ.get("PCSCLITE_CSOCK_NAME", "/run/pcscd/pcscd.comm"))


class ServiceLink:
    """A Unix socket at `path` that passes bytes to the real service while it is up."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._listener: socket.socket | None = None
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._lock = threading.Lock()

    def up(self) -> None:
        """Let programs reach the service."""
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self.path))
        self._listener.listen()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        """Cut every connection and refuse new ones, as a service that was killed."""
        self.path.unlink(missing_ok=True)
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        with self._lock:
            for pair in self._pairs:
                for end in pair:
                    with contextlib.suppress(OSError):
                        end.shutdown(socket.SHUT_RDWR)
            self._pairs.clear()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                service = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                service.connect(str(SERVICE_SOCKET))
                with self._lock:
                    self._pairs.append((client, service))
                threading.Thread(target=_pass_on, args=(client, service), daemon=True).start()


def _pass_on(client: socket.socket, service: socket.socket) -> None:
    with client, service, selectors.DefaultSelector() as waiting, contextlib.suppress(OSError):
        waiting.register(client, selectors.EVENT_READ, service)
        waiting.register(service, selectors.EVENT_READ, client)
        while True:
            for key, _ in waiting.select():
                source, target = key.fileobj, key.data
                assert isinstance(source, socket.socket)
                data = source.recv(65536)
                if not data:
                    return
                target.sendall(data)
