"""What an operator asks for when a card is handed over, and how the holder's PINs are taken."""

from collections.abc import Sequence
from typing import Any

from wtforms import BooleanField, PasswordField, SelectField
from wtforms.validators import InputRequired

from uec.domain.policy import Policy
from uec.services.handover import pin_errors
from uec.services.views import StationView
from uec.web.forms.fields import PageForm, options
from uec.web.texts import _, _l


class ReaderForm(PageForm):
    """The station and reader that hold the card; one choice for both."""

    reader = SelectField(_l("Reader"), validators=[InputRequired(_l("Choose the reader that holds the card"))])

    def offer(self, stations: Sequence[StationView]) -> None:
        """Fill in the readers of the stations that are on line."""
        self.reader.choices = options(reader_choices(stations))

    def chosen(self) -> tuple[int, str | None]:
        """Return station id and reader name (None: the first one with a card)."""
        station, _separator, name = str(self.reader.data).partition(":")
        return int(station), name or None


def reader_choices(stations: Sequence[StationView]) -> list[tuple[str, str]]:
    """Return `station:reader` -> words, for stations on line; readers that hold a card first."""
    choices = []
    for station in (one for one in stations if one.online):
        for reader in sorted(station.readers, key=lambda one: not one.get("card")):
            name = str(reader.get("name", ""))
            state = _("card in it") if reader.get("card") else _("empty")
            choices.append((f"{station.id}:{name}", f"{station.name} — {name} ({state})"))
        if not station.readers:
            choices.append((f"{station.id}:", f"{station.name} — {_('no reader found')}"))
    return choices


class HandOverForm(ReaderForm):
    """The operator's word about the holder, and the holder's own PINs, typed twice by the holder."""

    holder_checked = BooleanField(
        _l("I have compared the person with the document and the photo"),
        validators=[InputRequired(_l("Compare the person with the document and confirm it"))],
    )
    pin1 = PasswordField(_l("PIN1: for identification"))
    pin1_again = PasswordField(_l("PIN1 once more"))
    pin2 = PasswordField(_l("PIN2: for the signature"))
    pin2_again = PasswordField(_l("PIN2 once more"))

    def __init__(self, *args: Any, policy: Policy, pins: Sequence[str] = ("pin1", "pin2"), **kwargs: Any) -> None:
        """Say beside the PINs how long the policy wants them; `pins` are those the card's profile lets choose."""
        super().__init__(*args, **kwargs)
        self.policy, self.chosen_pins = policy, tuple(pins)
        for name, digits in (("pin1", policy.pin1_digits), ("pin2", policy.pin2_digits)):
            if name in pins:
                self[name].description = _digits(digits)
            else:
                del self[name], self[f"{name}_again"]

    def validate(self, extra_validators: Any = None) -> bool:
        """Check the form, then the PINs by the service's rule, then that both were typed alike."""
        valid = bool(super().validate(extra_validators))
        words = {
            "pin.digits": _("Type digits only"),
            "pin.length": _("Type as many digits as stated above the box"),
            "pin.guessed": _("This PIN is too easy to guess: choose another"),
            "pin.same": _("PIN2 must differ from PIN1"),
        }
        wrong = pin_errors({name: self[name].data or "" for name in self.chosen_pins}, policy=self.policy)
        for name, key in wrong.items():
            self[name].errors = [words.get(key, _("Check this field"))]
        for name in self.chosen_pins:
            if not wrong and self[name].data != self[f"{name}_again"].data:
                self[f"{name}_again"].errors = [_("The two PINs differ: type both again")]
                valid = False
        return valid and not wrong


def _digits(limits: tuple[int, int]) -> str:
    return str(_("%(low)s to %(high)s digits", low=limits[0], high=limits[1]))
