"""Making a card that came back mute for good: one round trip, and no way back (GlobalPlatform v2.3.1, 5.1.1.5).

The trip holds: a look at the card, INITIALIZE UPDATE with the keys it has, EXTERNAL AUTHENTICATE, SET STATUS of the
whole card: TERMINATED. It is two, the second from EXTERNAL AUTHENTICATE on, where the session cannot be foretold.

The intent is recorded before SET STATUS leaves. A terminated card still tells its number (GET DATA) and opens no
channel: with the intent in the journal that is the proof that the step was done.
"""

from dataclasses import dataclass

from card_io import globalplatform as gp
from issuance.keys.port import KeyPurpose, KeyRef
from issuance.production.ahead import found, next_session
from issuance.production.asking import Talk, body, bundle, note, progress, status
from issuance.production.bundle import SW_OK, RecordKind, Step
from issuance.production.chip import SW_NO_STATE, recognise
from issuance.production.errors import CardRefused, Unforeseen, UnknownKeys, WrongCard
from issuance.production.foreign import SW_CLOSED, as_foreign, numbered, wanting
from issuance.production.job import Random
from issuance.production.journal import Journal
from issuance.production.profile import CardProfile
from issuance.production.rekey import RekeyJob
from issuance.production.secured import SecureChannel, open_channel, write
from issuance.production.writing import Write

STAGES = 2


@dataclass(frozen=True, slots=True)
class Terminated:
    """The card answers nobody any more."""

    card_number: str
    chip_id: str
    resumed: bool


def terminate(job: RekeyJob, profile: CardProfile, *, blank_master: KeyRef, random: Random) -> Talk[Terminated]:
    """End the card in the reader; `blank_master` opens one that was spoiled before it got its own keys.

    Raises `WrongCard` for another chip, `UnknownKeys` for keys that the journal does not explain, `ForeignCard` for a
    card that is mute already though nobody made it so.
    """
    with wanting(numbered(job.card_number)):
        return (yield from _terminate(job, profile, blank_master, random))


def _terminate(job: RekeyJob, profile: CardProfile, blank_master: KeyRef, random: Random) -> Talk[Terminated]:
    journal = Journal(job.journal)
    yield from progress(0, STAGES, "find_card")
    if journal.has(RecordKind.TERMINATE_INTENT) and (yield from _is_mute(job, profile, random)):
        yield from note(RecordKind.TERMINATED, chip_id=job.chip_id, resumed=True)
        return Terminated(job.card_number, job.chip_id, resumed=True)
    ahead = yield from next_session(journal, profile, random=random, sighting=job.seen)
    if ahead is None:
        chip = yield from recognise(profile, random(profile.secure_channel.challenge_bytes))
    else:
        try:
            return (yield from _end(job, profile, ahead.channel))
        except (Unforeseen, CardRefused) as error:
            chip = yield from found(error, ahead, profile, random)
    if chip.chip_id != job.chip_id:
        raise WrongCard(job.chip_id, chip.chip_id)
    version = journal.key_version_of(chip.kvn)
    if chip.kvn not in profile.secure_channel.blank_kvns and version is None:
        raise UnknownKeys(chip.chip_id, chip.kvn)
    channel = yield from open_channel(
        chip.initialize_update_response,
        host_challenge=chip.host_challenge,
        master=blank_master if version is None else KeyRef(KeyPurpose.CARD_MASTER, version),
        profile=profile.secure_channel,
        chip_id=chip.chip_id,
    )
    return (yield from _end(job, profile, channel))


def _end(job: RekeyJob, profile: CardProfile, channel: SecureChannel) -> Talk[Terminated]:
    """Set the card's state in this channel."""
    yield from progress(1, STAGES, "terminate")
    yield from note(RecordKind.TERMINATE_INTENT, chip_id=job.chip_id, kvn=channel.kvn)
    end = gp.set_card_status(gp.CardLifeCycle.TERMINATED, profile.secure_channel.isd_aid)
    yield from write(channel, [Write(end, "terminate")])
    yield from note(RecordKind.TERMINATED, chip_id=job.chip_id, resumed=False)
    yield from progress(STAGES, STAGES, "terminated")
    return Terminated(job.card_number, job.chip_id, resumed=False)


def _is_mute(job: RekeyJob, profile: CardProfile, random: Random) -> Talk[bool]:
    """Whether the card is terminated: the one meant, closed, and no channel begins (a locked card would begin one)."""
    challenge = random(profile.secure_channel.challenge_bytes)
    steps = (
        Step(gp.select(profile.secure_channel.isd_aid).encode(), (SW_OK, SW_CLOSED), "find_card"),
        Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
        Step(gp.initialize_update(0, challenge).encode(), (SW_OK, *SW_NO_STATE), "open_channel"),
    )
    with as_foreign():
        selected, cplc, update = yield from bundle(steps, fresh=True)
        chip_id = gp.parse_cplc(body(cplc)).chip_id.hex()
    if chip_id != job.chip_id:
        raise WrongCard(job.chip_id, chip_id)
    return status(selected) == SW_CLOSED and status(update) != SW_OK
