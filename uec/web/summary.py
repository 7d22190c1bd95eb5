"""Hides how the answers of an application are shown before they are sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from uec.services.views import PointView
from uec.web import variants
from uec.web.filters import snils as snils_as_written
from uec.web.forms.application import DATES, STEPS
from uec.web.language import day, pick
from uec.web.texts import _, _l

HEADINGS = {
    "person": _l("Who is the card for?"),
    "document": _l("Document and numbers"),
    "contact": _l("Address and contact"),
    "choice": _l("Where and how"),
}


@dataclass(frozen=True)
class Part:
    """The answers of one step."""

    step: str
    heading: str
    rows: list[tuple[str, str]]


def summary_of(answers: Mapping[str, str], points: Sequence[PointView]) -> list[Part]:
    """Return the answers by step, in the words of the questions; what was left empty is left out."""
    parts = []
    for step, form_class in STEPS.items():
        form = form_class(formdata=None)
        rows = [
            (str(field.label.text), _shown(field.short_name, answers[field.short_name], points))
            for field in form
            if answers.get(field.short_name)
        ]
        parts.append(Part(step, str(HEADINGS[step]), rows))
    return parts


def _shown(name: str, answer: str, points: Sequence[PointView]) -> str:
    if name in DATES:
        return day(date.fromisoformat(answer))
    if name == "sex":
        return _("Female") if answer == "F" else _("Male")
    if name == "doc_type":
        return _("Passport of a citizen") if answer == "passport" else _("Birth certificate")
    if name == "profile":
        return variants.title_of(answer)
    if name == "point_id":
        return next((pick(point.name_ru, point.name_en) for point in points if str(point.id) == answer), answer)
    return snils_as_written(answer) if name == "snils" else answer
