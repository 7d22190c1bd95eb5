"""An import killed at any moment goes on from its last part, and ends as one that was never killed."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from tests.support.databases import VICTIM, let_victims_go
from uec.domain.actors import system_actor
from uec.domain.errors import InvalidFile
from uec.domain.register_run import ImportState
from uec.services import register, register_file
from uec.services.register import ImportReport, import_municipalities, import_register
from uec.store.tables import AuditEntry, RegisterImport, Resident
from uec.store.tables.people import register_reject, register_staging
from uec.synthetic.register import HEADER, lines

NOW = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
ROWS = [line.text for line in lines(900, 11, dirty=0.05)]
BLOCK, PART = 8_000, 20_000
DOUBLE = ROWS[2]

# Imports with small parts; ends itself at one moment: the so-manieth report of progress, or before the reject file.
CHILD = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from uec.domain.actors import system_actor
from uec.services import register, register_file, whole_file
from uec.store import staging
from uec.store.engine import make_engine, session_factory

url, folder, moment = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
register_file.BLOCK_BYTES, register.PART_BYTES, staging.SLICE = 8_000, 20_000, 200
left = [int(moment) if moment.lstrip("-").isdigit() else -1]

def die(done, total, _rows):
    left[0] -= 1
    if left[0] == 0 or (moment == "move" and done > total * 0.7):
        os.kill(os.getpid(), signal.SIGKILL)

if moment == "publish":
    whole_file.WholeFile.publish = lambda _file: os.kill(os.getpid(), signal.SIGKILL)
with session_factory(make_engine(url))() as session:
    import_register = register.import_register
    print("begins", flush=True)
    import_register(
        session, path=folder / "register.csv", rejects_path=folder / "rejects.csv", actor=system_actor("cli"),
        now=datetime(2026, 1, 15, 9, 0, tzinfo=UTC), progress=die,
    )
"""


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(register_file, "BLOCK_BYTES", BLOCK)
    monkeypatch.setattr(register, "PART_BYTES", PART)


@pytest.fixture
def export(tmp_path: Path) -> Path:
    path = tmp_path / "register.csv"
    path.write_text("\n".join([HEADER, *ROWS, DOUBLE]) + "\n", encoding="utf-8")
    return path


def child(url: str, folder: Path, moment: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(folder), str(moment)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **VICTIM},
    )


def kill_at(url: str, folder: Path, moment: object) -> None:
    with child(url, folder, moment) as process:
        assert process.wait() == -signal.SIGKILL


def run(sessions: sessionmaker[Session], path: Path, **changes: object) -> ImportReport:
    arguments = {"path": path, "rejects_path": path.with_name("rejects.csv"), "actor": system_actor("cli"), "now": NOW}
    with sessions() as session:
        return import_register(session, **(arguments | changes))  # type: ignore[arg-type]


def outcome(sessions: sessionmaker[Session], folder: Path) -> tuple[object, ...]:
    """All that an import leaves: residents without their ids, counts, the audit's entry, the reject file."""
    table = Resident.__table__
    columns = [column for column in table.c if column.name not in {"id", "import_id"}]
    with sessions() as session:
        residents = [tuple(row) for row in session.execute(select(*columns).order_by(table.c.register_id))]
        entry = session.scalars(select(AuditEntry.details).where(AuditEntry.action == "register.import")).one()
        (done,) = session.scalars(select(RegisterImport)).all()
        left = [session.scalar(select(func.count()).select_from(one)) for one in (register_staging, register_reject)]
        assert (done.state, left) == (ImportState.DONE, [0, 0])
    assert not list(folder.glob("*-import"))
    return residents, entry, (folder / "rejects.csv").read_bytes()


@pytest.fixture
def never_killed(sessions: sessionmaker[Session], export: Path, tmp_path: Path) -> tuple[object, ...]:
    """What an import on another SQLite leaves that nobody disturbs."""
    from uec.store.engine import make_engine, session_factory
    from uec.store.migrate import upgrade

    folder = tmp_path / "undisturbed"
    folder.mkdir()
    upgrade(f"sqlite:///{folder / 'other.db'}")
    engine = make_engine(f"sqlite:///{folder / 'other.db'}")
    other = folder / "register.csv"
    other.write_bytes(export.read_bytes())
    report = run(session_factory(engine), other)
    assert report.resumed == 0 and report.rejected > 20 and report.imported > 800
    left = outcome(session_factory(engine), folder)
    engine.dispose()
    return left


def test_killed_at_many_moments_the_result_is_the_same(
    sessions: sessionmaker[Session], database_url: str, export: Path, tmp_path: Path, never_killed: tuple[object, ...]
) -> None:
    resumed = []
    # In the first part, between parts, in the middle of the move, and before the reject file comes out.
    for moment in (1, 9, 17, "move", "publish"):
        kill_at(database_url, tmp_path, moment)
        let_victims_go(sessions)
        assert not (tmp_path / "rejects.csv").exists()
        with sessions() as session:
            resumed.append(session.scalar(select(RegisterImport.staged)))
            moved = session.scalar(select(func.count()).select_from(Resident))
        assert (moved == 0) is (moment != "publish")
    assert resumed == sorted(resumed) and 0 < resumed[1] < resumed[-1], "each run goes on where the last one stopped"
    report = run(sessions, export)
    assert report.resumed == resumed[-1]
    assert outcome(sessions, tmp_path) == never_killed


