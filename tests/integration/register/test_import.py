"""The import of the register: good rows in, bad rows named, nothing twice, and nothing half."""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, sessionmaker

from tests.support.full_disk import fill_the_disk
from uec.domain.actors import system_actor
from uec.domain.errors import DiskFull, InvalidFile, StoreUnavailable
from uec.domain.register_row import COLUMNS
from uec.domain.register_run import ImportState
from uec.services.register import ImportReport, import_municipalities, import_register
from uec.store import staging
from uec.store.engine import make_engine, session_factory
from uec.store.staging import alone
from uec.store.tables import AuditEntry, Municipality, RegisterImport, Resident
from uec.synthetic.dirt import KINDS, Line
from uec.synthetic.register import AS_OF, HEADER, lines, write_municipalities

NOW = datetime(2026, 1, 15, 9, 0, tzinfo=UTC)
ACTOR = system_actor("cli")
CLEAN = [line.text for line in lines(400, 7, dirty=0)]
Import = Callable[..., ImportReport]


def write(path: Path, rows: list[str], *, header: str = HEADER, encoding: str = "utf-8") -> Path:
    path.write_bytes(("\n".join([header, *rows]) + "\n").encode(encoding))
    return path


def rejects(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


@pytest.fixture
def run(sessions: sessionmaker[Session], tmp_path: Path) -> Import:
    """Import a file in a session of its own; rejects go to rejects.csv."""

    def run(path: Path, now: datetime = NOW) -> ImportReport:
        with sessions() as session:
            return import_register(session, path=path, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=now)

    return run


def state(sessions: sessionmaker[Session]) -> list[tuple[object, ...]]:
    with sessions() as session:
        table = Resident.__table__
        return [tuple(row) for row in session.execute(select(table).order_by(table.c.register_id))]


def counts(report: ImportReport) -> tuple[int, int, int, int, int]:
    return report.rows, report.imported, report.updated, report.unchanged, report.rejected


def test_every_kind_of_dirt_is_found_in_its_field(sessions: sessionmaker[Session], run: Import, tmp_path: Path) -> None:
    with sessions() as session:
        write_municipalities(tmp_path / "municipalities.csv")
        assert import_municipalities(session, path=tmp_path / "municipalities.csv", actor=ACTOR, now=NOW) == 285
        assert import_municipalities(session, path=tmp_path / "municipalities.csv", actor=ACTOR, now=NOW) == 0
    made: list[Line] = list(lines(1000, 3, dirty=0.08))
    report = run(write(tmp_path / "register.csv", [line.text for line in made]))
    spoiled = {number: line.kind for number, line in enumerate(made, 2) if line.kind}
    assert {kind.name for kind in spoiled.values()} == {kind.name for kind in KINDS}
    found = {int(row["line"]): row for row in rejects(tmp_path / "rejects.csv")}
    expected = {number: kind.field for number, kind in spoiled.items() if kind.field}
    assert found.keys() == expected.keys()
    for number, field in expected.items():
        assert field in found[number]["field"].split(" | "), (number, spoiled[number].name)
        assert found[number]["reason"]
    assert counts(report) == (1000, 1000 - len(expected), 0, 0, len(expected))
    assert len(state(sessions)) == report.imported


def test_all_columns_arrive(sessions: sessionmaker[Session], run: Import, tmp_path: Path) -> None:
    run(write(tmp_path / "register.csv", CLEAN))
    with sessions() as session:
        for text in CLEAN[:50]:
            row = dict(zip(COLUMNS, text.split(";"), strict=True))
            resident = session.scalars(select(Resident).where(Resident.register_id == row["register_id"])).one()
            for column, value in row.items():
                stored = getattr(resident, column)
                assert (stored.isoformat() if column.endswith("_date") and stored else stored or "") == value
            assert resident.updated_at == NOW


def test_the_same_file_twice_changes_nothing(sessions: sessionmaker[Session], run: Import, tmp_path: Path) -> None:
    path = write(tmp_path / "register.csv", CLEAN)
    assert counts(run(path)) == (400, 400, 0, 0, 0)
    before = state(sessions)
    assert counts(run(path, NOW.replace(month=3))) == (400, 0, 0, 400, 0)
    assert state(sessions) == before


def test_a_corrected_file_updates_only_what_changed(
    sessions: sessionmaker[Session], run: Import, tmp_path: Path
) -> None:
    broken = [CLEAN[0], CLEAN[1].replace(";M;", ";X;").replace(";F;", ";X;"), *CLEAN[2:]]
    assert counts(run(write(tmp_path / "register.csv", broken))) == (400, 399, 0, 0, 1)
    moved = CLEAN[5].split(";")
    moved[COLUMNS.index("address")] = "обл. Тюменская, г. Ишим, ул. Новая, д. 1"
    later = NOW.replace(month=2)
    corrected = [*CLEAN[:5], ";".join(moved), *CLEAN[6:]]
    assert counts(run(write(tmp_path / "register.csv", corrected), later)) == (400, 1, 1, 398, 0)
    with sessions() as session:
        changed = session.scalars(select(Resident).where(Resident.updated_at == later)).all()
        assert {resident.register_id for resident in changed} == {moved[0], CLEAN[1].split(";")[0]}
        assert {resident.import_id for resident in changed} == {2}


def test_a_mended_reject_file_can_be_imported_as_it_is(run: Import, tmp_path: Path) -> None:
    bad = [text.replace(";passport;", ";pasport;") for text in CLEAN]
    first = run(write(tmp_path / "register.csv", bad))
    assert first.rejected > 100
    mended = (tmp_path / "rejects.csv").read_text(encoding="utf-8").replace(";pasport;", ";passport;")
    (tmp_path / "mended.csv").write_text(mended, encoding="utf-8")
    second = run(tmp_path / "mended.csv")
    assert counts(second) == (first.rejected, first.rejected, 0, 0, 0)


def test_commas_quotes_order_of_columns_and_bom(sessions: sessionmaker[Session], run: Import, tmp_path: Path) -> None:
    order = [*reversed(COLUMNS), "remark"]
    with (tmp_path / "register.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, order, delimiter=",", quoting=csv.QUOTE_MINIMAL, lineterminator="\r\n")
        writer.writeheader()
        for text in CLEAN:
            row = dict(zip(COLUMNS, text.split(";"), strict=True))
            row["doc_issuer"] = f'Отдел "Юг", {row["doc_issuer"]}'
            writer.writerow(row | {"remark": "x"})
    assert counts(run(tmp_path / "register.csv")) == (400, 400, 0, 0, 0)
    quoted = [text.split(";") for text in CLEAN]
    for fields in quoted:
        fields[COLUMNS.index("doc_issuer")] = f'"Отдел ""Юг"", {fields[COLUMNS.index("doc_issuer")]}"'
    path = write(tmp_path / "again.csv", [";".join(fields) for fields in quoted])
    assert counts(run(path)) == (400, 0, 0, 400, 0), "another order and separator, the same residents"


def test_twice_in_the_file_the_first_one_stands(sessions: sessionmaker[Session], run: Import, tmp_path: Path) -> None:
    rows = [*CLEAN[:10], CLEAN[3], CLEAN[4].replace(";F;", ";M;"), CLEAN[3]]
    report = run(write(tmp_path / "register.csv", rows))
    assert counts(report) == (13, 10, 0, 0, 3)
    found = [(row["line"], row["field"], row["reason"]) for row in rejects(tmp_path / "rejects.csv")]
    assert found == [
        ("12", "register_id", "stands already in line 5"),
        ("13", "register_id", "stands already in line 6"),
        ("14", "register_id", "stands already in line 5"),
    ]


def test_lines_no_program_should_write_are_one_reject_each(run: Import, tmp_path: Path) -> None:
    huge = CLEAN[1].replace("г. ", "г. " + "x" * 10_000_000, 1)
    rows = [
        CLEAN[0],
        huge,
        CLEAN[2],
        '"' + CLEAN[3],
        CLEAN[4],
        CLEAN[5].replace(";", ";\x00", 1),
        CLEAN[6],
        "",
        "a;b",
        CLEAN[7],
    ]
    report = run(write(tmp_path / "register.csv", rows))
    assert counts(report) == (9, 5, 0, 0, 4)
    found = rejects(tmp_path / "rejects.csv")
    assert [row["line"] for row in found] == ["3", "5", "7", "10"]
    assert "far too long" in found[0]["reason"]
    assert "quote" in found[1]["reason"]
    assert "control character" in found[2]["reason"]
    assert "2 fields instead of 20" in found[3]["reason"]
    assert (tmp_path / "rejects.csv").stat().st_size < 20_000


def test_ten_megabytes_between_quotes_are_one_reject(run: Import, tmp_path: Path) -> None:
    middle = CLEAN[1].split(";")
    middle[COLUMNS.index("address")] = '"' + "x" * 200_000 + '"'
    assert counts(run(write(tmp_path / "register.csv", [CLEAN[0], ";".join(middle), CLEAN[2]]))) == (3, 2, 0, 0, 1)
    assert "too long" in rejects(tmp_path / "rejects.csv")[0]["reason"]


@pytest.mark.parametrize("at", [0, 9_000])
def test_an_endless_last_line_without_end(run: Import, tmp_path: Path, at: int) -> None:
    path = tmp_path / "register.csv"
    path.write_bytes((HEADER + "\n" + CLEAN[0] + "\n").encode() + b"y" * (3_000_000 + at))
    assert counts(run(path)) == (2, 1, 0, 0, 1)


BROKEN = [
    (lambda: "\n".join([HEADER, *CLEAN]).encode("cp1251"), "not UTF-8: line 2"),
    (lambda: "\n".join([HEADER, *CLEAN]).encode("utf-16"), "UTF-16"),
    (lambda: "\n".join([HEADER, *CLEAN[:200]]).encode() + b"\n\xcf\xe5\xf2\xf0\n", "not UTF-8: line 202"),
    (lambda: "\n".join([HEADER.replace("snils;", ""), *CLEAN]).encode(), "lacks the columns snils"),
    (lambda: "\n".join([HEADER + ";snils", *CLEAN]).encode(), "columns twice: snils"),
    (lambda: "\n".join([HEADER.replace("phone", "surname"), *CLEAN]).encode(), "columns twice: surname"),
    (lambda: "\n".join([HEADER, *CLEAN]).replace(";", "\t").encode(), "separated by tabs"),
    (lambda: "\r".join([HEADER, *CLEAN]).encode(), "end the lines with LF"),
    (lambda: "\n".join(CLEAN).encode(), "lacks the columns"),
    (lambda: b'"' + HEADER.encode(), "cannot be read: a quote"),
    (lambda: b"", "empty"),
]


@pytest.mark.parametrize(("content", "sentence"), BROKEN)
def test_a_broken_file_is_one_error_and_leaves_nothing(
    sessions: sessionmaker[Session], run: Import, tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    (tmp_path / "register.csv").write_bytes(content())
    with pytest.raises(InvalidFile, match=sentence) as caught:
        run(tmp_path / "register.csv")
    assert "\n" not in caught.value.message
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(RegisterImport)) == 0
        assert session.scalar(select(func.count()).select_from(AuditEntry)) == 0
    assert state(sessions) == []
    assert sorted(path.name for path in tmp_path.iterdir() if path.suffix == ".part" or "rejects" in path.name) == []


def test_a_missing_file_and_a_careless_reject_file(
    run: Import, sessions: sessionmaker[Session], tmp_path: Path
) -> None:
    with pytest.raises(InvalidFile, match="No such file"):
        run(tmp_path / "nowhere.csv")
    path = write(tmp_path / "rejects.csv", CLEAN)
    with pytest.raises(InvalidFile, match="another file"):
        run(path)
    assert path.read_text(encoding="utf-8").count("\n") == 401


def test_a_full_disk_under_the_rejects_keeps_nothing(
    sessions: sessionmaker[Session], run: Import, tmp_path: Path
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fill_the_disk(patch)
        with pytest.raises(DiskFull, match="No space left"):
            run(write(tmp_path / "register.csv", CLEAN))
    assert state(sessions) == []
    assert sorted(path.name for path in tmp_path.iterdir() if "rejects" in path.name) == []
    assert counts(run(tmp_path / "register.csv")) == (400, 400, 0, 0, 0)


def test_a_file_that_happens_to_be_called_part_is_left_alone(run: Import, tmp_path: Path) -> None:
    path = write(tmp_path / "rejects.csv.part", CLEAN)
    before = path.read_bytes()
    assert counts(run(path)) == (400, 400, 0, 0, 0)
    assert path.read_bytes() == before


@pytest.mark.parametrize("place", ["pipe", "folder"])
def test_rejects_never_take_the_place_of_a_device(sessions: sessionmaker[Session], tmp_path: Path, place: str) -> None:
    target = tmp_path / "rejects"
    os.mkfifo(target) if place == "pipe" else target.mkdir()
    path = write(tmp_path / "register.csv", CLEAN)
    with sessions() as session, pytest.raises(InvalidFile, match="ordinary file"):
        import_register(session, path=path, rejects_path=target, actor=ACTOR, now=NOW)
    assert state(sessions) == []
    assert target.is_fifo() if place == "pipe" else target.is_dir()


def test_rejects_that_cannot_be_moved_are_kept_and_found(
    sessions: sessionmaker[Session], run: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_self: Path, _target: Path) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "replace", refused)
    with pytest.raises(DiskFull, match="lies whole in") as caught:
        run(write(tmp_path / "register.csv", [*CLEAN, "a;b"]))
    assert len(state(sessions)) == 400
    assert caught.value.path.read_text(encoding="utf-8").count("\n") == 2


def test_a_ctrl_c_at_the_last_commit_comes_too_late(
    sessions: sessionmaker[Session], run: Import, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = Session.commit

    def interrupted(session: Session) -> None:
        moved = session.scalar(select(RegisterImport.state)) is ImportState.MOVED
        commit(session)
        if moved:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Session, "commit", interrupted)
    assert counts(run(write(tmp_path / "register.csv", [*CLEAN, "a;b"]))) == (401, 400, 0, 0, 1)
    monkeypatch.undo()
    assert len(state(sessions)) == 400 and len(rejects(tmp_path / "rejects.csv")) == 1
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_a_ctrl_c_before_the_commit_changes_no_resident(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    def stop(_done: int, _total: int, _rows: int) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    path = write(tmp_path / "register.csv", [*CLEAN, "a;b"])
    with sessions() as session, pytest.raises(KeyboardInterrupt):
        import_register(session, path=path, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=NOW, progress=stop)
    assert state(sessions) == []
    assert sorted(path.name for path in tmp_path.iterdir() if "rejects" in path.name) == []


KILLED = """
import os, sys
from pathlib import Path
from datetime import UTC, datetime
from uec.domain.actors import system_actor
from uec.services.register import import_register
from uec.store import staging
from uec.store.engine import make_engine, session_factory

url, folder, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
with session_factory(make_engine(url))() as session:
    import_register(
        session, path=folder / "register.csv", rejects_path=folder / "rejects.csv", actor=system_actor("cli"),
        now=datetime(2026, 1, 15, tzinfo=UTC), progress=lambda *_: os.kill(os.getpid(), number),
    )
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_killed_in_the_middle_keeps_nothing_and_bars_nobody(
    sessions: sessionmaker[Session], database_url: str, run: Import, tmp_path: Path, number: int
) -> None:
    write(tmp_path / "register.csv", [*CLEAN, "a;b"])
    words = [sys.executable, "-c", KILLED, database_url, str(tmp_path), str(int(number))]
    ran = subprocess.run(words, check=False, capture_output=True)
    assert ran.returncode == -number
    assert state(sessions) == []
    assert not (tmp_path / "rejects.csv").exists()
    assert counts(run(tmp_path / "register.csv")) == (401, 400, 0, 0, 1)


def test_what_can_be_read_once_only_is_refused(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", tmp_path, Path("/dev/zero")):
        with sessions() as session, pytest.raises(InvalidFile, match="save it as a file"):
            import_register(session, path=place, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=NOW)


def test_utf_16_without_its_mark_is_recognised(run: Import, tmp_path: Path) -> None:
    with pytest.raises(InvalidFile, match="UTF-16"):
        run(write(tmp_path / "register.csv", CLEAN, encoding="utf-16-le"))


def test_an_earlier_reject_file_survives_a_failure(run: Import, tmp_path: Path) -> None:
    run(write(tmp_path / "register.csv", ["a;b"]))
    before = (tmp_path / "rejects.csv").read_bytes()
    with pytest.raises(InvalidFile):
        run(write(tmp_path / "register.csv", [CLEAN[0]], encoding="cp1251"))
    assert (tmp_path / "rejects.csv").read_bytes() == before


def test_a_locked_sqlite_says_so(sqlite_url: str, tmp_path: Path) -> None:
    path = write(tmp_path / "register.csv", CLEAN)
    engine = make_engine(sqlite_url, busy_timeout_s=0.1)
    holder = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    try:
        holder.execute("BEGIN IMMEDIATE")
        with session_factory(engine)() as session, pytest.raises(StoreUnavailable, match="locked by another process"):
            import_register(session, path=path, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=NOW)
    finally:
        holder.close()
    with session_factory(engine)() as session:
        report = import_register(session, path=path, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=NOW)
        assert report.imported == 400
    engine.dispose()


def test_a_full_disk_under_sqlite_keeps_nothing(sqlite_url: str, tmp_path: Path) -> None:
    from sqlalchemy import event

    path = write(tmp_path / "register.csv", CLEAN)
    engine = make_engine(sqlite_url)

    # A database that may not grow is what a full disk looks like to SQLite: SQLITE_FULL.
    @event.listens_for(engine, "connect")
    def no_room(connection: sqlite3.Connection, _record: object) -> None:
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {pages + 2}")

    with session_factory(engine)() as session, pytest.raises(StoreUnavailable, match="disk of the database is full"):
        import_register(session, path=path, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=NOW)
    engine.dispose()
    fresh = make_engine(sqlite_url)
    with session_factory(fresh)() as session:
        assert session.scalar(select(func.count()).select_from(Resident)) == 0
        report = import_register(session, path=path, rejects_path=tmp_path / "rejects.csv", actor=ACTOR, now=NOW)
        assert report.imported == 400
    fresh.dispose()


def test_two_imports_do_not_run_together(sessions: sessionmaker[Session], run: Import, tmp_path: Path) -> None:
    path = write(tmp_path / "register.csv", CLEAN)
    with sessions() as first, alone(first), pytest.raises(StoreUnavailable, match="Another import"):
        run(path)
    assert counts(run(path)) == (400, 400, 0, 0, 0)
    assert not list(tmp_path.glob("*-import"))


def test_progress_reaches_the_end_and_the_audit_knows(sessions: sessionmaker[Session], tmp_path: Path) -> None:
    seen: list[tuple[int, int, int]] = []
    path = write(tmp_path / "register.csv", CLEAN * 12)
    with sessions() as session:
        report = import_register(
            session,
            path=path,
            rejects_path=tmp_path / "rejects.csv",
            actor=ACTOR,
            now=NOW,
            progress=lambda done, total, rows: seen.append((done, total, rows)),
        )
        size = path.stat().st_size
        assert seen == sorted(seen)
        assert seen[-1] == (2 * size, 2 * size, 4800)
        assert len(seen) > 1
        entry = session.scalars(select(AuditEntry).where(AuditEntry.action == "register.import")).one()
        assert entry.details["file_digest"] == report.file_digest
        assert (entry.details["rejected"], entry.actor) == (4400, "system:cli")
        run = session.get_one(RegisterImport, report.import_id)
        assert run.finished_at is not None
        assert run.rows == run.imported + run.updated + run.unchanged + run.rejected


def test_backslashes_survive(sessions: sessionmaker[Session], run: Import, tmp_path: Path) -> None:
    fields = CLEAN[0].split(";")
    fields[COLUMNS.index("address")] = r"г. Тюмень, ул. Мира \N, д. 5\6\\"
    assert counts(run(write(tmp_path / "register.csv", [";".join(fields)]))) == (1, 1, 0, 0, 0)
    with sessions() as session:
        assert session.scalars(select(Resident.address)).one() == r"г. Тюмень, ул. Мира \N, д. 5\6\\"


@pytest.mark.parametrize("line", ["71701000;Город", "717;Город;Town", "71701000;;Town"])
def test_bad_municipalities_are_refused(sessions: sessionmaker[Session], tmp_path: Path, line: str) -> None:
    path = write(tmp_path / "m.csv", [line], header="oktmo;name_ru;name_en")
    with sessions() as session:
        with pytest.raises(InvalidFile, match="Line 2"):
            import_municipalities(session, path=path, actor=ACTOR, now=NOW)
        session.rollback()
        assert session.scalar(select(func.count()).select_from(Municipality)) == 0


def test_the_register_is_of_its_day() -> None:
    assert AS_OF.isoformat() == "2026-01-01"


def test_the_server_knows_how_large_the_register_is_at_once(
    run: Import, sessions: sessionmaker[Session], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "SLICE", 100)
    assert run(write(tmp_path / "register.csv", CLEAN)).imported == len(CLEAN)
    with sessions() as session:
        size = select(func.count()).select_from(Resident)
        if session.get_bind().dialect.name == "postgresql":
            # What the server has counted by itself; -1 before it looked.
            size = select(text("reltuples")).select_from(text("pg_class")).where(text("relname = 'resident'"))
        assert session.scalar(size) == len(CLEAN)
