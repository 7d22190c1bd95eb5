"""A card on its way: its channel, and the change of its keys that goes to it together with what is written first.

Where the card's first challenge under its new keys can be foretold (`ahead`), PUT KEY, the channel with the new keys
and the writes are one bundle; else the change is a trip of its own. Either way the check values are compared, and a
channel was opened with the new keys, before anything counts on them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from issuance.production import ahead, keying, writing
from issuance.production.admission import scrap
from issuance.production.asking import Talk, bundle, note
from issuance.production.bundle import RecordKind
from issuance.production.errors import CardLost, CardRefused, ForeignCard, Unforeseen, UnknownKeys
from issuance.production.job import CardJob, Random
from issuance.production.journal import Journal
from issuance.production.keying import KeyChange, KeysNotTaken
from issuance.production.profile import CardProfile
from issuance.production.secured import SecureChannel, write
from issuance.production.writing import Write

NO_CODE = "a blank without the code of this profile's applet"
MUTE_KEYS = "its new keys do not answer as they should"


@dataclass(slots=True)
class Underway:
    """One card on its way. A `pending` change of keys goes to the card with the first writes of the channel.

    It has `entered` once it is known to have its own keys, in whichever bundle: from then on it is no blank.
    """

    job: CardJob
    profile: CardProfile
    journal: Journal
    chip_id: str
    channel: SecureChannel
    pending: KeyChange | None = None
    entered: bool = False


def change_keys(card: Underway, random: Random) -> Talk[None]:
    """Replace the blank's keys by the card's own, and open a channel with these before anything else is done.

    Where the card's first challenge under them can be foretold, that is done in the trip that writes the data.
    """
    job, secure = card.job, card.profile.secure_channel
    change = yield from keying.intend(
        job.blank_master,
        job.card_master,
        chip_id=card.chip_id,
        channel=card.channel,
        secure=secure,
        challenge=random(secure.challenge_bytes),
        before=[writing.find_code(card.profile)],
    )
    told = yield from ahead.first_session(
        card.channel.card, job.card_master, card.profile, host_challenge=change.host_challenge
    )
    if told is None:
        try:
            responses = yield from bundle(change.steps)
        except CardRefused as refused:
            yield from _let_go(card, change, refused)
            raise
        yield from _enter(card, change, responses)
    else:
        card.channel, card.pending = told.behind(change.steps), change
        card.channel.fresh = change.old.fresh


def send(card: Underway, writes: Sequence[Write]) -> Talk[list[bytes]]:
    """Write, with a change of keys in front if one is pending; a card that did not answer as foretold costs a trip.

    Raises `Unforeseen` for a card that was not the one foretold before its keys were changed: nothing was done to it.
    """
    change, card.pending = card.pending, None
    if change is None:
        return (yield from write(card.channel, writes))[0]
    try:
        answers, opened = yield from write(card.channel, writes)
    except Unforeseen as other:
        if len(other.responses) < len(change.steps):
            raise
        yield from _enter(card, change, other.responses)
        return (yield from write(card.channel, writes))[0]
    except (CardLost, CardRefused) as torn:
        if len(torn.responses) >= len(change.steps):
            yield from _confirm(card, change, torn.responses)
        yield from _let_go(card, change, torn)
        raise
    yield from _confirm(card, change, opened)
    return answers


def _enter(card: Underway, change: KeyChange, responses: Sequence[bytes]) -> Talk[None]:
    """Go on in a channel with the new keys, from the answers to the steps of their change."""
    try:
        card.channel = yield from keying.enter(change, responses, card.profile.secure_channel)
    except (KeysNotTaken, UnknownKeys):
        yield from scrap(card.job, card.chip_id, MUTE_KEYS)
    yield from _changed(card, change)


def _confirm(card: Underway, change: KeyChange, responses: Sequence[bytes]) -> Talk[None]:
    """The card has taken its new keys, and answered with them what was foretold."""
    try:
        keying.check(change, responses)
    except KeysNotTaken:
        yield from scrap(card.job, card.chip_id, MUTE_KEYS)
    yield from _changed(card, change)


def _changed(card: Underway, change: KeyChange) -> Talk[None]:
    card.entered = True
    yield from keying.changed(change, **card.channel.seen)


def _let_go(card: Underway, change: KeyChange, error: CardLost | CardRefused) -> Talk[None]:
    """A blank of another make is refused by name: its keys were not changed, and the card may have another chip."""
    opened = len(error.responses) > change.begun_at
    if isinstance(error, CardRefused) and error.label == writing.FIND_CODE and opened:
        yield from note(RecordKind.CHIP_RELEASED, chip_id=card.chip_id, reason=NO_CODE)
        raise ForeignCard(f"it is {NO_CODE}") from error
