"""Hides how an export of the register of residents becomes rows of ours: checked line by line, moved as sets.

The file is checked and staged part by part, each part committed with how far it came, so that an import that was
killed goes on after the last part (`uec.store.staging`). The register itself changes in one transaction at the end:
good rows in, doubts put before a clerk (`uec.services.twins`), or nothing at all. A resident whose row is equal to the
known one is left untouched, so that the same file twice changes nothing. Refused rows are kept in the database until
the reject file stands at its place. The audit gets one entry for the import with the digest of the file; each changed
resident names the import that changed it.
"""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from uec.domain.actors import Actor
from uec.domain.errors import InvalidFile, InvalidNumber, StoreUnavailable
from uec.domain.numbers import parse_oktmo
from uec.domain.register_quick import QuickCheck
from uec.domain.register_row import JOINT, RowChecker
from uec.domain.register_run import ImportState
from uec.services import register_absences, twins
from uec.services.register_file import Block, BrokenLine, RegisterFile
from uec.services.register_rejects import Rejects, require_place, sealed_file
from uec.services.whole_file import WholeFile, uninterrupted
from uec.store.audit import record
from uec.store.staging import ALONE, StagedRow, Staging, alone
from uec.store.tables import Municipality, RegisterImport

Progress = Callable[[int, int, int], None]
# So much of the file is staged in one transaction: what a kill can cost.
PART_BYTES = 4 << 20
_NAME_LIMIT = 200


@dataclass(frozen=True)
class ImportReport:
    """What an import did; `rows` is the sum of imported, updated, unchanged and rejected.

    `resumed` rows had been staged by an earlier run of the same file; `twins` cases, and residents `missing` from a
    full export, were put before a clerk.
    """

    import_id: int
    file_digest: str
    rows: int
    imported: int
    updated: int
    unchanged: int
    rejected: int
    twins: int
    missing: int
    resumed: int
    seconds: float


class RowCheck:
    """The full check of a row and its shortcut, by the same rules."""

    def __init__(self, full: RowChecker) -> None:
        """Take the full check."""
        self.full = full
        self.quick = QuickCheck(full)


def import_register(
    session: Session,
    *,
    path: Path,
    rejects_path: Path,
    actor: Actor,
    now: datetime,
    today: date | None = None,
    full: bool = False,
    progress: Progress | None = None,
) -> ImportReport:
    """Import an export (CSV, see `RegisterFile`); bad rows go to `rejects_path` with line, field and reason.

    `today` is the office's calendar day (default: that of `now`). A `full` export names every resident: whom it lacks
    is put before a clerk. `progress(done, total, rows)` is called about once a megabyte, and while rows move; in bytes,
    checking is the first half. Raises `InvalidFile`, then nothing is kept;
    `DiskFull`, `StoreUnavailable`, after which the same file goes on where it stopped. A Ctrl-C in the last moment
    comes too late.
    """
    started = time.perf_counter()
    source = RegisterFile(path)
    require_place(rejects_path, source)
    with alone(session):
        work = _Work(session, source, now, today or now.date(), progress or (lambda _done, _total, _rows: None))
        work.full = full
        try:
            run = work.open_run()
            resumed = run.staged
            if run.state is ImportState.STAGING:
                work.stage(run)
                work.finish(run, rejects_path, actor, started)
            else:
                work.publish(run, sealed_file(rejects_path, source, work.staging.refused_lines()))
        except InvalidFile:
            session.rollback()
            work.forget()
            raise
        except BaseException:
            session.rollback()
            raise
    counts = (run.rows, run.imported, run.updated, run.unchanged, run.rejected, run.twins, run.missing)
    return ImportReport(run.id, run.file_digest, *counts, resumed, time.perf_counter() - started)


@dataclass(frozen=True)
class _Reached:
    bytes_done: int
    next_line: int
    prefix_digest: str


