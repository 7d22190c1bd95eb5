"""Writing a card: three round trips from a blank to a finished card, and from any tear back to it.

    1  recognise: chip, applet state, INITIALIZE UPDATE with the keys the card has
    2  EXTERNAL AUTHENTICATE, PUT KEY (the card's own production keys), a channel with them; the applet's instance, data
       groups, key pairs made on the card and proved to be there
    3  certificates, security object, ISO 7816-15 files, PINs, FINISH (`finishing`); the card SECURED, where the profile
       says so

Everything inside a trip is wrapped ahead (SCP03). The second holds two sessions where the card's challenge can be
foretold (`ahead`); with a card that draws its challenges it is two trips, the new channel being opened by the card's
answer. A card that has nothing to answer any more, its keys being certified already, takes one trip with such a
challenge: the look at it, the channel and the third trip in one bundle.

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

from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_io import tlv
from card_io.errors import CardError
from issuance.keys.port import KeyPurpose, KeyRef
from issuance.pki.possession import CHALLENGE_BYTES, Proof
from issuance.production import finishing, keying, securing, writing
from issuance.production.admission import admit, begin, scrap
from issuance.production.ahead import first_session
from issuance.production.asking import Talk, bundle, note, progress
from issuance.production.bundle import CertificatesWanted, RecordKind
from issuance.production.chip import Chip, recognise
from issuance.production.errors import (
    CardLost,
    CardRefused,
    Counterfeit,
    ForeignCard,
    Unforeseen,
    UnknownKeys,
)
from issuance.production.finishing import finish
from issuance.production.foreign import BLANK, numbered, wanting
from issuance.production.job import CardJob, PersonalisedCard, Random
from issuance.production.journal import Journal
from issuance.production.keying import KeyChange, KeysNotTaken
from issuance.production.piv import personalise as piv
from issuance.production.profile import CardProfile, KeyAlgorithm
from issuance.production.secured import SecureChannel, open_channel, write
from issuance.production.writing import Write

STAGES = 4
NO_CODE = "a blank without the code of this profile's applet"
MUTE_KEYS = "its new keys do not answer as they should"
CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
}


@dataclass(slots=True)
class _Session:
    """One card on its way. A `pending` change of keys goes to the card with the first writes of the channel."""

    job: CardJob
    profile: CardProfile
    journal: Journal
    chip: Chip
    channel: SecureChannel
    pending: KeyChange | None = None


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
    found = yield from finishing.at_once(job, profile, journal, random=random)
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
    session = _Session(job, profile, journal, chip, channel)
    if chip.finished:
        public_keys = journal.public_keys
        if not journal.has(RecordKind.FINISHED):
            yield from securing.secure(profile, channel)
            yield from note(RecordKind.FINISHED, chip_id=chip.chip_id, kvn=chip.kvn, resumed=True, **channel.seen)
    elif chip.life_cycle is not None and finishing.is_all_that_is_left(profile, journal):
        public_keys = journal.public_keys
        yield from progress(3, stages, "certificates")
        yield from finishing.resume(job, profile, journal, chip_id=chip.chip_id, channel=channel)
    else:
        yield from begin(job, journal, chip.chip_id)
        if master.purpose is KeyPurpose.BLANK_TRANSPORT:
            yield from progress(1, stages, "change_keys")
            yield from _change_keys(session, random)
            master = job.card_master
        yield from progress(2, stages, "write_data")
        public_keys, proofs = yield from _write_data(session, random)
        yield from progress(3, stages, "certificates")
        wanted = CertificatesWanted(job.card_number, chip.chip_id, public_keys, proofs)
        yield from finish(job, profile, session.channel, wanted)
    yield from progress(STAGES, stages, "written")
    return PersonalisedCard(
        card_number=job.card_number,
        chip_id=chip.chip_id,
        kvn=session.channel.kvn,
        key_version=master.version,
        public_keys=public_keys,
        resumed=bool(job.journal),
    )


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


def _change_keys(session: _Session, random: Random) -> Talk[None]:
    """Replace the blank's keys by the card's own, and open a channel with these before anything else is done.

    Where the card's first challenge under them can be foretold, that is done in the trip that writes the data.
    """
    job, secure = session.job, session.profile.secure_channel
    change = yield from keying.intend(
        job.blank_master,
        job.card_master,
        chip_id=session.chip.chip_id,
        channel=session.channel,
        secure=secure,
        challenge=random(secure.challenge_bytes),
        before=[writing.find_code(session.profile)],
    )
    ahead = yield from first_session(
        session.channel.card, job.card_master, session.profile, host_challenge=change.host_challenge
    )
    if ahead is None:
        try:
            responses = yield from bundle(change.steps)
        except CardRefused as refused:
            yield from _let_go(session, refused)
            raise
        yield from _enter(session, change, responses)
    else:
        session.channel, session.pending = ahead.behind(change.steps), change


def _enter(session: _Session, change: KeyChange, responses: Sequence[bytes]) -> Talk[None]:
    """Go on in a channel with the new keys, from the answers to the steps of their change."""
    try:
        session.channel = yield from keying.enter(change, responses, session.profile.secure_channel)
    except (KeysNotTaken, UnknownKeys):
        yield from scrap(session.job, session.chip.chip_id, MUTE_KEYS)
    yield from keying.changed(change, **session.channel.seen)


def _confirm(session: _Session, change: KeyChange, responses: Sequence[bytes]) -> Talk[None]:
    """The card has taken its new keys, and answered with them what was foretold."""
    try:
        keying.check(change, responses)
    except KeysNotTaken:
        yield from scrap(session.job, session.chip.chip_id, MUTE_KEYS)
    yield from keying.changed(change, **session.channel.seen)


def _send(session: _Session, writes: Sequence[Write]) -> Talk[list[bytes]]:
    """Write, with a change of keys in front if one is pending; a card that did not answer as foretold costs a trip."""
    change, session.pending = session.pending, None
    if change is None:
        return (yield from write(session.channel, writes))[0]
    try:
        answers, opened = yield from write(session.channel, writes)
    except Unforeseen as other:
        yield from _enter(session, change, other.responses)
        return (yield from write(session.channel, writes))[0]
    except (CardLost, CardRefused) as torn:
        if len(torn.responses) >= len(change.steps):
            yield from _confirm(session, change, torn.responses)
        yield from _let_go(session, torn)
        raise
    yield from _confirm(session, change, opened)
    return answers


def _let_go(session: _Session, error: CardLost | CardRefused) -> Talk[None]:
    """A blank of another make is refused by name: its keys were not changed, and the card may have another chip."""
    if isinstance(error, CardRefused) and error.label == writing.FIND_CODE:
        yield from note(RecordKind.CHIP_RELEASED, chip_id=session.chip.chip_id, reason=NO_CODE)
        raise ForeignCard(f"it is {NO_CODE}") from error


def _write_data(session: _Session, random: Random) -> Talk[tuple[dict[str, bytes], dict[str, Proof]]]:
    """Write all that is known ahead and have the card make its key pairs; public keys and proofs of them by slot.

    Key pairs that the journal knows are kept: certificates for them may exist. They are proved again.
    """
    profile, chip, known = session.profile, session.chip, session.journal.public_keys
    wanted = [] if known else profile.keys
    challenges = {key.name: random(CHALLENGE_BYTES) for key in profile.keys}
    block_bytes = session.channel.session.data_max
    groupings = writing.file_groupings(writing.data_files(profile, session.job.data_groups), block_bytes)
    asked = writing.make_keys(profile, wanted) + writing.prove_keys(profile, challenges)
    writes = [] if chip.life_cycle is not None else [writing.install(profile)]
    writes += writing.sessions(profile, groupings, block_bytes=block_bytes, label="write_data", asked=asked)
    writes += securing.ask(profile)
    yield from note(RecordKind.WRITE_INTENT, chip_id=chip.chip_id, makes_keys=[key.name for key in wanted])
    answers = yield from _send(session, writes)
    state = securing.told(profile, answers)
    session.channel.moves = securing.moves(profile, state)
    answered = list(zip(writes, answers, strict=True))
    proofs = {item.proves: Proof(challenges[item.proves], answer) for item, answer in answered if item.proves}
    if known:
        return known, proofs
    algorithms = {key.name: key.algorithm for key in profile.keys}
    made = {item.key: _public_key(algorithms[item.key], answer) for item, answer in answered if item.key}
    kept = {slot: key.hex() for slot, key in made.items()}
    yield from note(RecordKind.KEYS_MADE, chip_id=chip.chip_id, public_keys=kept, card_state=state)
    return made, proofs


def _public_key(algorithm: KeyAlgorithm, answer: bytes) -> bytes:
    """The SubjectPublicKeyInfo of the point in a key generation's answer (7F49 around 86)."""
    try:
        point = tlv.require(answer, 0x7F49, 0x86)
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[algorithm], point)
    except (CardError, ValueError) as error:
        raise Counterfeit("key generation", "its public key is not a point of the curve") from error
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
