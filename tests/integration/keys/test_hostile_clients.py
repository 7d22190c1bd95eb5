"""Clients that send too much, too little, too slowly or too often; a vault that is killed, full, out of descriptors."""

import contextlib
import errno
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from issuance.errors import VaultFull, VaultProtocolError, VaultUnavailable
from issuance.keys import frames, service
from issuance.keys.access import ClientKind, socket_for
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyPurpose
from issuance.keys.service import VaultService
from tests.integration.keys.test_contract import verify
from tests.support.keys import PASSPHRASES, make_vault

PROGRAM = """
import resource, sys
from pathlib import Path
from issuance.keys.file_vault import FileVault
from issuance.keys.service import serve
from tests.support.keys import PASSPHRASES
vault = FileVault.unlock(Path(sys.argv[1]), PASSPHRASES)
if len(sys.argv) > 3:
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[3]), int(sys.argv[3])))
serve(vault, Path(sys.argv[2]), on_ready=lambda: print("ready", flush=True))
"""


@pytest.fixture
def base(file_vault: FileVault, run_folder: Path) -> Iterator[Path]:
    """The sockets of a vault that is served."""
    with VaultService(file_vault, run_folder / "vault.sock"):
        yield run_folder / "vault.sock"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "_FRAME_S", 0.3)


def connected(base: Path, client: ClientKind = ClientKind.HUB) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(60)
    connection.connect(str(socket_for(base, client)))
    return connection


def served(base: Path) -> bool:
    """Whether another client of the same kind is answered."""
    with VaultClient(base, ClientKind.HUB, timeout_s=60) as hub:
        return len(hub.random(8)) == 8


def hung_up(connection: socket.socket) -> None:
    """Return once the other side has closed, whatever it has sent that nobody took."""
    waiting = select.poll()
    waiting.register(connection, 0)  # hanging up is told without being asked for
    assert waiting.poll(60_000), "the vault keeps the connection"


def refusal(connection: socket.socket) -> str:
    """The sentence with which the vault ends a connection."""
    answered = frames.receive(connection)
    assert answered is not None
    assert answered[0]["error"] == VaultProtocolError.code
    with contextlib.suppress(ConnectionResetError):  # how Linux closes when bytes were left unread
        assert connection.recv(1) == b""
    return str(answered[0]["message"])


def frame_of(head: bytes, body: bytes = b"") -> bytes:
    return (4 + len(head) + len(body)).to_bytes(4, "big") + len(head).to_bytes(4, "big") + head + body


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"\xff\xff\xff\xff", "length is impossible"),
        ((frames.MAX_FRAME_BYTES + 1).to_bytes(4, "big"), "length is impossible"),
        (b"\x00\x00\x00\x00", "length is impossible"),
        (frame_of(b"[" * 100_000), "no frame"),
        (frame_of(b'{"sizes": [' + b"[" * 50_000 + b"]" * 50_000 + b"]}"), "no frame"),
        (frame_of(b" " * (frames.MAX_HEADER_BYTES + 1)), "header is too long"),
        (frame_of(json.dumps({"request": "identity", "sizes": [1 << 40]}).encode()), "do not add up"),
        (frame_of(b'{"sizes": []}', b"more than was said"), "do not add up"),
        (frame_of(b"\xff\xfe{}"), "no frame"),
    ],
    ids=["longest", "too long", "empty", "nested", "nested sizes", "long header", "short", "too much", "no text"],
)
def test_what_is_no_frame_ends_its_own_connection_only(base: Path, sent: bytes, words: str) -> None:
    with connected(base) as connection:
        connection.sendall(sent)
        assert words in refusal(connection)
    assert served(base)


def test_a_frame_cut_short_is_no_request(base: Path, file_vault: FileVault) -> None:
    whole = frames.encode({"request": "sign", "ref": ["document-signer", 1]}, [b"message"])
    for size in (1, 3, 4, 5, len(whole) - 1):
        with connected(base) as connection:
            connection.sendall(whole[:size])
            connection.shutdown(socket.SHUT_WR)
            assert "closed in the middle" in refusal(connection)
    assert {info.uses for info in file_vault.describe(KeyPurpose.DOCUMENT_SIGNER)} == {0}
    assert served(base)


@pytest.mark.usefixtures("impatient")
def test_a_client_that_writes_slowly_loses_its_connection_and_holds_nobody_up(base: Path) -> None:
    whole = frames.encode({"request": "identity"}, [])
    with connected(base) as slow, connected(base) as drop_by_drop:
        slow.sendall(whole[:6])
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for byte in whole[:-1]:  # each in time, all of them together not
                drop_by_drop.sendall(bytes([byte]))
                time.sleep(0.03)
        assert served(base)
        for connection in (slow, drop_by_drop):
            assert "did not come in time" in refusal(connection)


@pytest.mark.usefixtures("impatient")
def test_a_client_that_is_idle_between_requests_keeps_its_connection(base: Path) -> None:
    with connected(base) as connection:
        for _ in range(2):
            time.sleep(0.5)
            frames.send(connection, {"request": "identity"})
            assert frames.receive(connection) is not None


