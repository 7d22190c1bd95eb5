"""Writing a PIV card: five round trips from factory state to a finished card, and from any tear back to it.

    1  recognise: chip, CHUID, a witness of the admin key
    2  the maker's admin key proves itself, both ways
    3  the card's own admin key (the maker's command), a witness of it
    4  the own key proves itself, both ways; data objects; key pairs made on the card, each of which answers a challenge
    5  certificates, CHUID, capability container, security object, PUK and PIN

PIV has no life cycle of its own: how far a card is, the journal says. Everything may be written again; but for a key
pair that the journal knows, which is kept, since a certificate for it may exist. After a tear in trip 3 the card's
answer tells which of the two admin keys it has; after one in trip 5 a change of the PUK to what it shall be tells
whether it is that already, for at most one of its tries, which the change to come gives back. The PIN is set through
the PUK, so that its present value does not matter: in trip 4 through the maker's, since keys are proved behind the PIN.
No key is certified unproved: once the finish was begun there are certificates, and no challenge is needed any more.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from cryptography import x509

from card_io.applets.piv import AdminAlgorithm, ObjectId
from card_io.secret import Secret
from issuance.keys.port import KeyRef
from issuance.pki.possession import Proof
from issuance.production import asking
from issuance.production.admission import admit, begin, scrap
from issuance.production.asking import Talk, bundle, note, progress, status
from issuance.production.bundle import (
    SW_OK,
    AdminKeyWanted,
    CertificatesWanted,
    IdentifierSignatureWanted,
    PinsWanted,
    RecordKind,
    SecurityObjectWanted,
    Step,
)
from issuance.production.errors import UnknownKeys
from issuance.production.job import CardJob, PersonalisedCard, Random
from issuance.production.journal import Journal
from issuance.production.piv import admin, commands, objects
from issuance.production.piv.admin import AdminKey, PivChip
from issuance.production.piv.proving import Proving
from issuance.production.profile import CardProfile, PivProfile
from issuance.production.writing import digest

STAGES = 4
KVN = commands.ADMIN_SLOT
"""What the journal keeps as the version of the card's keys: there is one admin key, by its reference."""


def personalise(
    job: CardJob, profile: CardProfile, piv: PivProfile, *, random: Random, stages: int
) -> Talk[PersonalisedCard]:
    """Make the card in the reader the card of `job`; raises as `issuance.production.personalise.personalise` does."""
    journal = Journal(job.journal)
    yield from progress(0, stages, "find_card")
    may_be_own, must_be_own = journal.has(RecordKind.KEY_CHANGE_INTENT), journal.has(RecordKind.KEY_CHANGED)
    own, maker = piv.cipher.algorithm, _maker_key(piv)
    chip = yield from admin.recognise(profile, own if may_be_own else maker.algorithm)
    yield from admit(job, journal, chip.chip_id)
    master = _master(job, journal)
    own_key = yield from _own_key(master, chip, own)
    candidates = [own_key] if must_be_own else [own_key, maker] if may_be_own else [maker]
    found = yield from admin.enter(candidates, chip.witness, random)
    if found is None:
        raise UnknownKeys(chip.chip_id, KVN)
    public_keys = journal.public_keys
    if not journal.has(RecordKind.FINISHED):
        yield from begin(job, journal, chip.chip_id)
        entering = _Entering(own_key, _key_facts(chip, master))
        if not found.own:
            yield from progress(1, stages, "change_keys")
            entering = yield from _change_key(entering, random)
        elif not must_be_own:
            yield from note(RecordKind.KEY_CHANGED, **entering.facts)
        yield from progress(2, stages, "write_data")
        digits = {pin.name: pin.transport_digits for pin in profile.pins}
        pins = yield from asking.pins(PinsWanted(job.card_number, digits))
        proving = None if journal.has(RecordKind.FINISH_INTENT) else Proving(profile, pins, random)
        public_keys, proofs = yield from _write_data(job, profile, piv, journal, chip, entering, proving)
        yield from progress(3, stages, "certificates")
        wanted = CertificatesWanted(job.card_number, chip.chip_id, public_keys, proofs)
        yield from _finish(job, profile, piv, journal, wanted, pins)
    yield from progress(STAGES, stages, "written")
    return PersonalisedCard(
        card_number=job.card_number,
        chip_id=chip.chip_id,
        kvn=KVN,
        key_version=master.version,
        public_keys=public_keys,
        resumed=bool(job.journal),
    )


