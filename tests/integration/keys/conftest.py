"""The vaults that the contract test runs against: the file itself, and the same file behind its process's sockets."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from issuance.keys.access import ClientKind
from issuance.keys.client import VaultClient
from issuance.keys.engine import VaultEngine
from issuance.keys.file_vault import FileVault
from issuance.keys.pkcs11_vault import Pkcs11Vault
from issuance.keys.port import Vault
from issuance.keys.service import VaultService
from issuance.keys.tokens import Token
from tests.support.keys import fill, make_vault
from tests.support.tokens import PIN_HALVES, new_token

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


@pytest.fixture
def token(tmp_path: Path) -> Token:
    """An empty token of SoftHSM2."""
    return new_token(tmp_path / "token")


@pytest.fixture
def token_vault(token: Token) -> Iterator[Pkcs11Vault]:
    """An open vault in a token, with one key of each purpose."""
    with Pkcs11Vault.create(token, PIN_HALVES) as vault:
        fill(vault)
        yield vault


@pytest.fixture
def pooled_vault(token: Token) -> Iterator[Pkcs11Vault]:
    """The same, its signatures made by two processes."""
    with Pkcs11Vault.create(token, PIN_HALVES) as vault:
        fill(vault)
    with Pkcs11Vault.unlock(token, PIN_HALVES, signers=2) as vault:
        yield vault


@pytest.fixture(params=["file", "socket", "token", "token-socket", "pooled-socket"])
def vaults(request: pytest.FixtureRequest, run_folder: Path) -> Iterator[Vaults]:
    """The vault as each kind of client sees it."""
    where = {"token": "token_vault", "pooled": "pooled_vault"}.get(request.param.partition("-")[0], "file_vault")
    vault: VaultEngine = request.getfixturevalue(where)
    if "socket" not in request.param:
        yield dict.fromkeys(ClientKind, vault)
        return
    with VaultService(vault, run_folder / "vault.sock"):
        clients = {kind: VaultClient(run_folder / "vault.sock", kind) for kind in ClientKind}
        yield clients
        for client in clients.values():
            client.close()
