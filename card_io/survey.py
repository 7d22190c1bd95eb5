"""What lies in the reader? Whatever an unknown card tells of itself without a key, and which applets answer.

Asks only what spends nothing: SELECT and GET DATA. A card that refuses a question, or answers it with nonsense, leaves
that line empty; only a card that is lost ends the survey. GlobalPlatform Card Specification 2.3.1 §11.3 and §11.9;
names of applets as their specifications give them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.applets.piv import PIV_AID
from card_io.applets.uec import layout
from card_io.channel import SecurityDomain
from card_io.connection import Connection, send
from card_io.errors import InvalidApdu, InvalidTlv, UnexpectedAnswer
from card_io.status import StatusWordError

APPLETS: dict[str, bytes] = {
    "uec": layout.APPLET_AID,
    "PIV (SP 800-73)": PIV_AID,
    "ISO 7816-15": layout.CIA_AID,
    "GIDS": bytes.fromhex("A000000397425446590201"),
    "OpenPGP": bytes.fromhex("D27600012401"),
    "travel document (ICAO 9303)": bytes.fromhex("A0000002471001"),
    "payment (PSE)": b"1PAY.SYS.DDF01",
    "FIDO": bytes.fromhex("A0000006472F0001"),
}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Survey:
    """What a card told; None and empty where it told nothing."""

    atr: bytes
    issuer_domain: bytes | None = None
    chip: bytes | None = None
    version: str | None = None
    protocols: tuple[tuple[int, int], ...] = ()
    keys: tuple[gp.KeyInformation, ...] = ()
    applets: tuple[str, ...] = ()


def survey(connection: Connection) -> Survey:
    """Ask a card all that it tells anyone; raises only what a lost card raises. What was selected is so no longer."""
    domain = SecurityDomain(connection)
    found = _told(domain.select_issuer)
    chip = card_data = keys = None
    if found is not None:
        chip, card_data, keys = _told(domain.cplc), _told(domain.card_data), _told(domain.key_information)
    return Survey(
        atr=connection.atr,
        issuer_domain=None if found is None else found.aid,
        chip=None if chip is None else chip.chip_id,
        version=None if card_data is None else card_data.version,
        protocols=() if card_data is None else card_data.protocols,
        keys=tuple(keys or ()),
        applets=tuple(name for name, aid in APPLETS.items() if _answers(connection, aid)),
    )


def _told(ask: Callable[[], _T]) -> _T | None:
    try:
        return ask()
    except (StatusWordError, InvalidTlv, InvalidApdu, UnexpectedAnswer):
        return None


def _answers(connection: Connection, aid: bytes) -> bool:
    """Whether an applet of that name is there: selected, or there and blocked."""
    answer = _told(lambda: send(connection, CommandAPDU(0x00, 0xA4, 0x04, 0x00, aid, 256)))
    return answer is not None and (answer.ok or answer.sw >> 8 == 0x62)
