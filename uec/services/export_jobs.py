"""Long lists as files: somebody asks, a worker makes the file, and it can be taken for some days.

Whose list it is may take it, as long as they may see the list itself: that is asked when it is asked for, when it is
made, and each time it is taken; the audit keeps all three, with the number of rows. On PostgreSQL the work goes through
the queue, on SQLite the job `exports` finds it. A worker that is killed loses the file to the next one, which begins
anew; three times, then it is given up. An older worker that wakes up again writes no more.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session, sessionmaker

from uec.domain.actors import Actor, system_actor
from uec.domain.errors import IllegalMove, InvalidInput, NotAllowed, NotFound, StoreUnavailable, UecError
from uec.domain.exports import EXPORT, ExportEvent, ExportState
from uec.domain.lifecycle import advance
from uec.domain.policy import Policy, PolicyBook
from uec.services import exports, staff
from uec.services.export_files import FORMS
from uec.services.export_lists import export_of
from uec.services.export_queries import Cells
from uec.services.export_wording import Wording, said
from uec.services.rows import missing
from uec.store import audit, queue
from uec.store.engine import reading
from uec.store.queue import Work
from uec.store.tables import ExportFile, ExportPart

QUEUE, TASK = "exports", "export"
PART_BYTES = 1 << 19
# What a person waits for at a window goes first.
PRIORITY = -10
SILENT_AFTER = timedelta(minutes=2)
ATTEMPTS = 3
AT_A_TIME = 5
MOST_KEPT, MOST_BYTES = 20, 2 << 30
"""What one person may have at a time of files that are kept: so many, and no new one from so many bytes on."""
SHOWN = 50
WORKER = system_actor("exports")
OPEN = (ExportState.WAITING, ExportState.RUNNING)
Sessions = sessionmaker[Session]
Clock = Callable[[], datetime]


class TakenOver(UecError):
    """Another worker makes the file by now, or nobody wants it any more."""

    code = "uec.export_taken_over"


class GivenUp(UecError):
    """Workers began a file and never ended it."""

    code = "uec.export_given_up"


@dataclass
class _Counted:
    """Rows on their way into a file, counted."""

    rows: Iterator[Cells]
    count: int = 0

    def __iter__(self) -> Iterator[Cells]:
        for row in self.rows:
            self.count += 1
            yield row


def ask(
    session: Session,
    name: str,
    *,
    filters: Mapping[str, str],
    form: str,
    wording: Wording,
    actor: Actor,
    policy: Policy,
    now: datetime,
) -> int:
    """Have a list made into a file; returns its id, that of the same one where it is in work already, and commits.

    Raises `NotFound` for an unknown list, `NotAllowed`, `InvalidInput` for a filter or form that means nothing, or when
    this person has five files in work (field `list`) or as many kept as one may have (field `files`).
    """
    chosen, asked = exports.asked_of(name, actor=actor, filters=filters, form=form)
    exports.length_of(session, chosen, actor=actor, asked=asked, most=1)
    mine = select(ExportFile).where(ExportFile.asked_by == actor.staff_id, ExportFile.state.in_(OPEN))
    in_work = session.scalars(mine).all()
    for one in in_work:
        if (one.list, one.form, one.filters) == (name, form, asked):
            return one.id
    if len(in_work) >= AT_A_TIME:
        raise InvalidInput(f"{AT_A_TIME} files of yours are in work: wait for one of them.", field="list")
    _require_room(session, actor, now)
    row = ExportFile(
        list=name, form=form, filters=dict(asked), wording=wording.stored(), asked_by=actor.staff_id, asked_at=now,
        state=ExportState.WAITING, keep_until=now + kept(policy),
    )  # fmt: skip
    session.add(row)
    session.flush()
    _note(session, "ask", row, actor=actor, now=now)
    queue.hand_over(session, [_work(row.id)])
    session.commit()
    return row.id


def _require_room(session: Session, actor: Actor, now: datetime) -> None:
    own = select(func.count(), func.sum(ExportFile.size_bytes)).where(
        ExportFile.asked_by == actor.staff_id, ExportFile.keep_until > now
    )
    files, size = session.execute(own).one()
    if files >= MOST_KEPT or (size or 0) >= MOST_BYTES:
        raise InvalidInput(
            f"{files} files of yours are kept, which is as much as one person may have: delete older ones first.",
            field="files",
        )


def kept(policy: Policy) -> timedelta:
    """How long a file can be taken."""
    return timedelta(days=policy.export_keep_days)


def _work(export_id: int) -> Work:
    return Work(QUEUE, TASK, f"{TASK}:{export_id}", {"export_id": export_id}, PRIORITY)


def hand_over(sessions: Sessions, *, clock: Clock) -> str:
    """Give the files that no worker makes to the workers, sweep old ones away; returns what was done."""
    with sessions() as session:
        swept = sweep(session, now=clock())
        given = queue.hand_over(session, [_work(one) for one in waiting(session, now=clock())], quiet=SILENT_AFTER)
        session.commit()
        return f"handed over {given} files, swept {swept}"


def make_all(sessions: Sessions, *, book: PolicyBook, clock: Clock) -> str:
    """Make the files that no worker makes, sweep old ones away; returns what was done."""
    with sessions() as session:
        swept, free = sweep(session, now=clock()), waiting(session, now=clock())
    said = [make(sessions, export_id, book=book, clock=clock) for export_id in free]
    return f"took on {len(said)} files, swept {swept}"


def waiting(session: Session, *, now: datetime) -> list[int]:
    """The files that no worker makes, the oldest first."""
    return list(session.scalars(select(ExportFile.id).where(_free(now)).order_by(ExportFile.id)))


def _free(now: datetime) -> ColumnElement[bool]:
    silent = or_(ExportFile.heard_at.is_(None), ExportFile.heard_at < now - SILENT_AFTER)
    return or_(ExportFile.state == ExportState.WAITING, and_(ExportFile.state == ExportState.RUNNING, silent))


def make(sessions: Sessions, export_id: int, *, book: PolicyBook, clock: Clock) -> str:
    """Make a file that somebody asked for; returns what came of it. Raises `StoreUnavailable`."""
    row = _claim(sessions, export_id, clock())
    if row is None:
        return "nothing to make"
    try:
        return _made(sessions, row, book=book, clock=clock)
    except TakenOver as error:
        return str(error)


def _made(sessions: Sessions, row: ExportFile, *, book: PolicyBook, clock: Clock) -> str:
    try:
        if row.attempt > ATTEMPTS:
            raise GivenUp("Three workers began the file and none ended it: look into their logs.")
        _write(sessions, row, zone=book.zone, clock=clock)
    except (StoreUnavailable, TakenOver):
        raise
    except UecError as error:
        _end(sessions, row, ExportEvent.FAIL, now=clock(), failure=error.code)
        return f"not made: {error}"
    _end(sessions, row, ExportEvent.FINISH, now=clock(), keep_until=clock() + kept(book.at(clock())))
    return f"made {row.rows} rows"


def _claim(sessions: Sessions, export_id: int, now: datetime) -> ExportFile | None:
    """Take a file on, so that an older worker writes no more; None when another one makes it or it is made."""
    one = ExportFile
    with sessions() as session:
        mine = update(one).where(one.id == export_id, _free(now))
        mine = mine.values(
            state=ExportState.RUNNING, attempt=one.attempt + 1, heard_at=now, rows=0, size_bytes=0, expected=None
        )
        if session.scalar(mine.returning(one.id)) is None:
            return None
        session.execute(delete(ExportPart).where(ExportPart.export_id == export_id))
        session.commit()
        return session.get(one, export_id)


def _write(sessions: Sessions, row: ExportFile, *, zone: tzinfo, clock: Clock) -> None:
    wording = Wording(**row.wording)
    with reading(sessions) as session:
        actor = staff.actor_of(session, row.asked_by)
        if actor is None:
            raise NotAllowed("Whoever asked for the list is no colleague any more.", permission=None, actor=None)
        chosen = export_of(row.list, actor)
        _heard(sessions, row, clock(), expected=exports.length_of(session, chosen, actor=actor, asked=row.filters))
        with closing(exports.rows(session, row.list, actor=actor, filters=row.filters)) as found:
            counted = _Counted(found)
            rows = said(counted, chosen.columns, wording)
            written = FORMS[row.form].written(wording.head, rows, title=wording.title, zone=zone)
            for seq, part in enumerate(_gathered(written)):
                row.rows, row.size_bytes = counted.count, row.size_bytes + len(part)
                content = zlib.compress(part, 1) if row.form == "csv" else part
                _heard(sessions, row, clock(), part={"export_id": row.id, "seq": seq, "content": content})


def _gathered(parts: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in parts of some size."""
    held: list[bytes] = []
    for part in parts:
        held.append(part)
        if sum(map(len, held)) >= PART_BYTES:
            yield b"".join(held)
            held.clear()
    yield b"".join(held)


