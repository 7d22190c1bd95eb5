"""Writing a card: three round trips from a blank to a finished card, and from any tear back to it.

    1  recognise: chip, applet state, INITIALIZE UPDATE with the keys the card has
    2  EXTERNAL AUTHENTICATE, PUT KEY (the card's own production keys), a channel with them; the applet's instance, data
       groups, key pairs made on the card and proved to be there
    3  certificates, security object, ISO 7816-15 files, PINs, FINISH (`finishing`); the card SECURED, where the profile
       says so

Everything inside a trip is wrapped ahead (SCP03). The second holds two sessions where the card's challenge can be
foretold (`ahead`); with a card that draws its challenges it is two trips, the new channel being opened by the card's
answer. A card that has nothing to answer takes one trip with such a challenge: one whose keys are certified already
(the look at it, the channel and the third trip in one bundle), and one that makes none (`outright`), where the station
has told what it saw in the reader; otherwise that one takes two.

Before a bundle that changes the card for good leaves, its intent is recorded; after its answers, the outcome. A card
that comes back is known by its chip, its key version and its applet state; with the journal that says where to go on:

| the card answers | journal | so |
|---|---|---|
| a blank's key version | - | from the beginning (the key change did not happen) |
| a production version | its key change was intended | the key change happened: on with the data |
| the same | keys made | on with the data, keeping the key pairs: certificates may exist for them |
| the same, applet unfinished | finish was intended | on with the finish alone |
| the same, applet finished | finish was intended | done |
| anything else | | refused by name, nothing sent that could count as a failed authentication |
"""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_io import tlv
from card_io.errors import CardError
from issuance.keys.port import KeyPurpose, KeyRef
from issuance.pki.possession import CHALLENGE_BYTES, Proof
from issuance.production import finishing, outright, securing, writing
from issuance.production.admission import admit, begin
from issuance.production.asking import Talk, note, progress
from issuance.production.bundle import CertificatesWanted, RecordKind
from issuance.production.chip import Chip, recognise
from issuance.production.errors import Counterfeit, ForeignCard, UnknownKeys
from issuance.production.finishing import finish
from issuance.production.foreign import BLANK, numbered, wanting
from issuance.production.job import CardJob, PersonalisedCard, Random
from issuance.production.journal import Journal
from issuance.production.piv import personalise as piv
from issuance.production.profile import CardProfile, KeyAlgorithm
from issuance.production.secured import open_channel
from issuance.production.underway import Underway, change_keys, send

STAGES = 4
CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
}


def personalise(job: CardJob, profile: CardProfile, *, random: Random, stages: int = STAGES) -> Talk[PersonalisedCard]:
    """Make the card in the reader the card of `job`, from blank or from wherever it was torn.

    `stages` is of how many steps progress speaks, when more follows than this.
    Yields what `issuance.production.bundle` lists. Raises a `ProductionError` when the card is not this job's, cannot
    be trusted, or went away; the journal then says enough to go on with the same card.
    """
    journal = Journal(job.journal)
    with wanting(BLANK if journal.claimed_chip is None else numbered(job.card_number)):
        if profile.piv is not None:
            return (yield from piv.personalise(job, profile, profile.piv, random=random, stages=stages))
        return (yield from _personalise(job, profile, journal, random, stages))


def _personalise(
    job: CardJob, profile: CardProfile, journal: Journal, random: Random, stages: int
) -> Talk[PersonalisedCard]:
    yield from progress(0, stages, "find_card")
    found = yield from _at_once(job, profile, journal, random, stages)
    if isinstance(found, PersonalisedCard):
        yield from progress(STAGES, stages, "written")
        return found
    chip = found or (yield from recognise(profile, random(profile.secure_channel.challenge_bytes)))
    master = yield from _admit(job, profile, journal, chip)
    channel = yield from open_channel(
        chip.initialize_update_response,
        host_challenge=chip.host_challenge,
        master=master,
        profile=profile.secure_channel,
        chip_id=chip.chip_id,
    )
    card, public_keys = Underway(job, profile, journal, chip.chip_id, channel), journal.public_keys
    if chip.finished:
        if not journal.has(RecordKind.FINISHED):
            yield from securing.secure(profile, channel)
            yield from note(RecordKind.FINISHED, chip_id=chip.chip_id, kvn=chip.kvn, resumed=True, **channel.seen)
    elif chip.life_cycle is not None and finishing.is_all_that_is_left(profile, journal):
        yield from progress(3, stages, "certificates")
        yield from finishing.resume(job, profile, journal, chip_id=chip.chip_id, channel=channel)
    else:
        yield from begin(job, journal, chip.chip_id, cplc=chip.cplc)
        if master.purpose is KeyPurpose.BLANK_TRANSPORT:
            yield from progress(1, stages, "change_keys")
            yield from change_keys(card, random)
            master = job.card_master
        public_keys = yield from _write(card, chip.life_cycle, random, stages)
    yield from progress(STAGES, stages, "written")
    return PersonalisedCard(
        card_number=job.card_number,
        chip_id=chip.chip_id,
        kvn=card.channel.kvn,
        key_version=master.version,
        public_keys=public_keys,
        resumed=bool(job.journal),
    )


