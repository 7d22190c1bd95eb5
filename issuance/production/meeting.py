"""What is asked of a card while its holder waits: prove who you are, change a PIN, give a blocked one a new value.

The challenge goes to the card-authentication key, whose public half the office has kept since the chip made it. Here is
the `uec` applet (ISO/IEC 7816-4, 11.6); PIV's commands are `piv.holder`, a card that has no keys is met as in
`meeting_pass`, and the profile decides.
"""

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.secret import Secret
from issuance.production import meeting_pass, pad
from issuance.production.asking import Talk, body, bundle
from issuance.production.bundle import SW_OK, Step
from issuance.production.chip import applet_data, life_cycle_of
from issuance.production.errors import Counterfeit, ForeignCard, WrongCard
from issuance.production.foreign import as_foreign, numbered, wanting
from issuance.production.job import HandOverJob, Random, UnblockJob
from issuance.production.pin_profile import PinProfile
from issuance.production.piv import commands, holder
from issuance.production.piv.commands import SW_BLOCKED, TRIES_LEFT
from issuance.production.profile import CardProfile
from issuance.production.signatures import signed_by

CHALLENGE_BYTES = 32
ANY_TRY = (SW_OK, SW_BLOCKED, *TRIES_LEFT)
"""What a code that may or may not be the card's is answered with."""


def meet(job: HandOverJob | UnblockJob, profile: CardProfile, *, random: Random) -> Talk[None]:
    """One round trip: the card is the one meant, finished, and holds the private key it was made with.

    Raises `WrongCard`, `ForeignCard` or `Counterfeit`; nothing is changed on the card.
    """
    with wanting(numbered(job.card_number)):
        if profile.piv is not None:
            yield from holder.meet(job.chip_id, job.card_key, profile=profile, random=random)
        elif not profile.keys:
            yield from meeting_pass.meet(job, profile, random=random)
        else:
            yield from _meet(job.chip_id, job.card_key, profile=profile, random=random)


def _meet(chip: str, card_key: bytes, *, profile: CardProfile, random: Random) -> Talk[None]:
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
    if chip_id != chip:
        raise WrongCard(chip, chip_id)
    if life_cycle_of(state) != layout.AppletState.PERSONALISED:
        raise ForeignCard("its applet is not finished")
    if not signed_by(card_key, challenge, body(signature)):
        raise Counterfeit("challenge", "its key is not the one that this card was made with")


def select(profile: CardProfile) -> Step:
    """SELECT of the profile's applet: in front of every bundle about PINs."""
    return Step(gp.select(profile.applet.aid).encode(), label="find_applet")


def change(
    pin: PinProfile, old: Secret, new: Secret, *, profile: CardProfile, expect: tuple[int, ...] = (SW_OK,)
) -> Step:
    """CHANGE REFERENCE DATA: another value for one who knows the present one."""
    if profile.piv is not None:
        return holder.change(pin, old, new, expect=expect)
    data = old.reveal() + new.reveal()
    return Step(CommandAPDU(0x00, 0x24, 0x00, pin.reference, data).encode(), expect, pin.name)


def reset(pin: PinProfile, code: Secret, new: Secret, *, profile: CardProfile) -> Step:
    """RESET RETRY COUNTER: the unblock code sets a PIN and gives all its tries back; labelled with the code's name."""
    if profile.piv is not None:
        return holder.reset(pin, code, new)
    data = code.reveal() + new.reveal()
    return Step(CommandAPDU(0x00, 0x2C, 0x00, pin.reference, data).encode(), label=pin.unblocked_by)


def choose(pin: PinProfile, code: Secret | None, *, profile: CardProfile) -> Step:
    """RESET RETRY COUNTER with a PIN that the holder types at the reader's keys; without `code` that one too.

    Raises `UnfitPin` when the profile lets nobody choose this PIN there.
    """
    typed = profile.pin(pin.unblocked_by) if code is None else None
    entry = pad.entry_of(pin, block=0 if profile.piv is None else commands.PIN_BYTES, code=typed)
    data = b"" if code is None else (code.reveal() if profile.piv is None else commands.padded(code))
    command = CommandAPDU(0x00, 0x2C, 0x00, pin.reference, data)
    return Step(command.encode(), label=pin.unblocked_by, pad=entry)
