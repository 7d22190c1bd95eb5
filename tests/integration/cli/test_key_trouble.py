"""Every `uec keys` command, and `uec vault`, when vault and database disagree or the vault's file is damaged."""

import shutil
from pathlib import Path

import pytest

from issuance.keys import storage
from issuance.keys.file_vault import FileVault
from tests.support.key_office import FIRST, OPEN, SECOND, copy_of, entry, store_of
from tests.support.keys import PASSPHRASES
from uec.cli import run
from uec.cli.keys import keys
from uec.services import vault_memory

CEREMONY = entry("Anna", FIRST) + entry("Boris", SECOND) + "y\n"
TRANSPORT = "\n".join(("11" * 32, "22" * 31 + "23")) + "\n"
FILES = ["--component-file", "Anna", "one", "--component-file", "Boris", "two"]

# What each command is called with, and how it ends while vault and database disagree: 0 where it only looks or saves
# (it says so all the same), 1 where it would change something.
DISAGREEING = {
    "list": ([], 0),
    "init": ([], 1),
    "rotate": ([], 1),
    "period": (["card-master", "1", "--until", "2030-01-01"], 1),
    "import-transport": (["--check-value", "AAAAAA", *FILES], 1),
    "move": (["card-master", "1", "compromise"], 1),
    "ceremony": ([], 1),
    "divide": ([], 1),
    "back-up": (["keys.backup"], 0),
}
# These do not ask whether the two agree, and say nothing about it: what they end with.
SILENT = {
    "restore": (["keys.backup"], 1, "has keys already"),
    "restore-previous": ([], 1, "is whole"),
    "passphrases": (["--new-passphrase-file", "third", "--new-passphrase-file", "fourth"], 0, ""),
    "agree": ([], 0, "agree again"),
}
NO_VAULT_OPENED = {"restore-previous"}


@pytest.fixture(scope="module")
def made(made_office: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An office whose vault counted on, and an older copy of its vault beside."""
    folder = tmp_path_factory.mktemp("made")
    shutil.copytree(made_office, folder, dirs_exist_ok=True)
    for name, text in (("one", "11" * 16), ("two", "22" * 16), ("third", "the third one"), ("fourth", "the fourth")):
        (folder / name).write_text(text)
    vault = folder / "state" / "vault.json"
    shutil.copyfile(vault, folder / "older")
    with FileVault.unlock(vault, PASSPHRASES) as opened, store_of(folder) as session:
        vault_memory.meet(session, opened)
    return folder


@pytest.fixture
def office(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return copy_of(made, tmp_path, monkeypatch)


def called(name: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Run a command as a person would who has typed everything; returns its exit code."""
    typed = iter((CEREMONY if name in ("ceremony", "divide") else TRANSPORT).splitlines())
    monkeypatch.setattr("click.termui.visible_prompt_func", lambda *_: next(typed))
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda *_: next(typed))
    return run(["keys", name, *arguments, *([] if name in NO_VAULT_OPENED else OPEN)])


def test_every_command_is_looked_at_here() -> None:
    assert DISAGREEING.keys() | SILENT.keys() == keys.commands.keys()
    assert not DISAGREEING.keys() & SILENT.keys()


@pytest.mark.parametrize("name", DISAGREEING)
def test_a_command_says_in_one_sentence_that_vault_and_database_disagree(
    office: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, code = DISAGREEING[name]
    vault = office / "state" / "vault.json"
    shutil.copyfile(office / "older", vault)
    before = vault.read_bytes()
    assert called(name, arguments, monkeypatch) == code
    told = capsys.readouterr().err
    assert told.count("the vault is an older copy than the office remembers: issue nothing") == 1, told
    assert "two custodians" in told and "Traceback" not in told
    assert told.startswith("warning: " if code == 0 else "uec: ")
    assert "Name of" not in told and vault.read_bytes() == before
    assert not (office / "key-ceremony.pdf").exists()


@pytest.mark.parametrize("name", SILENT)
def test_commands_that_mend_work_while_the_two_disagree(
    office: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, code, words = SILENT[name]
    (office / "keys.backup").write_text("{}")
    shutil.copyfile(office / "older", office / "state" / "vault.json")
    assert called(name, arguments, monkeypatch) == code
    told = capsys.readouterr()
    assert words in told.out + told.err and "Traceback" not in told.err


@pytest.mark.parametrize("name", [*DISAGREEING, *SILENT])
def test_a_command_says_in_one_sentence_that_the_vault_is_damaged(
    office: Path, name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = (DISAGREEING | {name: given[:2] for name, given in SILENT.items()})[name][0]
    (office / "keys.backup").write_text("{}")
    vault = office / "state" / "vault.json"
    damaged = bytearray(vault.read_bytes())
    damaged[len(damaged) // 3] ^= 1
    vault.write_bytes(damaged)
    code = called(name, arguments, monkeypatch)
    told = capsys.readouterr()
    if name == "restore-previous":
        assert code == 0 and "previous good copy is in place" in told.out
        assert vault.read_bytes() != damaged
        return
    assert code == 1
    assert told.err.count("\n") == 1 and told.err.startswith("uec: the vault "), told.err
    assert "is damaged" in told.err and "uec keys restore-previous" in told.err
    assert vault.read_bytes() == damaged and storage.previous_of(vault).exists()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("damaged", "uec keys restore-previous"),
        ("gone", "uec keys restore-previous"),
        ("both gone", "uec init"),
        ("open elsewhere", "is open in another process"),
        ("wrong custodian", "do not open this vault"),
    ],
)
def test_the_vault_process_does_not_start_and_says_why(
    office: Path, harm: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    vault = office / "state" / "vault.json"
    files = ["--passphrase-file", "second", "--passphrase-file", "first"] if harm == "wrong custodian" else OPEN
    if harm == "damaged":
        vault.write_bytes(vault.read_bytes()[:-1])
    elif "gone" in harm:
        vault.unlink()
    if harm == "both gone":
        storage.previous_of(vault).unlink()
    owner = storage.lock(vault) if harm == "open elsewhere" else None
    try:
        assert run(["vault", *files]) == 1
    finally:
        if owner is not None:
            owner.close()
    told = capsys.readouterr().err
    assert words in told and told.count("\n") == 1 and told.startswith("uec: "), told
