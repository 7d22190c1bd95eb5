"""Card meets holder: it proves itself, then its transport PINs and unblock code become new ones; two round trips.

Nothing is changed on a card that does not answer the challenge. The holder's PINs go first and the unblock code last,
all in one bundle. A hand-over torn there is recognised by the journal's intent: the new code takes the place of the
transport one if that is still there, and then sets the holder's PINs, whatever the card's present ones are (RESET RETRY
COUNTER). Which of the two codes a torn card has only the card knows, and a wrong one costs a try until the right one
follows in the same bundle; so attempts begin with the old code and the new one by turns, and however often it is torn
there, the tries never run out.

Where the holder chooses the PINs at the reader's own keys (`pad`), the unblock code goes first, and each PIN is set by
it in a round trip of its own, which ends with the holder's typing: three for two PINs. The right code is presented once
more before anybody is asked, so that no wrong one stays counted while a holder makes up his mind. A PIN that the card
has confirmed in this sitting is not asked for again.
"""

from collections.abc import Mapping

from card_io.secret import Secret
from card_io.status import tries_left
from issuance.production import codes, pad
from issuance.production.asking import Talk, bundle, note, pins, progress
from issuance.production.bundle import PinsWanted, RecordKind, Step
from issuance.production.errors import CardRefused, PinRefused
from issuance.production.job import HandedOver, HandOverJob, Random
from issuance.production.journal import Journal
from issuance.production.meeting import ANY_TRY, change, choose, meet, reset, select
from issuance.production.pad import PAD
from issuance.production.pin_profile import Keeping
from issuance.production.pins import check_chosen_pins
from issuance.production.profile import CardProfile

STAGES = 2


def hand_over(job: HandOverJob, profile: CardProfile, *, random: Random) -> Talk[HandedOver]:
    """Make the card in the reader its holder's.

    Raises `WrongCard`, `ForeignCard` or `Counterfeit` before anything is changed, `UnfitPin` for PINs or codes outside
    the profile, `PinRefused` when the card has other transport PINs than the vault, `PadUnfit` or `PadGivenUp` when the
    holder cannot, or does not, choose the PINs at the reader.
    """
    at_reader = check_chosen_pins(profile, job.pins)
    yield from progress(0, STAGES, "find_card")
    yield from meet(job, profile, random=random)
    yield from progress(1, STAGES, "choose_pins")
    attempts = Journal(job.journal).count(RecordKind.PIN_CHANGE_INTENT)
    kept = _kept(profile, Journal(job.journal))
    by_code = at_reader or attempts > 0
    old = yield from pins(PinsWanted(job.card_number, _wanted(profile, kept, by_code=by_code)))
    new = dict(job.pins) | {
        code.name: codes.whole(code, job.pins[code.name], kept=kept[code.name], derived=old)
        for code in profile.unblock_codes
    }
    facts: dict[str, object] = {"chip_id": job.chip_id, "pins": sorted(new)}
    facts |= {"kept": {name: one.value for name, one in kept.items()}} | ({"typed": PAD} if at_reader else {})
    yield from note(RecordKind.PIN_CHANGE_INTENT, **facts)
    try:
        if at_reader:
            yield from _at_reader(job, profile, attempts, old, new)
        else:
            steps = _again(profile, attempts, old, new) if attempts else _first(profile, old, new)
            yield from bundle([select(profile), *steps])
    except CardRefused as error:
        if (left := tries_left(error.sw)) is None:
            raise
        raise PinRefused(error.label, left) from error
    yield from note(RecordKind.PIN_CHANGED, **facts)
    yield from note(RecordKind.HANDED_OVER, chip_id=job.chip_id, resumed=attempts > 0)
    yield from progress(STAGES, STAGES, "handed_over")
    return HandedOver(job.card_number, job.chip_id, attempts > 0, at_reader)


def _kept(profile: CardProfile, journal: Journal) -> dict[str, Keeping]:
    """Who is to keep each code: what a torn attempt began with counts, whatever the profile says by now."""
    begun = ((code, journal.kept(code.name, by=RecordKind.PIN_CHANGE_INTENT)) for code in profile.unblock_codes)
    return {code.name: kept for code, before in begun if (kept := before or code.after_hand_over) is not None}


def _wanted(profile: CardProfile, kept: Mapping[str, Keeping], *, by_code: bool) -> dict[str, int]:
    """What the vault derives: transport PINs by name (`by_code`: the codes' alone), the office's shares."""
    old = profile.unblock_codes if by_code else (*profile.chosen_pins, *profile.unblock_codes)
    return {pin.name: pin.transport_digits for pin in old} | codes.shares_wanted(profile.unblock_codes, kept)


def _first(profile: CardProfile, old: Mapping[str, Secret], new: Mapping[str, Secret]) -> list[Step]:
    """Every transport PIN gives way."""
    return [
        change(pin, old[pin.name], new[pin.name], profile=profile)
        for pin in (*profile.chosen_pins, *profile.unblock_codes)
    ]


def _again(profile: CardProfile, attempts: int, old: Mapping[str, Secret], new: Mapping[str, Secret]) -> list[Step]:
    """After a tear: the new code, whether or not the card has it yet, and the PINs by it."""
    steps = _code_again(profile, attempts, old, new)
    return steps + [reset(pin, new[pin.unblocked_by], new[pin.name], profile=profile) for pin in profile.chosen_pins]


def _code_again(
    profile: CardProfile, attempts: int, old: Mapping[str, Secret], new: Mapping[str, Secret]
) -> list[Step]:
    """The new code, whichever of the two the card has."""
    steps = []
    for code in profile.unblock_codes:
        name = code.name
        if attempts % 2 == 0:
            steps.append(change(code, new[name], new[name], profile=profile, expect=ANY_TRY))
        steps.append(change(code, old[name], new[name], profile=profile, expect=ANY_TRY))
    return steps


def _at_reader(
    job: HandOverJob, profile: CardProfile, attempts: int, old: Mapping[str, Secret], new: Mapping[str, Secret]
) -> Talk[None]:
    """The code, then each PIN by the holder's own hand."""
    code = profile.unblock_codes
    if attempts:
        # A code that is right resets its tries: none stays spent while the holder takes time.
        proven = [change(one, new[one.name], new[one.name], profile=profile) for one in code]
        ahead = [*_code_again(profile, attempts, old, new), *proven]
    else:
        ahead = [change(one, old[one.name], new[one.name], profile=profile) for one in code]
    for pin in profile.chosen_pins:
        if pin.name in job.chosen:
            continue
        step = choose(pin, new[pin.unblocked_by], profile=profile)
        first, stage = [select(profile), *ahead], (1, STAGES, "choose_pins")
        yield from pad.ask(first, [select(profile)], step, pin=pin, stage=stage)
        yield from note(RecordKind.PIN_CHOSEN, chip_id=job.chip_id, pin=pin.name, typed=PAD)
        ahead = []
    if ahead:  # all were chosen before a tear: the code is the last word
        yield from bundle([select(profile), *ahead])
