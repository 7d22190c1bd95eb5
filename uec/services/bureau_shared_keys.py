"""Finds cards of a results file with a public key that stands twice in it, or in any other card; in little memory."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from uec.services.bureau_report import FIT_KEYS, Report
from uec.store.arrays import listed
from uec.store.tables import BureauKey, Certificate

_KEYS = f"SELECT DISTINCT digest FROM {FIT_KEYS}"  # noqa: S608 - one of the report's own tables


def reject_shared(session: Session, report: Report) -> None:
    """Note in the report as unfit which of its other cards share a key with another card."""
    for rows in report.parts(_KEYS):
        digests = [digest for (digest,) in rows]
        for known in (BureauKey.digest, Certificate.public_key_digest):
            report.note_taken(session.scalars(select(known).where(listed(session, known, digests))))
    report.judge_shared()
