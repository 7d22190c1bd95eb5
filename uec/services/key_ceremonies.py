"""Key ceremonies of the office: who ever held which component, and the printed protocol.

The history is the audit itself, so it cannot be shortened; it goes with the database. The protocol is signed by the
vault's audit key and printed as PDF with the signature on it.
"""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from fpdf import FPDF
from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.keys.ceremony import Ceremony, division_protocol, protocol
from issuance.keys.custodians import Place, Scheme, person
from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyAlgorithm, KeyPurpose, KeyRef
from issuance.keys.share_ceremony import ShareCeremony
from issuance.keys.shares import Share
from uec.domain.actors import Actor
from uec.domain.names import InvalidName, transliterate
from uec.store import audit
from uec.store.tables import AuditEntry

ACTION, DIVISION, PART = "key.ceremony", "key.division", "key.part"
DIVIDED = "divided"
"""What stands for the purpose of a key that was only divided."""


def history(session: Session) -> dict[str, Place]:
    """Which part each custodian has had in any ceremony so far, by the first one they took part in."""
    places: dict[str, Place] = {}
    held = select(AuditEntry.details).where(AuditEntry.action.in_((ACTION, DIVISION, PART))).order_by(AuditEntry.id)
    for details in session.scalars(held):
        scheme = Scheme(details.get("scheme", Scheme.COMPONENT.value))
        for custodian, number in details["custodians"].items():
            places.setdefault(person(custodian), Place(scheme, number))
    return places


def note_part(
    session: Session,
    key: tuple[str, KeyAlgorithm],
    part: tuple[str, Place],
    check_value: str,
    *,
    actor: Actor,
    now: datetime,
) -> None:
    """Note at once who has seen which part, whatever becomes of the ceremony; `key` says what it is for. Commits.

    `check_value`: that of the part.
    """
    subject, algorithm = key
    _note(session, PART, [part], (subject, algorithm, check_value), actor=actor, now=now)


def conclude(
    session: Session, vault: VaultEngine, ceremony: Ceremony | ShareCeremony, *, actor: Actor, now: datetime
) -> bytes:
    """Take the key into the vault and note who held what; returns the signed protocol as PDF.

    Raises `BadComponent` while a part is missing, and what the vault raises.
    """
    check_value = ceremony.check_value()
    held = [(item.custodian, item.place) for item in ceremony.entered]
    _note(session, ACTION, held, (ceremony.purpose.value, ceremony.algorithm, check_value), actor=actor, now=now)
    ref = vault.take_key(ceremony.purpose, ceremony.algorithm, ceremony.key(), check_value=check_value, now=now)
    return signed_protocol(vault, ceremony, ref, now=now)


def note_division(
    session: Session,
    vault: VaultEngine,
    algorithm: KeyAlgorithm,
    check_value: str,
    given: Sequence[tuple[str, Share]],
    *,
    actor: Actor,
    now: datetime,
) -> bytes:
    """Note which custodian was given which share of a new key; returns the signed protocol as PDF."""
    held = [(custodian, Place(Scheme.SHARE, share.number)) for custodian, share in given]
    _note(session, DIVISION, held, (DIVIDED, algorithm, check_value), actor=actor, now=now)
    text = division_protocol(algorithm, check_value, given, now=now)
    return _signed(vault, text, [custodian for custodian, _ in given], now)


def _note(
    session: Session,
    action: str,
    held: Sequence[tuple[str, Place]],
    key: tuple[str, KeyAlgorithm, str],
    *,
    actor: Actor,
    now: datetime,
) -> None:
    subject, algorithm, check_value = key
    audit.record(
        session,
        actor=actor.reference,
        action=action,
        subject_kind="key",
        subject_id=subject,
        details={
            "custodians": {custodian: place.number for custodian, place in held},
            "scheme": held[0][1].scheme.value,
            "check_value": check_value,
            "algorithm": algorithm.value,
        },
        now=now,
    )
    session.commit()


def signed_protocol(vault: VaultEngine, ceremony: Ceremony | ShareCeremony, ref: KeyRef, *, now: datetime) -> bytes:
    """The protocol as PDF: its text, the audit key's signature over the text (UTF-8), lines for signatures by hand."""
    return _signed(vault, protocol(ceremony, ref, now=now), [item.custodian for item in ceremony.entered], now)


def _signed(vault: VaultEngine, protocol_text: str, people: Sequence[str], now: datetime) -> bytes:
    text = latin(protocol_text)
    signer = vault.active(KeyPurpose.AUDIT)
    (signature,) = vault.sign(signer, [text.encode()])
    check_value = next(info.check_value for info in vault.describe(KeyPurpose.AUDIT) if info.ref == signer)
    sealed = f"Signed by audit key version {signer.version}, check value {check_value}, over the text above (hex):"
    return _pdf(text.splitlines(), [sealed, signature.hex()], [*map(latin, people), "Witness"], now)


def latin(text: str) -> str:
    """The text in Latin letters as names are printed on cards: the PDF's built-in fonts know no others."""
    return re.sub(r"[^\x00-\x7f]+", lambda found: _latin_run(found.group()), text)


def _latin_run(letters: str) -> str:
    try:
        return transliterate(letters)
    except InvalidName:
        return "?" * len(letters)


def _pdf(text: Sequence[str], sealed: Sequence[str], by_hand: Sequence[str], now: datetime) -> bytes:
    """One sheet: what was done, the signature over it, and a line for everybody who signs on paper."""
    page = FPDF()
    page.set_creation_date(now)
    page.set_title("Key ceremony")
    page.add_page()
    _paragraph(page, text[:1], size=14, style="B")
    _paragraph(page, text[1:], size=10)
    _paragraph(page, sealed, size=9)
    _paragraph(page, ["Signed by hand:"], size=10, style="B")
    for name in by_hand:
        page.set_font("Courier", size=10)
        page.cell(80, 12, name)
        page.cell(0, 12, "_" * 42, new_x="LMARGIN", new_y="NEXT")
    return bytes(page.output())


def _paragraph(page: FPDF, lines: Sequence[str], *, size: int, style: Literal["", "B"] = "") -> None:
    page.set_font("Courier", style=style, size=size)
    for line in lines:
        # Left: a line broken before a long number would be stretched over the sheet.
        page.multi_cell(0, 6, line, align="L", new_x="LMARGIN", new_y="NEXT")
    page.ln(6)
