"""A card without a key pair proves itself by the keys of its issuer domain, which the vault alone has besides it.

GlobalPlatform Amendment D, 6.2.2: the answer to INITIALIZE UPDATE holds a cryptogram over the host's fresh challenge.
The vault checks it, and no authentication follows: one round trip, nothing is changed and no failed try is counted.
"""

from card_io.applets.uec import layout
from issuance.keys.port import KeyPurpose, KeyRef
from issuance.production.asking import Talk
from issuance.production.chip import recognise
from issuance.production.errors import ForeignCard, UnknownKeys, WrongCard
from issuance.production.job import HandOverJob, Random, UnblockJob
from issuance.production.journal import Journal
from issuance.production.profile import CardProfile
from issuance.production.secured import open_channel


def meet(job: HandOverJob | UnblockJob, profile: CardProfile, *, random: Random) -> Talk[None]:
    """The card is the one meant, finished, and has the keys it was given; else `WrongCard`, `ForeignCard` or
    `UnknownKeys`."""
    chip = yield from recognise(profile, random(profile.secure_channel.challenge_bytes))
    if chip.chip_id != job.chip_id:
        raise WrongCard(job.chip_id, chip.chip_id)
    if chip.life_cycle != layout.AppletState.PERSONALISED:
        raise ForeignCard("its applet is not finished")
    version = Journal(job.journal).key_version_of(chip.kvn)
    if version is None:
        raise UnknownKeys(chip.chip_id, chip.kvn)
    yield from open_channel(
        chip.initialize_update_response,
        host_challenge=chip.host_challenge,
        master=KeyRef(KeyPurpose.CARD_MASTER, version),
        profile=profile.secure_channel,
        chip_id=chip.chip_id,
    )
