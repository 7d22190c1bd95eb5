"""What users get wrong: one line, the right exit code, never a traceback, and nothing left behind."""

import contextlib
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from uec.cli import run
from uec.settings import load_settings
from uec.synthetic.register import write_municipalities, write_register

Output = pytest.CaptureFixture[str]
PASSWORD = "Korotkiy-put-7-dney"
INIT = ["init", "--passphrase-file", "first", "--passphrase-file", "second", "--admin-password-file", "password"]
ADMIN = ["--login", "admin", "--password-file", "password"]


def write_secrets(folder: Path) -> None:
    for name, text in {"first": "first custodian", "second": "second custodian", "password": PASSWORD}.items():
        (folder / name).write_text(text + "\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("office")
    write_secrets(folder)
    (folder / "noise").write_bytes(b"\xff\xfe\x00secret")
    (folder / "misspelt").write_text("[policy]\nvalidty_years = 3\n")
    (folder / "misread").write_text("[policy]\nxyzzy = 3\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(INIT) == 0
        write_municipalities(folder / "municipalities.csv")
        assert run(["register", "municipalities", "municipalities.csv"]) == 0
        yield folder


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    write_secrets(tmp_path)
    return tmp_path


def uec(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """The command as a process of its own."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run([sys.executable, "-m", "uec", *words], text=True, check=False, **streams)


def said(capsys: Output) -> str:
    """The one line that was said."""
    error = capsys.readouterr().err
    assert error.startswith("uec: ") and error.count("\n") == 1 and "Traceback" not in error
    return error


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nosuch"], 2, "See `uec --help`"),
        (["registr"], 2, "register"),
        (["register", "import"], 2, "uec register import --help"),
        (["register", "imprt", "x"], 2, "import"),
        (["staff", "list", "--bogus"], 2, "--bogus"),
        (["applications", "show", "x", *ADMIN], 2, "x"),
        (["applications", "show", "99999999999999999999", *ADMIN], 2, "range"),
        (["batches", "release", "99999999999999999999", *ADMIN], 2, "range"),
        (["cards", "show", *ADMIN, "--", "-1"], 2, "range"),
        (["applications", "list", "--login", "admin", "--password-file", "noise"], 2, "UTF-8"),
        (["applications", "list", "--login", "admin\udcff", "--password-file", "password"], 2, "UTF-8"),
        (["staff", "add", "olga", "--name", "O", "--role", "nobody", *ADMIN], 2, "operator"),
        (["staff", "add", "olga", "--name", "O", "--role", "officer", "--point", "77",
          "--new-password-file", "password", *ADMIN], 2, "point 77"),
        (["points", "add", "x" * 21, "--name-ru", "А", "--name-en", "A", "--address", "A", "--oktmo", "71701000",
          *ADMIN], 2, "code"),
        (["points", "add", "p", "--name-ru", "А", "--name-en", "A", "--address", "A", "--oktmo", "71701000",
          "--windows", "9" * 20, *ADMIN], 2, "windows"),
        (["keys", "import-transport", "--check-value", "zz", "--component-file", "A", "noise", "--component-file", "B",
          "noise"],
         2, "noise"),
        (["register", "import", "noise", "--rejects", "r"], 2, "UTF-16"),
        (["register", "import", "password", "--rejects", "/dev/null"], 2, "columns"),
        (["crl", "publish"], 1, "uec vault"),
        (["audit", "verify", "password", "--public-key", "password"], 2, "PEM or DER"),
        (["--settings", "nowhere.toml", "staff", "list"], 2, "uec init"),
        (["--settings", "noise", "staff", "list"], 2, "noise"),
        (["vault", "--passphrase-file", "first", "--passphrase-file", "first"], 1, "custodian"),
        (["vault", "--passphrase-file", "first"], 2, "two passphrase files"),
        (["card", "check", "--root", "noise", "--issuing", "noise"], 2, "certificate"),
        (["card", "virtual", "nowhere.card"], 2, "--blank"),
        (["card", "virtual", "noise"], 1, "not the image of a virtual card"),
        (["--settings", "misspelt", "staff", "list"], 2, "did you mean validity_years?"),
        (["--settings", "misread", "staff", "list"], 2, "known are: on_application_from"),
    ],
    ids=lambda value: " ".join(value)[:40].encode("ascii", "replace").decode() if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_is_one_line(installed: Path, capsys: Output, arguments: list[str], code: int, words: str) -> None:
    capsys.readouterr()
    assert run(arguments) == code
    assert words in said(capsys)


@pytest.mark.parametrize("process", ["serve", "hub", "worker", "scheduler"])
def test_a_process_without_its_tables_says_so_at_once(empty: Path, capsys: Output, process: str) -> None:
    (empty / "uec.toml").write_text("")
    assert run([process]) == 1
    assert "uec init" in said(capsys)


@pytest.mark.parametrize("process", ["serve", "hub", "worker", "scheduler", "vault"])
def test_a_process_without_settings_says_so(empty: Path, capsys: Output, process: str) -> None:
    assert run([process]) == 2
    assert "uec init" in said(capsys)


def test_a_fault_of_the_program_hides_its_data(capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ArithmeticError("Иванов Иван, 112-233-445 95")

    monkeypatch.setattr("uec.cli.cli.main", fails)
    monkeypatch.delenv("UEC_TRACEBACK", raising=False)
    assert run([]) == 1
    error = said(capsys)
    assert "ArithmeticError" in error and "Иванов" not in error
    monkeypatch.setenv("UEC_TRACEBACK", "1")
    with pytest.raises(ArithmeticError):
        run([])


@pytest.mark.parametrize("organisation", ['ООО "Карта"', "back\\slash", "it's"])
def test_any_organisation_can_be_written_into_the_settings(empty: Path, organisation: str) -> None:
    assert run([*INIT, "--organisation", organisation]) == 0
    assert load_settings(empty / "uec.toml").pki.organisation == organisation


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--organisation", "Ж" * 65], "pki.organisation"),
        (["--organisation", "two\nlines"], "pki.organisation"),
        (["--admin-password-file", "short"], "10 signs"),
        (["--passphrase-file", "second"], "two passphrase files"),
    ],
)
def test_what_init_refuses_leaves_nothing_behind(empty: Path, capsys: Output, change: list[str], words: str) -> None:
    (empty / "short").write_text("short")
    before = sorted(empty.iterdir())
    assert run([*INIT, *change]) == 2
    assert words in said(capsys)
    assert sorted(empty.iterdir()) == before


def test_init_with_nobody_to_answer(empty: Path) -> None:
    ran = uec("init", stdin=subprocess.DEVNULL)
    assert ran.returncode == 2 and "Traceback" not in ran.stderr and "Warning" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("uec: An answer is needed")
    assert not (empty / "uec.toml").exists()


def test_init_does_not_rename_an_organisation(installed: Path, capsys: Output) -> None:
    capsys.readouterr()
    assert run([*INIT, "--organisation", "Другая"]) == 2
    assert "another organisation" in said(capsys)


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 100, b'{"format": 1}', b"[]", b"\xff\xfe"])
def test_a_damaged_vault_is_one_line(installed: Path, capsys: Output, tmp_path: Path, damage: bytes) -> None:
    capsys.readouterr()
    settings = tmp_path / "uec.toml"
    settings.write_text(f'vault_path = "{tmp_path}/vault"\nstate_dir = "{installed}/state"\n')
    (tmp_path / "vault").write_bytes(damage)
    key_files = ["--passphrase-file", "first", "--passphrase-file", "second"]
    assert run(["--settings", str(settings), "vault", *key_files]) == 1
    assert "vault" in said(capsys)
    assert (tmp_path / "vault").read_bytes() == damage


def test_output_on_a_full_disk_is_an_error(installed: Path) -> None:
    with Path("/dev/full").open("w") as full:
        ran = uec("points", "list", cwd=installed, stdout=full)
    assert ran.returncode == 1
    assert ran.stderr.startswith("uec: No space left") and ran.stderr.count("\n") == 1


def test_a_reader_that_has_read_enough_is_no_error(installed: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = uec("ca", "show", cwd=installed, stdout=writing)
    os.close(writing)
    assert "Traceback" not in ran.stderr and "Exception" not in ran.stderr


def test_a_terminal_without_cyrillic_shows_escapes(installed: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    ran = uec("ca", "show", cwd=installed, env=environment)
    assert ran.returncode == 0 and "\\u0423" in ran.stdout


def test_no_progress_bar_in_a_pipe(installed: Path, tmp_path: Path) -> None:
    write_register(tmp_path / "register.csv", residents=50, seed=3)
    words = ["register", "import", str(tmp_path / "register.csv"), "--rejects", str(tmp_path / "rejects.csv")]
    ran = uec(*words, cwd=installed)
    assert ran.returncode == 0 and ran.stderr == "" and ran.stdout.startswith("rows")


def test_one_path_of_the_database_for_every_working_folder(installed: Path, tmp_path: Path, capsys: Output) -> None:
    settings = installed / "relative.toml"
    settings.write_text('database_url = "sqlite:///state/uec.db"\n')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        assert run(["--settings", str(settings), "staff", "list"]) == 0
    assert "admin" in capsys.readouterr().out
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("words", [["staff", "list"], ["points", "list"], ["ca", "show"], ["audit", "export", "out"]])
def test_who_only_reads_waits_for_no_writer(installed: Path, capsys: Output, words: list[str]) -> None:
    with contextlib.closing(sqlite3.connect(installed / "state" / "uec.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        assert run(words) == 0
    assert "locked" not in capsys.readouterr().err
