"""`uec stock`: the way of a box by the command line, its refusals as one line each."""

import json
from pathlib import Path

import pytest
from pypdf import PdfReader

from tests.browser.site import CHEAP
from tests.support.office import NOW, open_office, seeded_random
from tests.support.stock import CHECK_VALUE, LOT, open_stockroom
from uec.cli import run
from uec.domain.actors import system_actor
from uec.domain.permissions import Role
from uec.services import staff
from uec.store.engine import make_engine, session_factory

PASSWORD = "Korotkiy-put-7-dney"


@pytest.fixture
def office(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings over an office with stores, and people who may sign in."""
    engine = make_engine(sqlite_url)
    sessions = session_factory(engine)
    open_stockroom(sessions, open_office(sessions))
    with sessions() as session:
        for login, role in (
            ("anna", Role.STOREKEEPER), ("boris", Role.STOREKEEPER), ("pavel", Role.PRODUCER), ("kira", Role.QUALITY)
        ):  # fmt: skip
            staff.create(
                session, login=login, display_name=login.title(), password=PASSWORD, roles=[role],
                actor=system_actor("test"), now=NOW, random=seeded_random(), cost=CHEAP,
            )  # fmt: skip
        session.commit()
    engine.dispose()
    (tmp_path / "password").write_text(PASSWORD)
    (tmp_path / "uec.toml").write_text(f'database_url = "{sqlite_url}"\n')
    (tmp_path / "boxes.txt").write_text(f"17 {LOT}00000001-{LOT}0000000a\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    return tmp_path


def by(login: str, *words: str) -> int:
    return run(["stock", *words, "--login", login, "--password-file", "password"])


def test_a_box_from_its_delivery_to_the_closed_shift(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = ("deliver", "boxes.txt", "--store", "1", "--maker", "Микрон", "--note", "7", "--key-version", "1")
    assert by("anna", *note, "--check-value", "000000") == 1
    assert by("anna", *note, "--check-value", CHECK_VALUE) == 0
    assert by("anna", *note, "--check-value", CHECK_VALUE) == 2, "the note came before"
    assert by("anna", "transfer", "1", "2", "--seal", "A1", "--box", "17:6") == 0
    assert by("anna", "receive", "1", "--seal", "A1", "--count", "6") == 1, "whoever sent it"
    capsys.readouterr()
    assert by("boris", "receive", "1", "--seal", "B2", "--count", "6") == 1
    refused = capsys.readouterr().err
    assert "B2 was found" in refused and "A1" not in refused, "the seal that was put on is read off the parcel"
    assert by("boris", "receive", "1", "--seal", "A1", "--count", "6") == 0
    assert by("pavel", "open-shift", "2") == 0
    assert by("anna", "issue", "1", "--box", "17:3") == 0
    assert by("anna", "issue", "1", "--box", "99") == 1
    capsys.readouterr()
    assert by("pavel", "close-shift", "1") == 1
    error = capsys.readouterr().err
    assert "box 17: 3 blanks issued, 0 cards made, 3 unaccounted" in error and error.count("\n") == 1
    assert by("pavel", "spoil", "1", f"{LOT}00000002", "--reason", "царапина") == 0
    assert by("anna", "issue", "1", "--box", "17", "--back") == 0
    assert by("pavel", "close-shift", "1") == 0
    assert by("anna", "destroy", "2", "--method", "шредер") == 0
    assert by("anna", "confirm-destruction", "1") == 1, "it takes two"
    assert by("anna", "act", "1", "--out", "before.pdf") == 0
    assert by("kira", "confirm-destruction", "1") == 0
    assert by("kira", "act", "1", "--out", "act.pdf") == 0
    assert by("pavel", "act", "1", "--out", "no.pdf") == 1, "whoever makes cards sees no act"
    before, act = (paper(office / name) for name in ("before.pdf", "act.pdf"))
    assert "предложен" in before and "Уничтожил и подтвердил: \n" in before + "\n"
    for words in ("Акт уничтожения карт", "шредер", "царапина", f"{LOT}00000002", "Anna", "Kira", "Всего карт"):
        assert words in act, words
    assert act.count("Подпись") == 2
    assert by("kira", "found", "2", "--chips", f"{LOT}00000003", "--reason", "нашлась") == 1, "it was never missing"
    capsys.readouterr()
    for scope in ("box", "batch", "shift", "point"):
        assert by("kira", "balance", scope) == 0
    told = capsys.readouterr().out
    assert "17\t10\t0\t0\t0\t1\t9\t0\t0\t0" in told
    assert by("kira", "verify") == 0


def paper(file: Path) -> str:
    """The words of a PDF, in their order."""
    return "\n".join(page.extract_text() for page in PdfReader(file).pages)


def test_a_missing_blank_that_turns_up_goes_into_a_store(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    note = ("deliver", "boxes.txt", "--store", "1", "--maker", "Микрон", "--note", "7", "--key-version", "1")
    assert by("anna", *note, "--check-value", CHECK_VALUE) == 0
    assert by("anna", "transfer", "1", "2", "--seal", "A1", "--box", "17:6") == 0
    assert by("boris", "receive", "1", "--seal", "A1", "--count", "6") == 0
    assert by("pavel", "open-shift", "2") == 0
    assert by("anna", "issue", "1", "--box", "17:3") == 0
    assert by("pavel", "miss", "1", f"{LOT}00000001", "--reason", "нет") == 1, "not by whoever had the shift"
    assert by("kira", "miss", "1", f"{LOT}00000001-{LOT}00000003", "--reason", "три не найдены") == 0
    assert by("pavel", "close-shift", "1") == 0
    assert by("kira", "found", "2", "--chips", f"{LOT}00000001-{LOT}00000002", "--reason", "за столом") == 0
    assert "2 found" in capsys.readouterr().out
    assert by("pavel", "found", "2", "--chips", f"{LOT}00000003", "--reason", "нашёл") == 1, "quality takes them in"


@pytest.mark.parametrize("count", ["x", "-3", "", "4O", "1.5", "٣"])
def test_a_count_that_is_none_sends_no_whole_box(office: Path, capsys: pytest.CaptureFixture[str], count: str) -> None:
    note = ("deliver", "boxes.txt", "--store", "1", "--maker", "Микрон", "--note", "7", "--key-version", "1")
    assert by("anna", *note, "--check-value", CHECK_VALUE) == 0
    capsys.readouterr()
    assert by("anna", "transfer", "1", "2", "--seal", "A1", "--box", f"17:{count}") != 0
    error = capsys.readouterr().err
    assert "BOX:COUNT" in error and error.count("\n") == 1
    assert by("kira", "balance", "point") == 0
    assert "\t10\t0\t10\t" not in capsys.readouterr().out, "nothing was sent"


def test_what_is_not_there_is_called_by_its_name(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert by("boris", "receive", "7", "--seal", "A1", "--count", "1") == 1
    assert "There is no stock transfer 7" in capsys.readouterr().err


def test_quarantine_by_the_command_line(office: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert by("kira", "quarantine", "--impose", "LOT", "--subject", LOT, "--reason", "отзыв") == 0
    assert by("kira", "quarantine") == 0
    assert LOT in capsys.readouterr().out
    assert by("kira", "quarantine", "--release", "1", "--reason", "проверено") == 0
    assert by("kira", "quarantine", "--release", "1", "--reason", "ещё") == 1
    capsys.readouterr()
    assert by("kira", "quarantine") == 0
    assert "RELEASED" in (told := capsys.readouterr().out) and "отзыв" in told and "проверено" in told
    assert by("kira", "quarantine", "--json") == 0
    one = json.loads(capsys.readouterr().out)
    assert one["label"] == LOT and one["release_reason"] == "проверено" and "evidence" in one
    assert by("anna", "quarantine", "--impose", "LOT", "--subject", LOT, "--reason", "x") == 1
