"""Where a card lies, and where its holder types: on this computer, or at the reader's own keys where it has any."""

from collections.abc import Sequence
from typing import Any

from wtforms import RadioField, SelectField
from wtforms.validators import InputRequired

from uec.services.views import StationView
from uec.web.forms.fields import PageForm, options
from uec.web.texts import _, _l

READER, KEYBOARD = "reader", "keyboard"
MODIFY = "modify"
"""What a reader must be able to do (`issuance.station.wire.Reader`): ask for a new PIN."""


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


class TypingForm(ReaderForm):
    """The same with a choice where the holder types, as long as any reader on line has keys and the card lets it."""

    by = RadioField(_l("Where the holder types"), validators=[InputRequired(_l("Choose where the holder types"))])

    def __init__(self, *args: Any, at_readers: bool = False, **kwargs: Any) -> None:
        """`at_readers`: the card's profile lets its holder choose PINs at readers."""
        super().__init__(*args, **kwargs)
        self._at_readers = at_readers

    def offer(self, stations: Sequence[StationView]) -> None:
        """Fill in the readers; without one that has keys nothing is asked about them."""
        super().offer(stations)
        self._with_keys = set(_choices(stations)) if self._at_readers else set()
        if not self._with_keys:
            del self.by
            return
        self.by.choices = options(
            [(READER, _("On the keys of the reader")), (KEYBOARD, _("On the keyboard of this computer"))]
        )
        if self.by.data is None and not self.is_submitted():
            self._choose_first(stations)

    def _choose_first(self, stations: Sequence[StationView]) -> None:
        """Begin with a reader that has keys and holds a card; where none does, with the keyboard."""
        first = next(iter(_choices(stations, with_card=True)), None)
        self.by.data, self.reader.data = (KEYBOARD, self.reader.data) if first is None else (READER, first)

    @property
    def at_reader(self) -> bool:
        """Whether the holder types at the reader."""
        return self.by is not None and self.by.data == READER

    def validate(self, extra_validators: Any = None) -> bool:
        """Check the form, and that the chosen reader has the keys."""
        valid = bool(super().validate(extra_validators))
        if self.at_reader and self.reader.data not in self._with_keys and not self.reader.errors:
            self.reader.errors = [
                _("This reader has no keys of its own: choose another one, or let the holder type on this computer")
            ]
            return False
        return valid


def reader_choices(stations: Sequence[StationView]) -> list[tuple[str, str]]:
    """Return `station:reader` -> words, for stations on line; readers that hold a card first."""
    choices = []
    for station in (one for one in stations if one.online):
        for reader in sorted(station.readers, key=lambda one: not one.get("card")):
            name = str(reader.get("name", ""))
            state = _("card in it") if reader.get("card") else _("empty")
            keys = f", {_('with keys')}" if _asks(reader.get("pad")) else ""
            choices.append((f"{station.id}:{name}", f"{station.name} — {name} ({state}{keys})"))
        if not station.readers:
            choices.append((f"{station.id}:", f"{station.name} — {_('no reader found')}"))
    return choices


def _choices(stations: Sequence[StationView], *, with_card: bool = False) -> list[str]:
    """The choices whose reader can ask for a new PIN, `with_card` those alone that hold a card."""
    return [
        f"{station.id}:{reader.get('name', '')}"
        for station in stations
        if station.online
        for reader in station.readers
        if _asks(reader.get("pad")) and (reader.get("card") or not with_card)
    ]


def _asks(pad: object) -> bool:
    return isinstance(pad, list | tuple) and MODIFY in pad
