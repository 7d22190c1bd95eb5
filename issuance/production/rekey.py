"""Moving a card in use to the newest card master: two round trips, and from any tear back to one of the two versions.

    1  recognise, INITIALIZE UPDATE with the keys the card has (the vault checks its cryptogram)
    2  EXTERNAL AUTHENTICATE, PUT KEY in the place of the old set, INITIALIZE UPDATE with the new one

The intent is recorded before PUT KEY leaves, so both key versions of a torn card are known: whichever it answers with
next time is the one it has. Data, key pairs and PINs are not touched (GlobalPlatform v2.3.1, section 11.8).
"""

from dataclasses import dataclass

from card_io import globalplatform as gp
from card_io.errors import CardError
from issuance.keys.port import KeyPurpose, KeyRef, PutKeyRequest
from issuance.production.asking import Talk, body, note, progress, put_key_data
from issuance.production.bundle import PutKeyWanted, Record, RecordKind, Step
from issuance.production.chip import Chip, recognise
from issuance.production.errors import Counterfeit, UnknownKeys, WrongCard
from issuance.production.job import Random
from issuance.production.journal import Journal
from issuance.production.profile import CardProfile
from issuance.production.secured import SecureChannel, open_channel, write
from issuance.production.writing import Write

STAGES = 2


@dataclass(frozen=True, slots=True)
class RekeyJob:
    """One card to move to `card_master`; `journal` is everything recorded for it so far, oldest first."""

    card_number: str
    chip_id: str
    card_master: KeyRef
    journal: tuple[Record, ...]


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
    yield from progress(0, STAGES, "find_card")
    chip = yield from recognise(profile, random(profile.secure_channel.challenge_bytes))
    if chip.chip_id != job.chip_id:
        raise WrongCard(job.chip_id, chip.chip_id)
    version = Journal(job.journal).key_version_of(chip.kvn)
    if version is None:
        raise UnknownKeys(chip.chip_id, chip.kvn)
    current = KeyRef(KeyPurpose.CARD_MASTER, version)
    channel = yield from open_channel(
        chip.initialize_update_response,
        host_challenge=chip.host_challenge,
        master=current,
        profile=profile.secure_channel,
        chip_id=chip.chip_id,
    )
    changed = current != job.card_master
    yield from progress(1, STAGES, "change_keys")
    if changed:
        yield from _change(job, profile, chip, channel, current, random)
    else:
        # Torn after PUT KEY, or moved before: the card has just proved that it holds these keys.
        yield from note(RecordKind.KEY_CHANGED, chip_id=chip.chip_id, kvn=chip.kvn, key_version=version)
    yield from progress(STAGES, STAGES, "keys_changed")
    kvn = profile.secure_channel.kvn(job.card_master.version)
    return RekeyedCard(job.card_number, chip.chip_id, kvn, job.card_master.version, changed)


def _change(
    job: RekeyJob, profile: CardProfile, chip: Chip, channel: SecureChannel, current: KeyRef, random: Random
) -> Talk[None]:
    secure = profile.secure_channel
    kvn, host_challenge = secure.kvn(job.card_master.version), random(secure.challenge_bytes)
    request = PutKeyRequest(
        current=current,
        new=job.card_master,
        kdd=chip.initialize_update.kdd,
        new_kvn=kvn,
        derivation=secure.derivation,
        aes_form=secure.aes_form,
    )
    data = yield from put_key_data(PutKeyWanted(request))
    facts = {"chip_id": chip.chip_id, "kvn": kvn, "key_version": job.card_master.version}
    yield from note(RecordKind.KEY_CHANGE_INTENT, **facts, from_kvn=chip.kvn)
    (answer,), (_, update) = yield from write(
        channel,
        [Write(gp.put_key_data(chip.kvn, 1, data.key_data, count=len(data.check_values)), "change_keys")],
        then=(
            Step(gp.select(secure.isd_aid).encode(), label="open_channel"),
            Step(gp.initialize_update(kvn, host_challenge).encode(), label="open_channel"),
        ),
    )
    try:
        gp.check_put_key_answer(answer, kvn, data.check_values)
    except CardError as error:
        raise Counterfeit("key change", str(error)) from error
    yield from open_channel(
        body(update), host_challenge=host_challenge, master=job.card_master, profile=secure, chip_id=chip.chip_id
    )
    yield from note(RecordKind.KEY_CHANGED, **facts, check_values=[value.hex() for value in data.check_values])
