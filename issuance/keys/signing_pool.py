"""The signing processes of a token: started with the vault, asked one batch at a time each, replaced when one dies.

Hides the processes and their sockets. A batch goes to whichever process is free. Each is sent the next two batches
while it is at one, so that it does not wait even where a busy machine lets the vault wait; beyond that a batch waits
here. Asking again after a death is safe: a signature that nobody received has no effect.
"""

import contextlib
import queue
import socket
import subprocess
import threading
from collections.abc import Sequence
from typing import Any

from card_io.secret import Secret
from issuance.errors import VaultLocked, VaultProtocolError, VaultUnavailable
from issuance.keys import frames, signer, wire
from issuance.keys.access import Request
from issuance.keys.port import KeyAlgorithm, KeyRef
from issuance.keys.tokens import Token

_BATCHES_A_SIGNER = 3
_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0


class SigningPool:
    """`count` signing processes of one token."""

    def __init__(self, token: Token, pin_halves: tuple[Secret, Secret], count: int) -> None:
        """Start them all and wait until each has logged in; raises what `Pkcs11Vault.unlock` raises."""
        self._greeting = signer.greeting(token, pin_halves)
        self._places: queue.SimpleQueue[_Place] = queue.SimpleQueue()
        self._all: list[_Signer] = []
        self._closed = False
        self._guard = threading.Lock()
        try:
            places = [_Place(self._start()) for _ in range(count)]
            for place in places * _BATCHES_A_SIGNER:
                self._places.put(place)
        except BaseException:
            self.close()
            raise

    def sign(self, request: Request, ref: KeyRef, algorithm: KeyAlgorithm, inputs: Sequence[bytes]) -> list[bytes]:
        """Sign messages or digests in a free process; raises as `Pkcs11Chest.sign` does."""
        asked = frames.encode(signer.ask(request, algorithm, wire.ref_out(ref)), inputs)
        place = self._places.get()
        one = place.signer
        try:
            try:
                header, signatures = one.exchange(asked)
            except (OSError, VaultProtocolError):
                header, signatures = self._renewed(place, one).exchange(asked)
        except (OSError, VaultProtocolError) as error:
            raise VaultUnavailable(
                "the token's signing processes end by themselves: start `uec vault` again and look at its log",
                path="token",
            ) from error
        finally:
            self._places.put(place)
        wire.raise_error(header)
        if "value_error" in header:
            raise ValueError(header["value_error"])
        return signatures

    def close(self) -> None:
        """End every process; one that is signing finishes its batch first."""
        with self._guard:
            self._closed = True
            ending, self._all = self._all, []
        for one in ending:
            one.stop()

    def _start(self) -> "_Signer":
        with self._guard:
            if self._closed:
                raise VaultLocked("the vault is locked: two custodians must unlock it again")
            one = _Signer(self._greeting)
            self._all.append(one)
        return one

    def _renewed(self, place: "_Place", dead: "_Signer") -> "_Signer":
        """The process in the place of a dead one; whoever else was waiting for it may have put it there."""
        with place.renewing:
            if place.signer is dead:
                with self._guard:
                    if dead in self._all:
                        self._all.remove(dead)
                dead.stop()
                place.signer = self._start()
            return place.signer


class _Place:
    """Where one process signs; when it dies, another comes in its place."""

    def __init__(self, signer: "_Signer") -> None:
        self.signer, self.renewing = signer, threading.Lock()


class _Signer:
    """One process and the socket to it."""

    def __init__(self, greeting: frames.Frame) -> None:
        # Held until the answer to the request sent last is read: whoever sends the next one waits for it.
        self._sending, self._read = threading.Lock(), threading.Lock()
        self._socket, theirs = socket.socketpair()
        self._socket.settimeout(_START_TIMEOUT_S)
        try:
            with theirs:
                self.process = subprocess.Popen(signer.COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL)
        except BaseException:
            self._socket.close()
            raise
        try:
            frames.send(self._socket, *greeting)
            header, _ = self._receive()
            wire.raise_error(header)
        except BaseException:
            self.stop()
            raise

    def exchange(self, asked: bytes) -> tuple[dict[str, Any], list[bytes]]:
        """Send a request and return its answer; raises `OSError` or `VaultProtocolError` when the process is gone.

        More requests may be sent before this one is answered; answers come in the order of the requests.
        """
        read = threading.Lock()
        read.acquire()
        with self._sending:
            self._socket.sendall(asked)
            read_before, self._read = self._read, read
        with read_before:
            try:
                return self._receive()
            finally:
                read.release()

    def _receive(self) -> frames.Frame:
        answer = frames.receive(self._socket)
        if answer is None:
            raise VaultProtocolError("a signing process of the token has ended")
        return answer

    def stop(self) -> None:
        """Let it finish and end; one that does not end in time is killed."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)
        try:
            self.process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._socket.close()
