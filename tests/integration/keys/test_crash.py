"""The process that changes a vault is killed at any moment: no key that anyone heard of is lost."""

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyPurpose
from tests.support.keys import PASSPHRASES, make_vault

PROGRAM = """
import sys
from pathlib import Path
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from tests.support.keys import NOW, PASSPHRASES
vault = FileVault.unlock(Path(sys.argv[1]), PASSPHRASES)
while True:
    ref = vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
    check = vault.describe(KeyPurpose.CARD_MASTER)[-1].check_value
    print(ref.version, check, flush=True)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_a_whole_vault_with_every_told_key(tmp_path: Path) -> None:
    path = tmp_path / "vault"
    make_vault(path).close()
    moments = random.Random(20260302)
    for _ in range(6):
        process = subprocess.Popen([sys.executable, "-c", PROGRAM, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        with process.stdout:
            first = process.stdout.readline()
            time.sleep(moments.uniform(0, 0.05))
            process.kill()
            told = [line.split() for line in (first, *process.stdout) if line.endswith("\n")]
            process.wait()
        with FileVault.unlock(path, PASSPHRASES) as vault:
            known = {info.ref.version: info.check_value for info in vault.describe(KeyPurpose.CARD_MASTER)}
        assert told
        assert all(known[int(version)] == check for version, check in told)
        assert sorted(known) == list(range(1, max(known) + 1))
        assert max(known) <= int(told[-1][0]) + 1
