"""A card that makes no keys is written outright: it has nothing to answer, so all of it is known before it is begun.

Everything from its own card keys to FINISH is one list of commands. Where the card was seen before it is asked for
(`sighting`) and its challenges can be foretold (`ahead`), that is one round trip: a look at it, the channel with the
blank's keys, PUT KEY, the channel with its own, the applet with its data and PINs, FINISH, SECURED. Its chip is claimed
and every intent recorded before the bundle leaves. A card that answers otherwise than foretold is stopped at by the
station at its answer to INITIALIZE UPDATE: nothing was changed, no failed authentication counted, and that answer opens
the channel the ordinary way. Another chip than the one seen is stopped at its CPLC, lets the claim go and is looked at
anew. A card that has its own keys is never let go, whichever bundle fails.

A card that was torn has the same list before it, without what it has done already: everything may be repeated until
FINISH. Its state is asked for last, since SET STATUS is sent without knowing which of its two steps is left.
"""

from card_io.applets.uec import layout
from issuance.keys.port import ForetellRequest
from issuance.production import ahead, finishing, securing, writing
from issuance.production.admission import admit, begin
from issuance.production.ahead import found, next_session
from issuance.production.asking import Talk, note, progress
from issuance.production.bundle import CertificatesWanted, Fault, RecordKind
from issuance.production.chip import Chip, look_at_blank
from issuance.production.errors import CardLost, CardRefused, Unforeseen
from issuance.production.job import CardJob, PersonalisedCard, Random
from issuance.production.journal import Journal
from issuance.production.profile import CardProfile
from issuance.production.underway import Underway, change_keys, send

ANOTHER = "another card lay in the reader"
AT_THE_READER = (Fault.CARD_REMOVED, Fault.CARD_MUTE, Fault.READER_LOST)
"""Faults of which it is known which commands went before."""


def write_all(card: Underway, *, life_cycle: int | None) -> Talk[None]:
    """Write a card from its data to its end, in one trip; `life_cycle` is its applet's, None without one."""
    job, profile = card.job, card.profile
    yield from note(RecordKind.WRITE_INTENT, chip_id=card.chip_id, makes_keys=[])
    block_bytes = card.channel.session.data_max
    last = yield from finishing.closing(
        job, profile, CertificatesWanted(job.card_number, card.chip_id, {}), block_bytes=block_bytes
    )
    groupings = [*writing.file_groupings(writing.data_files(profile, job.data_groups), block_bytes), *last]
    writes = [] if life_cycle is not None else [writing.install(profile)]
    writes += writing.sessions(profile, groupings, block_bytes=block_bytes, label="finish")
    answers = yield from send(card, writes + securing.unasked(profile))
    if left := securing.left(profile, answers):
        yield from send(card, left)
    yield from note(RecordKind.FINISHED, chip_id=card.chip_id, kvn=card.channel.kvn, resumed=False, **card.channel.seen)


def at_once(
    job: CardJob, profile: CardProfile, journal: Journal, *, random: Random, stages: int
) -> Talk[PersonalisedCard | Chip | None]:
    """Write a card in one trip: a blank that was seen, or one that was torn; None where it cannot be foretold.

    The chip where the card answers otherwise: it has been looked at, and nothing else has happened to it.
    """
    if profile.keys or journal.has(RecordKind.FINISHED):
        return None
    yield from progress(2, stages, "write_data")
    if journal.claimed_chip is None:
        return (yield from _blank(job, profile, journal, random))
    return (yield from _torn(job, profile, journal, journal.claimed_chip, random))


def _blank(
    job: CardJob, profile: CardProfile, journal: Journal, random: Random
) -> Talk[PersonalisedCard | Chip | None]:
    seen, secure = job.seen, profile.secure_channel
    session = seen.session if seen is not None else None
    if seen is None or session is None or not seen.chip_id or session.kvn not in secure.blank_kvns:
        return None
    yield from admit(job, journal, seen.chip_id)
    challenge = random(secure.challenge_bytes)
    request = ForetellRequest(
        master=job.blank_master,
        kdd=session.kdd,
        kvn=session.kvn,
        host_challenge=challenge,
        i=session.i,
        sequence_counter=(session.sequence_counter or 0) + 1,
        aid=secure.isd_aid,
        derivation=secure.derivation,
    )
    told = yield from ahead.foretell(request, secure)
    if told is None:
        return None
    told.channel.fresh = True
    told.behind(look_at_blank(profile, challenge, cplc=seen.cplc))
    yield from begin(job, journal, seen.chip_id, cplc=seen.cplc)
    card = Underway(job, profile, journal, seen.chip_id, told.channel)
    opening = len(told.channel.opening)  # EXTERNAL AUTHENTICATE is the last: up to its answer nothing is changed
    try:
        yield from change_keys(card, random)
        yield from write_all(card, life_cycle=None)
    except (Unforeseen, CardRefused) as other:
        if card.entered or len(other.responses) > opening:  # a later bundle counts its answers anew
            raise
        yield from _let_go(card.chip_id)
        return (yield from found(other, told, profile, random))
    except CardLost as lost:
        if not card.entered and lost.fault in AT_THE_READER and len(lost.responses) < opening - 1:
            yield from _let_go(card.chip_id)
        raise
    return _made(card, job.card_master.version, resumed=False)


def _let_go(chip_id: str) -> Talk[None]:
    yield from note(RecordKind.CHIP_RELEASED, chip_id=chip_id, reason=ANOTHER, unwritten=True)


def _torn(
    job: CardJob, profile: CardProfile, journal: Journal, chip_id: str, random: Random
) -> Talk[PersonalisedCard | Chip | None]:
    unfinished = layout.AppletState.SELECTABLE
    told = yield from next_session(journal, profile, random=random, life_cycle=unfinished, sighting=job.seen)
    if told is None:
        return None
    yield from admit(job, journal, chip_id)
    yield from begin(job, journal, chip_id)
    card = Underway(job, profile, journal, chip_id, told.channel)
    try:
        yield from write_all(card, life_cycle=unfinished)
    except (Unforeseen, CardRefused) as other:
        return (yield from found(other, told, profile, random))
    return _made(card, told.master.version, resumed=True)


def _made(card: Underway, version: int, *, resumed: bool) -> PersonalisedCard:
    job = card.job
    return PersonalisedCard(job.card_number, card.chip_id, card.channel.kvn, version, {}, resumed=resumed)
