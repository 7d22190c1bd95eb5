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
    assert run(["crl", "show", "nowhere"]) == 1 and "there are: issuing, root" in capsys.readouterr().err


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


CURVE = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def make_request(name: str, *key: str) -> str:
    """A request as an administrator makes it, in the present folder; the name of its file."""
    made = openssl("req", "-new", *(key or CURVE), "-nodes", "-keyout", f"{name}.key", "-subj", "/CN=x", "-out", name)
    assert made.returncode == 0, made.stderr
    return name


@pytest.mark.slow
def test_a_station_and_a_member_of_staff_are_certified_listed_and_revoked(office: Path, capsys: Output) -> None:
    out_of(capsys, "ca", "show", "--out", "pki")
    out_of(capsys, "crl", "publish", "--all")
    station = ["ca", "certify", make_request("station.csr"), "--profile", "station", "--name", "window-7"]
    told = out_of(capsys, *station, "--out", "station.pem")
    assert out_of(capsys, *station, "--out", "again.pem").replace("again.pem", "station.pem") == told, "the same again"
    person = ["--surname", "Иванова", "--given-name", "Анна", "--number", "17", "--days", "30", "--out", "staff.pem"]
    out_of(capsys, "ca", "certify", make_request("staff.csr"), "--profile", "staff", "--name", "Анна Иванова", *person)
    parsed = {
        name: x509.load_pem_x509_certificate((office / f"{name}.pem").read_bytes()) for name in ("station", "staff")
    }
    assert (parsed["staff"].not_valid_after_utc - parsed["staff"].not_valid_before_utc).days == 30
    listed = [line.split("\t") for line in out_of(capsys, "ca", "list").splitlines()]
    assert [line[1:2] + line[-1:] for line in listed] == [
        ["profile", "state"],
        ["staff", "ISSUED"],
        ["station", "ISSUED"],
    ]
    assert "Анна Иванова" in listed[1][2] and int(listed[2][0], 16) == parsed["station"].serial_number

    def judged(name: str) -> int:
        out_of(capsys, "crl", "publish", "--all")
        out_of(capsys, "ca", "show", "--out", "pki")
        check = ("-x509_strict", "-crl_check", "-CRLfile", "pki/crl.pem")
        return openssl(
            "verify", *check, "-CAfile", "pki/root.pem", "-untrusted", "pki/issuing.pem", f"{name}.pem"
        ).returncode

    assert judged("station") == judged("staff") == 0
    shown_by_openssl = openssl("x509", "-in", "station.pem", "-noout", "-serial").stdout.strip().removeprefix("serial=")
    assert "is revoked" in out_of(capsys, "ca", "revoke", shown_by_openssl, "--reason", "keyCompromise")
    assert judged("station") == 2 and judged("staff") == 0
    assert "station\t" in out_of(capsys, "ca", "list") and "REVOKED" in out_of(capsys, "ca", "list")
    capsys.readouterr()
    assert run(["ca", "revoke", shown_by_openssl, "--reason", "keyCompromise"]) == 1, "once is enough"
    assert "uec ca list" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("reason", ["keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation"])
def test_every_reason_that_is_offered_stands_in_the_list(office: Path, capsys: Output, reason: str) -> None:
    request, certificate = make_request(f"{reason}.csr"), f"{reason}.pem"
    out_of(capsys, "ca", "certify", request, "--profile", "station", "--name", reason, "--out", certificate)
    serial = x509.load_pem_x509_certificate((office / certificate).read_bytes()).serial_number
    out_of(capsys, "ca", "revoke", f"{serial:x}", "--reason", reason)
    out_of(capsys, "crl", "publish", "--all")
    out_of(capsys, "crl", "show", "--out", "list.crl")
    entry = x509.load_der_x509_crl((office / "list.crl").read_bytes()).get_revoked_certificate_by_serial_number(serial)
    assert entry is not None
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value.reason.value == reason