def _maker_key(piv: PivProfile) -> AdminKey:
    return AdminKey(piv.factory_cipher.algorithm, Secret(piv.factory_admin_key), own=False)


def _master(job: CardJob, journal: Journal) -> KeyRef:
    """The master that the card's admin key derives from: the one of its change, if that was begun."""
    version = journal.key_version_of(KVN)
    return job.card_master if version is None else KeyRef(job.card_master.purpose, version)


def _own_key(master: KeyRef, chip: PivChip, algorithm: AdminAlgorithm) -> Talk[AdminKey]:
    key = yield from asking.admin_key(AdminKeyWanted(master, chip.chip_id, algorithm.key_bytes))
    return AdminKey(algorithm, key, own=True)


def _key_facts(chip: PivChip, master: KeyRef) -> dict[str, object]:
    return {"chip_id": chip.chip_id, "kvn": KVN, "key_version": master.version}


@dataclass(frozen=True, slots=True)
class _Entering:
    """The card's own admin key, its facts for the journal, and what proves a new one at the start of the next trip."""

    own: AdminKey
    facts: dict[str, object]
    steps: Sequence[Step] = ()
    challenge: bytes = b""


def _change_key(entering: _Entering, random: Random) -> Talk[_Entering]:
    """Give the card its own admin key; what proves it goes in front of the next bundle."""
    own, challenge = entering.own, random(entering.own.algorithm.block_bytes)
    yield from note(RecordKind.KEY_CHANGE_INTENT, **entering.facts, from_kvn=KVN)
    _, witness = yield from bundle([commands.set_admin_key(own.algorithm, own.key), *admin.ask_witness(own.algorithm)])
    return replace(entering, steps=admin.reply(own, witness, challenge), challenge=challenge)


def _write_data(
    job: CardJob,
    profile: CardProfile,
    piv: PivProfile,
    journal: Journal,
    chip: PivChip,
    entering: _Entering,
    proving: Proving | None,
) -> Talk[tuple[dict[str, bytes], dict[str, Proof]]]:
    """Data objects and key pairs; public keys and proofs of them by slot. Keys that the journal knows are kept."""
    known = journal.public_keys
    wanted = [] if known else list(profile.keys)
    steps = [
        step
        for number, group in sorted(job.data_groups.items())
        for step in commands.put_object(profile.group(number).fid, objects.group_content(group), "write_data")
    ]
    steps += proving.set_pins(piv) if proving else []
    making = [step for key in wanted for step in commands.generate(key)]
    asking_keys = proving.steps() if proving else []
    yield from note(RecordKind.WRITE_INTENT, chip_id=chip.chip_id, makes_keys=[key.name for key in wanted])
    responses = yield from bundle([*entering.steps, *steps, *making, *asking_keys])
    if entering.steps:
        admin.check(entering.own, responses[len(entering.steps) - 1], entering.challenge)
        yield from note(RecordKind.KEY_CHANGED, **entering.facts)
    proofs = proving.proofs(responses[len(responses) - len(asking_keys) :]) if proving else {}
    if known:
        return known, proofs
    answers = responses[len(entering.steps) + len(steps) :][: len(making)]
    made = {key.name: commands.public_key(key.algorithm, answer) for key, answer in zip(wanted, answers, strict=True)}
    kept = {slot: key.hex() for slot, key in made.items()}
    yield from note(RecordKind.KEYS_MADE, chip_id=chip.chip_id, public_keys=kept)
    return made, proofs


