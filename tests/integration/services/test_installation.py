"""A new installation: everything is there, run again nothing changes, and the maker's key is entered by components."""

import secrets
from dataclasses import replace
from pathlib import Path

import pytest

from card_io.ciphers import kcv_aes
from card_io.secret import Secret
from issuance.errors import BadComponent, VaultUnlockError
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyPurpose
from tests.support.keys import PASSPHRASES
from tests.support.office import NOW
from uec.domain.errors import InvalidInput
from uec.domain.permissions import Role
from uec.services import authority, staff
from uec.services.installation import ALGORITHMS, Administrator, TransportKey, has_administrator, install
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory
from uec.store.migrate import downgrade, require_current

MASTER = bytes(range(0x40, 0x50))
ADMIN = Administrator("admin", "Администратор", "Korotkiy-put-7-dney")


def settings_in(folder: Path, url: str) -> Settings:
    state = folder / "state"
    return replace(Settings(), state_dir=state, vault_path=state / "vault.json", database_url=url)


def transport(check_value: str) -> TransportKey:
    half = bytes(16 * [0x5A])
    return TransportKey((Secret(half), Secret(bytes(a ^ b for a, b in zip(half, MASTER, strict=True)))), check_value)


def run(settings: Settings, **changes: object) -> list[str]:
    said: list[str] = []
    arguments = {"passphrases": PASSPHRASES, "administrator": ADMIN, "now": NOW, "random": secrets.token_bytes}
    install(settings, **{**arguments, **changes}, say=said.append)  # type: ignore[arg-type]
    return said


def test_everything_is_made_once(tmp_path: Path, empty_database_url: str) -> None:
    settings = settings_in(tmp_path, empty_database_url)
    first = run(settings, transport=transport(kcv_aes(MASTER).hex()))
    with FileVault.unlock(settings.vault_path, PASSPHRASES) as vault:
        known = {info.ref.purpose: info.algorithm for info in vault.describe()}
        versions = [info.ref.version for info in vault.describe()]
    assert set(known) == {*ALGORITHMS, KeyPurpose.BLANK_TRANSPORT} and set(versions) == {1}
    engine = make_engine(settings.database_url)
    with session_factory(engine)() as session:
        made = authority.certificates(session)
        assert [person.roles for person in staff.list_staff(session)] == [(Role.ADMIN,)]
        session.commit()
        again = run(settings, transport=transport("000000"))
        assert authority.certificates(session) == made
        assert len(staff.list_staff(session)) == 1
    engine.dispose()
    assert [line.partition(":")[0] for line in first] == ["database", "vault", "vault", "authority", "staff"]
    assert [line for line in again if "there" not in line] == [
        "vault: opening it (the passphrases are stretched, this takes a few seconds)"
    ]


def test_after_a_new_version_it_adds_what_that_brings(tmp_path: Path, empty_database_url: str) -> None:
    settings = settings_in(tmp_path, empty_database_url)
    assert not has_administrator(settings), "there is not even a table"
    first = run(settings)
    assert "database: creating the tables" in first
    assert any(line.startswith("vault: made the first key for card-master, ") for line in first)
    assert has_administrator(settings)
    downgrade(empty_database_url, "-1")
    again = run(settings, administrator=None)
    assert "database: bringing its tables up to this version" in again and "vault: every key is there" in again
    require_current(empty_database_url)
    assert run(settings, administrator=None)[0] == "database: its tables are there"


def test_without_an_administrator_there_must_be_one(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, f"sqlite:///{tmp_path / 'uec.db'}")
    with pytest.raises(InvalidInput, match="no administrator"):
        run(settings, administrator=None)


def test_a_mistyped_component_is_found_and_the_rest_stays_for_the_next_try(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, f"sqlite:///{tmp_path / 'uec.db'}")
    with pytest.raises(BadComponent):
        run(settings, transport=transport("123456"))
    run(settings, transport=transport(kcv_aes(MASTER).hex()))
    with FileVault.unlock(settings.vault_path, PASSPHRASES) as vault:
        assert vault.active(KeyPurpose.BLANK_TRANSPORT).version == 1
        assert [info.ref.version for info in vault.describe(KeyPurpose.CARD_MASTER)] == [1]


def test_other_custodians_change_nothing(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, f"sqlite:///{tmp_path / 'uec.db'}")
    run(settings)
    before = settings.vault_path.read_bytes()
    with pytest.raises(VaultUnlockError):
        run(settings, passphrases=(PASSPHRASES[1], PASSPHRASES[0]))
    assert settings.vault_path.read_bytes() == before