@pytest.mark.slow
def test_what_may_not_be_certified_is_refused_in_one_sentence(office: Path, capsys: Output) -> None:
    make_request("good.csr")
    make_request("used.csr")
    (office / "noise").write_text("no request at all")
    as_station = ["--profile", "station", "--name", "window-9"]
    out_of(capsys, "ca", "certify", "used.csr", *as_station, "--out", "used.pem")
    before = out_of(capsys, "ca", "list")
    for arguments, code, words in (
        (["nowhere.csr", *as_station], 2, "does not exist"),
        (["noise", *as_station], 1, "no certificate request"),
        ([make_request("short.csr", "-newkey", "rsa:1024"), *as_station], 1, "1024 bits"),
        (
            [make_request("foreign.csr", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:secp256k1"), *as_station],
            1,
            "curve",
        ),
        (["used.csr", "--profile", "station", "--name", "window-10"], 1, "in use already"),
        (["used.csr", "--profile", "staff", "--name", "window-9"], 1, "in use already"),
        (["good.csr", "--profile", "authentication", "--name", "x"], 2, "'station', 'staff'"),
        (["good.csr", "--profile", "station"], 2, "--name"),
        (["good.csr", "--profile", "station", "--name", ""], 1, "common name"),
        (["good.csr", "--profile", "station", "--name", "x" * 65], 1, "64"),
        (["good.csr", "--profile", "station", "--name", "a\nb"], 1, "control characters"),
        (["good.csr", *as_station, "--days", "731"], 2, "1<=x<=730"),
        (["good.csr", *as_station, "--out", "nowhere/x.pem"], 2, "nothing was signed"),
    ):
        capsys.readouterr()
        to = [] if "--out" in arguments else ["--out", "refused.pem"]
        assert run(["ca", "certify", *arguments, *to]) == code, arguments
        told = capsys.readouterr()
        assert words in told.err and told.err.count("\n") == 1 and told.out == "", told.err
    assert not (office / "refused.pem").exists() and out_of(capsys, "ca", "list") == before


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ca", "revoke", "zz", "--reason", "superseded"], 2, "hexadecimal"),
        (["ca", "revoke", "0", "--reason", "superseded"], 2, "hexadecimal"),
        (["ca", "revoke", "f" * 41, "--reason", "superseded"], 2, "hexadecimal"),
        (["ca", "revoke", "--reason", "superseded", "--", "-5"], 2, "hexadecimal"),
        (["ca", "revoke", "12:34", "--reason", "superseded"], 1, "has a certificate 1234"),
        (["ca", "revoke", "1234"], 2, "keyCompromise"),
        (["ca", "revoke", "1234", "--reason", "certificateHold"], 2, "keyCompromise"),
        (["ca", "init"], 1, "there already"),
        (["ca", "show", "--out", "first"], 2, "first"),
        (["crl", "show", "nowhere"], 1, "there are: "),
        (["crl", "show", "root", "--out", "nowhere/list"], 1, "nowhere"),
        (["crl", "publish", "--part", "3"], 2, "--part"),
        (["ocsp", "ask", "no-number"], 2, "hexadecimal"),
        (["ocsp", "ask"], 2, "SERIAL"),
        (["ocsp", "status", "more"], 2, "more"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(
    office: Path, capsys: Output, arguments: list[str], code: int, words: str
) -> None:
    capsys.readouterr()
    assert run(arguments) == code
    told = capsys.readouterr()
    assert words in told.err and told.err.count("\n") == 1, told.err


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
        ("ca", ["init", "show", "stop-list", "certify", "list", "revoke"]),
    ],
)
def test_help_says_what_an_administrator_needs(group: str, words: list[str], capsys: Output) -> None:
    text = out_of(capsys, group, "--help")
    assert [word for word in words if word not in text] == []
    for command in words[: 6 if group == "ca" else 4]:
        assert "Usage: uec" in out_of(capsys, group, command, "--help")
