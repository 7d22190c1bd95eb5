"""Hides how the states of an application become a course that its applicant understands: five marks and one advice."""

from dataclasses import dataclass

from uec.domain.lifecycle import ApplicationState as S
from uec.services.views import ApplicationStatusView
from uec.web.language import day
from uec.web.texts import _

# The mark that is being worked on in each state; 5 means all are done.
PLACES = {
    S.SUBMITTED: 1,
    S.CHECKING: 1,
    S.CHECKED: 2,
    S.CHECK_FAILED: 2,
    S.APPROVED: 3,
    S.PLANNED: 3,
    S.IN_PRODUCTION: 3,
    S.READY: 4,
    S.CLOSED: 5,
}


@dataclass(frozen=True)
class Mark:
    """One mark of the course."""

    text: str
    done: bool
    now: bool
    when: str


def course_of(view: ApplicationStatusView) -> list[Mark]:
    """Return the marks of the course; one that ended early shows its end instead of what would have come."""
    if view.state in {S.REJECTED, S.WITHDRAWN}:
        end = _("Rejected") if view.state is S.REJECTED else _("Withdrawn")
        return [
            Mark(_("Application received"), done=True, now=False, when=day(view.submitted_at)),
            Mark(end, done=True, now=True, when=""),
        ]
    place = PLACES[view.state]
    made = _("planned for %(day)s", day=day(view.promised_on)) if view.promised_on else ""
    texts = (
        (_("Application received"), day(view.submitted_at)),
        (_("Check of your data in the registers"), ""),
        (_("Decision on the application"), ""),
        (_("Making of the card"), made),
        (_("Hand-over of the card"), _("by %(day)s it waits at your point", day=day(view.due_on)) if place < 4 else ""),
    )
    return [
        Mark(text, done=number < place, now=number == place, when=when) for number, (text, when) in enumerate(texts)
    ]


def headline_of(view: ApplicationStatusView) -> str:
    """Return the state in the applicant's words."""
    return {
        S.SUBMITTED: _("We have your application"),
        S.CHECKING: _("We are checking your data"),
        S.CHECKED: _("An officer is deciding"),
        S.CHECK_FAILED: _("An officer is looking at your data"),
        S.APPROVED: _("The card is approved"),
        S.PLANNED: _("The card is in the plan"),
        S.IN_PRODUCTION: _("The card is being made"),
        S.READY: _("Your card is waiting for you"),
        S.CLOSED: _("The card has been issued"),
        S.REJECTED: _("The application is rejected"),
        S.WITHDRAWN: _("The application is withdrawn"),
    }[view.state]


def advice_of(view: ApplicationStatusView) -> str:
    """Return what the applicant does next."""
    if view.state is S.READY:
        return _("Come to your point with your document. You choose your PINs there; it takes about ten minutes.")
    if view.state is S.CLOSED:
        return _("The card is active. If you lose it, report it at any window at once.")
    if view.state is S.REJECTED:
        return _("You may apply again when the reason is gone, or ask at a window.")
    if view.state is S.WITHDRAWN:
        return _("You may apply again at any time.")
    if view.state is S.CHECK_FAILED:
        return _("A register answered differently from what you wrote. We may call you; you need do nothing now.")
    return _("You need do nothing now. Look here again, or wait for our message.")
