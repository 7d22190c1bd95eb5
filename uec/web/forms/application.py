"""The application as it is asked for: four short steps for a citizen, one page for an operator; one set of questions.

Every rule about an answer is the service's (`uec.services.forms`); this module orders the questions and reads dates.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from flask_wtf.file import FileField
from wtforms import BooleanField, RadioField, SelectField, StringField
from wtforms.validators import InputRequired

from uec.domain.policy import Policy
from uec.services.forms import PASSPORT, ApplicationForm, InvalidForm
from uec.services.rules import Variant
from uec.services.views import PointView
from uec.web.faces import no_room
from uec.web.forms.fields import DayField, PageForm, options
from uec.web.language import language, pick
from uec.web.texts import _l
from uec.web.uploads import is_damaged

BIRTH_CERTIFICATE = "birth_certificate"
DATES = ("birth_date", "doc_date")


class PersonForm(PageForm):
    """Who the card is for."""

    surname = StringField(_l("Surname"))
    name = StringField(_l("First name"))
    patronymic = StringField(_l("Patronymic"), description=_l("Leave empty if the document has none"))
    birth_date = DayField(_l("Date of birth"), description=_l("For example, 27 3 1985"))
    birth_place = StringField(_l("Place of birth"), description=_l("As in the document"))
    sex = RadioField(
        _l("Sex"), choices=options([("F", _l("Female")), ("M", _l("Male"))]), validate_choice=False, validators=[]
    )


class DocumentForm(PageForm):
    """The papers that prove it."""

    doc_type = RadioField(
        _l("Document"),
        choices=options(
            [(PASSPORT, _l("Passport of a citizen")), (BIRTH_CERTIFICATE, _l("Birth certificate (under 14)"))]
        ),
        default=PASSPORT,
        validate_choice=False,
    )
    doc_series = StringField(_l("Series"), description=_l("4 digits, or like II-АБ"))
    doc_number = StringField(_l("Number"), description=_l("6 digits"))
    doc_date = DayField(_l("Date of issue"), description=_l("For example, 14 11 2011"))
    doc_issuer = StringField(_l("Issued by"), description=_l("As in the document"))
    snils = StringField(_l("SNILS"), description=_l("11 digits of the pension insurance number"))
    oms = StringField(_l("Health insurance policy (optional)"), description=_l("16 digits of the unified number"))
    representative_name = StringField(
        _l("Parent or guardian (if the applicant is under 14)"),
        description=_l("Surname, first name and patronymic of the one who applies"),
    )


class ContactForm(PageForm):
    """Where the applicant lives and how to reach them."""

    address = StringField(_l("Address of residence"), description=_l("As registered: town, street, house, flat"))
    phone = StringField(_l("Phone"), description=_l("With the code, like +7 345 200-00-00"))
    email = StringField(_l("E-mail (optional)"), description=_l("We write when the card is ready"))


class ChoiceForm(PageForm):
    """Which bank serves the card and where it is collected."""

    point_id = RadioField(_l("Where will you collect the card?"), coerce=int, validate_choice=False)
    profile = RadioField(_l("Which card?"), validate_choice=False)
    bank = SelectField(
        _l("Bank for the card's payment function"),
        description=_l("If you do not choose, the region's bank serves the card"),
        validate_choice=False,
    )

    def offer(self, points: Sequence[PointView], banks: Sequence[str], variants: Sequence[Variant]) -> None:
        """Fill in the points, banks and card variants to choose from; of one variant nobody is asked."""
        if len(variants) > 1:
            self.profile.choices = options((one.name, pick(one.title_ru, one.title_en)) for one in variants)
            self.profile.data = self.profile.data or variants[0].name
        else:
            del self.profile
        self.point_id.choices = options((point.id, pick(point.name_ru, point.name_en)) for point in points)
        self.bank.choices = options([("", _l("No choice")), *((bank, bank) for bank in banks)])


class SendForm(PageForm):
    """The last page: photo, consent, send."""

    photo = FileField(
        _l("Photo for the card (optional)"),
        description=_l("JPEG or PNG, at most 2 MB. Without it the card has no photo."),
    )
    consent = BooleanField(
        _l("I confirm that the data are right and agree to their processing for issuing the card"),
        validators=[InputRequired(_l("Confirm to send the application"))],
    )


class WindowForm(PersonForm, DocumentForm, ContactForm, ChoiceForm):
    """All questions on one page, for an operator with the papers at hand."""

    photo = FileField(_l("Photo for the card (optional)"), description=_l("JPEG or PNG, at most 2 MB"))
    papers_seen = BooleanField(
        _l("I have seen the originals of the documents, and the applicant has signed the consent"),
        validators=[InputRequired(_l("Look at the originals and confirm it"))],
    )


# Path of a step -> its form, in order.
STEPS: Mapping[str, type[PageForm]] = {
    "person": PersonForm,
    "document": DocumentForm,
    "contact": ContactForm,
    "choice": ChoiceForm,
}

NOT_ASKED = frozenset({"csrf_token", "photo", "consent", "papers_seen"})


def step_form(step: str, answers: Mapping[str, str], *, child: bool) -> PageForm:
    """Return the form of a step, filled with the answers so far; only who applies for a child is asked for it."""
    given = typed_answers(answers)
    if child and not answers.get("doc_type"):
        given["doc_type"] = BIRTH_CERTIFICATE
    form = STEPS[step](data=given)
    if not child and "representative_name" in form:
        del form.representative_name
    return form


def answers_of(form: PageForm) -> dict[str, str]:
    """Return the answers of one form as texts, dates in ISO 8601."""
    answers = {}
    for field in form:
        if field.short_name in NOT_ASKED:
            continue
        value = field.data
        answers[field.short_name] = value.isoformat() if isinstance(value, date) else str(value or "").strip()
    return answers


def typed_answers(answers: Mapping[str, str]) -> dict[str, Any]:
    """Return the answers as a form is filled with them: dates as dates, the point as a number."""
    typed: dict[str, Any] = dict(answers)
    for name in DATES:
        if typed.get(name):
            typed[name] = date.fromisoformat(typed[name])
    point = typed.get("point_id", "")
    typed["point_id"] = int(point) if str(point).isdigit() else None
    return typed


def application_form(answers: Mapping[str, str], *, photo: bytes | None, today: date) -> ApplicationForm:
    """Make the service's form; a date not given yet stands as today, an answer not given as empty."""
    typed = typed_answers(answers)
    texts = (
        "surname", "name", "patronymic", "birth_place", "sex", "snils", "oms", "doc_type", "doc_series", "doc_number",
        "doc_issuer", "address", "phone", "email", "bank", "profile",
    )  # fmt: skip
    texts_given: dict[str, Any] = {name: str(typed.get(name) or "") for name in texts}
    return ApplicationForm(
        **texts_given,
        birth_date=typed.get("birth_date") or today,
        doc_date=typed.get("doc_date") or today,
        point_id=typed["point_id"] or 0,
        photo=photo,
        representative_name=typed.get("representative_name") or None,
        language=language(),
    )


def problems(
    answers: Mapping[str, str],
    *,
    points: Sequence[PointView],
    variants: Sequence[Variant],
    photo: bytes | None,
    today: date,
    policy: Policy,
) -> dict[str, str]:
    """Return field -> message key for everything wrong or missing in the answers."""
    form, errors = application_form(answers, photo=photo, today=today), {}
    try:
        form.validate(today=today, policy=policy)
    except InvalidForm as error:
        errors = dict(error.errors)
    if form.profile and form.profile not in {one.name for one in variants}:
        errors["profile"] = "form.profile"
    if not {"surname", "name", "patronymic", "profile"} & set(errors):
        errors |= no_room(surname=form.surname, name=form.name, patronymic=form.patronymic, profile=form.profile)
    errors |= {name: "form.required" for name in DATES if not answers.get(name)}
    if photo is not None and "photo" not in errors and is_damaged(photo):
        errors["photo"] = "form.photo_damaged"
    if answers.get("point_id") not in {str(point.id) for point in points}:
        errors["point_id"] = "form.point_id"
    return errors


def step_of(field: str) -> str:
    """Return the step that asks for a field."""
    return next((step for step, form in STEPS.items() if hasattr(form, field)), "person")
