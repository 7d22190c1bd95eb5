"""Writing a card: four round trips from a blank to a finished card, and from any tear back to it.

    1  recognise: chip, applet state, INITIALIZE UPDATE with the keys the card has
    2  EXTERNAL AUTHENTICATE, PUT KEY (the card's own production keys), INITIALIZE UPDATE with them
    3  EXTERNAL AUTHENTICATE, the applet's instance, data groups, key pairs made on the card and proved to be there
    4  certificates, security object, ISO 7816-15 files, PINs, FINISH; the card SECURED, where the profile says so

Everything inside a trip is wrapped ahead (SCP03). Before a bundle that changes the card for good leaves, its intent is
recorded; after its answers, the outcome. A card that comes back is known by its chip, its key version and its applet
state; with the journal that says where to go on:

| the card answers | journal | so |
|---|---|---|
| a blank's key version | - | from the beginning (the key change did not happen) |
| a production version | its key change was intended | the key change happened: on with trip 3 |
| the same | keys made | on with trip 3, keeping the key pairs: certificates may exist for them |
| the same, applet finished | finish was intended | done |
| anything else | | refused by name, nothing sent that could count as a failed authentication |
"""

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_io import globalplatform as gp
from card_io import tlv
from card_io.errors import CardError
from issuance.keys.port import KeyPurpose, KeyRef, PutKeyRequest
from issuance.pki.possession import CHALLENGE_BYTES, Proof
from issuance.production import asking, cia, securing, writing
from issuance.production.admission import admit, begin, scrap
from issuance.production.asking import Talk, body, note, progress
from issuance.production.bundle import (
    CertificatesWanted,
    PinsWanted,
    PutKeyWanted,
    RecordKind,
    SecurityObjectWanted,
    Step,
)
from issuance.production.chip import Chip, recognise
from issuance.production.datagroups import digests
from issuance.production.errors import Counterfeit, ForeignCard, UnknownKeys
from issuance.production.job import CardJob, PersonalisedCard, Random
from issuance.production.journal import Journal
from issuance.production.piv import personalise as piv
from issuance.production.profile import CardProfile, KeyAlgorithm
from issuance.production.secured import SecureChannel, open_channel, write
from issuance.production.writing import Write

