"""Recognising the card in the reader: which chip, which keys, how far written; one round trip, nothing changed.

What a card answers in clear is a claim. Its proof is the card cryptogram that the same trip brings back (INITIALIZE
UPDATE, GlobalPlatform Amendment D, 6.2.2): the vault checks it before EXTERNAL AUTHENTICATE, so a card with other keys
is refused without a failed authentication on its counter.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from card_io import globalplatform as gp
from card_io import scp03
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from issuance.production.asking import Talk, body, bundle, status
from issuance.production.bundle import SW_OK, Step
from issuance.production.errors import WrongCard
from issuance.production.foreign import SW_CLOSED, as_foreign
from issuance.production.profile import CardProfile

SW_ABSENT = (0x6A82, 0x6A88, 0x6999)
"""File or application not found; reference data not found; applet selection failed."""
SW_NO_STATE = (*SW_ABSENT, 0x6A81, 0x6A86, 0x6D00, 0x6E00, 0x6985)


@dataclass(frozen=True, slots=True)
class Chip:
    """What the card in the reader answered.

    `chip_id` (20 hex digits) comes from the `cplc`: fabricator, type, batch, serial number. `life_cycle` is the
    applet's, or None while it is not installed.
    """

    chip_id: str
    cplc: bytes
    life_cycle: int | None
    host_challenge: bytes
    initialize_update_response: bytes
    initialize_update: scp03.InitializeUpdateResponse

    @property
    def kvn(self) -> int:
        """The version of the keys the card offers."""
        return self.initialize_update.kvn

    @property
    def finished(self) -> bool:
        """Its applet is personalised and closed."""
        return self.life_cycle is not None and self.life_cycle & 0x7F == layout.AppletState.PERSONALISED


def applet_data(tag: int) -> bytes:
    """GET DATA of the applet (interindustry class)."""
    return CommandAPDU(0x00, 0xCA, tag >> 8, tag & 0xFF, le=256).encode()


def life_cycle_of(response: bytes) -> int | None:
    """The applet's life cycle out of the answer to GET DATA `TAG_STATE`: layout version (2), life cycle (1)."""
    data = body(response)
    return data[2] if status(response) == SW_OK and len(data) == 3 else None


def chip_number(isd_aid: bytes) -> Talk[str]:
    """Only which chip it is (20 hex digits of its CPLC), in one trip; `ForeignCard` when it does not say.

    A card that is locked or ended says it too.
    """
    steps = (
        Step(gp.select(isd_aid).encode(), (SW_OK, SW_CLOSED), "find_card"),
        Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
    )
    with as_foreign():
        _, cplc = yield from bundle(steps, fresh=True)
        return gp.parse_cplc(body(cplc)).chip_id.hex()


def require_chip(wanted: str, found: str) -> None:
    """Raise `WrongCard` for another chip than the one wanted, where one is."""
    if wanted and found != wanted:
        raise WrongCard(wanted, found)


def recognise(profile: CardProfile, host_challenge: bytes) -> Talk[Chip]:
    """Look at a freshly powered card; `ForeignCard` when it is no chip for this profile."""
    with as_foreign():
        responses = yield from bundle(look(profile, host_challenge), fresh=True)
    return chip_of(responses, host_challenge)


def look(
    profile: CardProfile, host_challenge: bytes, life_cycle: int | None = None, *, cplc: bytes | None = None
) -> tuple[Step, ...]:
    """The steps of a look at a card; the last one is INITIALIZE UPDATE with the keys it offers.

    A `life_cycle` is the state that its applet must tell for the bundle to go on, a `cplc` the production record.
    """
    isd, applet = profile.secure_channel.isd_aid, profile.applet.aid
    state = None if life_cycle is None else layout.LAYOUT_VERSION.to_bytes(2, "big") + bytes([life_cycle])
    return (
        Step(gp.select(isd).encode(), label="find_card"),
        Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card", answer=cplc),
        Step(gp.select(applet).encode(), (SW_OK, 0x6283, *SW_ABSENT), "find_applet"),
        Step(applet_data(layout.TAG_STATE), (SW_OK, *SW_NO_STATE), "find_applet", state),
        Step(gp.select(isd).encode(), label="find_card"),
        Step(gp.initialize_update(0, host_challenge).encode(), label="open_channel"),
    )


def look_at_blank(profile: CardProfile, host_challenge: bytes, *, cplc: bytes) -> tuple[Step, ...]:
    """The same for a card that must not have the applet yet: one that has it ends the bundle there."""
    steps = look(profile, host_challenge, cplc=cplc)
    select = gp.select(profile.applet.aid).encode()
    return tuple(replace(step, expect=SW_ABSENT) if step.command == select else step for step in steps)


def chip_of(responses: Sequence[bytes], host_challenge: bytes) -> Chip:
    """What the answers to `look` say; `ForeignCard` when it is no chip for this profile."""
    _, cplc, found, state, _, update = responses
    with as_foreign():
        chip_id = gp.parse_cplc(body(cplc)).chip_id.hex()
        parsed = scp03.parse_initialize_update(body(update))
    return Chip(
        chip_id=chip_id,
        cplc=body(cplc),
        life_cycle=life_cycle_of(state) if status(found) == SW_OK else None,
        host_challenge=host_challenge,
        initialize_update_response=body(update),
        initialize_update=parsed,
    )
