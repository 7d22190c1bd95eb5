"""The vault's file: whole or not at all, damage told, the previous good copy kept, one owner."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from card_io.secret import Secret
from issuance.errors import (
    BadComponent,
    UnusableKey,
    VaultBusy,
    VaultDamaged,
    VaultExists,
    VaultFull,
    VaultLocked,
    VaultMissing,
    VaultUnlockError,
    WeakPassphrase,
)
from issuance.keys import engine, sealing, storage
from issuance.keys.file_vault import FileVault
from issuance.keys.lifecycle import KeyEvent
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef, KeyState, PutKeyRequest
from tests.support.keys import (
    CHEAP,
    NOW,
    PASSPHRASES,
    TRANSPORT_CHECK_VALUE,
    TRANSPORT_COMPONENTS,
    TRANSPORT_MASTER,
    make_vault,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "vault"


def closed_vault(path: Path) -> Path:
    make_vault(path).close()
    return path


def test_keys_and_counts_are_there_after_a_restart(path: Path) -> None:
    with make_vault(path) as vault:
        ref = vault.active(KeyPurpose.OCSP)
        vault.sign(ref, [b"1", b"2"])
        told, identity, public_key = vault.describe(), vault.identity(), vault.public_key(ref)
    with FileVault.unlock(path, PASSPHRASES) as again:
        assert (again.describe(), again.identity(), again.public_key(ref)) == (told, identity, public_key)


def test_the_file_is_its_owners_only_and_shows_no_key(path: Path) -> None:
    closed_vault(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert TRANSPORT_MASTER not in path.read_bytes()
    assert TRANSPORT_MASTER.hex().encode() not in path.read_bytes()


def test_wrong_passphrases_open_nothing_and_change_nothing(path: Path) -> None:
    before = closed_vault(path).read_bytes()
    with pytest.raises(VaultUnlockError):
        FileVault.unlock(path, (PASSPHRASES[0], Secret(b"a wrong passphrase")))
    assert path.read_bytes() == before
    FileVault.unlock(path, PASSPHRASES).close()


def test_a_second_owner_is_told_to_ask_the_first(path: Path) -> None:
    with make_vault(path), pytest.raises(VaultBusy):
        FileVault.unlock(path, PASSPHRASES)
    FileVault.unlock(path, PASSPHRASES).close()


def test_nothing_is_made_over_an_old_vault(path: Path) -> None:
    closed_vault(path)
    with pytest.raises(VaultExists):
        FileVault.create(path, PASSPHRASES, cost=CHEAP)
    path.unlink()
    with pytest.raises(VaultExists):
        FileVault.create(path, PASSPHRASES, cost=CHEAP)


def test_weak_passphrases_leave_no_file(path: Path) -> None:
    with pytest.raises(WeakPassphrase):
        FileVault.create(path, (Secret(b"1234"), Secret(b"5678")), cost=CHEAP)
    assert not path.exists()


def test_no_vault_and_no_folder_are_told(path: Path) -> None:
    with pytest.raises(VaultMissing):
        FileVault.unlock(path, PASSPHRASES)
    with pytest.raises(VaultMissing):
        FileVault.unlock(path / "deeper" / "vault", PASSPHRASES)


def test_a_damaged_file_is_restored_from_the_copy_before_by_a_person(path: Path) -> None:
    with make_vault(path) as vault:
        generation = vault.identity().generation
    altered = bytearray(path.read_bytes())
    altered[len(altered) // 2] ^= 0x10
    path.write_bytes(altered)
    with pytest.raises(VaultDamaged) as caught:
        FileVault.unlock(path, PASSPHRASES)
    assert caught.value.previous == str(storage.previous_of(path))
    aside = storage.restore_previous(path)
    assert aside.read_bytes() == altered
    with FileVault.unlock(path, PASSPHRASES) as again:
        assert again.identity().generation == generation - 1


def test_a_lost_file_is_damage_when_a_copy_is_left(path: Path) -> None:
    closed_vault(path).unlink()
    with pytest.raises(VaultDamaged):
        FileVault.unlock(path, PASSPHRASES)
    storage.restore_previous(path)
    FileVault.unlock(path, PASSPHRASES).close()


def test_without_any_good_copy_a_backup_is_asked_for(path: Path) -> None:
    closed_vault(path).write_bytes(b"")
    storage.previous_of(path).write_bytes(b"UEC VAULT 1\n")
    with pytest.raises(VaultDamaged) as caught:
        FileVault.unlock(path, PASSPHRASES)
    assert caught.value.previous is None
    with pytest.raises(VaultDamaged):
        storage.restore_previous(path)


def test_a_whole_file_is_never_replaced_by_an_older_one(path: Path) -> None:
    before = closed_vault(path).read_bytes()
    with pytest.raises(VaultExists):
        storage.restore_previous(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("failing", ["fsync", "link"])
def test_a_full_disk_changes_nothing(path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    with make_vault(path) as vault:
        before, told, identity = path.read_bytes(), vault.describe(), vault.identity()

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with monkeypatch.context() as patched:
            patched.setattr(os, failing, full)
            with pytest.raises(VaultFull) as caught:
                vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        assert "No space left" in str(caught.value)
        assert path.read_bytes() == before
        assert (vault.describe(), vault.identity()) == (told, identity)
        assert vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW).version == 2
    assert not path.with_name("vault.new").exists()


def test_a_locked_vault_does_nothing(path: Path) -> None:
    vault = make_vault(path)
    ref = vault.active(KeyPurpose.OCSP)
    vault.close()
    vault.close()
    for work in (vault.identity, vault.describe, lambda: vault.sign(ref, [b"x"]), lambda: vault.public_key(ref)):
        with pytest.raises(VaultLocked):
            work()
    with pytest.raises(VaultLocked):
        vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW)


def test_a_wrong_component_imports_nothing(path: Path) -> None:
    with FileVault.create(path, PASSPHRASES, cost=CHEAP) as vault:
        mistyped = (TRANSPORT_COMPONENTS[0], Secret(bytes(16)))
        with pytest.raises(BadComponent) as caught:
            vault.import_key(
                KeyPurpose.BLANK_TRANSPORT, KeyAlgorithm.AES_128, mistyped, check_value=TRANSPORT_CHECK_VALUE, now=NOW
            )
        assert TRANSPORT_CHECK_VALUE in str(caught.value)
        with pytest.raises(UnusableKey):
            vault.import_key(
                KeyPurpose.CA_ROOT, KeyAlgorithm.EC_P256, TRANSPORT_COMPONENTS, check_value="504A77", now=NOW
            )
        assert vault.describe() == []


def test_a_destroyed_key_stays_known_and_unusable_after_a_restart(path: Path) -> None:
    with make_vault(path) as vault:
        old = vault.active(KeyPurpose.CARD_MASTER)
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        vault.move(old, KeyEvent.DESTROY)
        with pytest.raises(UnusableKey):
            vault.put_key_data([PutKeyRequest(old, vault.active(KeyPurpose.CARD_MASTER), bytes(10), 1)])
    content = json.loads(sealing.unseal(path.read_bytes(), PASSPHRASES)[1])
    masters = [item for item in content["keys"] if item["purpose"] == "card-master"]
    assert [item["material"] is None for item in masters] == [True, False]
    with FileVault.unlock(path, PASSPHRASES) as again:
        assert [info.state for info in again.describe(KeyPurpose.CARD_MASTER)] == [KeyState.DESTROYED, KeyState.ACTIVE]
        assert again.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW) == KeyRef(
            KeyPurpose.CARD_MASTER, 3
        )


def test_a_compromised_signer_signs_no_more(path: Path) -> None:
    with make_vault(path) as vault:
        ref = vault.active(KeyPurpose.AUDIT)
        vault.sign(ref, [b"before"])
        vault.move(ref, KeyEvent.COMPROMISE)
        with pytest.raises(UnusableKey):
            vault.sign(ref, [b"after"])


def stored_uses(path: Path, purpose: str) -> int:
    content = json.loads(sealing.unseal(path.read_bytes(), PASSPHRASES)[1])
    return next(int(item["uses"]) for item in content["keys"] if item["purpose"] == purpose)


def test_counts_are_written_ahead_and_never_too_low(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_RESERVED_USES", 10)
    writes = []
    real = storage.write
    with make_vault(path) as vault:
        monkeypatch.setattr(storage, "write", lambda *given: (writes.append(1), real(*given)))
        ref = vault.active(KeyPurpose.OCSP)
        for messages, on_disk, written in (([b"x"] * 3, 13, 1), ([b"x"] * 10, 13, 1), ([b"x"] * 2, 25, 2)):
            vault.sign(ref, messages)
            assert (stored_uses(path, "ocsp"), len(writes)) == (on_disk, written)
        assert vault.describe(KeyPurpose.OCSP)[0].uses == 15
    assert stored_uses(path, "ocsp") == 15  # a clean end knows exactly
    assert stored_uses(path, "audit") == 0


def test_a_killed_vault_forgets_no_use(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from issuance.keys.file_vault import FileVault\n"
        "from issuance.keys.port import KeyPurpose; from tests.support.keys import PASSPHRASES\n"
        "vault = FileVault.unlock(Path(sys.argv[1]), PASSPHRASES)\n"
        "[vault.sign(vault.active(KeyPurpose.OCSP), [b'x'] * 100) for _ in range(7)]\n"
        "os.kill(os.getpid(), 9)"
    )
    closed_vault(path)
    assert subprocess.run([sys.executable, "-c", program, str(path)], check=False, timeout=60).returncode == -9
    with FileVault.unlock(path, PASSPHRASES) as again:
        assert 700 <= again.describe(KeyPurpose.OCSP)[0].uses <= 700 + engine._RESERVED_USES


def test_a_use_that_cannot_be_counted_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with make_vault(path) as vault:
        ref = vault.active(KeyPurpose.OCSP)
        with monkeypatch.context() as patched:
            patched.setattr(storage, "write", lambda *_: (_ for _ in ()).throw(VaultFull("no room", path="x")))
            with pytest.raises(VaultFull):
                vault.sign(ref, [b"x"])
        assert len(vault.sign(ref, [b"x"])) == 1


def test_a_change_after_a_failed_one_is_numbered_as_if_it_had_not_been(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with make_vault(path) as vault:
        with monkeypatch.context() as patched:
            patched.setattr(storage, "write", lambda *_: (_ for _ in ()).throw(VaultFull("no room", path="x")))
            for _ in range(3):
                with pytest.raises(VaultFull):
                    vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW)
        ref = vault.generate(KeyPurpose.OCSP, KeyAlgorithm.EC_P256, now=NOW)
        assert ref.version == 2
        vault.sign(ref, [b"with the key that was kept"])
    with FileVault.unlock(path, PASSPHRASES) as again:
        again.sign(ref, [b"and that was saved"])
