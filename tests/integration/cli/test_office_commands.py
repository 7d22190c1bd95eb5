"""The command line against a real installation: from `uec init` to lists, and one clear line for everything wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from uec.cli import run
from uec.synthetic.register import write_municipalities, write_register

PASSWORD = "Korotkiy-put-7-dney"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `uec init` has run, with municipalities, a point and an officer."""
    folder = tmp_path_factory.mktemp("office")
    (folder / "first").write_text("first custodian of tests\n")
    (folder / "second").write_text("second custodian of tests\n")
    (folder / "password").write_text(PASSWORD + "\n")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert init(folder) == 0
        write_municipalities(folder / "municipalities.csv")
        assert run(["register", "municipalities", "municipalities.csv"]) == 0
    finally:
        os.chdir(before)
    return folder


def init(folder: Path, first: str = "first") -> int:
    return run(["init", "--passphrase-file", first, "--passphrase-file", "second", "--admin-password-file", "password"])


@pytest.fixture
def office(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(installed)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    return installed


ADMIN = ["--login", "admin", "--password-file", "password"]


def test_init_again_changes_nothing_asks_for_no_password_and_says_so(
    office: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = [office / "state" / "vault.json", office / "uec.toml"]
    before = [file.read_bytes() for file in kept]
    assert run(["init", "--passphrase-file", "first", "--passphrase-file", "second"]) == 0
    assert [file.read_bytes() for file in kept] == before
    assert capsys.readouterr().out.splitlines() == [
        f"settings: {Path('uec.toml')} is there, and stays as it is",
        "database: its tables are there",
        "vault: opening it (the passphrases are stretched, this takes a few seconds)",
        "vault: every key is there",
        "authority: it is there",
        "staff: an administrator is there; `uec staff add` adds further people",
        "Done. Start the processes: uec vault, uec hub, uec worker, uec scheduler, uec ocsp run, uec serve.",
    ]


def test_a_wrong_custodian_is_one_line(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init(office, first="second") == 1
    error = capsys.readouterr().err
    assert error.startswith("uec: ") and error.count("\n") == 1 and "passphrases" in error


def test_a_point_a_station_and_staff_are_added(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    point = ["points", "add", "T-1", "--name-ru", "МФЦ", "--name-en", "Centre", "--address", "ул. Ленина, 1"]
    assert run([*point, "--oktmo", "71701000", *ADMIN]) == 0
    assert run([*point, "--oktmo", "71701000", *ADMIN]) == 2
    assert run([*point, "--oktmo", "99999999", *ADMIN]) == 2
    people = ["staff", "add", "--new-password-file", "password", *ADMIN]
    assert run([*people, "olga", "--name", "Ольга", "--role", "OFFICER", "--role", "SECURITY"]) == 0
    capsys.readouterr()
    security = ["--login", "olga", "--password-file", "password"]
    assert run(["points", "station", "Window 1", "--point", "1", *security]) == 0
    code = capsys.readouterr().out.strip()
    assert len(code.replace("-", "")) == 20
    assert run(["points", "station", "Window 1", *security]) == 2
    assert run(["points", "stations"]) == 0
    assert run(["points", "revoke-station", "1", *ADMIN]) == 1
    assert run(["points", "revoke-station", "1", *security]) == 0
    assert run(["points", "station", "Window 1", *security]) == 0, "the window's new machine"
    assert run(["points", "revoke-station", "99", *security]) != 0
    assert run(["points", "station", "Window 2", *ADMIN]) == 1, "an administrator does not enter stations"
    assert run(["points", "list"]) == 0 and run(["staff", "list"]) == 0
    shown = capsys.readouterr().out
    assert "МФЦ" in shown and "olga" in shown


def test_the_register_comes_in_twice_without_change(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_register(office / "residents.csv", residents=60, seed=4, dirty=0.1)
    arguments = ["register", "import", "residents.csv", "--rejects", "rejects.csv"]
    assert run(arguments) == 0
    first = capsys.readouterr().out
    assert run(arguments) == 0
    second = capsys.readouterr().out
    assert "imported" in first and (office / "rejects.csv").exists()
    facts = dict(line.split(maxsplit=1) for line in second.splitlines())
    assert facts["imported"] == "0" and facts["updated"] == "0" and int(facts["unchanged"]) > 40


@pytest.mark.parametrize(
    ("arguments", "code", "part"),
    [
        (["--settings", "nowhere.toml", "points", "list"], 2, "uec init"),
        (["--settings", "broken.toml", "points", "list"], 2, "did you mean"),
        (["--settings", "elsewhere.toml", "points", "list"], 1, "database"),
        (["register", "import", "first", "--rejects", "r.csv"], 2, "header"),
        (["applications", "list", "--login", "admin", "--password-file", "first"], 1, "password"),
        (["applications", "show", "7", *ADMIN], 1, "permission"),
        (["crl", "publish"], 1, "vault"),
        (["audit", "verify", "first", "--public-key", "second"], 2, "key"),
        (["keys", "list", "--passphrase-file", "first"], 2, "two"),
        (["keys", "import-transport", "--check-value", "000000", "--component-file", "Anna", "first",
          "--component-file", "Boris", "first", "--passphrase-file", "first", "--passphrase-file", "second"], 2,
         "hexadecimal"),
        (["keys", "import-transport", "--check-value", "000000", "--component-file", "Anna", "first",
          "--passphrase-file", "first", "--passphrase-file", "second"], 1, "two or three components"),
        (["station", "run", "--hub", "ws://127.0.0.1:9", "--folder", "nothing"], 1, "enrol"),
        (["card", "virtual", "first", "--blank"], 2, "already"),
    ],
)  # fmt: skip
def test_wrong_input_is_one_clear_line(
    office: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, part: str
) -> None:
    (office / "broken.toml").write_text('databse_url = "sqlite:///x.db"\n')
    (office / "elsewhere.toml").write_text('state_dir = "elsewhere"\n')
    assert run(arguments) == code
    error = capsys.readouterr().err
    assert error.startswith("uec: ") and error.count("\n") == 1, error
    assert part in error and "Traceback" not in error


def test_the_audit_is_exported_and_verified_and_an_altered_one_is_found(
    office: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "uec", "vault", "--passphrase-file", "first", "--passphrase-file", "second"],
        stderr=subprocess.PIPE,
        text=True,
    ) as vault:
        try:
            assert vault.stderr is not None and any("vault runs" in line for line in vault.stderr)
            assert run(["audit", "export", "audit.jsonl"]) == 0
            assert run(["audit", "public-key", "audit.pem"]) == 0
            assert run(["crl", "publish"]) == 0 and run(["ca", "stop-list"]) == 0
            assert run(["ca", "show", "--out", "pki"]) == 0
        finally:
            vault.terminate()
    assert {file.name for file in (office / "pki").iterdir()} == {
        "root.pem",
        "issuing.pem",
        "document-signer.pem",
        "crl.pem",
    }
    capsys.readouterr()
    assert run(["audit", "verify", "audit.jsonl", "--public-key", "audit.pem"]) == 0
    assert "whole" in capsys.readouterr().out
    text = (office / "audit.jsonl").read_text(encoding="utf-8")
    (office / "altered.jsonl").write_text(text.replace("staff.create", "staff.delete", 1), encoding="utf-8")
    assert run(["audit", "verify", "altered.jsonl", "--public-key", "audit.pem"]) == 1
    assert "BROKEN" in capsys.readouterr().out


def test_an_installations_lists_are_empty_tables(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people = ["staff", "add", "--new-password-file", "password", *ADMIN]
    assert run([*people, "petr", "--name", "Пётр", "--role", "PLANNER", "--role", "OFFICER"]) == 0
    petr = ["--login", "petr", "--password-file", "password"]
    for group in ("applications", "batches", "cards", "cohorts"):
        assert run([group, "list", *petr]) == 0
    assert run(["batches", "plan", *petr]) == 0
    shown = capsys.readouterr()
    assert "0 cards planned" in shown.err
    write_register(office / "residents.csv", residents=60, seed=4, dirty=0.1)
    assert run(["register", "import", "residents.csv", "--rejects", "rejects.csv"]) == 0
    capsys.readouterr()
    assert run(["cohorts", "compute", "--limit", "3", *petr]) == 0
    facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines() if "Merkle" not in line)
    assert facts["people"] == "3"
    assert run(["cohorts", "propose", facts["id"], *petr]) == 0
    assert run(["keys", "list", "--passphrase-file", "first", "--passphrase-file", "second"]) == 0
    keys = capsys.readouterr().out
    assert "card-master" in keys and "first custodian" not in keys