class _Work:
    """One import under way: the file, the staging table, the day and the clock."""

    def __init__(self, session: Session, source: RegisterFile, now: datetime, today: date, progress: Progress) -> None:
        self.session, self.source, self.now, self.today, self.progress = session, source, now, today, progress
        self.staging = Staging(session)
        self.rejects = Rejects(source)
        self.codes = frozenset(session.scalars(select(Municipality.oktmo)))
        self.full = False

    def open_run(self) -> RegisterImport:
        """The run to go on with: that of the same file by the same rules that did not end, or a new one."""
        codes = hashlib.sha256(" ".join(sorted(self.codes)).encode()).hexdigest()
        unfinished = select(RegisterImport).where(RegisterImport.state != ImportState.DONE)
        for run in self.session.scalars(unfinished.order_by(RegisterImport.id)).all():
            whole = run.state is ImportState.MOVED or self.staging.count() == run.staged
            same = whole and run.codes_digest == codes and run.file_bytes == self.source.size_bytes
            same = same and run.full_export == self.full
            if same and self.source.starts_with(run.bytes_done, run.prefix_digest or ""):
                return run
            self._give_up(run)
        self.staging.clear()
        run = RegisterImport(
            state=ImportState.STAGING,
            file_digest="",
            file_name=self.source.path.name[:255],
            started_at=self.now,
            as_of=self.today,
            codes_digest=codes,
            file_bytes=self.source.size_bytes,
            full_export=self.full,
            bytes_done=0,
            next_line=1,
            staged=0,
        )
        self.session.add(run)
        self.session.commit()
        return run

    def _give_up(self, run: RegisterImport) -> None:
        """Another file comes: what was staged goes; a register that was moved stays, without its reject file."""
        if run.state is ImportState.MOVED:
            run.state = ImportState.DONE
            self.session.flush()
        else:
            self.session.delete(run)
            self.session.flush()

    def stage(self, run: RegisterImport) -> None:
        """Check and stage the rest of the file, part by part."""
        check = RowCheck(RowChecker(run.as_of or self.today, self.codes))
        good: list[StagedRow] = []
        rows, last, next_line = run.staged + self.staging.rejected(), run.bytes_done, run.next_line
        self.session.commit()  # nobody waits while rows are checked
        for block in self.source.blocks(run.bytes_done, run.next_line):
            before = len(good) + len(self.rejects.rows)
            good += _good_rows(block, self.source, check, self.rejects)
            rows += len(good) + len(self.rejects.rows) - before
            next_line = block.first_line + len(block.lines)
            if block.prefix_digest and block.bytes_done - last >= PART_BYTES:
                self._keep(run, good, _Reached(block.bytes_done, next_line, block.prefix_digest))
                good, last = [], block.bytes_done
            self.progress(block.bytes_done, 2 * self.source.size_bytes, rows)
        self._keep(run, good, _Reached(self.source.size_bytes, next_line, self.source.digest))

    def _keep(self, run: RegisterImport, good: list[StagedRow], reached: "_Reached") -> None:
        """Commit a part with how far it came; raise `StoreUnavailable` when somebody else went on meanwhile."""
        values = asdict(reached) | {"staged": run.staged + len(good)}
        self.staging.load(good, self.rejects.taken())
        here = (RegisterImport.bytes_done == run.bytes_done, RegisterImport.state == ImportState.STAGING)
        going = update(RegisterImport).where(RegisterImport.id == run.id, *here).values(**values)
        if self.session.connection().execute(going).rowcount != 1:
            raise StoreUnavailable(ALONE)
        self.session.commit()
        for name, value in values.items():
            set_committed_value(run, name, value)

    def finish(self, run: RegisterImport, rejects_path: Path, actor: Actor, started: float) -> None:
        """Move what is staged, look for twins, put the reject file at its place."""
        self._refuse_doubles()
        doubles = self.staging.take_out_doubles()
        size, rejected = self.source.size_bytes, self.staging.rejected()
        rows, lines = run.staged + rejected - doubles, run.next_line

        def moved_to(line: int) -> None:
            self.progress(size + size * min(line, lines) // lines, 2 * size, rows)

        moved = self.staging.move(now=self.now, import_id=run.id, progress=moved_to)
        run.file_digest, run.rows, run.rejected = self.source.digest, rows, rejected
        run.imported, run.updated = moved.inserted, moved.updated
        run.unchanged = run.staged - doubles - moved.inserted - moved.updated
        run.twins = twins.search(self.session, actor=actor, now=self.now, import_id=run.id)
        register_absences.returned(self.session)
        if run.full_export:
            refused = self.staging.refused_lines()
            run.missing = register_absences.mark(self.session, run, self.source, refused, now=self.now)
        run.finished_at = self.now + timedelta(seconds=time.perf_counter() - started)
        run.state = ImportState.MOVED
        _note(self.session, run, actor, self.now)
        file = sealed_file(rejects_path, self.source, self.staging.refused_lines())
        with uninterrupted():
            try:
                self.session.commit()
            except BaseException:
                file.discard()
                raise
            self.publish(run, file)
        self.progress(2 * size, 2 * size, rows)

    def publish(self, run: RegisterImport, file: WholeFile) -> None:
        """Put the reject file at its place; only then are the refused rows forgotten."""
        with uninterrupted():
            file.publish()
            run.state = ImportState.DONE
            self.staging.clear()
            self.session.commit()

    def forget(self) -> None:
        """Keep nothing of a file that cannot be read to its end."""
        self.staging.clear()
        self.session.execute(delete(RegisterImport).where(RegisterImport.state == ImportState.STAGING))
        self.session.commit()

    def _refuse_doubles(self) -> None:
        # Only the staging table knows who stood twice; a second pass over the file gives the rows as they stood.
        doubles = self.staging.doubles()
        double = next(doubles, None)
        if double is None:
            return
        for block in self.source.blocks():
            for place, line in enumerate(block.lines, block.first_line):
                if double is not None and place == double[0]:
                    faults = [("register_id", f"stands already in line {double[1]}")]
                    self.rejects.add(place, faults, self.source.split(line))
                    double = next(doubles, None)
            self.staging.refuse(self.rejects.taken())


def _good_rows(block: Block, source: RegisterFile, check: RowCheck, rejects: Rejects) -> list[StagedRow]:
    """Return the rows of a block to stage; the others are refused. The hot loop of the import."""
    good: list[StagedRow] = []
    accept, join, overlong = check.quick.accept, source.join, block.overlong
    for number, line in enumerate(block.lines, block.first_line):
        text = join(line)
        if text is not None and accept(text) and not overlong:
            good.append((number, _digest(text), text))
        elif line and not line.isspace():
            text = _examined(number, line, source, check, rejects, whole=number - block.first_line not in overlong)
            if text is not None:
                good.append((number, _digest(text), text))
    return good


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=16).digest()


