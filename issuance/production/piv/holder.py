"""A PIV card and its holder: the card-authentication key (9E) answers a challenge; PIN and PUK get other values.

NIST SP 800-73-4 part 2, 3.2.2 to 3.2.4.
"""

from card_io import globalplatform as gp
from card_io.secret import Secret
from issuance.production.asking import Talk, body, bundle
from issuance.production.bundle import SW_OK, Step
from issuance.production.errors import Counterfeit, WrongCard
from issuance.production.foreign import as_foreign
from issuance.production.job import Random
from issuance.production.pin_profile import PinProfile
from issuance.production.piv import commands
from issuance.production.piv.proving import challenge
from issuance.production.profile import CardProfile
from issuance.production.signatures import signed_by


def meet(chip: str, card_key: bytes, *, profile: CardProfile, random: Random) -> Talk[None]:
    """The card is the one meant, and holds the private key it was made with; raises before anything is changed."""
    asking, proof = challenge(profile.card_key, random)
    steps = (
        Step(gp.select(profile.secure_channel.isd_aid).encode(), label="find_card"),
        Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
        commands.select(),
        *asking,
    )
    with as_foreign():
        responses = yield from bundle(steps, fresh=True)
        chip_id = gp.parse_cplc(body(responses[1])).chip_id.hex()
    if chip_id != chip:
        raise WrongCard(chip, chip_id)
    if not signed_by(card_key, proof.challenge, commands.authenticated(responses[-1], commands.RESPONSE)):
        raise Counterfeit("challenge", "its key is not the one that this card was made with")


def change(pin: PinProfile, old: Secret, new: Secret, *, expect: tuple[int, ...] = (SW_OK,)) -> Step:
    """Another value for one who knows the present one."""
    return commands.change_reference(pin.reference, old, new, pin.name, expect)


def reset(pin: PinProfile, puk: Secret, new: Secret) -> Step:
    """The PUK sets a PIN."""
    return commands.reset_retry_counter(pin.reference, puk, new, pin.unblocked_by)
