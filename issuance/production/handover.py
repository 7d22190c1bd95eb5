"""Card meets holder: the card proves itself, then its transport PINs become the holder's; two round trips.

The challenge goes to the card-authentication key, whose public half the office has kept since the chip made it. Nothing
is changed on a card that does not answer it. A hand-over torn between the two PINs is recognised by the journal's
intent and finished by RESET RETRY COUNTER with the unblock code (ISO/IEC 7816-4, 11.6.10), which sets the holder's PIN
whatever the card's present one is, so that no try is spent on finding out.
"""

from collections.abc import Mapping

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.secret import Secret
from issuance.production.asking import Talk, body, bundle, note, pins, progress
from issuance.production.bundle import PinsWanted, RecordKind, Step
from issuance.production.chip import applet_data, life_cycle_of
from issuance.production.errors import CardRefused, Counterfeit, ForeignCard, PinRefused, WrongCard
from issuance.production.foreign import as_foreign, numbered, wanting
from issuance.production.job import HandedOver, HandOverJob, Random
from issuance.production.journal import Journal
from issuance.production.pins import check_chosen_pins
from issuance.production.piv import holder
from issuance.production.profile import CardProfile, PinProfile
from issuance.production.signatures import signed_by

STAGES = 2
CHALLENGE_BYTES = 32
SW_WRONG_PIN = 0x63C0
SW_BLOCKED = 0x6983


def hand_over(job: HandOverJob, profile: CardProfile, *, random: Random) -> Talk[HandedOver]:
    """Make the card in the reader its holder's.

    Raises `WrongCard`, `ForeignCard` or `Counterfeit` before anything is changed, `UnfitPin` for PINs outside the
    profile, `PinRefused` when the card has other transport PINs than the vault.
    """
    check_chosen_pins(profile, job.pins)
    yield from progress(0, STAGES, "find_card")
    with wanting(numbered(job.card_number)):
        yield from (holder.meet if profile.piv is not None else _meet)(job, profile, random)
    yield from progress(1, STAGES, "choose_pins")
    resumed = Journal(job.journal).has(RecordKind.PIN_CHANGE_INTENT)
    chosen = [pin for pin in profile.pins if pin.chosen_by_holder]
    old_names = {pin.unblocked_by for pin in chosen} if resumed else {pin.name for pin in chosen}
    digits = {name: profile.pin(name).transport_digits for name in sorted(old_names)}
    old = yield from pins(PinsWanted(job.card_number, digits))
    yield from note(RecordKind.PIN_CHANGE_INTENT, chip_id=job.chip_id, pins=[pin.name for pin in chosen])
    change, reset = (holder.change, holder.reset) if profile.piv is not None else (_change, _reset)
    steps = [reset(pin, old, job.pins) if resumed else change(pin, old, job.pins) for pin in chosen]
    try:
        yield from bundle([Step(gp.select(profile.applet.aid).encode(), label="find_applet"), *steps])
    except CardRefused as error:
        raise _pin_refused(error) from error
    yield from note(RecordKind.PIN_CHANGED, chip_id=job.chip_id, pins=[pin.name for pin in chosen])
    yield from note(RecordKind.HANDED_OVER, chip_id=job.chip_id, resumed=resumed)
    yield from progress(STAGES, STAGES, "handed_over")
    return HandedOver(job.card_number, job.chip_id, resumed)


def _meet(job: HandOverJob, profile: CardProfile, random: Random) -> Talk[None]:
    """The card is the one meant, finished, and holds the private key it was made with."""
    key = profile.card_key
    challenge = random(CHALLENGE_BYTES)
    authenticate = CommandAPDU(0x00, 0x88, 0x00, key.reference, challenge, 256)
    steps = (
        Step(gp.select(profile.secure_channel.isd_aid).encode(), label="find_card"),
        Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
        Step(gp.select(profile.applet.aid).encode(), label="find_applet"),
        Step(applet_data(layout.TAG_STATE), label="find_applet"),
        Step(authenticate.encode(), label="challenge_card"),
    )
    with as_foreign():
        _, cplc, _, state, signature = yield from bundle(steps, fresh=True)
        chip_id = gp.parse_cplc(body(cplc)).chip_id.hex()
    if chip_id != job.chip_id:
        raise WrongCard(job.chip_id, chip_id)
    if life_cycle_of(state) != layout.AppletState.PERSONALISED:
        raise ForeignCard("its applet is not finished")
    if not signed_by(job.card_key, challenge, body(signature)):
        raise Counterfeit("challenge", "its key is not the one that this card was made with")


def _change(pin: PinProfile, old: Mapping[str, Secret], new: Mapping[str, Secret]) -> Step:
    """CHANGE REFERENCE DATA: the transport PIN gives way to the holder's."""
    data = old[pin.name].reveal() + new[pin.name].reveal()
    return Step(CommandAPDU(0x00, 0x24, 0x00, pin.reference, data).encode(), label=pin.name)


def _reset(pin: PinProfile, old: Mapping[str, Secret], new: Mapping[str, Secret]) -> Step:
    """RESET RETRY COUNTER: the unblock code sets the holder's PIN."""
    data = old[pin.unblocked_by].reveal() + new[pin.name].reveal()
    return Step(CommandAPDU(0x00, 0x2C, 0x00, pin.reference, data).encode(), label=pin.name)


def _pin_refused(error: CardRefused) -> CardRefused | PinRefused:
    """The card's own word on the tries left."""
    if error.sw & 0xFFF0 == SW_WRONG_PIN:
        return PinRefused(error.label, error.sw & 0x0F)
    return PinRefused(error.label, 0) if error.sw == SW_BLOCKED else error
