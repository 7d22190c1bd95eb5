"""The holder types at the reader's own keys: the PIN goes from them to the card, past every computer.

The command is RESET RETRY COUNTER (ISO/IEC 7816-4, 11.5.10; NIST SP 800-73-4 part 2, 3.2.3), for a hand-over too. It
takes the unblock code, which the hub knows, and the new PIN, which the reader puts behind it; so nobody types a
transport PIN, none is presented that could cost its tries, and asking again does no harm, whatever became of the time
before. CHANGE REFERENCE DATA would need the present value, which after a tear nobody knows. Both commands travel
without the secure channel, since a reader cannot wrap what is typed; the card's own rule lets them.

A holder who does not finish (too slow, cancelled, two different PINs, wrong length) is asked again, on the same
connection: the card has heard nothing. What nobody sees, nobody can hold against the rule for PINs that are easy to
guess; the page tells the holder of it.
"""

from collections.abc import Sequence

from card_io.pinpad import ENDINGS, PinEntry, PinFormat, Typed
from issuance.production.asking import Talk, bundle
from issuance.production.bundle import Progress, Step
from issuance.production.errors import CardRefused, PadGivenUp, PadUnfit, UnfitPin
from issuance.production.pin_profile import PinProfile

ASKED_MAX = 5
PAD = "pad"
"""What entries of the journal say of PINs that were typed at a reader."""
Stage = tuple[int, int, str]
UNFIT = {0x6A80: "unfit"}
"""The card's own word about a PIN that it does not take."""
NOT_PLAYED = (0x6700, 0x6B00, 0x6B80, 0x6D00, 0x6E00)
"""What readers say of a structure or command that they do not do, and a card of one that they have spoilt."""


def entry_of(pin: PinProfile, *, block: int, code: PinProfile | None = None) -> PinEntry:
    """What the holder is asked for: a new PIN twice, and ahead of it the `code` that unblocks, where one is named.

    Raises `UnfitPin` when the profile lets nobody choose this PIN at a reader.
    """
    if pin.pad is None:
        raise UnfitPin(pin.name, "length")
    least = min(pin.min_digits, code.transport_digits) if code else pin.min_digits
    most = max(pin.max_digits, code.transport_digits) if code else pin.max_digits
    form = PinFormat(
        least, min(most, block) if block else most, block, timeout_s=pin.pad.timeout_s, language=pin.pad.language
    )
    return PinEntry(Typed.BOTH if code else Typed.NEW, form)


def ask(ahead: Sequence[Step], again: Sequence[Step], step: Step, *, pin: PinProfile, stage: Stage) -> Talk[None]:
    """Have the holder type into `step`, until it is done: one round trip each time.

    `ahead` goes before it the first time, `again` every other time; `stage` is where the work is. Raises `PadGivenUp`
    when the holder does not finish time and again, `PadUnfit` when the reader does not do it, and what `bundle` raises.
    """
    ended = ""
    for asked in range(ASKED_MAX):
        yield Progress(*stage, _prompt(step, pin, ended))
        try:
            yield from bundle([*(again if asked else ahead), step])
        except CardRefused as error:
            if error.responses and len(error.responses) <= len(again if asked else ahead):
                raise
            ended = _ending(error)
        else:
            return
    raise PadGivenUp(pin.name, ended)


def _prompt(step: Step, pin: PinProfile, ended: str) -> dict[str, object]:
    """What a page tells of the entry: which PIN, with its code or not, its digits, how long, how the last one ended."""
    entry = step.pad
    if entry is None:
        raise TypeError("a step without an entry at the reader")
    return {
        "pin": pin.name,
        "digits": [pin.min_digits, pin.max_digits],
        "code": entry.typed is Typed.BOTH,
        "seconds": entry.format.timeout_s,
        "ended": ended,
    }


def _ending(error: CardRefused) -> str:
    """Why the holder is asked again; raises what ends the work instead."""
    if (ended := ENDINGS.get(error.sw) or UNFIT.get(error.sw)) is not None:
        return ended
    if error.sw in NOT_PLAYED or error.sw >> 8 == 0x6C:
        raise PadUnfit(f"it answered {error.sw:04X}") from error
    raise error
