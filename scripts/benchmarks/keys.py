"""Card keys in bulk, and a vault over SoftHSM2 behind its socket, each beside what it costs bare."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from card_io.ciphers import AES_BLOCK, aes_ecb_encrypt
from card_io.secret import Secret
from issuance.keys import diversification, material
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.port import KDF3, KeyAlgorithm, KeyPurpose, KeyRef
from issuance.keys.tokens import Token
from scripts.benchmarks.figure import Figure, medians
from tests.support.keys import NOW
from tests.support.tokens import PIN_HALVES, new_token

RUNS = 7
CARD_KEYS_GOAL, TOKEN_GOAL = 0.7, 0.9
CARDS_A_CALL = 10_000
CLIENTS_A_SIGNER = 3


def figures(*, quick: bool) -> Iterator[Figure | str]:
    """Every figure with its floor from the same run."""
    cards = 100_000 if quick else 1_400_000
    for size_bytes in (16, 32):
        yield from card_key_figures(cards, size_bytes)
    with tempfile.TemporaryDirectory() as folder:
        yield from token_figures(Path(folder), 10 if quick else 50)


def card_key_figures(cards: int, size_bytes: int) -> Iterator[Figure]:
    """Three keys a card by KDF3, from KDDs in one piece to keys in one piece, ten thousand cards a call.

    The floor is AES alone: exactly as many blocks as the derivation enciphers, in ECB calls of the same size, over
    bytes that lie ready. Both keep what they made until the last call is done. Beside it stands the barest floor there
    is: the same calls into memory made by numpy, which spares the library its copy of the result.
    """
    key = bytes(range(size_bytes))
    kdds = [
        b"".join(number.to_bytes(10, "big") for number in range(at, min(at + CARDS_A_CALL, cards)))
        for at in range(0, cards, CARDS_A_CALL)
    ]
    blocks = [bytes(len(batch) // 10 * 3 * size_bytes) for batch in kdds]
    encrypt = material.encryptor(Secret(key), KeyAlgorithm.AES_128)
    master = diversification.Master(size_bytes, AES_BLOCK, lambda _: [], encrypt)
    bare, barest, derived = medians(
        (
            lambda: [aes_ecb_encrypt(key, batch) for batch in blocks],
            lambda: [_into_fresh_memory(encrypt, batch) for batch in blocks],
            lambda: [diversification.key_columns(master, KDF3, batch) for batch in kdds],
        ),
        runs=3 * RUNS,
        clock=time.process_time,
    )
    name = f"pki.card-keys.aes-{8 * size_bytes}.{cards}x3"
    yield Figure(name, "1/cpu-s", 3 * cards / derived, 3 * cards / bare, CARD_KEYS_GOAL)
    yield Figure(f"{name}.no-copy", "1/cpu-s", 3 * cards / derived, 3 * cards / barest)


def _into_fresh_memory(encrypt: Callable[[bytes, memoryview], object], blocks: bytes) -> NDArray[np.uint8]:
    made = np.empty(len(blocks) + AES_BLOCK, np.uint8)
    encrypt(blocks, made.data)
    return made


def token_figures(folder: Path, batches: int) -> Iterator[Figure]:
    """P-256 signatures by SoftHSM2, a hundred a request over the socket of a vault that is a process of its own.

    The floor is `python-pkcs11` alone over the same messages, hashed the same way: first one process beside one signing
    process, then two beside two. Each signing process has three clients, as hubs and workers are several: while one
    reads its answer, another's batch is signed. Rounds take turns, so that a busy machine is busy for both.
    """
    messages = _messages(batches)
    token = new_token(folder / "token")
    with Pkcs11Vault.create(token, PIN_HALVES) as vault:
        ref = vault.generate(KeyPurpose.CA_ISSUING, KeyAlgorithm.EC_P256, now=NOW)
    for signers in (1, 2):
        path = folder / f"v{signers}.sock"
        command = [sys.executable, "-c", _VAULT, str(token.module), token.label, str(token.lock_path), str(path)]
        with _process([*command, str(signers)]) as serving, ExitStack() as stack:
            bare = [stack.enter_context(_Bare(token, ref, batches)) for _ in range(signers)]
            count = CLIENTS_A_SIGNER * signers
            clients = [stack.enter_context(VaultClient(path, ClientKind.HUB)) for _ in range(count)]
            shares = [messages[at % CLIENTS_A_SIGNER :: CLIENTS_A_SIGNER] for at in range(count)]
            asking = [partial(_ask, client, ref, share) for client, share in zip(clients, shares, strict=True)]
            started = sum(one.cpu_seconds() for one in bare), _cpu_of(serving.pid)
            floor, served = wall_seconds(
                partial(_at_once, [one.run for one in bare]),
                partial(_at_once, asking),
            )
            bare_cpu = sum(one.cpu_seconds() for one in bare) - started[0]
            vault_cpu = _cpu_of(serving.pid) - started[1]
        made, all_rounds = 100 * batches * signers, 100 * batches * signers * (RUNS + 1)
        name = f"pki.vault.softhsm2.batches-of-100.{signers}-signers"
        yield Figure(name, "1/s", made / served, made / floor, TOKEN_GOAL)
        yield Figure(f"{name}.cpu", "1/cpu-s", all_rounds / vault_cpu, all_rounds / bare_cpu)


def _cpu_of(process: int) -> float:
    """CPU seconds that a process and those it has started have used up to now."""
    tasks = Path(f"/proc/{process}/task")
    children = {int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()}
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") + sum(map(_cpu_of, children))


def _ask(client: VaultClient, ref: KeyRef, messages: list[list[bytes]]) -> None:
    for batch in messages:
        client.sign(ref, batch)


def wall_seconds(*works: Callable[[], object]) -> list[float]:
    """Median seconds of each piece of work; they take turns."""
    samples: list[list[float]] = [[] for _ in works]
    for run in range(RUNS + 1):
        for work, sample in zip(works, samples, strict=True):
            started = time.perf_counter()
            work()
            if run:  # the first one warms up
                sample.append(time.perf_counter() - started)
    return [statistics.median(sample) for sample in samples]


_VAULT = """
import sys
from pathlib import Path
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.service import serve
from issuance.keys.tokens import Token
from tests.support.tokens import PIN_HALVES
token = Token(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
vault = Pkcs11Vault.unlock(token, PIN_HALVES, signers=int(sys.argv[5]))
serve(vault, Path(sys.argv[4]), on_ready=lambda: print("ready", flush=True))
"""

_SIGNING = """
import hashlib, pkcs11, sys
from scripts.benchmarks.keys import _messages
session = pkcs11.lib(sys.argv[1]).get_token(token_label=sys.argv[2]).open(user_pin=sys.argv[3])
key = session.get_key(object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=sys.argv[4])
messages = _messages(int(sys.argv[5]))
print("ready", flush=True)
for _ in sys.stdin:
    for batch in messages:
        [key.sign(hashlib.sha256(message).digest(), mechanism=pkcs11.Mechanism.ECDSA) for message in batch]
    print("done", flush=True)
"""


def _messages(batches: int) -> list[list[bytes]]:
    return [[b"%d-%d" % (batch, number) * 40 for number in range(100)] for batch in range(batches)]


@contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process that says when it is ready, and is stopped at the end."""
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None and running.stdout.readline() == "ready\n"
        yield running
    finally:
        running.terminate()
        running.communicate(timeout=30)


class _Bare:
    """`python-pkcs11` in a process of its own; a line on its input starts a round."""

    def __init__(self, token: Token, ref: KeyRef, batches: int) -> None:
        pin = "".join(half.reveal().decode() for half in PIN_HALVES)
        label = f"uec/{ref.purpose}/{ref.version}"
        command = [sys.executable, "-c", _SIGNING, str(token.module), token.label, pin, label, str(batches)]
        self._started = _process(command)

    def __enter__(self) -> _Bare:
        self._running = self._started.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._started.__exit__(None, None, None)

    def cpu_seconds(self) -> float:
        """What it has used up to now."""
        return _cpu_of(self._running.pid)

    def run(self) -> None:
        """One round, from the line sent to the line answered."""
        assert self._running.stdin is not None and self._running.stdout is not None
        self._running.stdin.write("go\n")
        self._running.stdin.flush()
        assert self._running.stdout.readline() == "done\n"


def _at_once(works: Sequence[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
