"""Hides how the audit leaves the house: signed heads, an export anyone can check, and the page of the auditor.

A head states the ends of all chains at a moment, signed by the vault. The export is UTF-8, one JSON object a line:
`start` (format), all `head`s, all `entry`s by chain and number, `end` (how many). `uec.services.audit_verify` checks
it with the public key only.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.keys.port import KeyPurpose, Vault
from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.services.views import Page
from uec.services.whole_file import whole_file
from uec.store.audit import FIELDS, canonical, moment
from uec.store.lengths import length_of
from uec.store.tables import AuditChain, AuditEntry, AuditHead

FORMAT = "uec-audit/1"
SEARCH_LIMIT = 500


@dataclass(frozen=True)
class AuditRow:
    """One entry as the auditor's page shows it."""

    chain: int
    seq: int
    at: datetime
    actor: str
    action: str
    subject_kind: str
    subject_id: str
    person_id: int | None
    details: Mapping[str, Any]


def head_message(at: str, heads: list[dict[str, Any]]) -> bytes:
    """Return the bytes a head's signature stands on: canonical JSON of the moment and the ends of all chains."""
    return canonical({"format": FORMAT, "at": at, "heads": heads})


def sign_head(session: Session, vault: Vault, *, now: datetime) -> AuditHead | None:
    """Sign the present ends of all chains and store the head; None when nothing was added since the last one."""
    ends = session.execute(
        select(AuditChain.chain, AuditChain.seq, AuditChain.hash).order_by(AuditChain.chain).with_for_update()
    ).all()
    heads = [{"chain": chain, "seq": seq, "hash": last.hex()} for chain, seq, last in ends]
    newest = session.scalars(select(AuditHead).order_by(AuditHead.id.desc()).limit(1)).first()
    if newest is not None and newest.heads == heads:
        session.commit()
        return None
    message = head_message(moment(now), heads)
    key = vault.active(KeyPurpose.AUDIT)
    signature = vault.sign(key, [message])[0]
    root = hashlib.sha256(message).digest()
    head = AuditHead(at=now, heads=heads, root=root, signature=signature, key_version=key.version)
    session.add(head)
    session.commit()
    return head


def export(session: Session, out: TextIO) -> int:
    """Write the whole audit as lines of JSON, in constant memory; return the number of entries."""
    return _write(session, out.write)


def _write(session: Session, write: Callable[[str], object]) -> int:
    entries = 0
    for line, kind in _lines(session):
        entries += kind == "entry"
        write(line)
    return entries


def export_file(session: Session, path: Path) -> int:
    """Write the export to a file, whole or not at all; raise `DiskFull` when it cannot be written."""
    with whole_file(path) as file:
        return _write(session, file.write)


def _lines(session: Session) -> Iterator[tuple[str, str]]:
    heads = session.scalars(select(AuditHead).order_by(AuditHead.id)).all()
    # Entries written after this moment belong to the next export: the ends fix what this one holds.
    rows = session.execute(select(AuditChain.chain, AuditChain.seq).order_by(AuditChain.chain))
    ends = {row.chain: row.seq for row in rows}
    yield _line("start", format=FORMAT, heads=len(heads), ends=[{"chain": c, "seq": s} for c, s in ends.items()])
    for head in heads:
        yield _line(
            "head",
            number=head.id,
            at=moment(head.at),
            heads=head.heads,
            signature=head.signature.hex(),
            key_version=head.key_version,
        )
    count = 0
    for chain, last in ends.items():
        query = (
            select(*(getattr(AuditEntry, name) for name in (*FIELDS, "previous_hash", "hash")))
            .where(AuditEntry.chain == chain, AuditEntry.seq <= last)
            .order_by(AuditEntry.seq)
        )
        for *values, previous, own in session.execute(query.execution_options(yield_per=2000)):
            fields = dict(zip(FIELDS, values, strict=True))
            count += 1
            yield _line("entry", **fields | {"at": moment(fields["at"])}, previous_hash=previous.hex(), hash=own.hex())
    yield _line("end", entries=count)


def _line(kind: str, **fields: Any) -> tuple[str, str]:
    return json.dumps({"kind": kind, **fields}, ensure_ascii=False, separators=(",", ":")) + "\n", kind


def search(
    session: Session,
    *,
    actor: Actor,
    subject_kind: str = "",
    subject_id: str = "",
    actor_reference: str = "",
    person_id: int | None = None,
    offset: int = 0,
    limit: int = 50,
) -> Page[AuditRow]:
    """Return entries, newest first, that fit every given word; needs VIEW_AUDIT."""
    actor.require(Permission.VIEW_AUDIT)
    wanted = [
        column == value
        for column, value in (
            (AuditEntry.subject_kind, subject_kind),
            (AuditEntry.subject_id, subject_id),
            (AuditEntry.actor, actor_reference),
            (AuditEntry.person_id, person_id),
        )
        if value not in {"", None}
    ]
    size, first = max(1, min(limit, SEARCH_LIMIT)), max(0, offset)
    entries = select(AuditEntry.id).where(*wanted)
    ids = session.scalars(entries.order_by(AuditEntry.id.desc()).offset(first).limit(size)).all()
    found = session.scalars(select(AuditEntry).where(AuditEntry.id.in_(ids)).order_by(AuditEntry.id.desc()))
    rows = tuple(AuditRow(*(getattr(entry, name) for name in AuditRow.__dataclass_fields__)) for entry in found)
    length = length_of(session, entries, offset=first, limit=size, shown=len(rows))
    return Page(rows, length.rows, first, size, length.about)
