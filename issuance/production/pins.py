"""PINs a holder may choose: digits, the profile's length, and nothing that the next person in the queue would guess."""

import itertools
from collections.abc import Mapping

from card_io.secret import Secret
from issuance.production.errors import UnfitPin
from issuance.production.pin_profile import PinProfile
from issuance.production.profile import CardProfile


def pin_problem(pin: PinProfile, value: str) -> str | None:
    """Why `value` may not be this PIN: `digits`, `length` or `trivial`; None when it may."""
    if not (value.isascii() and value.isdigit()):
        return "digits"
    if not pin.min_digits <= len(value) <= pin.max_digits:
        return "length"
    steps = {(int(after) - int(before)) % 10 for before, after in itertools.pairwise(value)}
    return "trivial" if steps in ({0}, {1}, {9}) else None


def check_chosen_pins(profile: CardProfile, pins: Mapping[str, Secret]) -> bool:
    """Refuse (`UnfitPin`) when a PIN that the holder must choose, or an unblock code, is missing, unfit or unknown.

    Of an unblock code only its presence is looked at: it is drawn, and may be any digits. True when all the PINs stand
    empty: the holder chooses them at the reader's own keys.
    """
    chosen, drawn = {pin.name for pin in profile.chosen_pins}, {code.name for code in profile.unblock_codes}
    for name in sorted((chosen | drawn) ^ pins.keys()):
        raise UnfitPin(name, "length")
    at_reader = bool(chosen) and all(on_pad(pins[name]) for name in chosen)
    for name in () if at_reader else sorted(chosen):
        check_chosen_pin(profile, name, pins[name])
    return at_reader


def chosen_pin(profile: CardProfile, name: str) -> PinProfile:
    """The PIN of this name; `UnfitPin` when it is none that a holder chooses."""
    pin = next((pin for pin in profile.chosen_pins if pin.name == name), None)
    if pin is None:
        raise UnfitPin(name, "length")
    return pin


def check_chosen_pin(profile: CardProfile, name: str, value: Secret) -> PinProfile:
    """The PIN of this name; `UnfitPin` when the holder may not choose this value, or it is none to choose."""
    pin = chosen_pin(profile, name)
    problem = pin_problem(pin, value.reveal().decode("ascii", errors="replace"))
    if problem:
        raise UnfitPin(name, problem)
    return pin


def on_pad(value: Secret) -> bool:
    """Whether a PIN is to be chosen at the reader's own keys: it stands empty in the order."""
    return not value
