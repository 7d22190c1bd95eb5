"""The signing processes of a token: started with the vault, asked one batch at a time each, replaced when one dies.

Hides the processes and their sockets. A batch goes to whichever process is free; with all of them busy it waits. Asking
again after a death is safe: a signature that nobody received has no effect.
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

_START_TIMEOUT_S = 60.0
_STOP_TIMEOUT_S = 5.0


class SigningPool:
    """`count` signing processes of one token."""

    def __init__(self, token: Token, pin_halves: tuple[Secret, Secret], count: int) -> None:
        """Start them all and wait until each has logged in; raises what `Pkcs11Vault.unlock` raises."""
        self._greeting = signer.greeting(token, pin_halves)
        self._free: queue.SimpleQueue[_Signer] = queue.SimpleQueue()
        self._all: list[_Signer] = []
        self._closed = False
        self._guard = threading.Lock()
        try:
            for _ in range(count):
                self._free.put(self._start())
        except BaseException:
            self.close()
            raise

    def sign(self, request: Request, ref: KeyRef, algorithm: KeyAlgorithm, inputs: Sequence[bytes]) -> list[bytes]:
        """Sign messages or digests in a free process; raises as `Pkcs11Chest.sign` does."""
        asked = frames.encode(signer.ask(request, algorithm, wire.ref_out(ref)), inputs)
        one = self._free.get()
        try:
            try:
                header, signatures = one.exchange(asked)
            except (OSError, VaultProtocolError):
                one = self._replace(one)
                header, signatures = one.exchange(asked)
        except (OSError, VaultProtocolError) as error:
            raise VaultUnavailable(
                "the token's signing processes end by themselves: start `uec vault` again and look at its log",
                path="token",
            ) from error
        finally:
            self._free.put(one)
        wire.raise_error(header)
        if "value_error" in header:
            raise ValueError(header["value_error"])
        return signatures

    def process_ids(self) -> list[int]:
        """The processes there are now."""
        with self._guard:
            return [one.process.pid for one in self._all]

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

    def _replace(self, dead: "_Signer") -> "_Signer":
        with self._guard:
            if dead in self._all:
                self._all.remove(dead)
        dead.stop()
        return self._start()


class _Signer:
    """One process and the socket to it."""

    def __init__(self, greeting: frames.Frame) -> None:
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
        """Send a request and return its answer; raises `OSError` or `VaultProtocolError` when the process is gone."""
        self._socket.sendall(asked)
        return self._receive()

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
