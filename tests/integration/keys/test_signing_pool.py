"""Signing processes of a token: as many sessions as processes, none shared, none left behind, none needed for long."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from card_io.secret import Secret
from issuance.errors import UnusableKey, VaultLocked, VaultMissing, VaultUnlockError
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from issuance.keys.service import VaultService
from issuance.keys.signing_pool import SigningPool
from issuance.keys.tokens import Token
from tests.integration.keys.test_contract import verify
from tests.integration.keys.test_token import CLIENT
from tests.support.keys import NOW
from tests.support.tokens import PIN_HALVES


def processes_of(vault: Pkcs11Vault) -> list[int]:
    pool = vault._chest._signers  # type: ignore[attr-defined]
    assert isinstance(pool, SigningPool)
    return [one.process.pid for one in pool._all]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_every_signer_is_a_process_of_its_own_and_ends_with_the_vault(pooled_vault: Pkcs11Vault) -> None:
    processes = processes_of(pooled_vault)
    assert len(set(processes)) == 2 and os.getpid() not in processes
    assert all(alive(process) for process in processes)
    pooled_vault.close()
    assert not any(alive(process) for process in processes)
    with pytest.raises(VaultLocked):
        pooled_vault.sign(KeyRef(KeyPurpose.OCSP, 1), [b"x"])


def test_threads_sign_at_once_and_every_signature_verifies(pooled_vault: Pkcs11Vault) -> None:
    ref = pooled_vault.active(KeyPurpose.CA_ISSUING)
    public = pooled_vault.public_key(ref)
    made: list[tuple[bytes, bytes]] = []
    processes = processes_of(pooled_vault)

    def work(number: int) -> None:
        for turn in range(10):
            messages = [b"%d-%d-%d" % (number, turn, at) for at in range(20)]
            made.extend(zip(messages, pooled_vault.sign(ref, messages), strict=True))
            assert len(pooled_vault.random(16)) == 16  # the vault's own session works beside them

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 6 * 10 * 20
    assert processes_of(pooled_vault) == processes, "none ended under the load"
    for message, signature in made:
        verify(public, signature, message)
    assert pooled_vault.describe(KeyPurpose.CA_ISSUING)[0].uses == len(made)


@pytest.mark.slow
def test_many_processes_ask_a_token_with_several_signers(pooled_vault: Pkcs11Vault, run_folder: Path) -> None:
    path = run_folder / "vault.sock"
    environment = {key: value for key, value in os.environ.items() if key != "SOFTHSM2_CONF"}
    with VaultService(pooled_vault, path):
        clients = [
            subprocess.Popen(
                [sys.executable, "-c", CLIENT, str(path), str(number)],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                env=environment,
            )
            for number in range(4)
        ]
        said = [client.communicate(timeout=100) for client in clients]
    assert [out for out, _ in said] == ["ok\n"] * 4, said
    assert pooled_vault.describe(KeyPurpose.CA_ISSUING)[0].uses == 4 * 30 * 20


def test_a_killed_signer_is_replaced_and_nobody_notices(pooled_vault: Pkcs11Vault) -> None:
    ref = pooled_vault.active(KeyPurpose.OCSP)
    public, before = pooled_vault.public_key(ref), processes_of(pooled_vault)
    for process in before:
        os.kill(process, signal.SIGKILL)
    for number in range(4):
        message = b"%d" % number
        verify(public, pooled_vault.sign(ref, [message])[0], message)
    after = processes_of(pooled_vault)
    assert len(after) == 2 and not set(after) & set(before)


def test_signers_killed_while_many_batches_are_with_them_lose_none(pooled_vault: Pkcs11Vault) -> None:
    ref = pooled_vault.active(KeyPurpose.CA_ISSUING)
    public, begun = pooled_vault.public_key(ref), threading.Semaphore(0)
    made: list[tuple[bytes, bytes]] = []

    def work(number: int) -> None:
        for turn in range(6):
            messages = [b"%d-%d-%d" % (number, turn, at) for at in range(20)]
            begun.release()
            made.extend(zip(messages, pooled_vault.sign(ref, messages), strict=True))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(12):
        begun.acquire()
    for process in processes_of(pooled_vault):
        os.kill(process, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len({message for message, _ in made}) == 8 * 6 * 20
    for message, signature in made:
        verify(public, signature, message)


def test_keys_made_later_are_known_to_the_signers_and_destroyed_ones_sign_nothing(pooled_vault: Pkcs11Vault) -> None:
    for algorithm in (KeyAlgorithm.EC_P384, KeyAlgorithm.RSA_2048, KeyAlgorithm.ED25519):
        ref = pooled_vault.generate(KeyPurpose.STATION, algorithm, now=NOW)
        for number in range(3):  # each of the two is asked at least once
            verify(pooled_vault.public_key(ref), pooled_vault.sign(ref, [b"%d" % number])[0], b"%d" % number)
    pooled_vault.move(ref, KeyEvent.RETIRE)
    pooled_vault.move(ref, KeyEvent.DESTROY)
    with pytest.raises(UnusableKey):
        pooled_vault.sign(ref, [b"x"])


def test_signers_do_not_outlive_a_killed_vault(token: Token, tmp_path: Path) -> None:
    Pkcs11Vault.create(token, PIN_HALVES).close()
    program = (
        "import os, sys; from pathlib import Path; from issuance.keys.pkcs11_vault import Pkcs11Vault\n"
        "from issuance.keys.tokens import Token; from tests.support.tokens import PIN_HALVES\n"
        "vault = Pkcs11Vault.unlock(Token(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])), PIN_HALVES, signers=2)\n"
        "print(*(one.process.pid for one in vault._chest._signers._all), flush=True)\n"
        "os.kill(os.getpid(), 9)"
    )
    arguments = [sys.executable, "-c", program, str(token.module), token.label, str(token.lock_path)]
    done = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=60)
    processes = [int(number) for number in done.stdout.split()]
    assert len(processes) == 2, done.stderr
    end = time.monotonic() + 60
    while any(alive(process) for process in processes) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(alive(process) for process in processes)


def test_the_pin_is_in_no_command_line_and_no_environment(pooled_vault: Pkcs11Vault) -> None:
    pin = b"".join(half.reveal() for half in PIN_HALVES)
    for process in processes_of(pooled_vault):
        for name in ("cmdline", "environ"):
            told = Path(f"/proc/{process}/{name}").read_bytes()
            assert not any(part in told for part in (pin, *(half.reveal() for half in PIN_HALVES)))


def test_a_pool_that_cannot_log_in_says_why_and_leaves_no_process(token: Token) -> None:
    with pytest.raises(VaultUnlockError):
        SigningPool(token, (Secret(b"wrong"), Secret(b"halves")), 2)
    with pytest.raises(VaultMissing):
        SigningPool(Token(token.module, "another", token.lock_path), PIN_HALVES, 1)
