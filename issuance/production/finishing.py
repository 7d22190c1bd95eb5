"""A card's last trip: certificates, security object, ISO 7816-15 files and PINs; then the applet is closed for good.

All that it needs of the card are its public keys. So a card that was torn in this trip has nothing to answer when it
comes back: its keys are certified, its data are written, and where its next session can be foretold (`ahead`) the look
at it, the channel and the whole finish are one round trip. Otherwise it is looked at first: two.
"""

from card_io.applets.uec import layout
from issuance.production import asking, cia, securing, writing
from issuance.production.admission import admit, begin
from issuance.production.ahead import found, next_session
from issuance.production.asking import Talk, note
from issuance.production.bundle import CertificatesWanted, PinsWanted, RecordKind, SecurityObjectWanted
from issuance.production.chip import Chip
from issuance.production.datagroups import digests
from issuance.production.errors import CardRefused, Unforeseen
from issuance.production.job import CardJob, PersonalisedCard, Random
from issuance.production.journal import Journal
from issuance.production.profile import CardProfile
from issuance.production.secured import SecureChannel, write

TRIES_MAX = 3
"""A card that was not finished by so many tries is written anew from its data on."""


def closing(job: CardJob, profile: CardProfile, wanted: CertificatesWanted, *, block_bytes: int) -> Talk[list[bytes]]:
    """The data groupings that end the card's writing, FINISH the last; the intent is recorded."""
    signed = digests(job.data_groups)
    certificates = (yield from asking.certificates(wanted)) if wanted.public_keys else {}
    security_object = yield from asking.security_object(SecurityObjectWanted(job.card_number, signed))
    digits = {pin.name: pin.transport_digits for pin in profile.pins}
    pins = (yield from asking.pins(PinsWanted(job.card_number, digits))) if digits else {}
    cia_files = cia.build_cia_files(
        profile, card_number=job.card_number, certificates=certificates, groups=job.data_groups
    )
    files = writing.closing_files(profile, certificates=certificates, security_object=security_object, cia=cia_files)
    yield from note(
        RecordKind.FINISH_INTENT,
        chip_id=wanted.chip_id,
        digests={str(number): digest.hex() for number, digest in signed.items()},
        certificates={slot: writing.digest(certificate) for slot, certificate in certificates.items()},
        security_object=writing.digest(security_object),
        pins=sorted(pins),
    )
    return [
        *writing.file_groupings(files, block_bytes),
        *writing.pin_groupings(profile, pins),
        writing.finish_grouping(),
    ]


def finish(job: CardJob, profile: CardProfile, channel: SecureChannel, wanted: CertificatesWanted) -> Talk[None]:
    """Do it in this channel, with what was kept for its end (`channel.moves`)."""
    block_bytes = channel.session.data_max
    groupings = yield from closing(job, profile, wanted, block_bytes=block_bytes)
    writes = writing.sessions(profile, groupings, block_bytes=block_bytes, label="finish") + channel.moves
    yield from write(channel, writes)
    yield from note(RecordKind.FINISHED, chip_id=wanted.chip_id, kvn=channel.kvn, resumed=False, **channel.seen)


def is_all_that_is_left(profile: CardProfile, journal: Journal) -> bool:
    """Whether the card needs nothing but its last trip: that was begun, not too often, and not seen to its end.

    Of a card that makes no keys this is never known: its finish is intended before its first byte is written.
    """
    begun = journal.has(RecordKind.KEYS_MADE) and 1 <= journal.count(RecordKind.FINISH_INTENT) <= TRIES_MAX
    state_known = journal.card_state is not None or not profile.secure_channel.secures_card
    return begun and state_known and not journal.has(RecordKind.FINISHED)


def resume(job: CardJob, profile: CardProfile, journal: Journal, *, chip_id: str, channel: SecureChannel) -> Talk[None]:
    """Finish a card of which nothing else is left, after a look at it."""
    yield from begin(job, journal, chip_id)
    yield from note(RecordKind.WRITE_INTENT, chip_id=chip_id, makes_keys=[])
    channel.moves = securing.moves(profile, journal.card_state)
    yield from finish(job, profile, channel, CertificatesWanted(job.card_number, chip_id, journal.public_keys))


def at_once(
    job: CardJob, profile: CardProfile, journal: Journal, *, random: Random
) -> Talk[PersonalisedCard | Chip | None]:
    """Finish a card of which nothing else is left, in one trip; None where more is left, or it cannot be foretold.

    The chip where the card answers otherwise than foretold (it came to its end before it was torn, has counted on, or
    is another one): it has been looked at, and nothing else has happened to it.
    """
    chip_id = journal.claimed_chip
    if chip_id is None or not is_all_that_is_left(profile, journal):
        return None
    unfinished = layout.AppletState.SELECTABLE
    ahead = yield from next_session(journal, profile, random=random, life_cycle=unfinished, sighting=job.seen)
    if ahead is None:
        return None
    yield from admit(job, journal, chip_id)
    ahead.channel.moves = securing.moves(profile, journal.card_state)
    try:
        yield from finish(
            job, profile, ahead.channel, CertificatesWanted(job.card_number, chip_id, journal.public_keys)
        )
    except (Unforeseen, CardRefused) as other:
        return (yield from found(other, ahead, profile, random))
    kvn, version = ahead.channel.kvn, ahead.master.version
    return PersonalisedCard(job.card_number, chip_id, kvn, version, journal.public_keys, resumed=True)