def _heard(
    sessions: Sessions,
    row: ExportFile,
    now: datetime,
    *,
    expected: int | None = None,
    part: Mapping[str, Any] | None = None,
) -> None:
    """Write down how far it is, and a part; raises `TakenOver` when the file is another worker's by now, or gone."""
    if expected is not None:
        row.expected = expected
    far = {"rows": row.rows, "size_bytes": row.size_bytes, "expected": row.expected, "heard_at": now}
    with sessions() as session:
        _mine(session, row, far)
        if part is not None:
            session.execute(insert(ExportPart).values(**part))
        session.commit()


def _mine(session: Session, row: ExportFile, values: Mapping[str, Any]) -> None:
    one = ExportFile
    mine = update(one).where(one.id == row.id, one.attempt == row.attempt, one.state == ExportState.RUNNING)
    if session.scalar(mine.values(**values).returning(one.id)) is None:
        raise TakenOver("The file is made by another worker, or nobody wants it any more.")


def _end(sessions: Sessions, row: ExportFile, event: ExportEvent, *, now: datetime, **values: Any) -> None:
    with sessions() as session:
        _mine(session, row, {"state": advance(EXPORT, ExportState.RUNNING, event), "ended_at": now, **values})
        if event is ExportEvent.FAIL:
            session.execute(delete(ExportPart).where(ExportPart.export_id == row.id))
        _note(session, event.lower(), row, actor=WORKER, now=now, rows=row.rows)
        session.commit()