def _finish(
    job: CardJob,
    profile: CardProfile,
    piv: PivProfile,
    journal: Journal,
    wanted: CertificatesWanted,
    pins: dict[str, Secret],
) -> Talk[None]:
    """Certificates and what else is made of the office's answers, then PUK and PIN."""
    certificates = yield from asking.certificates(wanted)
    ours = journal.has(RecordKind.FINISH_INTENT) and (yield from _puk_is_ours(job, profile, wanted.chip_id, pins))
    made = yield from _sign(job, profile, certificates[profile.card_key.name])
    contents = objects.certificates(profile, certificates) | made.contents
    steps = [step for tag, content in contents.items() for step in commands.put_object(tag, content, "finish")]
    yield from note(
        RecordKind.FINISH_INTENT,
        chip_id=wanted.chip_id,
        digests={str(number): value.hex() for number, value in made.digests.items()},
        certificates={slot: digest(certificate) for slot, certificate in certificates.items()},
        security_object=digest(made.security_object),
        pins=sorted(pins),
    )
    old = None if ours else Secret(piv.factory_puk.encode("ascii"))
    yield from bundle([*steps, *_pin_steps(profile, pins, old)])
    yield from note(RecordKind.FINISHED, chip_id=wanted.chip_id, kvn=KVN, resumed=False)


@dataclass(frozen=True, slots=True)
class _Signed:
    """The card's own objects by tag, the CHUID last; the security object as it was signed, and over which digests."""

    contents: dict[int, bytes]
    security_object: bytes
    digests: dict[int, bytes]


def _sign(job: CardJob, profile: CardProfile, card_certificate: bytes) -> Talk[_Signed]:
    """Have the issuer sign the CHUID, and with it all that the security object covers."""
    identifier = objects.chuid(profile, job.card_number, _expiry(card_certificate))
    unsigned = objects.signed_part(identifier.encode())
    signature = yield from asking.identifier_signature(IdentifierSignatureWanted(job.card_number, unsigned))
    own = {
        int(ObjectId.KEY_HISTORY): objects.key_history(profile),
        int(ObjectId.CARD_CAPABILITY_CONTAINER): objects.capability_container(job.card_number),
        int(ObjectId.CHUID): replace(identifier, signature=signature).encode(),
    }
    tags = objects.covered(profile, job.data_groups)
    files = {profile.group(number).fid: group for number, group in job.data_groups.items()} | own
    digests = {number: objects.digest_of(profile, tag, files[tag]) for number, tag in tags.items()}
    signed = yield from asking.security_object(SecurityObjectWanted(job.card_number, digests))
    contents = {profile.security_object_fid: objects.security_object(tags, signed)}
    return _Signed(contents | {tag: content for tag, content in own.items() if tag in tags.values()}, signed, digests)


def _puk_is_ours(job: CardJob, profile: CardProfile, chip_id: str, pins: dict[str, Secret]) -> Talk[bool]:
    """After a tear: whether the PUK was changed already. Costs a try when it was not; a blocked one ends the card."""
    puk = next(pin for pin in profile.pins if any(other.unblocked_by == pin.name for other in profile.pins))
    new = pins[puk.name]
    expect = (SW_OK, commands.SW_BLOCKED, *commands.TRIES_LEFT)
    (answer,) = yield from bundle([commands.change_reference(puk.reference, new, new, "finish", expect)])
    if status(answer) in (commands.SW_BLOCKED, commands.TRIES_LEFT[0]):
        yield from scrap(job, chip_id, "its unblocking code is blocked")
    return status(answer) == SW_OK


def _pin_steps(profile: CardProfile, pins: dict[str, Secret], old_puk: Secret | None) -> list[Step]:
    """The PUK first, then the PINs through it."""
    steps = []
    for pin in profile.pins:
        if pin.unblocked_by:
            puk = profile.pin(pin.unblocked_by)
            if old_puk is not None:
                steps.append(commands.change_reference(puk.reference, old_puk, pins[puk.name], "finish"))
                old_puk = None
            steps.append(commands.reset_retry_counter(pin.reference, pins[puk.name], pins[pin.name], "finish"))
    return steps


def _expiry(certificate: bytes) -> date:
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc.date()
