"""Hand-over of a PIV card: the card-authentication key (9E) answers a challenge, then the PIN becomes the holder's.

NIST SP 800-73-4 part 2, 3.2.2 to 3.2.4. The PUK stays the one the vault knows: it unblocks at any window.
"""

from collections.abc import Mapping

from card_io import globalplatform as gp
from card_io.secret import Secret
from issuance.production.asking import Talk, body, bundle
from issuance.production.bundle import Step
from issuance.production.errors import Counterfeit, WrongCard
from issuance.production.foreign import as_foreign
from issuance.production.job import HandOverJob, Random
from issuance.production.piv import commands
from issuance.production.piv.proving import challenge
from issuance.production.profile import CardProfile, PinProfile
from issuance.production.signatures import signed_by


def meet(job: HandOverJob, profile: CardProfile, random: Random) -> Talk[None]:
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
    if chip_id != job.chip_id:
        raise WrongCard(job.chip_id, chip_id)
    if not signed_by(job.card_key, proof.challenge, commands.authenticated(responses[-1], commands.RESPONSE)):
        raise Counterfeit("challenge", "its key is not the one that this card was made with")


def change(pin: PinProfile, old: Mapping[str, Secret], new: Mapping[str, Secret]) -> Step:
    """The transport PIN gives way to the holder's."""
    return commands.change_reference(pin.reference, old[pin.name], new[pin.name], pin.name)


def reset(pin: PinProfile, old: Mapping[str, Secret], new: Mapping[str, Secret]) -> Step:
    """After a tear: the PUK sets the holder's PIN."""
    return commands.reset_retry_counter(pin.reference, old[pin.unblocked_by], new[pin.name], pin.name)
