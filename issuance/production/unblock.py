"""A PIN that was forgotten or blocked gets a new value from its holder, by the code that unblocks it; two round trips.

The first one is the challenge of a hand-over. What the code is depends on who keeps it since then (`pin_profile`): the
holder's letter says it, or one of its two shares, the other being the office's. A card that was handed over before
codes changed hands still has the transport one, which the vault derives; its holder has nothing to type.

With a reader that has keys of its own the holder types the new PIN there, and a whole code too (`pad`): then nobody but
the card ever has either. Of a code in two shares the letter's is typed on the computer, since the hub joins them.

Torn, the PIN is the old one or the new one, and the work is simply done again.
"""

from collections.abc import Mapping

from card_io.secret import Secret
from card_io.status import tries_left
from issuance.production import codes, pad
from issuance.production.asking import Talk, bundle, note, pins, progress
from issuance.production.bundle import PinsWanted, RecordKind
from issuance.production.errors import CardRefused, UnblockRefused, UnfitPin
from issuance.production.job import Random, Unblocked, UnblockJob
from issuance.production.journal import Journal
from issuance.production.meeting import choose, meet, reset, select
from issuance.production.pad import PAD
from issuance.production.pin_profile import Keeping, PinProfile
from issuance.production.pins import check_chosen_pin, chosen_pin, on_pad
from issuance.production.profile import CardProfile

STAGES = 2


def unblock(job: UnblockJob, profile: CardProfile, *, random: Random) -> Talk[Unblocked]:
    """Give one PIN of the card in the reader the value that its holder has chosen, and all its tries.

    Raises `WrongCard`, `ForeignCard` or `Counterfeit` before a try is spent, `UnfitPin` for a PIN or code outside the
    profile, `UnblockRefused` when the code is not the card's or is blocked, `PadUnfit` or `PadGivenUp` when the holder
    cannot, or does not, type at the reader.
    """
    at_reader = on_pad(job.new)
    pin = chosen_pin(profile, job.pin) if at_reader else check_chosen_pin(profile, job.pin, job.new)
    yield from progress(0, STAGES, "find_card")
    yield from meet(job, profile, random=random)
    yield from progress(1, STAGES, "reset_pin")
    code = yield from _code(job, profile.pin(pin.unblocked_by))
    facts = {"chip_id": job.chip_id, "pin": pin.name} | ({"typed": PAD} if at_reader else {})
    yield from note(RecordKind.UNBLOCK_INTENT, **facts)
    ahead = [select(profile)]
    try:
        if at_reader:
            step = choose(pin, code, profile=profile)
            yield from pad.ask(ahead, ahead, step, pin=pin, stage=(1, STAGES, "reset_pin"))
        elif code is not None:
            yield from bundle([*ahead, reset(pin, code, job.new, profile=profile)])
    except CardRefused as error:
        if (left := tries_left(error.sw)) is None:
            raise
        yield from note(RecordKind.UNBLOCK_REFUSED, **facts, tries_left=left)
        raise UnblockRefused(error.label, left) from error
    yield from note(RecordKind.UNBLOCKED, **facts)
    yield from progress(STAGES, STAGES, "pin_reset")
    return Unblocked(job.card_number, job.chip_id, pin.name, at_reader)


def _code(job: UnblockJob, code: PinProfile) -> Talk[Secret | None]:
    """The code as the card has it; None when its holder types it at the reader."""
    kept = Journal(job.journal).kept(code.name)
    if kept is None:
        transport: Mapping[str, Secret] = yield from pins(
            PinsWanted(job.card_number, {code.name: code.transport_digits})
        )
        return transport[code.name]
    if job.code is None:
        if kept is Keeping.PRINTED and on_pad(job.new):
            return None
        raise UnfitPin(code.name, "length")
    shares = codes.shares_wanted([code], {code.name: kept})
    derived = (yield from pins(PinsWanted(job.card_number, shares))) if shares else {}
    return codes.whole(code, job.code, kept=kept, derived=derived)
