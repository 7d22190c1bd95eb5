"""One authority for all tests of this folder: making it costs two scrypt runs and a few keys."""

from collections.abc import Iterator

import pytest

from issuance.keys.file_vault import FileVault
from tests.support.keys import make_vault
from tests.support.pki import Authority, make_authority


@pytest.fixture(scope="session")
def pki_vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileVault]:
    with make_vault(tmp_path_factory.mktemp("pki") / "vault") as vault:
        yield vault


@pytest.fixture(scope="session")
def authority(pki_vault: FileVault) -> Authority:
    return make_authority(pki_vault)
