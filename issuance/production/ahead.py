"""Sessions computed before the card has answered: what would take a trip to open a channel goes along with its work.

GlobalPlatform Amendment D, 6.2.2.1: with the pseudo-random card challenge (bit 10 of `i`) the card's challenge follows
from its static Key-ENC and a counter of the key set, which PUT KEY sets to zero and each INITIALIZE UPDATE moves by
one. So the vault can foretell the whole answer where it is known how far the card has counted: for keys that are just
put there, and for a card whose last session the journal has. The station compares that answer and goes on by itself.

A card that answers otherwise (its counter moved on, or it is another card) is stopped at right there, before EXTERNAL
AUTHENTICATE: nothing was changed, no failed authentication counted, and its answer opens a channel the ordinary way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from card_io.errors import SecureChannelError
from card_io.scp03 import InitializeUpdateResponse, Scp03Session, parse_initialize_update
from issuance.keys.port import ForetellRequest, KeyPurpose, KeyRef
from issuance.production import asking
from issuance.production.asking import Talk
from issuance.production.bundle import ForetoldSessionWanted, Step
from issuance.production.chip import Chip, chip_of, look, recognise
from issuance.production.errors import CardRefused, Unforeseen
from issuance.production.job import Random
from issuance.production.journal import Journal, SeenSession
from issuance.production.profile import CardProfile, SecureChannelProfile
from issuance.production.secured import SecureChannel
from issuance.production.sighting import Sighting

FIRST = 1
"""What a new key set has counted to when it is first used."""
OPENING = "open_channel"
LOOKING = ("find_card", "find_applet", OPENING)


@dataclass(frozen=True, slots=True)
class Ahead:
    """A channel with keys of `master` that the card is yet to open: INITIALIZE UPDATE must answer `answer`."""

    master: KeyRef
    host_challenge: bytes
    answer: bytes
    channel: SecureChannel

    def behind(self, steps: Sequence[Step]) -> SecureChannel:
        """The channel, opened by these steps; the last one is INITIALIZE UPDATE with the host's challenge."""
        known = replace(steps[-1], answer=self.answer)
        self.channel.opening = [*steps[:-1], known, *self.channel.opening]
        return self.channel


def foretell(request: ForetellRequest, secure: SecureChannelProfile) -> Talk[Ahead | None]:
    """Have the vault compute a session; None for a card that cannot do the profile's level anyway."""
    told = yield from asking.foretold_session(ForetoldSessionWanted(request))
    card = parse_initialize_update(told.initialize_update_response)
    try:
        session = Scp03Session(told.keys, secure.level, host_challenge=request.host_challenge, card=card)
    except SecureChannelError:
        return None
    opening = [Step(session.external_authenticate(), label="open_channel")]
    channel = SecureChannel(session, card, opening)
    return Ahead(request.master, request.host_challenge, told.initialize_update_response, channel)


def first_session(
    card: InitializeUpdateResponse, master: KeyRef, profile: CardProfile, *, host_challenge: bytes
) -> Talk[Ahead | None]:
    """The first session with keys of `master` that are about to be put on a card; None where it cannot be foretold.

    `card` is what it answered with its present keys.
    """
    if not card.foretellable:
        return None
    secure = profile.secure_channel
    request = ForetellRequest(
        master=master,
        kdd=card.kdd,
        kvn=secure.kvn(master.version),
        host_challenge=host_challenge,
        i=card.i,
        sequence_counter=FIRST,
        aid=secure.isd_aid,
        derivation=secure.derivation,
    )
    return (yield from foretell(request, secure))


def next_session(
    journal: Journal,
    profile: CardProfile,
    *,
    random: Random,
    life_cycle: int | None = None,
    sighting: Sighting | None = None,
) -> Talk[Ahead | None]:
    """The next session of a card in use, with the look at it in front; None where the journal does not know enough.

    With `life_cycle` the card's applet must tell this state, or nothing else goes to the card. A `sighting` of this
    card may know better than the journal how far it has counted. Its production record must be known: keys and count
    may be those of another chip too, which then stops the bundle before anything is written.
    """
    seen, secure = last_session(journal, sighting), profile.secure_channel
    cplc = sighting.cplc if sighting is not None and sighting.chip_id == journal.claimed_chip else journal.cplc
    version = None if seen is None else journal.key_version_of(seen.kvn)
    if seen is None or version is None or not cplc:
        return None
    challenge = random(secure.challenge_bytes)
    request = ForetellRequest(
        master=KeyRef(KeyPurpose.CARD_MASTER, version),
        kdd=seen.kdd,
        kvn=seen.kvn,
        host_challenge=challenge,
        i=seen.i,
        sequence_counter=seen.counter + 1,
        aid=secure.isd_aid,
        derivation=secure.derivation,
    )
    ahead = yield from foretell(request, secure)
    if ahead is not None:
        ahead.channel.fresh = True
        ahead.behind(look(profile, challenge, life_cycle, cplc=cplc))
    return ahead


def last_session(journal: Journal, sighting: Sighting | None) -> SeenSession | None:
    """What the card answered when it was last asked to open a channel: noted, or seen when it was put in.

    It may have been worked on since it was put in: then it has newer keys by now, or has counted on.
    """
    noted = journal.last_session
    told = sighting.session if sighting is not None and sighting.chip_id == journal.claimed_chip else None
    if told is None or told.sequence_counter is None:
        return noted
    seen = SeenSession(told.kdd, told.kvn, told.i, told.sequence_counter)
    return max(filter(None, (noted, seen)), key=lambda one: (journal.intended_at(one.kvn), one.counter))


def found(unforeseen: Unforeseen | CardRefused, ahead: Ahead, profile: CardProfile, random: Random) -> Talk[Chip]:
    """The card that answered otherwise than foretold, to go on with it the ordinary way.

    One that was not looked at to the end is looked at again, which names what is wrong with it; a refusal of anything
    that comes after is raised as it is.
    """
    if isinstance(unforeseen, Unforeseen) and unforeseen.label == OPENING:
        return chip_of(unforeseen.responses, ahead.host_challenge)
    if unforeseen.label not in LOOKING:
        raise unforeseen
    return (yield from recognise(profile, random(profile.secure_channel.challenge_bytes)))