@pytest.mark.usefixtures("impatient")
def test_a_client_that_reads_nothing_loses_its_connection_and_holds_nobody_up(base: Path) -> None:
    with connected(base) as connection:
        with contextlib.suppress(OSError):
            for _ in range(50):
                frames.send(connection, {"request": "random", "size_bytes": 1 << 20})
        assert served(base)
        hung_up(connection)
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(1 << 20):
                received += len(part)
        assert received < 3 << 20, "the rest was not kept for somebody who does not take it"
    assert served(base)


def test_too_many_connections_are_refused_by_a_sentence_and_only_of_their_kind(
    base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_MOST_CONNECTIONS", 3)
    with ExitStack() as stack:
        held = [stack.enter_context(connected(base)) for _ in range(3)]
        for connection in held:
            frames.send(connection, {"request": "identity"})
            assert frames.receive(connection) is not None
        with connected(base) as fourth:
            assert "hub has 3 connections" in refusal(fourth)
        with VaultClient(base, ClientKind.HUB) as hub, pytest.raises(VaultProtocolError, match="stop what opens them"):
            hub.identity()
        with VaultClient(base, ClientKind.WORKER) as worker:
            assert worker.identity()
    end = time.monotonic() + 60
    while time.monotonic() < end:  # the vault sees that they are closed a moment later
        with contextlib.suppress(VaultProtocolError):
            assert served(base)
            return
    pytest.fail("the connections that were closed still count")


def test_a_vault_with_stuck_clients_stops_soon(
    file_vault: FileVault, run_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "_GRACE_S", 0.5)
    with ExitStack() as stack:
        with VaultService(file_vault, run_folder / "vault.sock"):
            stuck = [stack.enter_context(connected(run_folder / "vault.sock")) for _ in range(8)]
            for connection in stuck:
                for _ in range(3):
                    frames.send(connection, {"request": "random", "size_bytes": 1 << 20})
            started = time.monotonic()
        assert time.monotonic() - started < 60, "what they asked for is not waited for"


@contextmanager
def vault_process(path: Path, base: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(path), str(base), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def test_a_vault_without_descriptors_takes_connections_again_when_some_are_free(
    tmp_path: Path, run_folder: Path
) -> None:
    make_vault(tmp_path / "vault").close()
    base = run_folder / "vault.sock"
    with vault_process(tmp_path / "vault", base, "24"):
        with ExitStack() as stack:
            answered = 0
            with contextlib.suppress(TimeoutError):
                for number in range(30):
                    connection = stack.enter_context(connected(base))
                    if number:
                        connection.settimeout(1)
                    frames.send(connection, {"request": "identity"})
                    answered += frames.receive(connection) is not None
            assert 0 < answered < 24
        with VaultClient(base, ClientKind.HUB, timeout_s=60) as hub, VaultClient(base, ClientKind.WORKER) as worker:
            assert hub.identity() == worker.identity()


def test_a_vault_killed_during_a_batch_is_told_in_a_sentence_and_nothing_is_lost(
    tmp_path: Path, run_folder: Path
) -> None:
    path, base = tmp_path / "vault", run_folder / "vault.sock"
    with make_vault(path) as vault:
        ref = vault.active(KeyPurpose.DOCUMENT_SIGNER)
        public, identity = vault.public_key(ref), vault.identity()
    made: list[tuple[bytes, bytes]] = []
    told: list[str] = []
    busy = threading.Event()

    def sign() -> None:
        for batch in range(10_000):
            messages = [b"%d-%d" % (batch, number) for number in range(100)]
            try:
                signatures = hub.sign(ref, messages)
            except VaultUnavailable as error:
                told.append(str(error))
                return
            made.append((messages[-1], signatures[-1]))
            if batch == 3:
                busy.set()

    with VaultClient(base, ClientKind.HUB) as hub:
        with vault_process(path, base) as process:
            signing = threading.Thread(target=sign)
            signing.start()
            assert busy.wait(60)
            os.kill(process.pid, signal.SIGKILL)
            signing.join(60)
        assert len(told) == 1 and "start it with `uec vault`" in told[0]
        with FileVault.unlock(path, PASSPHRASES) as again:
            assert again.identity() == identity
            assert again.describe(KeyPurpose.DOCUMENT_SIGNER)[0].uses >= 100 * len(made)
        for message, signature in made:
            verify(public, signature, message)
        with vault_process(path, base):  # over the sockets that the killed one has left
            (signature,) = hub.sign(ref, [b"afterwards"])
            verify(public, signature, b"afterwards")


def test_a_full_disk_is_told_over_the_socket_and_work_goes_on_when_there_is_room(
    base: Path, file_vault: FileVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    before = file_vault.identity()
    with VaultClient(base, ClientKind.WORKER) as worker:
        ref = worker.active(KeyPurpose.DOCUMENT_SIGNER)
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", full)
            for refused in (lambda: worker.step(before.generation), lambda: worker.sign(ref, [b"x"])):
                with pytest.raises(VaultFull, match="make room on the disk"):
                    refused()
        assert worker.identity() == before
        assert worker.step(before.generation).generation == before.generation + 1
        assert len(worker.sign(ref, [b"x"])) == 1
    assert file_vault.describe(KeyPurpose.DOCUMENT_SIGNER)[0].uses == 1
