"""PINs a holder may choose: digits, the profile's length, and nothing that the next person in the queue would guess."""

import itertools
from collections.abc import Mapping

from card_io.secret import Secret
from issuance.production.errors import UnfitPin
from issuance.production.profile import CardProfile, PinProfile


def pin_problem(pin: PinProfile, value: str) -> str | None:
    """Why `value` may not be this PIN: `digits`, `length` or `trivial`; None when it may."""
    if not (value.isascii() and value.isdigit()):
        return "digits"
    if not pin.min_digits <= len(value) <= pin.max_digits:
        return "length"
    steps = {(int(after) - int(before)) % 10 for before, after in itertools.pairwise(value)}
    return "trivial" if steps in ({0}, {1}, {9}) else None


def check_chosen_pins(profile: CardProfile, pins: Mapping[str, Secret]) -> None:
    """Refuse (`UnfitPin`) when a PIN the holder must choose is missing or unfit, or is none to choose."""
    wanted = {pin.name: pin for pin in profile.pins if pin.chosen_by_holder}
    for name in wanted.keys() | pins.keys():
        if name not in wanted or name not in pins:
            raise UnfitPin(name, "length")
        problem = pin_problem(wanted[name], pins[name].reveal().decode("ascii", errors="replace"))
        if problem:
            raise UnfitPin(name, problem)
