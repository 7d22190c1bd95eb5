"""What a reader's own machine sees of a card that was just put in: enough to compute the card's first session ahead.

Three commands in clear, which no key and no question to the office stands behind: SELECT of the issuer domain by no
name, GET DATA of the CPLC, INITIALIZE UPDATE (GlobalPlatform v2.3.1, 11.9, 11.3; Amendment D, 7.1.1). The card's last
answer names its keys and how far it has counted; no authentication is begun by it, so none can fail. The station tells
it with the card it has found, before anybody asks: it is a hint and proves nothing, the card has to answer it again.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.errors import CardError
from card_io.scp03 import InitializeUpdateResponse, parse_initialize_update
from issuance.production.asking import body
from issuance.production.bundle import Send, Step
from issuance.production.relay import Slot, play

CHALLENGE = bytes(8)
"""Of a session that is never opened."""
STEPS = (
    Step(CommandAPDU(0x00, 0xA4, 0x04, 0x00, le=256).encode(), label="find_card"),
    Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
    Step(gp.initialize_update(0, CHALLENGE).encode(), label="find_card"),
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A card as it was seen: `cplc` and `update` are its answers, without their status words; empty where it had none.

    Both come from a station, which may tell anything: whoever reads them finds nothing in what makes no sense.
    """

    cplc: bytes
    update: bytes

    @property
    def told(self) -> tuple[str, ...]:
        """As it goes over the link, in hex."""
        return self.cplc.hex(), self.update.hex()

    @classmethod
    def heard(cls, told: Sequence[str]) -> Self | None:
        """What came over the link; None for anything else."""
        try:
            cplc, update = map(bytes.fromhex, told)
        except ValueError:
            return None
        return cls(cplc, update)

    @property
    def chip_id(self) -> str:
        """Which chip it says it is (20 hex digits); empty when that cannot be read."""
        try:
            return gp.parse_cplc(self.cplc).chip_id.hex()
        except CardError:
            return ""

    @property
    def session(self) -> InitializeUpdateResponse | None:
        """Its answer to INITIALIZE UPDATE; None when that cannot be read, or tells nothing of the next one."""
        try:
            told = parse_initialize_update(self.update)
        except CardError:
            return None
        return told if told.foretellable else None


def sight(slot: Slot) -> Sighting | None:
    """Look at the card in a slot, which is closed behind it; None for a card that does not answer all of it."""
    try:
        answers = play(slot, Send(STEPS, fresh=True))
    finally:
        slot.close()
    if not answers.complete:
        return None
    _, cplc, update = answers.responses
    return Sighting(body(cplc), body(update))
