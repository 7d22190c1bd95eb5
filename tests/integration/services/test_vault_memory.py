"""An older database or an older vault is noticed when the authority is opened, and nothing is issued."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from issuance.keys.agreement import Disagreement
from issuance.keys.file_vault import FileVault
from issuance.keys.port import KeyAlgorithm, KeyPurpose
from tests.integration.services.test_installation import run, settings_in
from tests.support.keys import NOW, PASSPHRASES, make_vault
from uec.services import authority, numbering, vault_memory
from uec.settings import Settings
from uec.store.engine import make_engine, session_factory


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = replace(settings_in(tmp_path, f"sqlite:///{tmp_path / 'uec.db'}"))
    run(made)
    return made


def open_both(settings: Settings) -> str | None:
    """Open the authority as hub and worker do; returns how vault and office disagree."""
    engine = make_engine(settings.database_url)
    try:
        with FileVault.unlock(settings.vault_path, PASSPHRASES) as vault, session_factory(engine)() as session:
            try:
                authority.open_authority(session, vault, settings=settings)
            except Disagreement as error:
                return error.finding
            return None
    finally:
        engine.dispose()


def rotate(settings: Settings) -> None:
    engine = make_engine(settings.database_url)
    with FileVault.unlock(settings.vault_path, PASSPHRASES) as vault, session_factory(engine)() as session:
        vault.generate(KeyPurpose.CARD_MASTER, KeyAlgorithm.AES_128, now=NOW)
        vault_memory.note(session, vault)
        numbering.take(session, "card", count=5)
        session.commit()
    engine.dispose()


def test_a_new_installation_agrees_and_a_second_run_too(settings: Settings) -> None:
    assert open_both(settings) is None
    run(settings)
    assert open_both(settings) is None


def test_an_older_vault_is_noticed(settings: Settings, tmp_path: Path) -> None:
    shutil.copyfile(settings.vault_path, tmp_path / "old")
    rotate(settings)
    assert open_both(settings) is None
    shutil.copyfile(tmp_path / "old", settings.vault_path)
    assert open_both(settings) == "older-vault"
    with pytest.raises(Disagreement):
        run(settings)


def test_an_older_database_is_noticed_and_after_the_decision_no_number_comes_twice(
    settings: Settings, tmp_path: Path
) -> None:
    shutil.copyfile(tmp_path / "uec.db", tmp_path / "old.db")
    rotate(settings)
    for path in tmp_path.glob("uec.db*"):
        path.unlink()
    shutil.copyfile(tmp_path / "old.db", tmp_path / "uec.db")
    assert open_both(settings) == "older-office"
    engine = make_engine(settings.database_url)
    with FileVault.unlock(settings.vault_path, PASSPHRASES) as vault, session_factory(engine)() as session:
        before = numbering.peek(session, "crl-root")
        vault_memory.agree(session, vault, skip=100, now=NOW)
        session.commit()
        assert numbering.peek(session, "crl-root") == before + 100
    engine.dispose()
    assert open_both(settings) is None


def test_another_vault_is_noticed(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    with make_vault(tmp_path / "one") as one, make_vault(tmp_path / "two") as two, sessions() as session:
        assert vault_memory.recall(session) is None
        vault_memory.require(session, two)
        vault_memory.note(session, one)
        session.commit()
        memory = vault_memory.recall(session)
        assert memory is not None and memory.identity == one.identity()
        assert len(memory.check_values) == len(one.describe())
        vault_memory.require(session, one)
        with pytest.raises(Disagreement):
            vault_memory.require(session, two)
