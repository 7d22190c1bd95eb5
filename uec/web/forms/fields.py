"""Hides how a date and a form look to WTForms: the date as three boxes, and the CSRF token in every form."""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from typing import Any

from flask_wtf import FlaskForm
from wtforms import Field
from wtforms.fields import SelectChoice
from wtforms.validators import ValidationError

from uec.web.texts import _l


class PageForm(FlaskForm):  # type: ignore[misc]
    """A form of ours: texts come trimmed, and a refusal of a service can be put beside its field."""

    def put_errors(self, errors: Mapping[str, str], words: Callable[[str], str]) -> bool:
        """Write each error beside its field; tell whether one belonged to this form."""
        found = False
        for name, key in errors.items():
            field = self._fields.get(name)
            if field is not None:
                field.errors = [words(key)]
                found = True
        return found


def options(pairs: Iterable[tuple[object, object]]) -> list[SelectChoice]:
    """Return value and text pairs as choices of a select or of radios."""
    return [SelectChoice(value, text) for value, text in pairs]


class DayField(Field):  # type: ignore[misc]
    """A date typed as day, month and year in three boxes named NAME-day, NAME-month, NAME-year."""

    parts: tuple[str, str, str] = ("", "", "")

    def process(self, formdata: Any, data: Any = None, extra_filters: Any = None) -> None:
        """Read the three boxes, or the date given by the view."""
        self.process_errors: list[str] = []
        self.data = data if isinstance(data, date) else None
        self.object_data = self.data
        if self.data is not None:
            self.parts = (str(self.data.day), str(self.data.month), str(self.data.year))
        if formdata is not None and f"{self.name}-year" in formdata:
            day, month, year = (
                str(formdata.get(f"{self.name}-{part}", "")).strip()[:4] for part in ("day", "month", "year")
            )
            self.parts = (day, month, year)
            self.data = _date_of(day, month, year)

    def pre_validate(self, form: Any) -> None:
        """Refuse boxes that hold no date."""
        if self.data is None:
            if any(self.parts):
                raise ValidationError(_l("Check the date: day, month and year in figures, like 27 3 1985"))
            raise ValidationError(_l("Give the date: day, month and year"))


def _date_of(day: str, month: str, year: str) -> date | None:
    try:
        return date(int(year), int(month), int(day)) if len(year) == 4 else None
    except ValueError:
        return None
