"""`uec crl`, `uec ocsp` and `uec ca` as an administrator types them, over a real vault and a real responder."""

import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from tests.integration.cli.test_office_commands import init
from tests.support.pki import openssl
from uec.cli import run
from uec.processes import ProcessGroup, free_port, listens

Output = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a new installation whose vault and responder run."""
    folder, port = tmp_path_factory.mktemp("pki"), free_port()
    for name in ("first", "second"):
        (folder / name).write_text(f"{name} custodian of tests\n")
    (folder / "password").write_text("Korotkiy-put-7-dney\n")
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert init(folder) == 0
        settings = folder / "uec.toml"
        address = f'ocsp_listen = "127.0.0.1:{port}"\nocsp_url = "http://127.0.0.1:{port}"\n'
        settings.write_text(address + settings.read_text())
        with ProcessGroup(folder / "logs") as processes:
            custodians = ("--passphrase-file", str(folder / "first"), "--passphrase-file", str(folder / "second"))
            environment = {"UEC_SETTINGS": str(settings)}
            command = [sys.executable, "-m", "uec"]
            processes.start(
                "vault",
                [*command, "vault", *custodians],
                environment=environment,
                ready=(folder / "state" / "vault-ocsp.sock").exists,
            )
            processes.start(
                "ocsp",
                [*command, "ocsp", "run"],
                environment=environment,
                ready=lambda: listens("127.0.0.1", port),
            )
            yield folder
    finally:
        os.chdir(before)


@pytest.fixture
def office(running: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(running)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    return running


def out_of(capsys: Output, *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(list(arguments)) == code
    return capsys.readouterr().out


def facts(text: str) -> dict[str, str]:
    pairs = (line.split("  ", 1) for line in text.splitlines())
    return {name: value.strip() for name, value in pairs}


@pytest.mark.slow
def test_lists_are_published_shown_checked_and_planned(office: Path, capsys: Output) -> None:
    capsys.readouterr()
    assert run(["crl", "next"]) == 0
    told = capsys.readouterr()
    assert "uec crl publish" in told.err and told.out.splitlines()[1].startswith("root\t")
    assert out_of(capsys, "crl", "publish") == "CRL 1 published\n"
    assert "nothing is due" in out_of(capsys, "crl", "publish")
    assert out_of(capsys, "crl", "publish", "--all") == "CRL issuing 2 published\n"
    assert out_of(capsys, "crl", "publish", "--root") == "CRL root 2 published\n"
    listed = [line.split("\t") for line in out_of(capsys, "crl", "list").splitlines()]
    assert listed[0] == ["name", "number", "entries", "bytes", "made", "ends"]
    assert [line[:3] for line in listed[1:]] == [["issuing", "2", "0"], ["root", "2", "0"]]
    shown = facts(out_of(capsys, "crl", "show", "--out", "list.crl"))
    assert shown["number"] == "2" and "UEC Issuing CA" in shown["issuer"]
    read = openssl("crl", "-inform", "DER", "-in", office / "list.crl", "-noout", "-crlnumber", "-lastupdate")
    assert "crlNumber=0x02" in read.stdout, read.stderr
    assert "root" in out_of(capsys, "crl", "show", "root").lower()
    assert "fresh" in out_of(capsys, "crl", "next")
    assert run(["crl", "show", "nowhere"]) == 1 and "uec crl publish" in capsys.readouterr().err


@pytest.mark.slow
def test_a_list_that_does_not_hold_is_found(office: Path, capsys: Output) -> None:
    out_of(capsys, "crl", "publish", "--all")
    sound = out_of(capsys, "crl", "verify")
    assert {line.split("\t")[2] for line in sound.splitlines()[1:]} == {"sound"}
    with sqlite3.connect(office / "state" / "uec.db") as database:
        newest = "(SELECT max(number) FROM crl WHERE issuer = 'issuing')"
        (kept,) = database.execute(f"SELECT der FROM crl WHERE issuer = 'issuing' AND number = {newest}").fetchone()
        for broken, words in (
            (kept[:-1] + bytes([kept[-1] ^ 1]), "not signed by the authority"),
            (kept[:40], "cannot be read"),
        ):
            database.execute(f"UPDATE crl SET der = ? WHERE issuer = 'issuing' AND number = {newest}", (broken,))
            database.commit()
            capsys.readouterr()
            assert run(["crl", "verify"]) == 2
            told = capsys.readouterr()
            assert words in told.out and "issuing: publish anew" in told.err
        first = "SELECT der FROM crl WHERE issuer = 'root' ORDER BY number LIMIT 1"
        database.execute(f"UPDATE crl SET der = ({first}) WHERE issuer = 'issuing' AND number = {newest}")
        database.commit()
        assert run(["crl", "verify"]) == 2 and "not signed by the authority" in capsys.readouterr().out
        database.execute(f"UPDATE crl SET der = ? WHERE issuer = 'issuing' AND number = {newest}", (kept,))
    database.close()
    assert run(["crl", "verify"]) == 0


@pytest.mark.slow
def test_the_responder_is_asked_and_its_answers_signed(office: Path, capsys: Output) -> None:
    assert "uec ocsp refresh" in out_of(capsys, "ocsp", "status")
    signer = x509.load_pem_x509_certificate(_document_signer(office, capsys))
    early = out_of(capsys, "ocsp", "ask", f"{signer.serial_number:x}")
    assert early == "answer  try later\n"
    refreshed = out_of(capsys, "ocsp", "refresh")
    assert "new signer until 20" in refreshed and "1 answers signed" in refreshed
    status = out_of(capsys, "ocsp", "status")
    assert "answers       1\n" in status and "to be signed  0\n" in status and "signer until" in status
    assert out_of(capsys, "ocsp", "refresh") == "0 answers signed\n"


@pytest.mark.slow
def test_what_was_issued_is_good_and_the_rest_unknown(office: Path, capsys: Output) -> None:
    out_of(capsys, "ocsp", "refresh")
    signer = x509.load_pem_x509_certificate(_document_signer(office, capsys))
    text = (office / "uec.toml").read_text()
    url = text.partition('ocsp_url = "')[2].partition('"')[0]
    # The process learns of its first signer within a minute; one that starts now knows it.
    with ProcessGroup(office / "logs-2") as processes:
        port = free_port()
        (office / "second.toml").write_text(text.replace(url.removeprefix("http://"), f"127.0.0.1:{port}"))
        processes.start(
            "ocsp-2",
            [sys.executable, "-m", "uec", "--settings", str(office / "second.toml"), "ocsp", "run"],
            ready=lambda: listens("127.0.0.1", port),
        )
        other = ["--settings", "second.toml", "ocsp", "ask"]
        assert "state  good" in out_of(capsys, *other, f"{signer.serial_number:x}")
        assert "state  unknown" in out_of(capsys, *other, "1234")
        capsys.readouterr()
        assert run([*other, "no-number"]) == 2 and "hexadecimal" in capsys.readouterr().err
    assert run([*other, "1234"]) == 1 and "uec ocsp run" in capsys.readouterr().err


def _document_signer(office: Path, capsys: Output) -> bytes:
    out_of(capsys, "ca", "show", "--out", "pki")
    return (office / "pki" / "document-signer.pem").read_bytes()


def test_a_missing_list_of_weak_keys_is_told(office: Path, capsys: Output) -> None:
    capsys.readouterr()
    assert run(["ca", "show"]) == 0
    told = capsys.readouterr()
    assert "weak RSA keys known  0" in told.out and "pki.weak_rsa_key_files" in told.err
    settings = (office / "uec.toml").read_text()
    named = office / "named.toml"
    for content, known, words in (
        (None, "0", "cannot be read"),
        ("# none\n" + "0123456789abcdef0123\n" * 2, "1", ""),
        ("not a fingerprint\n", "0", "no list of weak keys"),
    ):
        named.write_text(settings + '\nweak_rsa_key_files = ["weak"]\n')
        if content is not None:
            (office / "weak").write_text(content)
        assert run(["--settings", "named.toml", "ca", "show"]) == 0
        told = capsys.readouterr()
        assert f"weak RSA keys known  {known}" in told.out
        assert words in told.err if words else told.err == ""


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("crl", ["publish", "verify", "next", "list", "show", "lists_url"]),
        ("ocsp", ["run", "status", "ask", "refresh", "ocsp_url", "proxy"]),
        ("ca", ["init", "show", "stop-list"]),
    ],
)
def test_help_says_what_an_administrator_needs(group: str, words: list[str], capsys: Output) -> None:
    text = out_of(capsys, group, "--help")
    assert [word for word in words if word not in text] == []
    for command in words[: 3 if group == "ca" else 4]:
        assert "Usage: uec" in out_of(capsys, group, command, "--help")
