"""`uec bureau`: a batch ordered, made by the stand-in and taken back, all by the command line; refusals as one line."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from issuance.keys.service import VaultService
from tests.browser.site import CHEAP
from tests.support.bureau_office import BureauOffice, open_bureau_office
from tests.support.line import UEC_PROFILE
from tests.support.office import NOW, seeded_random
from uec.cli import run
from uec.domain.actors import system_actor
from uec.domain.permissions import Role
from uec.services import staff
from uec.store.engine import make_engine, session_factory

PASSWORD = "Korotkiy-put-7-dney"
PEOPLE = {
    "petr": Role.PLANNER, "rita": Role.RELEASER, "pavel": Role.PRODUCER, "kira": Role.STOREKEEPER,
    "sergey": Role.SECURITY, "sonya": Role.SECURITY,
}  # fmt: skip


pytestmark = pytest.mark.slow


@pytest.fixture
def office(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[BureauOffice]:
    """An office of today with a bureau, its vault on a socket, and people who may sign in."""
    engine = make_engine(sqlite_url)
    opened = open_bureau_office(session_factory(engine), tmp_path, start=datetime.now(UTC))
    with opened.office.sessions() as session:
        for login, role in PEOPLE.items():
            staff.create(
                session, login=login, display_name=login.title(), password=PASSWORD, roles=[role],
                actor=system_actor("test"), now=NOW, random=seeded_random(), cost=CHEAP,
            )  # fmt: skip
        session.commit()
    (tmp_path / "password").write_text(PASSWORD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("UEC_SETTINGS", raising=False)
    with TemporaryDirectory(prefix="uec-") as short:
        socket = Path(short) / "vault.sock"
        (tmp_path / "uec.toml").write_text(
            f'database_url = "{sqlite_url}"\nvault_socket = "{socket}"\nprofile_dir = "{UEC_PROFILE.parent}"\n'
        )
        with VaultService(opened.office.desk.bench.vault, socket):  # type: ignore[arg-type]
            yield opened
    opened.office.desk.bench.vault.close()
    engine.dispose()


def by(login: str, *words: str) -> int:
    return run(["bureau", *words, "--login", login, "--password-file", "password"])


def stand_in(office: BureauOffice, *words: str) -> int:
    keys = ("--keys", str(office.folder / "bureau"), "--profiles", str(UEC_PROFILE.parent))
    return run(["bureau", "stand-in", "--folder", "exchange/NORTH", "--code", "north", *keys, *words])


def test_a_batch_by_the_command_line(office: BureauOffice, capsys: pytest.CaptureFixture[str]) -> None:
    office.batch(1, 2)
    exchange = ("--folder", "exchange")
    assert by("petr", "order", "B-000001", "--bureau", "SOUTH") != 0
    assert by("petr", "order", "B-000001", "--bureau", "north", "--spare", "3") == 0
    assert by("petr", "order", "B-000001", "--bureau", "north") == 1, "it stands in an order"
    assert by("petr", "approve-order", "BO-000001") == 1, "whoever plans releases nothing"
    assert by("rita", "send", *exchange) == 0
    assert "no order is approved" in capsys.readouterr().out
    assert by("rita", "approve-order", "bo-000001") == 0
    assert by("rita", "send", *exchange) == 0
    assert (office.desk / "in" / "BO-000001.p7m").exists()
    assert stand_in(office, "--wrong-batch") == 0
    capsys.readouterr()
    assert by("pavel", "take", *exchange) == 1
    said = capsys.readouterr()
    assert "acknowledgement of order BO-000001 taken" in said.out
    assert "speaks of batch" in said.err and said.err.count("\n") == 1
    assert by("pavel", "take", *exchange) == 0, "what was refused is known, and no news"
    assert run(["bureau", "status", "BO-000001", "--json"]) == 0
    assert '"outstanding": 2' in capsys.readouterr().out


def test_from_results_to_the_closed_order(office: BureauOffice, capsys: pytest.CaptureFixture[str]) -> None:
    office.order(1, 2)
    assert stand_in(office) == 0
    assert by("pavel", "take", "--folder", "exchange") == 0
    assert by("kira", "close", "BO-000001") == 1, "its consignment is on its way"
    assert by("kira", "receive", "1", "--seal", "OTHER") == 1
    assert by("kira", "receive", "1", "--seal", "SEAL-BO-000001-2") == 0
    assert by("kira", "close", "BO-000001") == 0
    capsys.readouterr()
    assert run(["bureau", "status", "BO-000001"]) == 0
    shown = capsys.readouterr().out
    assert "CLOSED" in shown and "SEAL-BO-000001-2" in shown
    assert run(["bureau", "orders"]) == 0 and "BO-000001" in capsys.readouterr().out


def test_a_bureau_comes_in_by_two_people(office: BureauOffice, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["stock", "add-store", "SOUTH", "Blanks", "--login", "kira", "--password-file", "password"]) == 0
    new = ("add", "SOUTH", "Southern bureau", "--store", "2", "--cards-per-day", "10")
    assert by("petr", *new) == 1, "a planner lets nobody in"
    assert by("sergey", *new) == 0
    assert by("sergey", "approve", "SOUTH") == 1, "whoever proposed it"
    assert by("sonya", "approve", "SOUTH") == 0
    init = ("--init", "--office", str(office.folder / "bureau" / "office.pem"))
    assert run(["bureau", "stand-in", "--folder", "south", "--code", "SOUTH", *init]) == 0
    assert by("sergey", "certificate", "SOUTH", "south/keys/signature.pem", "--use", "signature") == 0
    assert "SHA-256" in capsys.readouterr().out
    assert by("sergey", "approve-certificate", "3") == 1
    assert by("sonya", "approve-certificate", "3") == 0
    assert by("sergey", "lot", "479005007412", "4790") != 0
    assert by("sergey", "lot", "479005007412", "47906035SSSSSSSS7412") == 0
    assert run(["bureau", "list"]) == 0
    assert "Southern bureau" in capsys.readouterr().out
    assert by("sergey", "end-certificate", "3") == 0
    assert by("sergey", "end", "SOUTH") == 0
    assert run(["bureau", "office-certificate", "--out", "office.pem"]) == 0
    assert (office.folder / "office.pem").read_text().startswith("-----BEGIN CERTIFICATE")


def test_a_stand_in_without_keys_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profiles = ("--profiles", str(UEC_PROFILE.parent))
    assert run(["bureau", "stand-in", "--folder", str(tmp_path), "--code", "NORTH", *profiles]) == 1
    assert "--init" in capsys.readouterr().err
