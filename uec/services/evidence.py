"""What is kept of a card's sessions, checked: is each transcript whole, of this card, and signed by its station?

A transcript holds INS, status words, lengths and times of every command, no content; its digest was signed by the
station that relayed them (`issuance.production.transcript`, `issuance.station.wire.to_sign`). It tells too what the
session recorded, so that an entry of the journal that somebody changed or took away afterwards is noticed by it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.production.bundle import RecordKind
from issuance.production.signatures import signed_by
from issuance.production.transcript import content_of, is_whole, told
from issuance.station.evidence import PURPOSE, Signed, give_out
from issuance.station.wire import to_sign
from uec.domain.actors import Actor
from uec.domain.errors import InvalidFile
from uec.domain.permissions import Permission
from uec.services.rows import present
from uec.store import audit
from uec.store.tables import Card, JournalEntry, Station

_TRANSCRIPT = RecordKind.TRANSCRIPT.value


@dataclass(frozen=True)
class KeptSession:
    """One session at a card: how long it was, and what its evidence is worth.

    `signed_by` is the station whose signature holds, empty when there is none that does; `forged` tells a signature
    that does not hold from one that never came. `agrees` tells that the session was with this card, and that the
    journal still says what it recorded.
    """

    seq: int
    at: datetime
    work: str
    round_trips: int
    commands: int
    chip_ms: int
    whole: bool
    agrees: bool
    signed_by: str
    forged: bool

    @property
    def doubtful(self) -> bool:
        """Whether somebody changed something."""
        return self.forged or not self.whole or not self.agrees


def transcripts(session: Session, card_id: int, *, actor: Actor) -> list[KeptSession]:
    """Every session of a card, oldest first; raises `NotAllowed`, `NotFound`."""
    actor.require(Permission.VIEW_PERSON)
    card, entries = present(session, Card, card_id), _journal(session, card_id)
    return [_judged(session, card, entries, place) for place in _transcripts(entries)]


def export(session: Session, card_id: int, folder: Path, *, actor: Actor, now: datetime) -> int:
    """Give the evidence of a card out into a new folder, to be judged offline; returns how many sessions.

    Raises `NotAllowed`, `NotFound`, `InvalidFile` for a folder in use. That it was given out is in the audit.
    """
    actor.require(Permission.VIEW_PERSON)
    card, entries = present(session, Card, card_id), _journal(session, card_id)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InvalidFile(f"{folder} is not empty: name a new folder.", path=folder, line=None)
    sessions = [_signed(session, entries[place]) for place in _transcripts(entries)]
    give_out(sessions, folder)
    audit.record(
        session,
        actor=actor.reference,
        action="card.evidence",
        subject_kind="card",
        subject_id=card.id,
        details={"sessions": len(sessions)},
        now=now,
    )
    session.commit()
    return len(sessions)


def _journal(session: Session, card_id: int) -> Sequence[JournalEntry]:
    kept = select(JournalEntry).where(JournalEntry.card_id == card_id)
    return session.scalars(kept.order_by(JournalEntry.seq)).all()


def _transcripts(entries: Sequence[JournalEntry]) -> list[int]:
    return [place for place, entry in enumerate(entries) if entry.kind == _TRANSCRIPT]


def _judged(session: Session, card: Card, entries: Sequence[JournalEntry], place: int) -> KeptSession:
    entry = entries[place]
    facts = entry.facts
    trips: list[Mapping[str, Any]] = facts.get("trips") or []
    lines = [line for trip in trips for line in trip.get("lines") or []]
    about: Mapping[str, Any] = facts.get("about") or {}
    whole, station = is_whole(facts), _station(session, facts)
    holds = whole and station is not None and _holds(station, facts)
    return KeptSession(
        seq=entry.seq,
        at=entry.at,
        work=str(about.get("work") or ""),
        round_trips=len(trips),
        commands=len(lines),
        chip_ms=sum(int(line.get("ms", 0)) for line in lines),
        whole=whole,
        agrees=about.get("card", card.number) == card.number and _recorded(entries[:place], entry),
        signed_by=station.name if holds and station is not None else "",
        forged=bool(facts.get("signature")) and not holds,
    )


def _recorded(before: Sequence[JournalEntry], entry: JournalEntry) -> bool:
    """Whether the journal has, right before the transcript, what the session recorded.

    A chip that was bound to another card is refused to the session that claimed it, which ends with that.
    """
    told_of: list[Mapping[str, Any]] = entry.facts.get("records") or []
    kept = [one for one in before if one.operation_id == entry.operation_id and one.kind != _TRANSCRIPT]
    if told_of and told_of[-1]["kind"] == RecordKind.CHIP_CLAIMED.value and not _same(kept, told_of):
        told_of = told_of[:-1]
    return _same(kept, told_of)


def _same(kept: Sequence[JournalEntry], told_of: Sequence[Mapping[str, Any]]) -> bool:
    newest = kept[len(kept) - len(told_of) :] if len(told_of) <= len(kept) else ()
    # The journal may know more of a fact than the session did (the PIN master's version is the office's to add).
    return len(newest) == len(told_of) and all(
        one.kind == record["kind"] and told(one.facts).items() >= record["facts"].items()
        for one, record in zip(newest, told_of, strict=True)
    )


def _station(session: Session, facts: Mapping[str, Any]) -> Station | None:
    station_id = facts.get("station_id")
    return session.get(Station, station_id) if isinstance(station_id, int) else None


def _signature(facts: Mapping[str, Any]) -> bytes:
    """The signature as bytes; what is no hex is one that cannot hold."""
    try:
        return bytes.fromhex(str(facts.get("signature") or ""))
    except ValueError:
        return b"\x00"


def _holds(station: Station, facts: Mapping[str, Any]) -> bool:
    signature = _signature(facts)
    if not signature or station.public_key is None:
        return False
    try:
        return signed_by(station.public_key, to_sign(PURPOSE, bytes.fromhex(str(facts["digest"]))), signature)
    except ValueError:  # what stands for the station's key is no key any more
        return False


def _signed(session: Session, entry: JournalEntry) -> Signed:
    station = _station(session, entry.facts)
    key = b"" if station is None else station.public_key or b""
    return Signed(entry.seq, content_of(entry.facts), _signature(entry.facts), key)
