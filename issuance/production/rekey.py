"""Moving a card in use to the newest card master: one round trip, and from any tear back to one of the two versions.

The trip holds: a look at the card, INITIALIZE UPDATE with the keys it has, EXTERNAL AUTHENTICATE, PUT KEY in the place
of the old set, INITIALIZE UPDATE with the new one. It is two, the second from EXTERNAL AUTHENTICATE on, where the card
draws its challenges or has counted on since its last session here (`ahead`). Data, key pairs and PINs are not touched.
"""

from dataclasses import dataclass

from issuance.keys.port import KeyPurpose, KeyRef
from issuance.production import keying
from issuance.production.ahead import Ahead, found, last_session, next_session
from issuance.production.asking import Talk, bundle, note, progress
from issuance.production.bundle import Record, RecordKind
from issuance.production.chip import recognise
from issuance.production.errors import CardRefused, Unforeseen, UnknownKeys, WrongCard
from issuance.production.foreign import numbered, wanting
from issuance.production.job import Random
from issuance.production.journal import Journal
from issuance.production.profile import CardProfile
from issuance.production.secured import SecureChannel, open_channel
from issuance.production.sighting import Sighting

STAGES = 2


@dataclass(frozen=True, slots=True)
class RekeyJob:
    """One card to move to `card_master`; `journal` is everything recorded for it so far, oldest first.

    `seen` is what is known of the card in the reader before it is asked.
    """

    card_number: str
    chip_id: str
    card_master: KeyRef
    journal: tuple[Record, ...]
    seen: Sighting | None = None


@dataclass(frozen=True, slots=True)
class RekeyedCard:
    """The card has keys of the newest master; `changed` is false for one that had them already."""

    card_number: str
    chip_id: str
    kvn: int
    key_version: int
    changed: bool


def rekey(job: RekeyJob, profile: CardProfile, *, random: Random) -> Talk[RekeyedCard]:
    """Give the card in the reader keys of the newest card master.

    Raises `WrongCard` for another chip, `UnknownKeys` for keys that the journal does not explain (nothing was sent that
    counts as a failed authentication), `Counterfeit` when the new keys do not answer as they should.
    """
    with wanting(numbered(job.card_number)):
        return (yield from _rekey(job, profile, random))


def _rekey(job: RekeyJob, profile: CardProfile, random: Random) -> Talk[RekeyedCard]:
    secure, journal = profile.secure_channel, Journal(job.journal)
    yield from progress(0, STAGES, "find_card")
    ahead = yield from _foretold(job, profile, journal, random)
    if ahead is None:
        chip = yield from recognise(profile, random(secure.challenge_bytes))
    else:
        try:
            return (yield from _move(job, profile, ahead.channel, ahead.master, random))
        except (Unforeseen, CardRefused) as error:
            chip = yield from found(error, ahead, profile, random)
    if chip.chip_id != job.chip_id:
        raise WrongCard(job.chip_id, chip.chip_id)
    version = journal.key_version_of(chip.kvn)
    if version is None:
        raise UnknownKeys(chip.chip_id, chip.kvn)
    current = KeyRef(KeyPurpose.CARD_MASTER, version)
    channel = yield from open_channel(
        chip.initialize_update_response,
        host_challenge=chip.host_challenge,
        master=current,
        profile=secure,
        chip_id=chip.chip_id,
    )
    if version != job.card_master.version:
        return (yield from _move(job, profile, channel, current, random, cplc=chip.cplc))
    # Torn after PUT KEY, or moved before: the card has just proved that it holds these keys.
    facts = {"chip_id": chip.chip_id, "cplc": chip.cplc.hex(), "kvn": chip.kvn, "key_version": version}
    yield from note(RecordKind.KEY_CHANGED, **facts, **channel.seen)
    yield from progress(STAGES, STAGES, "keys_changed")
    return RekeyedCard(job.card_number, chip.chip_id, chip.kvn, version, changed=False)


def _foretold(job: RekeyJob, profile: CardProfile, journal: Journal, random: Random) -> Talk[Ahead | None]:
    """The session of a card that is known to hold older keys, under another version number than the new ones."""
    seen = last_session(journal, job.seen)
    if seen is None or seen.kvn == profile.secure_channel.kvn(job.card_master.version):
        return None
    return (yield from next_session(journal, profile, random=random, sighting=job.seen))


def _move(
    job: RekeyJob, profile: CardProfile, channel: SecureChannel, current: KeyRef, random: Random, *, cplc: bytes = b""
) -> Talk[RekeyedCard]:
    """Change the keys in this channel, which has the current ones, and see that the card answers with the new ones.

    The `cplc` of a card that was looked at is noted: the next change of a card that a bureau made can be foretold then.
    """
    secure = profile.secure_channel
    yield from progress(1, STAGES, "change_keys")
    change = yield from keying.intend(
        current,
        job.card_master,
        chip_id=job.chip_id,
        channel=channel,
        secure=secure,
        challenge=random(secure.challenge_bytes),
    )
    responses = yield from bundle(change.steps, fresh=channel.fresh)
    moved = yield from keying.enter(change, responses, secure)
    yield from keying.changed(change, **moved.seen, **({"cplc": cplc.hex()} if cplc else {}))
    yield from progress(STAGES, STAGES, "keys_changed")
    return RekeyedCard(job.card_number, job.chip_id, change.kvn, job.card_master.version, changed=True)
