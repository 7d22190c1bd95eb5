"""Hides how states, roles and refusals are said to people: codes on one side, words of the catalogue on the other."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from enum import StrEnum

from flask_babel import format_timedelta

from uec.domain.absences import AbsenceState
from uec.domain.errors import UecError
from uec.domain.lifecycle import (
    ApplicationReason,
    ApplicationState,
    BatchState,
    CardState,
    CertificateState,
    CheckOutcome,
    CheckRegister,
    CohortState,
    OperationKind,
    OperationState,
    Route,
)
from uec.domain.permissions import Role
from uec.domain.phases import ChangeState
from uec.domain.printing import PrintState
from uec.domain.twins import TwinKind, TwinRole, TwinState
from uec.web import bureau_words, scenario_words, stock_words
from uec.web.language import language
from uec.web.texts import _, _l

Text = object  # a lazy string of flask-babel, or a plain one

# Words and the colour of the tag (a colour of GOV.UK's tag component).
_TAGS: tuple[tuple[StrEnum, Text, str], ...] = (
    (ApplicationState.SUBMITTED, _l("Received"), "blue"),
    (ApplicationState.CHECKING, _l("Being checked"), "blue"),
    (ApplicationState.CHECKED, _l("Awaiting decision"), "yellow"),
    (ApplicationState.CHECK_FAILED, _l("Mismatch in registers"), "orange"),
    (ApplicationState.APPROVED, _l("Approved"), "green"),
    (ApplicationState.REJECTED, _l("Rejected"), "red"),
    (ApplicationState.PLANNED, _l("In the plan"), "teal"),
    (ApplicationState.IN_PRODUCTION, _l("In production"), "purple"),
    (ApplicationState.READY, _l("Card at the point"), "green"),
    (ApplicationState.CLOSED, _l("Card issued"), "grey"),
    (ApplicationState.WITHDRAWN, _l("Withdrawn"), "grey"),
    (CardState.PLANNED, _l("Planned"), "blue"),
    (CardState.PREPARED, _l("Data ready"), "blue"),
    (CardState.WRITING, _l("Being written"), "purple"),
    (CardState.PERSONALISED, _l("Awaiting hand-over"), "yellow"),
    (CardState.ACTIVE, _l("Active"), "green"),
    (CardState.SUSPENDED, _l("Suspended"), "orange"),
    (CardState.LOST, _l("Lost"), "red"),
    (CardState.ANNULLED, _l("Annulled"), "red"),
    (CardState.REPLACED, _l("Replaced"), "grey"),
    (CardState.EXPIRED, _l("Expired"), "grey"),
    (CardState.SPOILED, _l("Spoiled"), "red"),
    (CardState.DESTROYED, _l("Destroyed"), "grey"),
    (BatchState.PLANNED, _l("Awaiting release"), "yellow"),
    (BatchState.RELEASED, _l("Released"), "blue"),
    (BatchState.IN_PRODUCTION, _l("In production"), "purple"),
    (BatchState.CLOSED, _l("Finished"), "green"),
    (BatchState.CANCELLED, _l("Cancelled"), "grey"),
    (OperationState.REQUESTED, _l("Waiting for the station"), "blue"),
    (OperationState.RUNNING, _l("Working"), "purple"),
    (OperationState.DONE, _l("Done"), "green"),
    (OperationState.FAILED, _l("Not done"), "red"),
    (OperationState.CANCELLED, _l("Cancelled"), "grey"),
    (ChangeState.PROPOSED, _l("Awaiting confirmation"), "yellow"),
    (ChangeState.CONFIRMED, _l("Confirmed"), "green"),
    (ChangeState.WITHDRAWN, _l("Taken back"), "grey"),
    (TwinState.OPEN, _l("Awaiting decision"), "yellow"),
    (AbsenceState.OPEN, _l("Awaiting decision"), "yellow"),
    (AbsenceState.STAYS, _l("Stays"), "green"),
    (AbsenceState.GONE, _l("Gone"), "grey"),
    (AbsenceState.BACK, _l("In the register again"), "green"),
    (TwinState.DECIDED, _l("Decided"), "green"),
    (TwinState.CLOSED, _l("Set right by the register"), "grey"),
    (TwinRole.STANDS, _l("Stands"), "green"),
    (TwinRole.SUPERSEDED, _l("Another record stands"), "grey"),
    (TwinRole.RIGHT, _l("Number is right"), "green"),
    (TwinRole.WRONG, _l("Number is wrong"), "red"),
    (CohortState.DRAFT, _l("Draft"), "blue"),
    (CohortState.PROPOSED, _l("Awaiting approval"), "yellow"),
    (CohortState.APPROVED, _l("Approved"), "green"),
    (CohortState.VOID, _l("Void"), "grey"),
    (CertificateState.INTENDED, _l("Being issued"), "blue"),
    (CertificateState.ISSUED, _l("Valid"), "green"),
    (CertificateState.HELD, _l("On hold"), "orange"),
    (CertificateState.REVOKED, _l("Revoked"), "red"),
    (PrintState.ORDERED, _l("To be printed"), "blue"),
    (PrintState.PRINTED, _l("Printed, to be compared"), "yellow"),
    (PrintState.MATCHED, _l("Agrees with the chip"), "green"),
    (PrintState.SPOILED, _l("Given up"), "grey"),
    (CheckOutcome.PENDING, _l("Not asked yet"), "grey"),
    (CheckOutcome.MATCH, _l("Match"), "green"),
    (CheckOutcome.MISMATCH, _l("Mismatch"), "red"),
    (CheckOutcome.UNAVAILABLE, _l("Register not available"), "orange"),
)

_WORDS: tuple[tuple[StrEnum, Text], ...] = (
    (TwinKind.SAME_PERSON, _l("One person twice")),
    (TwinKind.SNILS_REUSED, _l("SNILS used twice")),
    (TwinKind.DOCUMENT_REUSED, _l("Document used twice")),
    (CheckRegister.SNILS, _l("Pension register (SNILS)")),
    (CheckRegister.PASSPORT, _l("Register of documents")),
    (CheckRegister.RESIDENCE, _l("Register of residence")),
    (CheckRegister.OMS, _l("Health insurance register")),
    (Route.WEB, _l("Web")),
    (Route.WINDOW, _l("Window")),
    (Route.MASS, _l("Mass emission")),
    (ApplicationReason.FIRST, _l("First card")),
    (ApplicationReason.DUPLICATE, _l("Duplicate")),
    (ApplicationReason.REPLACEMENT, _l("Replacement")),
    (ApplicationReason.RENEWAL, _l("Renewal")),
    (OperationKind.PERSONALISE, _l("Writing the card")),
    (OperationKind.INSPECT, _l("Inspection")),
    (OperationKind.HAND_OVER, _l("Hand-over")),
    (OperationKind.READ, _l("Reading")),
    (OperationKind.REKEY, _l("Change of keys")),
    (OperationKind.TERMINATE, _l("End of the chip")),
    (OperationKind.UNBLOCK, _l("Setting of a PIN")),
    (Role.OPERATOR, _l("Window operator")),
    (Role.OFFICER, _l("Deciding officer")),
    (Role.PLANNER, _l("Planner")),
    (Role.RELEASER, _l("Releaser")),
    (Role.PRODUCER, _l("Production")),
    (Role.SECURITY, _l("Security")),
    (Role.AUDITOR, _l("Auditor")),
    (Role.ADMIN, _l("Administrator")),
    (Role.STOREKEEPER, _l("Store keeper")),
    (Role.QUALITY, _l("Quality")),
)

# Members of different enums with one value are equal as strings, so the kind belongs to the key.
TAGS = {(type(state), state): (text, colour) for state, text, colour in (*_TAGS, *stock_words.TAGS, *bureau_words.TAGS)}
WORDS = {(type(value), value): text for value, text in (*_WORDS, *stock_words.WORDS, *bureau_words.WORDS)} | {
    key: text for key, (text, _colour) in TAGS.items()
}

DUTIES: Mapping[str, Text] = {
    "take": _l("took the application"),
    "approve": _l("decided on the application"),
    "release": _l("released the batch"),
    "produce": _l("produced the card"),
    "hand over": _l("handed the card over"),
    **stock_words.DUTIES,
    **bureau_words.DUTIES,
    **scenario_words.DUTIES,
}

FORM_ERRORS: Mapping[str, Text] = {
    "form.required": _l("Fill in this field"),
    "form.too_long": _l("The text is too long: shorten it"),
    "form.surname": _l("Use Russian letters, a hyphen or an apostrophe, as in the document"),
    "form.patronymic": _l("Use Russian letters, a hyphen or an apostrophe, as in the document"),
    "form.name": _l("Use Russian letters, a hyphen or an apostrophe, as in the document"),
    "form.sex": _l("Choose the sex stated in the document"),
    "form.doc_type": _l("Choose the kind of document"),
    "form.email": _l("Write the e-mail like name@example.ru"),
    "form.photo": _l("Choose a photo in JPEG or PNG of at most 2 MB"),
    "form.photo_damaged": _l("The photo came in damaged: save it anew as JPEG or PNG and choose it again"),
    "form.representative_required": _l("Under 14 a parent or guardian applies: give their full name"),
    "form.contact_required": _l("Give a phone number or an e-mail, so that we can reach you"),
    "form.birth_date": _l("Check the date of birth: it cannot be in the future or before 1890"),
    "form.doc_date": _l("Check the date of issue: it lies between the date of birth and today"),
    "form.snils": _l("Check the SNILS: 11 digits as on the certificate, like 112-233-445 95"),
    "form.oms": _l("Check the policy number: 16 digits as on the policy"),
    "form.phone": _l("Write the phone number with its code, like +7 345 200-00-00"),
    "form.doc_series": _l("Check the series: 4 digits for a passport, like II-АБ for a birth certificate"),
    "form.doc_number": _l("Check the number: 6 digits"),
    "form.point_id": _l("Choose where you will collect the card"),
    "form.bank": _l("Choose a bank from the list"),
    "form.profile": _l("Choose one of the cards of the list"),
}


def tag_of(state: StrEnum) -> tuple[str, str]:
    """Return the words for a state and the colour of its tag."""
    text, colour = TAGS[type(state), state]
    return str(text), colour


def word(value: StrEnum) -> str:
    """Return the words for a register, route, reason, kind or role."""
    return str(WORDS[type(value), value])


def field_error(key: str) -> str:
    """Return the words for a message key of a form."""
    if key.startswith("form.no_room:"):
        _name, given, fitting = key.split(":")
        return _(
            "%(given)s characters, and about %(fitting)s have room on the card: "
            "agree on a shorter form with the applicant",
            given=given,
            fitting=fitting,
        )
    return str(FORM_ERRORS[key]) if key in FORM_ERRORS else _("Check this field")


def span(value: timedelta) -> str:
    """Write a period in words."""
    return str(format_timedelta(value, granularity="second", threshold=1.2))


def _same_person(error: UecError) -> str:
    return _(
        "You %(earlier)s, so a colleague has to do the next step: nobody does two of these for one card.",
        earlier=str(DUTIES.get(error.earlier, error.earlier)),
    )


def _refused(_error: UecError) -> str:
    # One sentence for a wrong login, a wrong password and a locked account: a stranger learns no login from it.
    return _(
        "Login and password do not match. Check both and the keyboard's language. "
        "Five wrong passwords close an account for 15 minutes."
    )


def _too_many(error: UecError) -> str:
    return _(
        "Too many attempts came from here. Try again in %(time)s.", time=span(timedelta(seconds=error.retry_after_s))
    )


SENTENCES: Mapping[str, Callable[[UecError], str]] = {
    **stock_words.SENTENCES,
    **bureau_words.SENTENCES,
    "uec.scenario_refused": scenario_words.refused,
    "uec.same_person": _same_person,
    "uec.account_locked": _refused,
    "uec.too_many_attempts": _too_many,
    "uec.sign_in_refused": _refused,
    "uec.not_found": lambda _e: _("Nothing was found under this number. Check it and try again."),
    "uec.not_allowed": lambda _e: _("Your roles do not include this. Ask an administrator if you need it."),
    "uec.illegal_move": lambda _e: _(
        "This step is not possible now: the state has changed. Look at the present state."
    ),
    "uec.stale": lambda _e: _("A colleague changed this a moment ago. Look at the present state and decide again."),
    "uec.plan_in_making": lambda _e: _("The plan is being made just now: try again in a minute."),
    "uec.store_unavailable": lambda _e: _(
        "The database is busy or not reachable. Nothing was changed; try again in a minute."
    ),
    "uec.already_served": lambda _e: _(
        "An application with this SNILS is open already, or its holder has a card. "
        "Look at the status, or ask at a window."
    ),
    "uec.card_not_ready": lambda _e: _("The card is not ready for this step. Look at its present state."),
    "uec.letter_gone": lambda _e: _(
        "The letter was printed already. Its code is kept nowhere else, so that it cannot be printed a second time."
    ),
    "uec.letter_locked": lambda _e: _(
        "The letter waits under a former secret key of the web. Call the administrator; nothing was lost."
    ),
    "uec.card_busy": lambda _e: _("Somebody works with this card at this moment. Wait until it is done."),
    "uec.cohort_changed": lambda _e: _("The list is no longer the one that was shown; it is void. Compute a new one."),
    "uec.cohort_in_work": lambda _e: _("The list is still in work. Wait until its page shows what came of it."),
    "uec.hub_away": lambda _e: _("The card service does not answer. Call the administrator; nothing was changed."),
    "uec.no_authority": lambda _e: _("The certification authority is not set up yet. Call the administrator."),
    "uec.weak_password": lambda _e: _("The password is too weak: take at least 12 different signs, not the login."),
    "uec.gateway_unavailable": lambda _e: _("A register does not answer. It is asked again by itself."),
    "uec.disk_full": lambda _e: _("The disk is full. Call the administrator; nothing was changed."),
    "web.draft_changed": lambda _e: _(
        "Another application was begun in a second window of this browser. Open “Apply” and look at the answers: "
        "one browser keeps one application at a time."
    ),
    "web.draft_too_long": lambda _e: _("The answers are too long: shorten the address and the place of birth."),
    "uec.invalid_form": lambda _e: _("Something in the form is missing or wrong. Check it and send it again."),
    "uec.invalid_number": lambda _e: _("A number in the form is wrong. Check it and send it again."),
    "uec.invalid_input": lambda _e: _("Something in the form is missing or wrong. Check it and send it again."),
}


def heading_of(code: str) -> str | None:
    """Return the heading for a refusal that has one of its own."""
    headings = {
        "uec.already_served": _("There is an application already"),
        "web.draft_changed": _("The answers have changed"),
        "uec.same_person": _("A colleague has to do this"),
        "uec.hub_away": _("No card can be reached now"),
        "uec.card_busy": _("The card is in work"),
        "uec.letter_gone": _("There is no second letter"),
    }
    return headings.get(code)


def sentence(error: UecError) -> str | None:
    """Return what to tell the person about a refusal; None when only the general page text fits."""
    say = SENTENCES.get(error.code)
    if say is not None:
        return say(error)
    return error.message if language() == "en" and error.code.count(".") and not _is_defect(error) else None


def _is_defect(error: UecError) -> bool:
    return error.code in {UecError.code, "uec.disk_full"}