STAGES = 4
MAKER_KVN = 0xFF
"""The key version of chips as made; it goes away when a set is added (PUT KEY with P1 00), not replaced by number."""
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
    if profile.piv is not None:
        return (yield from piv.personalise(job, profile, profile.piv, random=random, stages=stages))
    journal = Journal(job.journal)
    yield from progress(0, stages, "find_card")
    chip = yield from recognise(profile, random(profile.secure_channel.challenge_bytes))
    master = yield from _admit(job, profile, journal, chip)
    channel = yield from open_channel(
        chip.initialize_update_response,
        host_challenge=chip.host_challenge,
        master=master,
        profile=profile.secure_channel,
        chip_id=chip.chip_id,
    )
    if chip.finished:
        public_keys = journal.public_keys
        if not journal.has(RecordKind.FINISHED):
            yield from securing.secure(profile, channel)
            yield from note(RecordKind.FINISHED, chip_id=chip.chip_id, kvn=chip.kvn, resumed=True)
    else:
        yield from begin(job, journal, chip.chip_id)
        if master.purpose is KeyPurpose.BLANK_TRANSPORT:
            yield from progress(1, stages, "change_keys")
            channel = yield from _change_keys(job, profile, chip, channel, random)
            master = job.card_master
        yield from progress(2, stages, "write_data")
        challenges = {key.name: random(CHALLENGE_BYTES) for key in profile.keys}
        public_keys, proofs = yield from _write_data(job, profile, journal, chip, channel, challenges)
        yield from progress(3, stages, "certificates")
        wanted = CertificatesWanted(job.card_number, chip.chip_id, public_keys, proofs)
        yield from _finish(job, profile, channel, wanted)
    yield from progress(STAGES, stages, "written")
    return PersonalisedCard(
        card_number=job.card_number,
        chip_id=chip.chip_id,
        kvn=channel.kvn,
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


def _change_keys(
    job: CardJob, profile: CardProfile, chip: Chip, channel: SecureChannel, random: Random
) -> Talk[SecureChannel]:
    """Replace the blank's keys by the card's own, and open a channel with these before anything else is done."""
    kvn = profile.secure_channel.kvn(job.card_master.version)
    kdd = chip.initialize_update.kdd
    request = PutKeyRequest(
        current=job.blank_master,
        new=job.card_master,
        kdd=kdd,
        new_kvn=kvn,
        derivation=profile.secure_channel.derivation,
        aes_form=profile.secure_channel.aes_form,
    )
    data = yield from asking.put_key_data(PutKeyWanted(request))
    facts = {"chip_id": chip.chip_id, "kvn": kvn, "key_version": job.card_master.version}
    yield from note(RecordKind.KEY_CHANGE_INTENT, **facts, from_kvn=chip.kvn)
    replaced = 0 if chip.kvn == MAKER_KVN else chip.kvn
    host_challenge = random(profile.secure_channel.challenge_bytes)
    (answer,), (_, update) = yield from write(
        channel,
        [Write(gp.put_key_data(replaced, 1, data.key_data, count=len(data.check_values)), "change_keys")],
        then=(
            Step(gp.select(profile.secure_channel.isd_aid).encode(), label="open_channel"),
            Step(gp.initialize_update(kvn, host_challenge).encode(), label="open_channel"),
        ),
    )
    try:
        gp.check_put_key_answer(answer, kvn, data.check_values)
        opened = yield from open_channel(
            body(update),
            host_challenge=host_challenge,
            master=job.card_master,
            profile=profile.secure_channel,
            chip_id=chip.chip_id,
        )
    except (CardError, UnknownKeys):
        yield from scrap(job, chip.chip_id, "its new keys do not answer as they should")
        raise
    check_values = [value.hex() for value in data.check_values]
    yield from note(RecordKind.KEY_CHANGED, **facts, check_values=check_values)
    return opened


def _write_data(
    job: CardJob,
    profile: CardProfile,
    journal: Journal,
    chip: Chip,
    channel: SecureChannel,
    challenges: dict[str, bytes],
) -> Talk[tuple[dict[str, bytes], dict[str, Proof]]]:
    """Write all that is known ahead and have the card make its key pairs; public keys and proofs of them by slot.

    Key pairs that the journal knows are kept: certificates for them may exist. They are proved again.
    """
    known = journal.public_keys
    wanted = [] if known else profile.keys
    block_bytes = channel.session.data_max
    groupings = writing.file_groupings(writing.data_files(profile, job.data_groups), block_bytes)
    asked = writing.make_keys(profile, wanted) + writing.prove_keys(profile, challenges)
    writes = [] if chip.life_cycle is not None else [writing.install(profile)]
    writes += writing.sessions(profile, groupings, block_bytes=block_bytes, label="write_data", asked=asked)
    writes += securing.ask(profile)
    yield from note(RecordKind.WRITE_INTENT, chip_id=chip.chip_id, makes_keys=[key.name for key in wanted])
    answers, _ = yield from write(channel, writes)
    channel.moves = securing.moves(profile, answers)
    answered = list(zip(writes, answers, strict=True))
    proofs = {item.proves: Proof(challenges[item.proves], answer) for item, answer in answered if item.proves}
    if known:
        return known, proofs
    algorithms = {key.name: key.algorithm for key in profile.keys}
    made = {item.key: _public_key(algorithms[item.key], answer) for item, answer in answered if item.key}
    yield from note(
        RecordKind.KEYS_MADE, chip_id=chip.chip_id, public_keys={slot: key.hex() for slot, key in made.items()}
    )
    return made, proofs


def _finish(job: CardJob, profile: CardProfile, channel: SecureChannel, wanted: CertificatesWanted) -> Talk[None]:
    """Certificates, security object, ISO 7816-15 files and PINs; then the applet is closed for good."""
    signed = digests(job.data_groups)
    certificates = yield from asking.certificates(wanted)
    security_object = yield from asking.security_object(SecurityObjectWanted(job.card_number, signed))
    pins = yield from asking.pins(PinsWanted(job.card_number, {pin.name: pin.transport_digits for pin in profile.pins}))
    cia_files = cia.build_cia_files(
        profile, card_number=job.card_number, certificates=certificates, groups=job.data_groups
    )
    files = writing.closing_files(profile, certificates=certificates, security_object=security_object, cia=cia_files)
    block_bytes = channel.session.data_max
    groupings = [
        *writing.file_groupings(files, block_bytes),
        *writing.pin_groupings(profile, pins),
        writing.finish_grouping(),
    ]
    writes = writing.sessions(profile, groupings, block_bytes=block_bytes, label="finish") + channel.moves
    yield from note(
        RecordKind.FINISH_INTENT,
        chip_id=wanted.chip_id,
        digests={str(number): digest.hex() for number, digest in signed.items()},
        certificates={slot: writing.digest(certificate) for slot, certificate in certificates.items()},
        security_object=writing.digest(security_object),
        pins=sorted(pins),
    )
    yield from write(channel, writes)
    yield from note(RecordKind.FINISHED, chip_id=wanted.chip_id, kvn=channel.kvn, resumed=False)


def _public_key(algorithm: KeyAlgorithm, answer: bytes) -> bytes:
    """The SubjectPublicKeyInfo of the point in a key generation's answer (7F49 around 86)."""
    try:
        point = tlv.require(answer, 0x7F49, 0x86)
        key = ec.EllipticCurvePublicKey.from_encoded_point(CURVES[algorithm], point)
    except (CardError, ValueError) as error:
        raise Counterfeit("key generation", "its public key is not a point of the curve") from error
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
