"""What is kept of a card's sessions, checked: is each transcript whole, and did its station sign this very one?

A transcript holds INS, status words, lengths and times of every command, no content; its digest was signed by the
station that relayed them (`issuance.production.transcript`, `issuance.station.wire.to_sign`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.production.bundle import RecordKind
from issuance.production.signatures import signed_by
from issuance.production.transcript import is_whole
from issuance.station.wire import to_sign
from uec.domain.actors import Actor
from uec.domain.permissions import Permission
from uec.services.rows import present
from uec.store.tables import Card, JournalEntry, Station


@dataclass(frozen=True)
class KeptSession:
    """One session at a card: how long it was, and what its evidence is worth.

    `signed_by` is the station whose signature holds, empty when there is none that does; `forged` tells a signature
    that does not hold from one that never came.
    """

    seq: int
    at: datetime
    round_trips: int
    commands: int
    chip_ms: int
    whole: bool
    signed_by: str
    forged: bool


def transcripts(session: Session, card_id: int, *, actor: Actor) -> list[KeptSession]:
    """Every session of a card, oldest first; raises `NotAllowed`, `NotFound`."""
    actor.require(Permission.VIEW_PERSON)
    present(session, Card, card_id)
    kept = select(JournalEntry).where(JournalEntry.card_id == card_id, JournalEntry.kind == RecordKind.TRANSCRIPT.value)
    return [_judged(session, entry) for entry in session.scalars(kept.order_by(JournalEntry.seq))]


def _judged(session: Session, entry: JournalEntry) -> KeptSession:
    facts = entry.facts
    trips: list[Mapping[str, Any]] = facts.get("trips") or []
    lines = [line for trip in trips for line in trip.get("lines") or []]
    whole, signature = is_whole(facts), str(facts.get("signature") or "")
    station = session.get(Station, facts.get("station_id")) if facts.get("station_id") is not None else None
    holds = whole and station is not None and _holds(station, str(facts["digest"]), signature)
    return KeptSession(
        seq=entry.seq,
        at=entry.at,
        round_trips=len(trips),
        commands=len(lines),
        chip_ms=sum(int(line.get("ms", 0)) for line in lines),
        whole=whole,
        signed_by=station.name if holds and station is not None else "",
        forged=bool(signature) and not holds,
    )


def _holds(station: Station, digest: str, signature: str) -> bool:
    if not signature or station.public_key is None:
        return False
    return signed_by(station.public_key, to_sign("transcript", bytes.fromhex(digest)), bytes.fromhex(signature))