def mine(session: Session, *, actor: Actor, now: datetime) -> list[ExportFile]:
    """The files that somebody has asked for and that are kept, the newest first."""
    own = select(ExportFile).where(ExportFile.asked_by == actor.staff_id, ExportFile.keep_until > now)
    return list(session.scalars(own.order_by(ExportFile.id.desc()).limit(SHOWN)))


def look(session: Session, export_id: int, *, actor: Actor, now: datetime) -> ExportFile:
    """One of them; raises `NotFound`, also for what is another person's."""
    row = session.get(ExportFile, export_id)
    if row is None or row.asked_by != actor.staff_id or row.keep_until <= now:
        raise missing(ExportFile, export_id)
    return row


def take(session: Session, export_id: int, *, actor: Actor, now: datetime) -> ExportFile:
    """A file that is ready, to be sent: `content` has its bytes. The audit keeps it; commits.

    Raises `NotFound`, `NotAllowed` when the list may not be seen any more, `IllegalMove` before it is ready.
    """
    row = look(session, export_id, actor=actor, now=now)
    export_of(row.list, actor)
    if row.state is not ExportState.READY:
        raise IllegalMove(
            "The file is not ready: wait until its page says so.", machine="export", state=row.state, event="TAKE"
        )
    _note(session, "fetch", row, actor=actor, now=now, rows=row.rows)
    session.commit()
    return row


def content(sessions: Sessions, row: ExportFile) -> Iterator[bytes]:
    """The bytes of a file, part by part; raises `NotFound` when it is swept away meanwhile."""
    with reading(sessions) as session:
        sent, seq = 0, 0
        while sent < row.size_bytes:
            part = session.scalar(
                select(ExportPart.content).where(ExportPart.export_id == row.id, ExportPart.seq == seq)
            )
            if part is None:
                raise NotFound(f"The file {row.id} is gone: ask for it again.", kind="ExportFile", id=row.id)
            plain = zlib.decompress(part) if row.form == "csv" else part
            yield plain
            sent, seq = sent + len(plain), seq + 1


def remove(session: Session, export_id: int, *, actor: Actor, now: datetime) -> None:
    """Delete a file before its time, or call it off; commits. Raises `NotFound`."""
    row = look(session, export_id, actor=actor, now=now)
    _note(session, "remove", row, actor=actor, now=now)
    session.execute(delete(ExportFile).where(ExportFile.id == row.id))
    session.commit()


def sweep(session: Session, *, now: datetime) -> int:
    """Delete the files whose time is over; returns how many, and commits."""
    over = session.scalars(select(ExportFile).where(ExportFile.keep_until <= now).order_by(ExportFile.id)).all()
    for row in over:
        _note(session, "expire", row, actor=WORKER, now=now)
    session.execute(delete(ExportFile).where(ExportFile.id.in_([row.id for row in over])))
    session.commit()
    return len(over)


def _note(session: Session, action: str, row: ExportFile, *, actor: Actor, now: datetime, **facts: Any) -> None:
    audit.record(
        session,
        actor=actor.reference,
        action=f"export.{action}",
        subject_kind="export",
        subject_id=row.list,
        details={"file": row.id, "form": row.form, **facts, **row.filters},
        now=now,
    )
