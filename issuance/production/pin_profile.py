"""A card profile's PINs: lengths, tries, who chooses them, and who keeps the code that unblocks them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from card_io.pinpad import LANGUAGES

SHARE_DIGITS_MAX = 12
"""What a vault derives for a card (`issuance.keys.card_keys`)."""
PATIENCE_MAX_S = 45
"""Three entries of twice as long end before a hub takes a bundle's answer for lost (300 s)."""


class Keeping(StrEnum):
    """Who keeps the code that unblocks a card, once the card is its holder's.

    PRINTED: the holder alone, on a letter. SPLIT: holder and office a share each, and neither share says anything.
    """

    PRINTED = "printed"
    SPLIT = "split"


@dataclass(frozen=True, slots=True)
class PadProfile:
    """How a PIN is chosen at the keys of a reader.

    `timeout_s` is how long it waits for the first key of an entry, and then for the others; `language` what it shows.
    """

    timeout_s: int = 30
    language: str = "ru"


@dataclass(frozen=True, slots=True)
class PinProfile:
    """A PIN: `reference` as in P2 of VERIFY, digits `min_digits`..`max_digits`, `tries` before it is blocked.

    `transport_digits` is the length of the random PIN the card is made with; `unblocked_by` names the PIN that resets
    this one; `each_use` asks for the PIN before every use of a key it guards. `tries_told` is false where the card
    tells the tries left to no one. A code that unblocks others says in `after_hand_over` who keeps it then; it gets a
    new value at the hand-over, as long as the transport one. With `pad` the holder may choose the PIN at the keys of a
    reader, where it has any.
    """

    name: str
    label: str
    reference: int
    min_digits: int
    max_digits: int
    transport_digits: int
    tries: int
    unblocked_by: str = ""
    chosen_by_holder: bool = False
    each_use: bool = False
    tries_told: bool = True
    after_hand_over: Keeping | None = None
    pad: PadProfile | None = None


def check_pins(pins: Sequence[PinProfile], refuse_if: Callable[[bool, str, str], None]) -> None:
    """Call `refuse_if(whether, place, reason)` for all that could not be: references, lengths, who unblocks whom."""
    names, unblocking = {pin.name for pin in pins}, {pin.unblocked_by for pin in pins}
    codes = [pin for pin in pins if pin.after_hand_over is not None]
    refuse_if(len(codes) > 1, "pins", "one code at most unblocks the others: the holder's letter has one")
    for pin in pins:
        place = f"pins.{pin.name}"
        refuse_if(not 1 <= pin.reference <= 0xFF, f"{place}.reference", "must be 0x01 to 0xFF")
        lengths = 4 <= pin.min_digits <= pin.transport_digits <= pin.max_digits <= 16
        refuse_if(not lengths, place, "lengths must run from 4 to at most 16 digits, the transport length among them")
        refuse_if(not 1 <= pin.tries <= 15, place, "tries must be 1 to 15")
        refuse_if(bool(pin.unblocked_by) and pin.unblocked_by not in names, place, "is unblocked by a PIN not there")
        orphan = pin.chosen_by_holder and not pin.unblocked_by
        refuse_if(pin.pad is not None and not pin.chosen_by_holder, f"{place}.pad", "is for what the holder chooses")
        _check_pad(pin, refuse_if)
        refuse_if(orphan, f"{place}.unblocked_by", "is needed: a torn hand-over is finished by it")
        _check_keeping(pin, pin.name in unblocking, refuse_if)


def _check_pad(pin: PinProfile, refuse_if: Callable[[bool, str, str], None]) -> None:
    if pin.pad is not None:
        patient = 1 <= pin.pad.timeout_s <= PATIENCE_MAX_S
        refuse_if(not patient, f"pins.{pin.name}.pad.timeout_s", f"must be 1 to {PATIENCE_MAX_S}")
        known = pin.pad.language in LANGUAGES
        refuse_if(not known, f"pins.{pin.name}.pad.language", f"must be one of {', '.join(LANGUAGES)}")


def _check_keeping(pin: PinProfile, unblocks: bool, refuse_if: Callable[[bool, str, str], None]) -> None:  # noqa: FBT001 - a fact, not a mode
    """Who keeps a code after the hand-over; `unblocks`: it resets another PIN."""
    place, kept = f"pins.{pin.name}.after_hand_over", pin.after_hand_over is not None
    refuse_if(unblocks and pin.chosen_by_holder, f"pins.{pin.name}", "unblocks another, so that no holder chooses it")
    refuse_if(unblocks and not kept, place, f"is needed for what unblocks others: {' or '.join(Keeping)}")
    refuse_if(kept and not unblocks, place, "is for what unblocks others only")
    long = kept and pin.transport_digits > SHARE_DIGITS_MAX
    refuse_if(long, f"pins.{pin.name}.transport_digits", f"must be at most {SHARE_DIGITS_MAX} for what unblocks others")
