"""For how long a key protects something new: its cryptoperiod (NIST SP 800-57 part 1 rev. 5, section 5.3).

A key whose period is over still opens the cards it was given to, and verifies what it signed; until a newer version
takes its place it does nothing else. A retired key keeps its own rules: it only serves what it made.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum

from issuance.errors import KeyPeriodOver
from issuance.keys.port import KeyInfo, KeyPurpose, KeyState

_YEAR = timedelta(days=365)
WARN_AHEAD = timedelta(days=90)

PERIODS: Mapping[KeyPurpose, timedelta] = {
    KeyPurpose.CARD_MASTER: 2 * _YEAR,
    KeyPurpose.BLANK_TRANSPORT: 5 * _YEAR,  # as long as the oldest blanks lie in stock
    KeyPurpose.PIN_MASTER: 2 * _YEAR,
    KeyPurpose.BUREAU_TRANSPORT: 2 * _YEAR,
    KeyPurpose.CA_ROOT: 20 * _YEAR,
    KeyPurpose.CA_ISSUING: 10 * _YEAR,
    KeyPurpose.DOCUMENT_SIGNER: 5 * _YEAR,
    KeyPurpose.AUDIT: 5 * _YEAR,
    KeyPurpose.STATION: 5 * _YEAR,
    KeyPurpose.OCSP: 3 * _YEAR,
}
"""What a new version is given; custodians may set another end for each."""


class Period(StrEnum):
    """Where a key is in its period."""

    RUNNING = "running"
    ENDING = "ending"
    OVER = "over"


def judge(info: KeyInfo, now: datetime) -> Period:
    """Where a key is in its period; one without an end is running. A key that works no more has nothing to end."""
    if info.expires_at is None or info.state not in (KeyState.PRE_ACTIVE, KeyState.ACTIVE):
        return Period.RUNNING
    if now >= info.expires_at:
        return Period.OVER
    return Period.ENDING if now >= info.expires_at - WARN_AHEAD else Period.RUNNING


def require_running(info: KeyInfo, now: datetime) -> None:
    """Raise `KeyPeriodOver` for a key that may protect nothing new."""
    if info.expires_at is not None and judge(info, now) is Period.OVER:
        raise KeyPeriodOver(
            f"the period of key {info.ref.purpose} version {info.ref.version} ended on {info.expires_at:%Y-%m-%d}: "
            "make the next version (`uec keys rotate`), or let two custodians set a later end (`uec keys period`)",
            purpose=info.ref.purpose,
            version=info.ref.version,
            until=info.expires_at.isoformat(),
        )
