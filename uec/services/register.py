"""Hides how an export of the register of residents becomes rows of ours: checked line by line, moved as sets.

One transaction holds the whole import: good rows in, bad rows in the reject file, or nothing at all. A resident whose
row is equal to the known one is left untouched, so that the same file twice changes nothing. The audit gets one entry
for the import with the digest of the file; each changed resident names the import that changed it.
"""

import csv
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import blake2b
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.domain.actors import Actor
from uec.domain.errors import InvalidFile, InvalidNumber
from uec.domain.numbers import parse_oktmo
from uec.domain.register_quick import QuickCheck
from uec.domain.register_row import JOINT, RowChecker
from uec.services.register_file import Block, BrokenLine, RegisterFile
from uec.services.whole_file import WholeFile, uninterrupted
from uec.store.audit import record
from uec.store.staging import StagedRow, Staging
from uec.store.tables import Municipality, RegisterImport

Progress = Callable[[int, int, int], None]
_NAME_LIMIT = 200
REJECT_COLUMNS = ("line", "field", "reason")


@dataclass(frozen=True)
class ImportReport:
    """What an import did; `rows` is the sum of the other four counts."""

    import_id: int
    file_digest: str
    rows: int
    imported: int
    updated: int
    unchanged: int
    rejected: int
    seconds: float


class RowCheck:
    """The full check of a row and its shortcut, by the same rules."""

    def __init__(self, full: RowChecker) -> None:
        """Take the full check."""
        self.full = full
        self.quick = QuickCheck(full)


class Rejects:
    """The reject file: line, field, reason, then the row as it stood; a corrected one can be imported as it is."""

    def __init__(self, path: Path, source: RegisterFile) -> None:
        """Open the file beside its place."""
        if path.resolve() == source.path.resolve():
            raise InvalidFile("The reject file must be another file than the register; name another one.", path=path)
        self.file = WholeFile(path)
        self.count = 0
        self._writer = csv.writer(self.file, delimiter=source.delimiter, lineterminator="\n")
        self._writer.writerow((*REJECT_COLUMNS, *source.header))

    def add(self, line: int, faults: Iterable[tuple[str, str]], fields: Sequence[str]) -> None:
        """Write one refused row; several faults stand beside each other, in the same order."""
        columns, reasons = zip(*faults, strict=True)
        self.count += 1
        self._writer.writerow((line, " | ".join(columns), " | ".join(reasons), *(_cleaned(text) for text in fields)))


def import_register(
    session: Session,
    *,
    path: Path,
    rejects_path: Path,
    actor: Actor,
    now: datetime,
    today: date | None = None,
    progress: Progress | None = None,
) -> ImportReport:
    """Import an export (CSV, see `RegisterFile`); bad rows go to `rejects_path` with line, field and reason.

    `today` is the office's calendar day, which no birth may lie after; that of `now` in UTC without.
    `progress(bytes_done, bytes_total, rows)` is called about once a megabyte. Raises `InvalidFile`, `DiskFull`,
    `StoreUnavailable`; then nothing was kept, and no reject file written. A Ctrl-C in the last moment comes too late.
    """
    started = time.perf_counter()
    source = RegisterFile(path)
    rejects = Rejects(rejects_path, source)
    committed = False
    try:
        run = RegisterImport(file_digest="", file_name=path.name[:255], started_at=now)
        session.add(run)
        session.flush()
        check = RowCheck(RowChecker(today or now.date(), frozenset(session.scalars(select(Municipality.oktmo)))))
        _fill(session, source, rejects, run, check, now, progress or (lambda _done, _total, _rows: None))
        rejects.file.seal()
        seconds = time.perf_counter() - started
        run.finished_at = now + timedelta(seconds=seconds)
        _note(session, run, actor, now)
        with uninterrupted():
            session.commit()
            committed = True
            rejects.file.publish()
    except BaseException:
        if committed:
            raise  # the rows are in: their reject file must not be thrown away
        session.rollback()
        rejects.file.discard()
        raise
    return ImportReport(
        run.id, run.file_digest, run.rows, run.imported, run.updated, run.unchanged, run.rejected, seconds
    )


def _fill(
    session: Session,
    source: RegisterFile,
    rejects: Rejects,
    run: RegisterImport,
    check: RowCheck,
    now: datetime,
    progress: Progress,
) -> None:
    staging = Staging(session)
    rows = staged = 0
    with staging.loader() as loader:
        for block in source.blocks():
            before = rejects.count
            good = _good_rows(block, source, check, rejects)
            loader.load(good)
            staged += len(good)
            rows += len(good) + rejects.count - before
            progress(block.bytes_done, source.size_bytes, rows)
    doubles = dict(staging.take_out_duplicates())
    _reject_doubles(source, doubles, rejects)
    moved = staging.move(now=now, import_id=run.id)
    run.file_digest, run.rows, run.rejected = source.digest, rows, rejects.count
    run.imported, run.updated = moved.inserted, moved.updated
    run.unchanged = staged - len(doubles) - moved.inserted - moved.updated


def _good_rows(block: Block, source: RegisterFile, check: RowCheck, rejects: Rejects) -> list[StagedRow]:
    """Return the rows of a block to stage; the others go to the reject file. The hot loop of the import."""
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


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


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


def _reject_doubles(source: RegisterFile, doubles: dict[int, int], rejects: Rejects) -> None:
    if not doubles:
        return
    # Only the staging table knows who stood twice; a second pass over the file gives the rows as they stood.
    for block in source.blocks():
        for place, line in enumerate(block.lines):
            first = doubles.get(block.first_line + place)
            if first is not None:
                reason = f"stands already in line {first}"
                rejects.add(block.first_line + place, [("register_id", reason)], source.split(line))


def _cleaned(text: str) -> str:
    # A reject file must open everywhere: what no program shows is written as its name.
    return text if text.isprintable() else "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def _note(session: Session, run: RegisterImport, actor: Actor, now: datetime) -> None:
    counts = {name: getattr(run, name) for name in ("rows", "imported", "updated", "unchanged", "rejected")}
    record(
        session,
        actor=actor.reference,
        action="register.import",
        subject_kind="register_import",
        subject_id=run.id,
        now=now,
        details={"file_digest": run.file_digest, "file_name": run.file_name, **counts},
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
