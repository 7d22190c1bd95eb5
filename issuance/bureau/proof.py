"""Keys on a card prove themselves before anything is certified: one round trip over the card's own secure channel."""

from collections.abc import Mapping

from card_io import globalplatform as gp
from card_io.apdu import CommandAPDU
from card_io.applets.uec import personalisation as perso
from issuance.production.asking import Talk
from issuance.production.chip import recognise
from issuance.production.job import CardJob, Random
from issuance.production.profile import CardProfile
from issuance.production.secured import open_channel, write
from issuance.production.writing import Write


def prove(
    job: CardJob, profile: CardProfile, challenges: Mapping[str, bytes], *, random: Random
) -> Talk[dict[str, bytes]]:
    """Have each key slot of a card that is not finished sign its challenge (32 bytes); signatures by slot.

    Raises a `ProductionError` for a card that has other keys or none.
    """
    chip = yield from recognise(profile, random(profile.secure_channel.challenge_bytes))
    channel = yield from open_channel(
        chip.initialize_update_response,
        host_challenge=chip.host_challenge,
        master=job.card_master,
        profile=profile.secure_channel,
        chip_id=chip.chip_id,
    )
    slots = [key for key in profile.keys if key.name in challenges]
    writes = [Write(gp.install_for_personalization(profile.applet.aid), "prove_keys")]
    for number, key in enumerate(slots):
        last = perso.P1_LAST if number == len(slots) - 1 else 0
        block = perso.prove_key(key.reference, challenges[key.name])
        command = CommandAPDU(0x80, 0xE2, perso.P1_DGI_ANSWER | last, number, block, 256)
        writes.append(Write(command, "prove_keys", key=key.name))
    answers, _ = yield from write(channel, writes)
    return {item.key: answer for item, answer in zip(writes, answers, strict=True) if item.key}
