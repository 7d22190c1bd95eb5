"""The vault process: serves the port on Unix sockets, one for each kind of client.

Hides connections and threads. The vault itself sees to it that requests wait for each other where they must; each may
be a batch. A socket is open to its owner only (mode 0600), and whoever connects is asked for by the system as well
(SO_PEERCRED, unix(7)); an administrator gives each socket to the user its process runs as. A client that sends or reads
slowly, opens too many connections or sends noise loses its own connection; the others are answered meanwhile.
"""

import _thread
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Self

from issuance.errors import VaultProtocolError, VaultUnavailable
from issuance.keys import frames, peer, wire
from issuance.keys.access import ClientKind, socket_for
from issuance.keys.port import Vault

log = logging.getLogger(__name__)

_PATH_MAX_BYTES = 107  # sockaddr_un.sun_path on Linux, less its final zero
_GRACE_S = 5.0
_FRAME_S = 30.0  # in which a request that has begun has come, and an answer been taken
_MOST_CONNECTIONS = 128  # of each kind of client
_BREATH_S = 1.0  # before connections are taken again after the system had no room for one

Answer = Callable[[ClientKind, frames.Frame], frames.Frame]


class _Listener:
    """The socket of one kind of client, and the connections made to it."""

    def __init__(self, path: Path, client: ClientKind, answer: Answer) -> None:
        self._path, self._client, self._answer = path, client, answer
        self._socket = _bind(path)
        self._sessions: dict[threading.Thread, socket.socket] = {}
        self._stopping = threading.Event()
        self._accepting = threading.Thread(target=self._accept, name=f"vault-{client}", daemon=True)
        self._accepting.start()

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError as error:
                # stop() has shut the listening socket, or the system has no room: then some of them go in a moment.
                if not self._stopping.wait(_BREATH_S):
                    log.warning("vault: cannot take a connection of %s: %s", self._client, error)
                continue
            if self._admitted(connection) and self._has_room(connection):
                self._begin(connection)
            else:
                connection.close()

    def _begin(self, connection: socket.socket) -> None:
        session = threading.Thread(target=self._serve, args=(connection,), daemon=True)
        self._sessions[session] = connection
        try:
            session.start()
        except RuntimeError as error:  # the system gives no more threads
            log.warning("vault: cannot serve a connection of %s: %s", self._client, error)
            del self._sessions[session]
            connection.close()

    def _has_room(self, connection: socket.socket) -> bool:
        if len(self._sessions) < _MOST_CONNECTIONS:
            return True
        full = VaultProtocolError(
            f"{self._client} has {_MOST_CONNECTIONS} connections to the vault: stop what opens them, then ask again"
        )
        log.warning("vault: %s", full)
        connection.setblocking(False)
        with contextlib.suppress(OSError):
            frames.send(connection, wire.error_out(full))
        return False

    def _admitted(self, connection: socket.socket) -> bool:
        """Whether the peer is of a user whom the socket was given to; its mode may have been opened by mistake."""
        with contextlib.suppress(OSError):
            caller = peer.of(connection)
            if peer.admitted(caller, self._path.stat()):
                return True
            log.warning("vault: turned user %d, process %d, away from %s", caller.user, caller.process, self._client)
        return False

    def _serve(self, connection: socket.socket) -> None:
        """Answer requests until the client closes, sends what is no frame, or the service stops."""
        try:
            with connection:
                self._answer_all(connection)
        except OSError as error:
            log.info("vault: lost a connection of %s: %s", self._client, error)
        finally:
            self._sessions.pop(threading.current_thread(), None)

    def _answer_all(self, connection: socket.socket) -> None:
        try:
            while (frame := frames.receive(connection, within_s=_FRAME_S)) is not None:
                answer = self._answer(self._client, frame)
                connection.settimeout(_FRAME_S)
                frames.send(connection, *answer)
        except VaultProtocolError as error:
            log.warning("vault: closed a connection of %s: %s", self._client, error)
            connection.settimeout(_FRAME_S)
            frames.send(connection, wire.error_out(error))

    def stop(self) -> None:
        """Take no more requests, finish the one being answered, remove the socket."""
        self._stopping.set()
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._accepting.join(_GRACE_S)
        self._socket.close()
        going, end = list(self._sessions.items()), time.monotonic() + _GRACE_S
        for _, connection in going:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RD)
        for session, _ in going:
            session.join(max(end - time.monotonic(), 0))


class VaultService:
    """All listeners of one vault. Use as a context manager, or call `start` and `stop`."""

    def __init__(self, vault: Vault, socket_path: Path, clients: Iterable[ClientKind] = ClientKind) -> None:
        self._vault = vault
        self._paths = {client: socket_for(Path(socket_path), client) for client in clients}
        self._listeners: list[_Listener] = []

    def start(self) -> None:
        """Open every socket and answer in the background; raises `VaultUnavailable` when a socket cannot be made."""
        try:
            for client, path in self._paths.items():
                self._listeners.append(_Listener(path, client, self._answer))
        except OSError as error:
            self.stop()
            raise VaultUnavailable(
                f"the vault cannot open its socket {path} ({error}): change the setting vault_socket", path=str(path)
            ) from error

    def _answer(self, client: ClientKind, frame: frames.Frame) -> frames.Frame:
        header, blobs = wire.answer(self._vault, client, frame)
        if "error" in header:
            log.warning("vault: refused %s: %s", client, header["error"])
        return header, blobs

    def stop(self) -> None:
        """Close every socket and remove it; a request that is being answered is finished first."""
        while self._listeners:
            self._listeners.pop().stop()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def serve(vault: Vault, socket_path: Path, *, on_ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT, then close the sockets and the vault. For the main thread of a process."""
    stopping = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        # In a thread: the main one may hold the event's lock at the very moment the signal comes.
        _thread.start_new_thread(stopping.set, ())

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        with VaultService(vault, socket_path):
            log.info("vault: ready on %s", socket_path)
            on_ready()
            stopping.wait()
    finally:
        vault.close()
    log.info("vault: closed")


def _bind(path: Path) -> socket.socket:
    """Open a listening socket with mode 0600; a socket nobody answers on any more is replaced."""
    if len(os.fsencode(path)) > _PATH_MAX_BYTES:
        raise OSError(f"the path is longer than {_PATH_MAX_BYTES} bytes")
    if _answers(path):
        raise OSError("another vault process answers there")
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
        listener.listen(64)
    except BaseException:
        listener.close()
        raise
    finally:
        os.umask(before)
    return listener


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
    return True
