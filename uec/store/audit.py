"""Hides how the audit is kept: eight append-only hash chains, written in the transaction of the change itself.

`record` only notes the entry; all entries of a transaction are chained together just before it commits. So the rows
that order a chain are locked for a moment instead of for the whole transaction, always in the same order (no deadlock),
and a change without its entry, or an entry without its change, cannot be committed. A rollback forgets the notes.

Canonical form of an entry: UTF-8 JSON, keys sorted, no spaces, of the fields in `FIELDS` and the hash of the entry
before in hex; `hash` is SHA-256 over it.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Insert, Select, Update, bindparam, event, insert, select, update
from sqlalchemy.orm import Session, SessionTransaction

from uec.store.bulk import insert_rows
from uec.store.tables import AuditChain, AuditEntry
from uec.store.together import Step, run_together

CHAINS = 8
GENESIS = bytes(32)
FIELDS = ("chain", "seq", "at", "actor", "action", "subject_kind", "subject_id", "person_id", "details")
_PENDING = "uec.audit.pending"
_ONE_TRIP = 8  # entries of a transaction that go to the database beside each other; more go as a batch
_ENCODER = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)


@dataclass(frozen=True)
class Note:
    """One change or one look, not yet in a chain."""

    actor: str
    action: str
    subject_kind: str
    subject_id: str
    at: datetime
    person_id: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def record(
    session: Session,
    *,
    actor: str,
    action: str,
    subject_kind: str,
    subject_id: int | str,
    now: datetime,
    person_id: int | None = None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """Note one change or look; it is chained when the session commits. `details` holds plain JSON, never a secret."""
    record_many(session, [Note(actor, action, subject_kind, str(subject_id), now, person_id, details or {})])


def record_many(session: Session, notes: Iterable[Note]) -> None:
    """Note many changes at once; they keep their order in each chain."""
    checked: list[tuple[Note, dict[str, Any]]] = []
    given, plain = None, {}
    for note in notes:
        if note.details is not given:  # a million entries of one change share theirs
            given, plain = note.details, _plain(note.details)
        checked.append((note, plain))
    level = session.get_nested_transaction()
    session.info.setdefault(_PENDING, []).extend((level, note, details) for note, details in checked)


def chain_of(subject_kind: str, subject_id: str) -> int:
    """Return the chain of a subject: all entries about one thing lie in one chain, in their order."""
    return hashlib.sha256(f"{subject_kind}\x1f{subject_id}".encode()).digest()[0] % CHAINS


@lru_cache(maxsize=8)
def moment(at: datetime) -> str:
    """Return the canonical form of a moment: UTC, always with microseconds."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def entry_hash(fields: Mapping[str, Any], previous: bytes) -> bytes:
    """Return the hash of an entry from its canonical fields (`at` as by `moment`) and the hash of the one before."""
    content = {name: fields[name] for name in FIELDS} | {"previous_hash": previous.hex()}
    return hashlib.sha256(canonical(content)).digest()


def canonical(value: Any) -> bytes:
    """Return the one JSON form of a value that hashes and signatures stand on."""
    return _ENCODER.encode(value).encode()


def _plain(details: Mapping[str, Any]) -> dict[str, Any]:
    # What is hashed must be exactly what a reader of the stored JSON gets back.
    plain: dict[str, Any] = json.loads(json.dumps(dict(details), allow_nan=False))
    return plain


def write_pending(session: Session) -> int:
    """Chain and insert everything noted in the session so far; return the number of entries."""
    pending: list[tuple[Any, Note, dict[str, Any]]] = session.info.pop(_PENDING, [])
    if not pending:
        return 0
    by_chain: dict[int, list[tuple[Note, dict[str, Any]]]] = defaultdict(list)
    for _, note, details in pending:
        by_chain[chain_of(note.subject_kind, note.subject_id)].append((note, details))
    session.flush()  # first the rows of the change, then the chains: whoever did it the other way round could deadlock
    connection = session.connection()
    heads = connection.execute(_heads(), {"wanted": sorted(by_chain)}).all()
    rows: list[dict[str, Any]] = []
    ends = []
    for chain, seq, last in heads:
        linked = _link(chain, seq, last, by_chain[chain])
        rows += linked
        ends.append({"this": chain, "new_seq": linked[-1]["seq"], "new_hash": linked[-1]["hash"]})
    advancing = [Step(_advancing(), end) for end in ends]
    if len(rows) <= _ONE_TRIP:
        run_together(session, [*(Step(_entering_one(), row) for row in rows), *advancing])
    else:
        insert_rows(session, AuditEntry, rows)
        run_together(session, advancing)
    return len(rows)


# Built once: every transaction of the office ends with these.
@cache
def _heads() -> Select[int, int, bytes]:
    wanted = AuditChain.chain.in_(bindparam("wanted", expanding=True))
    return (
        select(AuditChain.chain, AuditChain.seq, AuditChain.hash)
        .where(wanted)
        .order_by(AuditChain.chain)
        .with_for_update()
    )


@cache
def _entering_one() -> Insert:
    names = (*FIELDS, "previous_hash", "hash")
    return insert(AuditEntry.__table__).inline().values({name: bindparam(name) for name in names})  # type: ignore[arg-type]


@cache
def _advancing() -> Update:
    advanced: dict[str, Any] = {"seq": bindparam("new_seq"), "hash": bindparam("new_hash")}
    return update(AuditChain.__table__).where(AuditChain.chain == bindparam("this")).values(advanced)  # type: ignore[arg-type]


def _link(chain: int, seq: int, last: bytes, notes: Iterable[tuple[Note, dict[str, Any]]]) -> list[dict[str, Any]]:
    rows = []
    for note, details in notes:
        seq += 1
        row = {
            "chain": chain,
            "seq": seq,
            "actor": note.actor,
            "action": note.action,
            "subject_kind": note.subject_kind,
            "subject_id": note.subject_id,
            "person_id": note.person_id,
            "details": details,
        }
        digest = entry_hash(row | {"at": moment(note.at)}, last)
        rows.append(row | {"at": note.at, "previous_hash": last, "hash": digest})
        last = digest
    return rows


@event.listens_for(Session, "before_commit")
def _before_commit(session: Session) -> None:
    if not session.in_nested_transaction():
        write_pending(session)


@event.listens_for(Session, "after_soft_rollback")
def _after_rollback(session: Session, previous: SessionTransaction) -> None:
    pending = session.info.get(_PENDING)
    if not pending:
        return
    if previous.nested:
        session.info[_PENDING] = [entry for entry in pending if not _inside(entry[0], previous)]
    else:
        session.info.pop(_PENDING)


def _inside(level: SessionTransaction | None, outer: SessionTransaction) -> bool:
    while level is not None and level is not outer:
        level = level.parent
    return level is outer
