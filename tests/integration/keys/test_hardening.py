"""Where a key could leak: dumps, other processes, files that are too open, peers that were not meant, printed words."""

import json
import os
import re
import socket
import stat
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from card_io.secret import Secret
from issuance.errors import VaultFull, VaultUnavailable
from issuance.keys import backup, material, peer, sealing, shares, storage
from issuance.keys.access import ClientKind, socket_for
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from issuance.keys.service import VaultService
from tests.support.keys import CHEAP, NOW, PASSPHRASES, TRANSPORT_COMPONENTS, TRANSPORT_MASTER, make_vault

CLOSED = """
import ctypes, json, os, resource
from issuance.keys import hardening

def looked_into():
    child = os.fork()
    if not child:
        try:
            open(f"/proc/{os.getppid()}/mem", "rb").close()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

status = lambda: dict(line.split(":", 1) for line in open("/proc/self/status"))
if os.geteuid() == 0:  # root may look into everything: be somebody else, whose own processes may look by default
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)
before = looked_into()
done = hardening.close_memory()
print(json.dumps({
    "dumps": done.dumps, "swap": done.swap, "core": resource.getrlimit(resource.RLIMIT_CORE),
    "locked": int(status()["VmLck"].split()[0]), "umask": status()["Umask"].strip(),
    "before": before, "after": looked_into(),
}))
"""


def run(program: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_process_with_the_keys_is_dumped_looked_into_and_swapped_by_nobody() -> None:
    ended = run(CLOSED)
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)
    assert told["dumps"] is True and told["core"] == [0, 0] and told["umask"] == "0077"
    assert (told["before"], told["after"]) == (True, False)
    # Where the system grants no locked memory, the process has said so.
    assert told["locked"] > 10_000 if told["swap"] else "memlock" in ended.stderr


def test_a_crash_of_such_a_process_writes_no_core(tmp_path: Path) -> None:
    program = (
        "import os, resource, sys; from issuance.keys import hardening; os.chdir(sys.argv[1])\n"
        "hardening.forbid_dumps(); os.abort()"
    )
    ended = run(program, str(tmp_path))
    assert ended.returncode == -6
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("mask", [0o000, 0o077])
def test_every_file_of_a_vault_is_its_owners_only_under_any_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        with make_vault(tmp_path / "vault") as vault:
            storage.write_private(tmp_path / "keys.backup", vault.back_up(Secret(bytes(32))))
    finally:
        os.umask(before)
    found = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert set(found) >= {"vault", "vault.previous", "vault.lock", "keys.backup"}
    assert set(found.values()) == {0o600}


def test_what_lies_ready_under_the_name_of_a_new_file_is_not_written_into(tmp_path: Path) -> None:
    """Somebody who may write into the folder puts a link or an open file where the vault writes its next version."""
    path, elsewhere = tmp_path / "vault", tmp_path / "elsewhere"
    with make_vault(path) as vault:
        elsewhere.write_bytes(b"")
        (tmp_path / "vault.new").symlink_to(elsewhere)
        vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW)
    assert elsewhere.read_bytes() == b""
    assert not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) == 0o600


FULL = """
import resource, signal, sys
from pathlib import Path
from issuance.errors import VaultFull
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from tests.support.keys import NOW, PASSPHRASES
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
vault = FileVault.unlock(Path(sys.argv[1]), PASSPHRASES)
told, identity = vault.describe(), vault.identity()
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
for change in (lambda: vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW),
               lambda: vault.sign(vault.active(KeyPurpose.OCSP), [b"x"])):
    try:
        change()
    except VaultFull as error:
        print(error)
assert (vault.describe(), vault.identity()) == (told, identity)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
vault.sign(vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW), [b"x"])
vault.close()
"""


