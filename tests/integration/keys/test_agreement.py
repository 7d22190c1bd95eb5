"""An older vault or an older office is noticed."""

import shutil
from pathlib import Path

from issuance.keys.agreement import Disagreement, Finding, Memory, remember, require_agreement
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from tests.support.keys import NOW, PASSPHRASES, make_vault


def memory_of(vault: FileVault) -> Memory:
    return remember(vault.identity(), vault.describe())


def finding(memory: Memory, vault: FileVault) -> str | None:
    try:
        require_agreement(memory, vault.identity(), vault.describe())
    except Disagreement as error:
        assert "issue nothing" in str(error)
        return error.finding
    return None


def test_using_keys_changes_nothing_between_the_two(tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault:
        memory = memory_of(vault)
        vault.sign(vault.active(KeyPurpose.OCSP), [b"x"])
    with FileVault.unlock(tmp_path / "vault", PASSPHRASES) as again:
        assert finding(memory, again) is None


def test_a_restored_older_vault_is_noticed(tmp_path: Path) -> None:
    path, backup = tmp_path / "vault", tmp_path / "backup"
    make_vault(path).close()
    shutil.copyfile(path, backup)
    with FileVault.unlock(path, PASSPHRASES) as vault:
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        memory = memory_of(vault)
    shutil.copyfile(backup, path)
    with FileVault.unlock(path, PASSPHRASES) as restored:
        assert finding(memory, restored) == Finding.OLDER_VAULT
        # Generating again would give version 2 a second time: the generation has caught up, the key has not.
        restored.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        assert finding(memory, restored) == Finding.CHANGED_KEY


def test_a_restored_older_office_is_noticed(tmp_path: Path) -> None:
    with make_vault(tmp_path / "vault") as vault:
        memory = memory_of(vault)
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        assert finding(memory, vault) == Finding.OLDER_OFFICE


def test_another_vault_is_noticed(tmp_path: Path) -> None:
    with make_vault(tmp_path / "one") as one, make_vault(tmp_path / "two") as two:
        assert finding(memory_of(one), two) == Finding.OTHER_VAULT


def test_a_lost_key_is_noticed(tmp_path: Path) -> None:
    path, backup = tmp_path / "vault", tmp_path / "backup"
    make_vault(path).close()
    shutil.copyfile(path, backup)
    with FileVault.unlock(path, PASSPHRASES) as vault:
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        memory = memory_of(vault)
    shutil.copyfile(backup, path)
    with FileVault.unlock(path, PASSPHRASES) as restored:
        restored.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW)
        assert finding(memory, restored) == Finding.LOST_KEY