def _at_once(
    job: CardJob, profile: CardProfile, journal: Journal, random: Random, stages: int
) -> Talk[PersonalisedCard | Chip | None]:
    """In one trip, where a card has nothing to answer; else what is known of it by then, if anything."""
    if not profile.keys:
        return (yield from outright.at_once(job, profile, journal, random=random, stages=stages))
    return (yield from finishing.at_once(job, profile, journal, random=random))


def _admit(job: CardJob, profile: CardProfile, journal: Journal, chip: Chip) -> Talk[KeyRef]:
    """Whether this chip may become this card, and the key set it must hold; refuses by name."""
    yield from admit(job, journal, chip.chip_id)
    claimed = journal.claimed_chip
    if chip.kvn in profile.secure_channel.blank_kvns:
        if journal.has(RecordKind.KEY_CHANGED):
            raise Counterfeit("key version", "its keys were changed, but it answers with those of a blank")
        if chip.life_cycle is not None:
            raise ForeignCard("it has a blank's keys, but an identity applet on it already")
        return job.blank_master
    version = journal.key_version_of(chip.kvn)
    if claimed is None or version is None:
        raise UnknownKeys(chip.chip_id, chip.kvn)
    if chip.finished and not journal.has(RecordKind.FINISH_INTENT):
        raise Counterfeit("applet", "it says that it is finished, but nobody finished it")
    return KeyRef(KeyPurpose.CARD_MASTER, version)


def _write(card: Underway, life_cycle: int | None, random: Random, stages: int) -> Talk[dict[str, bytes]]:
    """All that stands on the card, to its end; its public keys by slot. `life_cycle` is that of its applet, if any."""
    yield from progress(2, stages, "write_data")
    if not card.profile.keys:
        yield from outright.write_all(card, life_cycle=life_cycle)
        return {}
    public_keys, proofs = yield from _write_data(card, life_cycle, random)
    yield from progress(3, stages, "certificates")
    wanted = CertificatesWanted(card.job.card_number, card.chip_id, public_keys, proofs)
    yield from finish(card.job, card.profile, card.channel, wanted)
    return public_keys


def _write_data(
    card: Underway, life_cycle: int | None, random: Random
) -> Talk[tuple[dict[str, bytes], dict[str, Proof]]]:
    """Write all that is known ahead and have the card make its key pairs; public keys and proofs of them by slot.

    Key pairs that the journal knows are kept: certificates for them may exist. They are proved again.
    """
    profile, known = card.profile, card.journal.public_keys
    wanted = [] if known else profile.keys
    challenges = {key.name: random(CHALLENGE_BYTES) for key in profile.keys}
    block_bytes = card.channel.session.data_max
    groupings = writing.file_groupings(writing.data_files(profile, card.job.data_groups), block_bytes)
    asked = writing.make_keys(profile, wanted) + writing.prove_keys(profile, challenges)
    writes = [] if life_cycle is not None else [writing.install(profile)]
    writes += writing.sessions(profile, groupings, block_bytes=block_bytes, label="write_data", asked=asked)
    writes += securing.ask(profile)
    yield from note(RecordKind.WRITE_INTENT, chip_id=card.chip_id, makes_keys=[key.name for key in wanted])
    answers = yield from send(card, writes)
    state = securing.told(profile, answers)
    card.channel.moves = securing.moves(profile, state)
    answered = list(zip(writes, answers, strict=True))
    proofs = {item.proves: Proof(challenges[item.proves], answer) for item, answer in answered if item.proves}
    if known:
        return known, proofs
    algorithms = {key.name: key.algorithm for key in profile.keys}
    made = {item.key: _public_key(algorithms[item.key], answer) for item, answer in answered if item.key}
    kept = {slot: key.hex() for slot, key in made.items()}
    yield from note(RecordKind.KEYS_MADE, chip_id=card.chip_id, public_keys=kept, card_state=state)
    return made, proofs


def _public_key(algorithm: KeyAlgorithm, answer: bytes) -> bytes:
    """The SubjectPublicKeyInfo of the point in a key generation's answer (7F49 around 86)."""
    try:
        point = tlv.require(answer, 0x7F49, 0x86)
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[algorithm], point)
    except (CardError, ValueError) as error:
        raise Counterfeit("key generation", "its public key is not a point of the curve") from error
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
