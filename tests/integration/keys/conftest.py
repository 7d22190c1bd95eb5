"""The vaults that the contract test runs against: the file itself, and the same file behind its process's sockets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.file_vault import FileVault
from issuance.keys.port import Vault
from issuance.keys.service import VaultService
from tests.support.keys import make_vault

Vaults = Mapping[ClientKind, Vault]


@pytest.fixture
def run_folder() -> Iterator[Path]:
    """A folder with a name short enough for a Unix socket."""
    with TemporaryDirectory(prefix="uec-") as name:
        yield Path(name)


@pytest.fixture
def file_vault(tmp_path: Path) -> Iterator[FileVault]:
    """An open file vault with one key of each purpose."""
    with make_vault(tmp_path / "vault") as vault:
        yield vault


@pytest.fixture(params=["file", "socket"])
def vaults(request: pytest.FixtureRequest, file_vault: FileVault, run_folder: Path) -> Iterator[Vaults]:
    """The vault as each kind of client sees it."""
    if request.param == "file":
        yield dict.fromkeys(ClientKind, file_vault)
        return
    with VaultService(file_vault, run_folder / "vault.sock"):
        clients = {kind: VaultClient(run_folder / "vault.sock", kind) for kind in ClientKind}
        yield clients
        for client in clients.values():
            client.close()
