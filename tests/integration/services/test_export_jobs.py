"""Long lists as files: asked for, made by a worker whatever happens to others, taken by their owner, swept away."""

import csv
import io
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import openpyxl
import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from tests.integration.services.test_exports import applied
from tests.support.office import NOW, POLICY, Office, add_staff, open_office, person
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, NotFound, StoreUnavailable
from uec.domain.exports import ExportState
from uec.domain.lifecycle import ApplicationState
from uec.domain.permissions import Role
from uec.domain.policy import PolicyBook
from uec.services import export_jobs, export_lists, exports, staff
from uec.services.export_wording import Wording, key_of
from uec.store import queue
from uec.store.tables import Application, AuditEntry, ExportFile, ExportPart

BOOK = PolicyBook(POLICY)
WORDING = Wording(
    "Заявления",
    [f"Столбец {name}" for name in export_lists.EXPORTS["applications"].columns],
    {key_of(ApplicationState.SUBMITTED): "Принято"},
    "да",
    "нет",
)


@dataclass
class Clock:
    """A clock that the test moves."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def office(sessions: sessionmaker[Session]) -> Office:
    opened = open_office(sessions)
    with sessions() as session:
        applied(session, opened, 1, 2, 3)
    return opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


def asked(session: Session, office: Office, *, form: str = "csv", **changes: Any) -> int:
    ways: dict[str, Any] = {"filters": {}, "actor": office.officer, "now": NOW, **changes}
    return export_jobs.ask(session, "applications", form=form, wording=WORDING, policy=POLICY, **ways)


def made(sessions: sessionmaker[Session], export_id: int, clock: Clock) -> str:
    return export_jobs.make(sessions, export_id, book=BOOK, clock=clock)


def row_of(sessions: sessionmaker[Session], export_id: int) -> ExportFile:
    with sessions() as session:
        found = session.get(ExportFile, export_id)
        assert found is not None
        return found


def noted(session: Session) -> list[tuple[str, str, Any]]:
    entries = select(AuditEntry).where(AuditEntry.action.startswith("export.")).order_by(AuditEntry.id)
    return [(one.action, one.actor, one.details.get("rows")) for one in session.scalars(entries)]


def taken(sessions: sessionmaker[Session], export_id: int, office: Office, at: datetime = NOW) -> bytes:
    with sessions() as session:
        row = export_jobs.take(session, export_id, actor=office.officer, now=at)
    return b"".join(export_jobs.content(sessions, row))


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_a_list_is_asked_for_made_and_taken_and_the_audit_knows_all_three(
    sessions: sessionmaker[Session], office: Office, clock: Clock, form: str
) -> None:
    with sessions() as session:
        export_id = asked(session, office, form=form)
        (mine,) = export_jobs.mine(session, actor=office.officer, now=NOW)
        assert (mine.state, mine.rows, mine.expected) == (ExportState.WAITING, 0, None)
        with pytest.raises(IllegalMove):
            export_jobs.take(session, export_id, actor=office.officer, now=NOW)
    clock.now += timedelta(minutes=1)
    assert made(sessions, export_id, clock) == "made 3 rows"
    row = row_of(sessions, export_id)
    assert (row.state, row.rows, row.expected, row.attempt) == (ExportState.READY, 3, 3, 1)
    assert row.ended_at == clock.now and row.keep_until == clock.now + timedelta(days=POLICY.export_keep_days)
    content = taken(sessions, export_id, office, clock.now)
    assert len(content) == row.size_bytes
    if form == "csv":
        head, *lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), delimiter=";")
    else:
        (sheet,) = openpyxl.load_workbook(io.BytesIO(content)).worksheets
        assert sheet.title == "Заявления"
        head, *lines = [[str(value) for value in line] for line in sheet.iter_rows(values_only=True)]
    assert head == WORDING.head and len(lines) == 3
    assert lines[0][1] == "Принято" and lines[0][4] == person(1)["surname"]
    with sessions() as session:
        officer = office.officer.reference
        assert noted(session) == [
            ("export.ask", officer, None),
            ("export.finish", "system:exports", 3),
            ("export.fetch", officer, 3),
        ]
    assert made(sessions, export_id, clock) == "nothing to make", "a job may run twice"


def test_asking_twice_is_asking_once_and_nobody_fills_the_queue(session: Session, office: Office) -> None:
    first = asked(session, office)
    assert asked(session, office) == first != asked(session, office, form="xlsx")
    for state in ("SUBMITTED", "APPROVED", "REJECTED"):
        asked(session, office, filters={"state": state, "nonsense": "1"})
    with pytest.raises(InvalidInput, match="wait for one"):
        asked(session, office, filters={"query": "x"})
    assert asked(session, office) == first
    assert session.get_one(ExportFile, first + 2).filters == {"state": "SUBMITTED"}
    second = add_staff(session, "second", Role.OFFICER)
    session.commit()
    assert asked(session, office, actor=second) > first, "another one's are counted apart"


@pytest.mark.parametrize(("limit", "most"), [("MOST_KEPT", 2), ("MOST_BYTES", 1)])
def test_nobody_fills_the_disk_with_files_that_are_kept(
    sessions: sessionmaker[Session],
    office: Office,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    most: int,
) -> None:
    with sessions() as session:
        first, second = asked(session, office), asked(session, office, form="xlsx")
        for export_id in (first, second):
            made(sessions, export_id, clock)
        monkeypatch.setattr(export_jobs, limit, most)
        with pytest.raises(InvalidInput, match="delete older ones") as refused:
            asked(session, office)
        assert refused.value.facts["field"] == "files"
        other = add_staff(session, "second", Role.OFFICER)
        session.commit()
        assert asked(session, office, actor=other), "another one's are counted apart"
        for export_id in (first, second):
            export_jobs.remove(session, export_id, actor=office.officer, now=NOW)
        assert asked(session, office)


def test_files_whose_time_is_over_are_not_counted(
    session: Session, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_jobs, "MOST_KEPT", 1)
    asked(session, office)
    with pytest.raises(InvalidInput, match="delete older ones"):
        asked(session, office, form="xlsx")
    assert asked(session, office, form="xlsx", now=NOW + export_jobs.kept(POLICY))


def test_what_may_not_or_cannot_be_made_is_refused_at_once(session: Session, office: Office) -> None:
    with pytest.raises(NotAllowed):
        asked(session, office, actor=office.operator)
    with pytest.raises(InvalidInput, match="no state"):
        asked(session, office, filters={"state": "FLYING"})
    with pytest.raises(InvalidInput, match="no form pdf"):
        asked(session, office, form="pdf")
    with pytest.raises(NotFound):
        export_jobs.ask(
            session, "cohort", form="csv", wording=WORDING, policy=POLICY, filters={"id": "7"}, actor=office.planner,
            now=NOW,
        )  # fmt: skip
    assert session.scalar(select(func.count()).select_from(ExportFile)) == 0 and noted(session) == []


def test_a_file_is_its_owners_alone_as_long_as_they_may_see_the_list(
    sessions: sessionmaker[Session], office: Office, clock: Clock
) -> None:
    with sessions() as session:
        second = add_staff(session, "second", Role.OFFICER)
        admin = add_staff(session, "admin", Role.ADMIN)
        export_id = asked(session, office)
    made(sessions, export_id, clock)
    with sessions() as session:
        assert export_jobs.mine(session, actor=second, now=NOW) == []
        for way in (export_jobs.take, export_jobs.remove, export_jobs.look):
            with pytest.raises(NotFound):
                way(session, export_id, actor=second, now=NOW)
        staff_id = office.officer.staff_id
        assert staff_id is not None
        staff.set_roles(session, staff_id, roles=[Role.PLANNER], actor=admin, now=NOW)
        moved = staff.actor_of(session, staff_id)
        assert moved is not None and export_jobs.mine(session, actor=moved, now=NOW)
        with pytest.raises(NotAllowed):
            export_jobs.take(session, export_id, actor=moved, now=NOW)


@pytest.mark.parametrize("change", ["roles", "gone"])
def test_who_may_not_see_the_list_any_more_when_it_is_made_gets_nothing(
    sessions: sessionmaker[Session], office: Office, clock: Clock, change: str
) -> None:
    with sessions() as session:
        admin = add_staff(session, "admin", Role.ADMIN)
        export_id = asked(session, office)
        staff_id = office.officer.staff_id
        assert staff_id is not None
        if change == "roles":
            staff.set_roles(session, staff_id, roles=[Role.PLANNER], actor=admin, now=NOW)
        else:
            staff.set_active(session, staff_id, active=False, actor=admin, now=NOW)
    assert made(sessions, export_id, clock).startswith("not made: ")
    row = row_of(sessions, export_id)
    assert (row.state, row.failure) == (ExportState.FAILED, "uec.not_allowed")
    with sessions() as session:
        assert session.scalar(select(func.count()).select_from(ExportPart)) == 0
        assert noted(session)[-1][0] == "export.fail"


def test_files_end_with_their_time_and_by_their_owner(
    sessions: sessionmaker[Session], office: Office, clock: Clock
) -> None:
    with sessions() as session:
        kept, removed = asked(session, office), asked(session, office, form="xlsx")
    for one in (kept, removed):
        made(sessions, one, clock)
    with sessions() as session:
        export_jobs.remove(session, removed, actor=office.officer, now=NOW)
        assert session.scalars(select(ExportPart.export_id).distinct()).all() == [kept]
        clock.now += timedelta(days=POLICY.export_keep_days)
        assert export_jobs.mine(session, actor=office.officer, now=clock.now) == []
        with pytest.raises(NotFound):
            export_jobs.take(session, kept, actor=office.officer, now=clock.now)
    assert export_jobs.make_all(sessions, book=BOOK, clock=clock) == "took on 0 files, swept 1"
    with sessions() as session:
        for table in (ExportFile, ExportPart):
            assert session.scalar(select(func.count()).select_from(table)) == 0
        assert [action for action, _, _ in noted(session)][-2:] == ["export.remove", "export.expire"]


def stopping_at(parts: int, error: Exception) -> Any:
    """Rows that end with an error after so many, as a worker that is killed or loses its database."""
    real = exports.rows

    def rows(*given: Any, **named: Any) -> Iterator[Any]:
        with closing(real(*given, **named)) as found:
            for number, row in enumerate(found):
                if number == parts:
                    raise error
                yield row

    return rows


def test_a_worker_that_dies_loses_the_file_to_the_next_one(
    sessions: sessionmaker[Session], office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sessions() as session:
        export_id = asked(session, office)
    with monkeypatch.context() as patched:
        patched.setattr(exports, "rows", stopping_at(2, StoreUnavailable("away")))
        with pytest.raises(StoreUnavailable):
            made(sessions, export_id, clock)
    assert row_of(sessions, export_id).state is ExportState.RUNNING
    assert made(sessions, export_id, clock) == "nothing to make", "it may be alive"
    clock.now += export_jobs.SILENT_AFTER + timedelta(seconds=1)
    assert export_jobs.make_all(sessions, book=BOOK, clock=clock) == "took on 1 files, swept 0"
    row = row_of(sessions, export_id)
    assert (row.state, row.attempt, row.rows) == (ExportState.READY, 2, 3)
    assert taken(sessions, export_id, office).count(b"\r\n") == 4


def test_what_three_workers_did_not_end_is_given_up(
    sessions: sessionmaker[Session], office: Office, clock: Clock
) -> None:
    with sessions() as session:
        export_id = asked(session, office)
        gone = update(ExportFile).values(state=ExportState.RUNNING)
        session.execute(gone.values(attempt=export_jobs.ATTEMPTS, heard_at=NOW - timedelta(hours=1)))
        session.commit()
    assert "Three workers" in made(sessions, export_id, clock)
    assert row_of(sessions, export_id).failure == "uec.export_given_up"


@pytest.mark.parametrize("event", ["taken over", "called off"])
def test_an_older_worker_that_wakes_up_writes_no_more(
    sessions: sessionmaker[Session], office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    """The first worker stands still in the middle of the rows until a second one has ended the file."""
    with sessions() as session:
        export_id = asked(session, office)
    monkeypatch.setattr(export_jobs, "PART_BYTES", 1)
    stands, goes_on, real = threading.Event(), threading.Event(), exports.rows

    def slow(*given: Any, **named: Any) -> Iterator[Any]:
        with closing(real(*given, **named)) as found:
            for number, row in enumerate(found):
                if number == 1 and not stands.is_set():
                    stands.set()
                    assert goes_on.wait(60)
                yield row

    monkeypatch.setattr(exports, "rows", slow)
    said: list[str] = []
    first = threading.Thread(target=lambda: said.append(made(sessions, export_id, clock)))
    first.start()
    try:
        assert stands.wait(60)
        clock.now += export_jobs.SILENT_AFTER + timedelta(seconds=1)
        if event == "taken over":
            assert made(sessions, export_id, clock) == "made 3 rows"
        else:
            with sessions() as session:
                export_jobs.remove(session, export_id, actor=office.officer, now=clock.now)
    finally:
        goes_on.set()
        first.join()
    assert said == ["The file is made by another worker, or nobody wants it any more."]
    with sessions() as session:
        if event == "called off":
            assert session.scalar(select(func.count()).select_from(ExportPart)) == 0
            return
    assert taken(sessions, export_id, office, clock.now).count(b"\r\n") == 4


def test_a_file_that_is_deleted_while_it_is_sent_never_looks_whole(
    sessions: sessionmaker[Session], office: Office, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("uec.services.export_files.PORTION", 1)
    monkeypatch.setattr(export_jobs, "PART_BYTES", 1)
    with sessions() as session:
        export_id = asked(session, office)
        made(sessions, export_id, clock)
        row = export_jobs.take(session, export_id, actor=office.officer, now=NOW)
        parts = export_jobs.content(sessions, row)
        first = next(parts)
        export_jobs.remove(session, export_id, actor=office.officer, now=NOW)
        if not queue.has_queue(session):  # SQLite shows who reads the file as it was when they began
            assert len(b"".join([first, *parts])) == row.size_bytes
            return
    with pytest.raises(NotFound, match="ask for it again"):
        list(parts)


def test_work_is_handed_over_with_the_wish_itself(
    sessions: sessionmaker[Session], office: Office, clock: Clock
) -> None:
    with sessions() as session:
        if not queue.has_queue(session):
            assert export_jobs.hand_over(sessions, clock=clock) == "handed over 0 files, swept 0"
            return
        asked(session, office)
        (job,) = [one for one in queue.overview(session) if one.task == export_jobs.TASK]
        assert (job.status, job.jobs) == ("todo", 1)
    assert export_jobs.hand_over(sessions, clock=clock) == "handed over 0 files, swept 0", "it waits already"


def test_a_list_too_long_to_be_sent_at_once_is_not_written_down_as_taken(
    session: Session, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exports, "AT_ONCE", 2)
    ways: dict[str, Any] = {"actor": office.officer, "form": "csv", "now": NOW}
    assert exports.take(session, "applications", filters={}, **ways) is None
    assert noted(session) == []
    number = session.scalar(select(Application.number).limit(1)) or ""
    assert exports.take(session, "applications", filters={"query": number}, **ways) is not None