@pytest.mark.slow
def test_killed_from_outside_at_random(
    sessions: sessionmaker[Session], database_url: str, export: Path, tmp_path: Path, never_killed: tuple[object, ...]
) -> None:
    chance = random.Random(5)
    for _ in range(6):
        with child(database_url, tmp_path, -1) as process:
            assert process.stdout is not None and process.stdout.readline() == "begins\n"
            time.sleep(chance.uniform(0, 0.25))
            process.kill()
            process.wait()
        let_victims_go(sessions)
        with sessions() as session:
            if session.scalar(select(func.count()).where(RegisterImport.state == ImportState.DONE)):
                break
    else:
        run(sessions, export)
    assert outcome(sessions, tmp_path) == never_killed


def interrupted(after: int) -> Callable[[int, int, int], None]:
    left = [after]

    def stop(_done: int, _total: int, _rows: int) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt

    return stop


def half_way(sessions: sessionmaker[Session], export: Path, **changes: object) -> int:
    with pytest.raises(KeyboardInterrupt):
        run(sessions, export, progress=interrupted(20), **changes)
    with sessions() as session:
        staged = session.scalar(select(RegisterImport.staged).where(RegisterImport.state == ImportState.STAGING))
    assert staged
    return staged


def test_a_pause_over_midnight_changes_no_verdict(sessions: sessionmaker[Session], export: Path) -> None:
    fields = ROWS[-1].split(";")
    text = export.read_text(encoding="utf-8").replace(ROWS[-1], ROWS[-1].replace(fields[12], "2026-01-16"))
    export.write_text(text, encoding="utf-8")
    staged = half_way(sessions, export)
    report = run(sessions, export, today=date(2026, 1, 20))
    assert report.resumed == staged
    assert "in the future" in export.with_name("rejects.csv").read_text(encoding="utf-8").splitlines()[-2]


def test_another_file_begins_anew(sessions: sessionmaker[Session], export: Path) -> None:
    half_way(sessions, export)
    content = bytearray(export.read_bytes())
    changed = content.replace(ROWS[0].split(";")[1].encode(), "Ёжиков".encode(), 1)
    export.write_bytes(changed)
    report = run(sessions, export)
    assert report.resumed == 0
    with sessions() as session:
        assert session.scalars(select(Resident.id).where(Resident.surname == "Ёжиков")).one()
        assert session.scalar(select(func.count()).select_from(RegisterImport)) == 1


def test_a_file_that_grew_at_its_end_begins_anew(sessions: sessionmaker[Session], export: Path) -> None:
    half_way(sessions, export)
    with export.open("a", encoding="utf-8") as file:
        file.write("a;b\n")
    assert run(sessions, export).resumed == 0


def test_other_municipalities_begin_anew(sessions: sessionmaker[Session], export: Path, tmp_path: Path) -> None:
    half_way(sessions, export)
    codes = tmp_path / "codes.csv"
    codes.write_text("oktmo;name_ru;name_en\n71701000;Город;Town\n", encoding="utf-8")
    with sessions() as session:
        import_municipalities(session, path=codes, actor=system_actor("cli"), now=NOW)
    assert run(sessions, export).resumed == 0
    with sessions() as session:
        places = set(session.scalars(select(Resident.oktmo)))
    assert {place[:8] for place in places} == {"71701000"}, "checked by the new list from the first row on"


def test_a_lost_staging_table_begins_anew(sessions: sessionmaker[Session], export: Path) -> None:
    half_way(sessions, export)
    with sessions() as session:  # as PostgreSQL leaves it after a crash
        session.execute(register_staging.delete())
        session.commit()
    assert run(sessions, export).resumed == 0


def test_a_fault_late_in_the_file_leaves_nothing_of_its_parts(sessions: sessionmaker[Session], export: Path) -> None:
    with export.open("ab") as file:
        file.write(b"\xcf\xe5\xf2\xf0\n")
    with pytest.raises(InvalidFile, match="not UTF-8"):
        run(sessions, export)
    with sessions() as session:
        for one in (register_staging, register_reject, RegisterImport.__table__, AuditEntry.__table__):
            assert session.scalar(select(func.count()).select_from(one)) == 0


def test_an_endless_line_between_parts(
    sessions: sessionmaker[Session], export: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(register_file, "LINE_LIMIT_BYTES", 30_000)
    content = export.read_bytes().split(b"\n")
    content.insert(400, b"x" * 250_000)
    export.write_bytes(b"\n".join(content))
    for after in (15, 12, 20):
        with pytest.raises(KeyboardInterrupt):
            run(sessions, export, progress=interrupted(after))
    report = run(sessions, export)
    assert report.resumed and "far too long" in export.with_name("rejects.csv").read_text(encoding="utf-8")
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(Resident)) == report.imported
    assert run(sessions, export).unchanged == report.imported
