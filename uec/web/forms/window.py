"""What an operator asks for when a card is handed over, and how the holder's PINs are taken."""

from collections.abc import Sequence
from typing import Any

from wtforms import BooleanField, PasswordField, RadioField
from wtforms.validators import InputRequired

from card_io.secret import Secret
from issuance.production.pin_profile import Keeping, PinProfile
from uec.domain.policy import Policy
from uec.services.handover import narrowed, pin_errors
from uec.services.unblock import Asking
from uec.web.forms.fields import options
from uec.web.forms.readers import TypingForm
from uec.web.texts import _, _l


class HandOverForm(TypingForm):
    """The operator's word about the holder, and the holder's own PINs, typed twice by the holder, here or elsewhere."""

    holder_checked = BooleanField(
        _l("I have compared the person with the document and the photo"),
        validators=[InputRequired(_l("Compare the person with the document and confirm it"))],
    )
    pin1 = PasswordField(_l("PIN1: for identification"))
    pin1_again = PasswordField(_l("PIN1 once more"))
    pin2 = PasswordField(_l("PIN2: for the signature"))
    pin2_again = PasswordField(_l("PIN2 once more"))

    def __init__(self, *args: Any, policy: Policy, pins: Sequence[PinProfile], **kwargs: Any) -> None:
        """Say beside the PINs how long card and policy want them; `pins` are those the card's profile lets choose."""
        super().__init__(*args, **kwargs)
        self.pins = {pin.name: narrowed(pin, policy) for pin in pins}
        for name in ("pin1", "pin2"):
            if name in self.pins:
                self[name].description = _digits(self.pins[name])
            else:
                del self[name], self[f"{name}_again"]

    @property
    def chosen_pins(self) -> tuple[str, ...]:
        """The names of the PINs that the holder chooses."""
        return tuple(self.pins)

    def validate(self, extra_validators: Any = None) -> bool:
        """Check the form, then the PINs by the service's rule, then that both were typed alike."""
        valid = bool(super().validate(extra_validators))
        if self.at_reader:
            return valid
        wrong = pin_errors({name: self[name].data or "" for name in self.pins}, list(self.pins.values()))
        for name, key in wrong.items():
            self[name].errors = [_pin_words(key)]
        for name in self.chosen_pins:
            if not wrong and self[name].data != self[f"{name}_again"].data:
                self[f"{name}_again"].errors = [_("The two PINs differ: type both again")]
                valid = False
        return valid and not wrong


class UnblockForm(TypingForm):
    """The operator's word about the holder, what the holder's letter says, and one PIN, typed twice by the holder."""

    holder_checked = BooleanField(
        _l("I have compared the person with the document and the photo"),
        validators=[InputRequired(_l("Compare the person with the document and confirm it"))],
    )
    pin = RadioField(_l("Which PIN is set anew"), validators=[InputRequired(_l("Choose the PIN"))])
    code = PasswordField(_l("The code of the letter"))
    new = PasswordField(_l("New PIN"))
    new_again = PasswordField(_l("New PIN once more"))

    def __init__(self, *args: Any, policy: Policy, asking: Asking, **kwargs: Any) -> None:
        """Ask for what this card's holder has: the whole code, a share of it, or none."""
        super().__init__(*args, **kwargs)
        self.asking = asking
        self.pins = {pin.name: narrowed(pin, policy) for pin in asking.pins}
        names = {"pin1": _("PIN1: for identification"), "pin2": _("PIN2: for the signature")}
        self.pin.choices = options([(name, names[name]) for name in self.pins])
        self.pin_hints = {name: _digits(pin) for name, pin in self.pins.items()}
        if len(self.pins) == 1:
            del self.pin
            (self.new.description,) = self.pin_hints.values()
        if asking.kept is None:
            del self.code
        else:
            self.code.description = str(_("%(count)s digits", count=asking.digits))
            if asking.kept is Keeping.SPLIT:
                self.code.label.text = _("The share of the letter")

    @property
    def chosen_pin(self) -> str:
        """The name of the PIN that is set; empty before one is chosen."""
        name = next(iter(self.pins)) if len(self.pins) == 1 else self.pin.data
        return name if name in self.pins else ""

    @property
    def code_here(self) -> bool:
        """Whether the code is typed on the page: a share of one always is, since the office adds its own."""
        return self.asking.kept is Keeping.SPLIT or (self.asking.kept is not None and not self.at_reader)

    def typed(self) -> dict[str, Secret]:
        """The new PIN by its name, empty when it is typed at the reader, and the code; to be sealed at once."""
        new = "" if self.at_reader else str(self.new.data)
        typed = {self.chosen_pin: Secret(new.encode("ascii"))}
        if self.code_here:
            typed[self.asking.code] = Secret(_without_spaces(self.code.data).encode("ascii"))
        return typed

    def validate(self, extra_validators: Any = None) -> bool:
        """Check the form, then the PIN by the service's rule and the code by its length."""
        valid = bool(super().validate(extra_validators))
        if self.code_here:
            code = _without_spaces(self.code.data)
            if not (code.isascii() and code.isdigit() and len(code) == self.asking.digits):
                self.code.errors = [_("Type the %(count)s digits of the letter", count=self.asking.digits)]
                valid = False
        if not self.chosen_pin:
            return False
        if self.at_reader:
            return valid
        wrong = pin_errors({self.chosen_pin: self.new.data or ""}, [self.pins[self.chosen_pin]])
        if wrong:
            self.new.errors = [_pin_words(key) for key in wrong.values()]
        elif self.new.data != self.new_again.data:
            self.new_again.errors = [_("The two PINs differ: type both again")]
            valid = False
        return valid and not wrong


def _pin_words(key: str) -> str:
    """Why a PIN may not be chosen."""
    words = {
        "pin.digits": _("Type digits only"),
        "pin.length": _("Type as many digits as stated above the box"),
        "pin.guessed": _("This PIN is too easy to guess: choose another"),
        "pin.same": _("PIN2 must differ from PIN1"),
    }
    return str(words.get(key, _("Check this field")))


def _without_spaces(typed: str | None) -> str:
    """The digits of a code that may be typed in groups, as its letter shows them."""
    return "".join((typed or "").split())


def _digits(pin: PinProfile) -> str:
    return str(_("%(low)s to %(high)s digits", low=pin.min_digits, high=pin.max_digits))