def test_a_disk_that_takes_no_more_bytes_is_told_and_nothing_has_changed(tmp_path: Path) -> None:
    make_vault(tmp_path / "vault").close()
    ended = run(FULL, str(tmp_path / "vault"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("make room on the disk") == 2
    with FileVault.unlock(tmp_path / "vault", PASSPHRASES) as vault:
        assert vault.describe(KeyPurpose.OCSP)[-1].ref.version == 2
    assert not (tmp_path / "vault.new").exists()


@pytest.mark.parametrize(
    ("caller", "mode", "expected"),
    [
        (peer.Peer(1, 0, 0), 0o600, True),
        (peer.Peer(1, os.geteuid(), 0), 0o600, True),
        (peer.Peer(1, 4711, 4711), 0o600, True),
        (peer.Peer(1, 4712, 4713), 0o666, False),
        (peer.Peer(1, 4712, 4711), 0o660, True),
        (peer.Peer(1, 4712, 4711), 0o606, False),
    ],
)
def test_who_may_connect_is_who_the_socket_was_given_to(caller: peer.Peer, mode: int, expected: bool) -> None:
    given = os.stat_result((stat.S_IFSOCK | mode, 0, 0, 1, 4711, 4711, 0, 0, 0, 0))
    assert peer.admitted(caller, given) is expected


CALLER = """
import os, socket, sys
if sys.argv[2] != "same":
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(10)
connection.connect(sys.argv[1])
try:
    connection.sendall((6).to_bytes(4, "big") + (2).to_bytes(4, "big") + b"{}")
    print(len(connection.recv(1)))
except OSError:
    print(0)
"""


def test_a_socket_whose_mode_was_opened_lets_no_other_user_in(
    file_vault: FileVault, run_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run_folder.chmod(0o755)
    with VaultService(file_vault, run_folder / "vault.sock", [ClientKind.HUB]):
        path = socket_for(run_folder / "vault.sock", ClientKind.HUB)
        path.chmod(0o666)
        assert run(CALLER, str(path), "same").stdout == "1\n"
        if os.geteuid() == 0:  # only root can become somebody else
            assert run(CALLER, str(path), "other").stdout == "0\n"
            assert "turned user 65534" in caplog.text
        with VaultClient(run_folder / "vault.sock", ClientKind.HUB) as hub:
            assert len(hub.random(4)) == 4


def test_the_system_tells_who_is_at_the_other_end() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert peer.of(one) == peer.Peer(os.getpid(), os.geteuid(), os.getegid())


def test_no_error_of_the_vault_shows_a_secret_in_its_sentence_facts_or_cause(tmp_path: Path) -> None:
    secrets = [part.reveal().decode() for part in PASSPHRASES] + [TRANSPORT_MASTER.hex()]
    share = shares.split(Secret(TRANSPORT_MASTER), threshold=2, count=2)[0].words.reveal().decode()
    path = tmp_path / "vault"
    errors: list[BaseException] = []
    with make_vault(path) as vault:
        transport = Secret(bytes(range(32)))
        attempts = (
            lambda: FileVault.unlock(path, PASSPHRASES),
            lambda: sealing.unseal(path.read_bytes(), (PASSPHRASES[1], PASSPHRASES[0])),
            lambda: vault.import_key(
                KeyPurpose.BLANK_TRANSPORT,
                KeyAlgorithm.AES_128,
                TRANSPORT_COMPONENTS,
                check_value="000000",
                now=NOW,
            ),
            lambda: backup.decode(vault.back_up(transport), Secret(bytes(32))),
            lambda: shares.combine([Secret(share.encode())]),
            lambda: shares.read(share.replace(share.split()[6], "academic")),
            lambda: VaultClient(tmp_path / "none.sock", ClientKind.HUB).identity(),
            lambda: storage.write_private(tmp_path / "no" / "folder", b"x"),
        )
        for attempt in attempts:
            with pytest.raises(Exception) as caught:
                attempt()
            errors.append(caught.value)
    assert {type(error) for error in errors} >= {VaultUnavailable, VaultFull}
    for error in errors:
        told = "".join(traceback.format_exception(error)) + repr(getattr(error, "facts", "")) + repr(error.args)
        assert not any(secret in told for secret in secrets), told
        assert " ".join(share.split()[5:9]) not in told


def test_nothing_that_holds_a_key_prints_it(tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault:
        chest = vault._chest
        held = [secret.reveal() for secret in chest._keys.values()]  # type: ignore[attr-defined]
        shown = " ".join(map(repr, (vault, chest, vars(chest), vars(vault), vault.describe(), sealing.new_seal(
            PASSPHRASES, CHEAP
        ))))  # fmt: skip
    for key in held:
        assert key.hex() not in shown and repr(key)[2:-1] not in shown
    assert not re.search("custodian of tests", shown)


def test_closing_a_vault_drops_every_key(tmp_path: Path) -> None:
    vault = make_vault(tmp_path / "vault")
    vault.sign(vault.active(KeyPurpose.OCSP), [b"x"])
    chest = vault._chest
    vault.close()
    assert chest._keys == {} and chest._loaded == {}  # type: ignore[attr-defined]
    assert len(chest.seal.data_key) == 0  # type: ignore[attr-defined]


def test_key_material_comes_from_the_systems_generator() -> None:
    assert len({material.make(KeyAlgorithm.AES_256) for _ in range(64)}) == 64


def test_requests_and_answers_leave_no_secret_in_the_log(
    file_vault: FileVault, run_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(0)
    with VaultService(file_vault, run_folder / "v.sock"), VaultClient(run_folder / "v.sock", ClientKind.HUB) as hub:
        pins = hub.transport_pins(hub.active(KeyPurpose.PIN_MASTER), "9643123456789", {"pin1": 8})
        with pytest.raises(Exception):  # noqa: B017 - any refusal
            hub.sign(hub.active(KeyPurpose.AUDIT), [b"not the hub's to sign"])
    assert "vault-refused" in caplog.text
    assert pins["pin1"].reveal().decode() not in caplog.text
    assert "not the hub's to sign" not in caplog.text
