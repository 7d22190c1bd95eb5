"""The vault's process: sockets, refusals by kind of client, restarts, a clean stop."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from issuance.errors import UnknownKey, VaultError, VaultProtocolError, VaultRefused, VaultUnavailable
from issuance.keys import frames
from issuance.keys.access import ClientKind, socket_for
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, PutKeyRequest
from issuance.keys.service import VaultService
from tests.support.keys import CHEAP, KDD, NOW, PASSPHRASES, make_vault

PROGRAM = """
import sys
from pathlib import Path
from issuance.keys.file_vault import FileVault
from issuance.keys.service import serve
from tests.support.keys import PASSPHRASES
serve(FileVault.unlock(Path(sys.argv[1]), PASSPHRASES), Path(sys.argv[2]), on_ready=lambda: print("ready", flush=True))
print("closed", flush=True)
"""


def test_sockets_are_their_owners_only_and_gone_after_the_stop(file_vault: FileVault, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with VaultService(file_vault, base):
        for client in ClientKind:
            assert socket_for(base, client).stat().st_mode & 0o777 == 0o600
    assert list(run_folder.iterdir()) == []


def test_each_kind_of_client_is_kept_to_its_purposes(file_vault: FileVault, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with VaultService(file_vault, base):
        with VaultClient(base, ClientKind.WORKER) as worker:
            card, pin = worker.active(KeyPurpose.CARD_MASTER), worker.active(KeyPurpose.PIN_MASTER)
            with pytest.raises(VaultRefused) as caught:
                worker.transport_pins(pin, "123456", {"pin1": 4})
            assert (caught.value.client, caught.value.purpose) == ("worker", "pin-master")
            with pytest.raises(VaultRefused):
                worker.put_key_data([PutKeyRequest(card, card, KDD, 1)])
            with pytest.raises(VaultRefused):
                worker.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW)
        with VaultClient(base, ClientKind.OCSP) as ocsp, pytest.raises(VaultRefused):
            ocsp.sign(ocsp.active(KeyPurpose.CA_ISSUING), [b"not an OCSP answer"])
    assert {info.uses for info in file_vault.describe()} == {0}


def test_the_client_finds_a_restarted_vault(file_vault: FileVault, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with VaultClient(base, ClientKind.HUB) as hub:
        with VaultService(file_vault, base):
            first = hub.identity()
        with pytest.raises(VaultUnavailable) as caught:
            hub.identity()
        assert "uec vault" in str(caught.value)
        with VaultService(file_vault, base):
            assert hub.identity() == first


def test_a_locked_vault_says_so_over_the_socket(file_vault: FileVault, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with VaultService(file_vault, base), VaultClient(base, ClientKind.HUB) as hub:
        file_vault.close()
        with pytest.raises(VaultError) as caught:
            hub.describe()
    assert caught.value.code == "vault-locked"


def test_a_socket_nobody_answers_on_is_replaced_and_a_live_one_is_not(file_vault: FileVault, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(socket_for(base, ClientKind.HUB)))
    with VaultService(file_vault, base):
        with pytest.raises(VaultUnavailable):
            VaultService(file_vault, base).start()
        with VaultClient(base, ClientKind.HUB) as hub:
            assert hub.identity() == file_vault.identity()


def test_a_path_too_long_for_a_socket_is_told(file_vault: FileVault, run_folder: Path) -> None:
    with pytest.raises(VaultUnavailable) as caught:
        VaultService(file_vault, run_folder / ("x" * 110)).start()
    assert "vault_socket" in str(caught.value)
    assert list(run_folder.iterdir()) == []


@pytest.mark.parametrize(
    "header",
    [{}, {"request": "unlock"}, {"request": "sign"}, {"request": "sign", "ref": ["x", 1]},
     {"request": "card_sessions", "cards": [[1]]}, {"request": "random", "size_bytes": "many"},
     {"request": "transport_pins", "ref": ["pin-master", 1], "card_number": 5, "digits": []}],
    ids=str,
)  # fmt: skip
def test_malformed_requests_are_answered_and_the_connection_goes_on(
    file_vault: FileVault, run_folder: Path, header: dict[str, object]
) -> None:
    base = run_folder / "vault.sock"
    with VaultService(file_vault, base), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_for(base, ClientKind.HUB)))
        frames.send(connection, header)
        refused = frames.receive(connection)
        assert refused is not None
        assert refused[0]["error"] == VaultProtocolError.code
        frames.send(connection, {"request": "identity"})
        answered = frames.receive(connection)
        assert answered is not None
        assert answered[0]["vault_id"] == file_vault.identity().vault_id


def test_noise_closes_the_connection_and_not_the_vault(file_vault: FileVault, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with VaultService(file_vault, base):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(socket_for(base, ClientKind.HUB)))
            connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
            answered = frames.receive(connection)
            assert answered is not None
            assert answered[0]["error"] == VaultProtocolError.code
            with contextlib.suppress(ConnectionResetError):  # how Linux closes when bytes were left unread
                assert connection.recv(1) == b""
        with VaultClient(base, ClientKind.HUB) as hub:
            assert len(hub.random(8)) == 8


def test_threads_share_one_client(file_vault: FileVault, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    found: list[bool] = []

    def work(number: int) -> None:
        digits = {"pin1": 4 + number % 8}
        for _ in range(20):
            pins = hub.transport_pins(ref, f"{number:08d}", digits)
            found.append(pins == file_vault.transport_pins(ref, f"{number:08d}", digits))

    with VaultService(file_vault, base), VaultClient(base, ClientKind.HUB) as hub:
        ref = hub.active(KeyPurpose.PIN_MASTER)
        threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 160


def test_the_process_stops_cleanly_on_sigterm(tmp_path: Path, run_folder: Path) -> None:
    path, base = tmp_path / "vault", run_folder / "vault.sock"
    make_vault(path).close()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(path), str(base)], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        with VaultClient(base, ClientKind.HUB) as hub:
            ref = hub.active(KeyPurpose.DOCUMENT_SIGNER)
            hub.sign(ref, [b"x"] * 5)
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stdout.read() == "closed\n"
            with pytest.raises(VaultUnavailable):
                hub.sign(ref, [b"too late"])
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()
    assert list(run_folder.iterdir()) == []
    with FileVault.unlock(path, PASSPHRASES) as vault:
        assert vault.describe(KeyPurpose.DOCUMENT_SIGNER)[0].uses == 5


def test_an_empty_vault_answers_that_it_has_no_key(tmp_path: Path, run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with (
        FileVault.create(tmp_path / "empty", PASSPHRASES, cost=CHEAP) as vault,
        VaultService(vault, base),
        VaultClient(base, ClientKind.HUB) as hub,
        pytest.raises(UnknownKey),
    ):
        hub.active(KeyPurpose.CARD_MASTER)


class Breaking:
    """A listener that takes requests, counts them, and closes without an answer."""

    def __init__(self, path: Path) -> None:
        self.seen: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        answered = False
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                frame = frames.receive(connection)
                if frame is None:
                    continue
                self.seen.append(frame[0]["request"])
                if not answered:  # the first request is answered, so that the client keeps a connection
                    answered = True
                    frames.send(connection, {"vault_id": "v", "generation": 1})
                    second = frames.receive(connection)
                    self.seen.append(second[0]["request"] if second else "closed")

    def stop(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(5)
        self._socket.close()


def test_a_new_key_is_never_asked_for_twice(run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    listener = Breaking(socket_for(base, ClientKind.CUSTODIAN))
    with VaultClient(base, ClientKind.CUSTODIAN) as custodian:
        custodian.identity()
        with pytest.raises(VaultUnavailable):
            custodian.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW)
    listener.stop()
    assert listener.seen == ["identity", "generate"]


def test_what_can_be_asked_twice_is_asked_once_more_after_a_break(run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    listener = Breaking(socket_for(base, ClientKind.HUB))
    with VaultClient(base, ClientKind.HUB) as hub:
        hub.identity()
        with pytest.raises(VaultUnavailable):
            hub.random(8)
    listener.stop()
    assert listener.seen == ["identity", "random", "random"]


def test_a_vault_that_does_not_answer_in_time_is_told(run_folder: Path) -> None:
    base = run_folder / "vault.sock"
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(socket_for(base, ClientKind.HUB)))
        silent.listen()
        with VaultClient(base, ClientKind.HUB, timeout_s=0.1) as hub, pytest.raises(VaultUnavailable) as caught:
            hub.identity()
    assert "timed out" in str(caught.value)
