"""Key ceremonies of the office: who ever held which component, and the printed protocol.

The history is the audit itself, so it cannot be shortened; it goes with the database. The protocol is signed by the
vault's audit key and printed as PDF with the signature on it.
"""

import re
from datetime import datetime

from fpdf import FPDF
from sqlalchemy import select
from sqlalchemy.orm import Session

from issuance.keys.ceremony import Ceremony, protocol
from issuance.keys.engine import VaultEngine
from issuance.keys.port import KeyPurpose, KeyRef
from uec.domain.actors import Actor
from uec.domain.names import InvalidName, transliterate
from uec.store import audit
from uec.store.tables import AuditEntry

ACTION = "key.ceremony"


def history(session: Session) -> dict[str, int]:
    """Which place each custodian has had in any ceremony so far."""
    places: dict[str, int] = {}
    held = select(AuditEntry.details).where(AuditEntry.action == ACTION).order_by(AuditEntry.id)
    for details in session.scalars(held):
        places.update(details["custodians"])
    return places


def conclude(session: Session, vault: VaultEngine, ceremony: Ceremony, *, actor: Actor, now: datetime) -> bytes:
    """Take the key into the vault and note who held what; returns the signed protocol as PDF.

    Who entered components is committed before the key is made: they have seen their paper, whatever comes after. Raises
    `BadComponent` while a component is missing, and what the vault raises.
    """
    check_value = ceremony.check_value()
    custodians = {item.custodian: item.place for item in ceremony.entered}
    audit.record(
        session,
        actor=actor.reference,
        action=ACTION,
        subject_kind="key",
        subject_id=ceremony.purpose.value,
        details={"custodians": custodians, "check_value": check_value, "algorithm": ceremony.algorithm.value},
        now=now,
    )
    session.commit()
    ref = vault.import_key(
        ceremony.purpose, ceremony.algorithm, ceremony.components(), check_value=check_value, now=now
    )
    return signed_protocol(vault, ceremony, ref, now=now)


def signed_protocol(vault: VaultEngine, ceremony: Ceremony, ref: KeyRef, *, now: datetime) -> bytes:
    """The protocol as PDF: its text, the audit key's signature over the text (UTF-8), lines for signatures by hand."""
    text = latin(protocol(ceremony, ref, now=now))
    signer = vault.active(KeyPurpose.AUDIT)
    (signature,) = vault.sign(signer, [text.encode()])
    check_value = next(info.check_value for info in vault.describe(KeyPurpose.AUDIT) if info.ref == signer)
    lines = [f"Signed by audit key version {signer.version}, check value {check_value}:", signature.hex()]
    by_hand = [f"{item.custodian}: ______________________" for item in ceremony.entered]
    return _pdf(text, [*lines, "", *map(latin, by_hand)], now)


def latin(text: str) -> str:
    """The text in Latin letters as names are printed on cards: the PDF's built-in fonts know no others."""
    return re.sub(r"[^\x00-\x7f]+", lambda found: _latin_run(found.group()), text)


def _latin_run(letters: str) -> str:
    try:
        return transliterate(letters)
    except InvalidName:
        return "?" * len(letters)


def _pdf(text: str, below: list[str], now: datetime) -> bytes:
    page = FPDF()
    page.set_creation_date(now)
    page.set_title("Key ceremony")
    page.add_page()
    page.set_font("Courier", size=10)
    for line in (*text.splitlines(), "", *below):
        page.multi_cell(0, 6, line or " ", new_x="LMARGIN", new_y="NEXT")
    return bytes(page.output())