def _examined(
    number: int, line: str, source: RegisterFile, check: RowCheck, rejects: Rejects, *, whole: bool
) -> str | None:
    try:
        if not whole:
            raise BrokenLine("the line is far too long")
        fields = source.split(line)
    except BrokenLine as error:
        rejects.add(number, [("row", str(error))], [line[:1000]])
        return None
    if len(fields) != len(source.header):
        count = f"{len(fields)} fields instead of {len(source.header)}: a separator too many or too few"
        rejects.add(number, [("row", count)], fields)
        return None
    row, faults = check.full.explain(source.arrange(fields))
    if faults:
        rejects.add(number, faults, fields)
        return None
    return JOINT.join(row)


def _note(session: Session, run: RegisterImport, actor: Actor, now: datetime) -> None:
    names = ("rows", "imported", "updated", "unchanged", "rejected", "twins", "missing")
    record(
        session,
        actor=actor.reference,
        action="register.import",
        subject_kind="register_import",
        subject_id=run.id,
        now=now,
        details={"file_digest": run.file_digest, "file_name": run.file_name}
        | {name: getattr(run, name) for name in names},
    )


def import_municipalities(session: Session, *, path: Path, actor: Actor, now: datetime) -> int:
    """Import the code list of municipalities (CSV: oktmo, name_ru, name_en); return how many are new or renamed."""
    source = RegisterFile(path, ("oktmo", "name_ru", "name_en"))
    known = {row.oktmo: row for row in session.scalars(select(Municipality))}
    changed = 0
    for oktmo, name_ru, name_en in _municipalities(source):
        row = known.get(oktmo)
        if row is None:
            row = known[oktmo] = Municipality(oktmo=oktmo, name_ru="", name_en="")
            session.add(row)
        if (row.name_ru, row.name_en) != (name_ru, name_en):
            row.name_ru, row.name_en = name_ru, name_en
            changed += 1
    if changed:
        details = {"changed": changed, "file_digest": source.digest}
        record(
            session,
            actor=actor.reference,
            action="municipality.import",
            subject_kind="municipality",
            subject_id=path.name[:64],
            now=now,
            details=details,
        )
    session.commit()
    return changed


def _municipalities(source: RegisterFile) -> Iterator[tuple[str, str, str]]:
    for block in source.blocks():
        for number, line in enumerate(block.lines, block.first_line):
            if not line.strip():
                continue
            try:
                oktmo, name_ru, name_en = (text.strip() for text in source.arrange(source.split(line)))
                if not (name_ru and name_en):
                    raise BrokenLine("a name is missing")
                if max(len(name_ru), len(name_en)) > _NAME_LIMIT or not (name_ru + name_en).isprintable():
                    raise BrokenLine(f"a name has more than {_NAME_LIMIT} characters, or one that cannot be printed")
                yield parse_oktmo(oktmo), name_ru, name_en
            except (BrokenLine, InvalidNumber, IndexError, ValueError) as error:
                raise InvalidFile(
                    f"Line {number} of {source.path} cannot be used: {error}.", path=source.path, line=number
                ) from error
