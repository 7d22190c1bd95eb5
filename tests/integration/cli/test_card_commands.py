"""`uec card` against the machine's own PC/SC stack: a virtual card in, listed, read, judged, and out again."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from card_io.virtual.card import VirtualCard
from tests.support.keys import make_vault
from tests.support.pki import make_authority
from tests.unit.virtual.cards import aes_keys
from uec.cli import run

pytestmark = pytest.mark.pcsc


@contextmanager
def card_in_reader(file: Path) -> Iterator[subprocess.Popen[str]]:
    """`uec card virtual` in a process of its own, once the reader shows the card; a new blank where FILE is none."""
    command = [sys.executable, "-m", "uec", "card", "virtual", str(file), *([] if file.exists() else ["--blank"])]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None and "lies in virtual reader 0" in process.stderr.readline()
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(10)


def until_listed(capsys: pytest.CaptureFixture[str], wanted: str) -> str:
    for _ in range(100):
        assert run(["card", "list"]) == 0
        shown = capsys.readouterr().out
        if wanted in shown.splitlines()[1]:
            return shown
        time.sleep(0.1)
    raise AssertionError(shown)


def test_a_blank_is_put_in_listed_read_judged_and_taken_out(
    pcsc: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with card_in_reader(tmp_path / "blank.card") as process:
        shown = until_listed(capsys, "3B")
        assert shown.split()[:4] == ["number", "reader", "card", "keys"] and shown.splitlines()[1].split()[-1] == "none"
        assert run(["card", "read", "--reader", "0"]) == 0
        facts = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
        assert len(facts["chip"]) == 20 and "no finished card of ours" in facts["applet"] and facts["keys"]
    assert process.returncode == 0
    until_listed(capsys, "no card")
    assert run(["card", "read"]) == 1
    assert capsys.readouterr().err.startswith("uec: ")


@pytest.fixture
def known(tmp_path: Path) -> list[str]:
    """The options that name an issuer's certificates."""
    with make_vault(tmp_path / "vault") as vault:
        ca = make_authority(vault).ca
    (tmp_path / "root.cer").write_bytes(ca.root)
    (tmp_path / "issuing.cer").write_bytes(ca.issuing)
    return ["--root", str(tmp_path / "root.cer"), "--issuing", str(tmp_path / "issuing.cer")]


@pytest.mark.parametrize(
    ("profile", "told"),
    [("uec", "It has no application of a known name"), ("piv", "The card's applications are PIV (SP 800-73)")],
)
def test_a_card_of_another_kind_is_told_by_what_it_is(
    pcsc: object, tmp_path: Path, capsys: pytest.CaptureFixture[str], known: list[str], profile: str, told: str
) -> None:
    VirtualCard.blank(b"a stranger", initial_keys=aes_keys(), profile=profile).save(tmp_path / "stranger.card")
    with card_in_reader(tmp_path / "stranger.card"):
        until_listed(capsys, "3B")
        assert run(["card", "check", *known]) == 1
    error = capsys.readouterr().err
    assert error.startswith("uec: This is no finished card of profile uec (") and error.count("\n") == 1
    assert told in error and "--profile" in error and "blank" not in error


def test_what_is_no_certificate_judges_no_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "noise").write_bytes(b"no certificate")
    assert run(["card", "check", "--root", str(tmp_path / "noise"), "--issuing", str(tmp_path / "noise")]) == 2
    assert "no certificate" in capsys.readouterr().err


def test_a_reader_that_is_not_there(pcsc: object, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["card", "read", "--reader", "9"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("uec: ") and error.count("\n") == 1 and "reader" in error
