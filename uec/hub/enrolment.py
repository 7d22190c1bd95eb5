"""How a machine becomes a station: once, by a code that security hands out, and by its own key ever after.

A code has 100 random bits, so its plain SHA-256 may be kept; it works once, for a day.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.production.signatures import signed_by
from issuance.station.wire import to_sign
from uec.domain.actors import system_actor
from uec.domain.errors import UecError
from uec.store import audit
from uec.store.tables import Station

ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # no 0 O 1 I: it is read out and typed
CODE_LETTERS = 20
GROUP = 5


class StationRefused(UecError):
    """The hub does not accept this station. Facts: `reason`."""

    code = "uec.station_refused"


def twin() -> StationRefused:
    """Two machines with one identity would oust each other for ever."""
    return StationRefused(
        "A machine with this station's identity is connected already: stop it there, or enrol this one by a code of "
        "its own.",
        reason="twice",
    )


def revoked() -> StationRefused:
    """A station that security has shut out."""
    return StationRefused("This station has been revoked: ask security.", reason="revoked")


def new_code(random: Callable[[int], bytes]) -> str:
    """A one-time code in groups of five letters, to be shown once."""
    letters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in random(CODE_LETTERS))
    return "-".join(letters[at : at + GROUP] for at in range(0, CODE_LETTERS, GROUP))


def code_hash(code: str) -> str:
    """What the database keeps of a code; spaces, hyphens and case do not count."""
    letters = "".join(code.upper().split()).replace("-", "")
    return hashlib.sha256(letters.encode("utf-8")).hexdigest()


def enrol(
    session: Session, *, code: str, public_key: bytes, nonce: bytes, signature: bytes, now: datetime
) -> tuple[int, str]:
    """Bind a station's public key (SPKI DER) to the code's station; its id and name.

    `signature` proves that the private half is there. Raises `StationRefused`; the code is spent on success only, and a
    station that never heard of its success is told again, by the key it enrolled with.
    """
    proven = _is_p256(public_key) and signed_by(public_key, to_sign("enrol", nonce, public_key), signature)
    if proven and (known := _enrolled_before(session, public_key)) is not None:
        return known
    found = select(Station).where(Station.enrolment_code_hash == code_hash(code), Station.revoked_at.is_(None))
    station = session.scalar(found.with_for_update())
    if station is None or station.enrolment_expires_at is None:
        raise StationRefused(
            "The code is wrong, or spent already: type it as it was told, or ask security for a new one.", reason="code"
        )
    if station.enrolment_expires_at <= now:
        raise StationRefused("The code is too old: ask security for a new one.", reason="expired")
    if not proven:
        raise StationRefused("The station's key does not prove itself: install the station anew.", reason="key")
    station.public_key, station.enrolment_code_hash, station.enrolment_expires_at = public_key, None, None
    audit.record(
        session,
        actor=system_actor("hub").reference,
        action="station.enrol",
        subject_kind="station",
        subject_id=station.id,
        details={"key": hashlib.sha256(public_key).hexdigest()},
        now=now,
    )
    session.commit()
    return station.id, station.name


def _enrolled_before(session: Session, public_key: bytes) -> tuple[int, str] | None:
    station = session.scalar(select(Station).where(Station.public_key == public_key, Station.revoked_at.is_(None)))
    return None if station is None else (station.id, station.name)


def admit(session: Session, *, station_id: int, nonce: bytes, own: bytes, signature: bytes) -> str:
    """The name of a station that signs in; raises `StationRefused` for an unknown, revoked or false one."""
    station = session.get(Station, station_id)
    if station is None or station.public_key is None:
        raise StationRefused("This station is not enrolled: enrol it with a one-time code.", reason="unknown")
    if station.revoked_at is not None:
        raise revoked()
    words = to_sign("sign-in", nonce, own, station_id.to_bytes(8, "big"))
    if not signed_by(station.public_key, words, signature):
        raise StationRefused("The station's key is not the one that was enrolled: enrol it anew.", reason="key")
    return station.name


def _is_p256(public_key: bytes) -> bool:
    try:
        key = serialization.load_der_public_key(public_key)
    except ValueError:
        return False
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
