"""Which vault an installation has: the file, or a token; `uec vault` serves either."""

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from issuance.errors import VaultMissing, VaultUnlockError
from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.port import KeyPurpose
from tests.integration.keys.test_contract import verify
from tests.integration.services.test_installation import run, settings_in
from tests.support.keys import NOW, PASSPHRASES
from tests.support.tokens import PIN_HALVES, new_token
from uec.services import authority, vaults
from uec.services.installation import ALGORITHMS
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """An installation whose keys belong into a token."""
    token = new_token(tmp_path / "hsm")
    chosen = settings_in(tmp_path, f"sqlite:///{tmp_path / 'uec.db'}")
    return replace(chosen, pkcs11_module=str(token.module), pkcs11_label=token.label)


def test_an_installation_on_a_token_is_complete_and_leaves_no_file_of_keys(settings: Settings) -> None:
    run(settings, passphrases=PIN_HALVES)
    assert not settings.vault_path.exists()
    run(settings, passphrases=PIN_HALVES)  # again: nothing is made twice
    with vaults.unlock(settings, PIN_HALVES) as vault:
        assert isinstance(vault, Pkcs11Vault)
        assert {info.ref.purpose: info.ref.version for info in vault.describe()} == dict.fromkeys(ALGORITHMS, 1)
        engine = make_engine(settings.database_url)
        with session_factory(engine)() as session:
            assert authority.open_authority(session, vault, settings=settings).issuing
        engine.dispose()


def test_without_a_module_the_vault_is_the_file(tmp_path: Path) -> None:
    chosen = settings_in(tmp_path, f"sqlite:///{tmp_path / 'uec.db'}")
    with pytest.raises(VaultMissing):
        vaults.unlock(chosen, PASSPHRASES)
    chosen.vault_path.parent.mkdir()
    with vaults.unlock_or_create(chosen, PASSPHRASES) as vault:
        assert isinstance(vault, FileVault)
    vaults.unlock_or_create(chosen, PASSPHRASES).close()
    with pytest.raises(VaultUnlockError):
        vaults.unlock(chosen, (PASSPHRASES[1], PASSPHRASES[0]))


def test_uec_vault_serves_a_token_opened_by_two_halves_of_its_pin(settings: Settings, tmp_path: Path) -> None:
    settings.state_dir.mkdir()
    with vaults.create(settings, PIN_HALVES) as vault:
        vault.generate(KeyPurpose.OCSP, ALGORITHMS[KeyPurpose.OCSP], now=NOW)
    halves = [tmp_path / "first", tmp_path / "second"]
    for path, half in zip(halves, PIN_HALVES, strict=True):
        path.write_bytes(half.reveal() + b"\n")
    with TemporaryDirectory(prefix="uec-") as folder:
        file = tmp_path / "uec.toml"
        file.write_text(
            f'state_dir = "{settings.state_dir}"\nvault_socket = "{folder}/v.sock"\n'
            f'pkcs11_module = "{settings.pkcs11_module}"\npkcs11_label = "{settings.pkcs11_label}"\n'
        )
        command = [sys.executable, "-m", "uec", "vault"]
        for half_file in halves:
            command += ["--passphrase-file", str(half_file)]
        process = subprocess.Popen(
            command, env={**os.environ, "UEC_SETTINGS": str(file)}, stderr=subprocess.PIPE, text=True
        )
        try:
            wait_for(Path(folder) / "v-ocsp.sock", process)
            with VaultClient(Path(folder) / "v.sock", ClientKind.OCSP) as client:
                ref = client.active(KeyPurpose.OCSP)
                verify(client.public_key(ref), client.sign(ref, [b"served"])[0], b"served")
        finally:
            process.terminate()
            _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    end = time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None and time.monotonic() < end, process.communicate(timeout=1)
        time.sleep(0.05)
