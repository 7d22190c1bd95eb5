"""Hides how an operation at a card is told to a clerk: its steps in plain words, and what it waits for."""

from collections.abc import Mapping
from dataclasses import dataclass

from uec.domain.lifecycle import OperationKind, OperationState
from uec.services.views import OperationView
from uec.web.problem_words import code_refused, problem_of_code
from uec.web.texts import _

FOREIGN = "foreign-card"


@dataclass(frozen=True)
class Mark:
    """One step as shown."""

    text: str
    done: bool
    now: bool


# What the generators of `issuance.production` call the stages of the work, in order; a label names what begins.
COURSES: Mapping[OperationKind, tuple[str, ...]] = {
    OperationKind.PERSONALISE: ("find_card", "change_keys", "write_data", "certificates", "inspect", "inspected"),
    OperationKind.HAND_OVER: ("find_card", "change_pins", "handed_over"),
    OperationKind.INSPECT: ("inspect", "inspected"),
    OperationKind.READ: ("find_card",),
    OperationKind.REKEY: ("find_card", "change_keys", "keys_changed"),
    OperationKind.TERMINATE: ("find_card", "terminate", "terminated"),
    OperationKind.UNBLOCK: ("find_card", "reset_pin", "pin_reset"),
}

# Labels between two stages of a course.
SAME_STAGE = {"written": "inspect", "judge": "inspect", "choose_pins": "change_pins"}


def words_of(label: str) -> str:
    """Return the words for a stage; an unknown one is shown as it is."""
    known = {
        "find_card": _("Finding the card and checking that it is genuine"),
        "change_keys": _("Setting the card's own keys"),
        "write_data": _("Writing the data and making the key pairs"),
        "certificates": _("Issuing the certificates and finishing"),
        "inspect": _("Reading the card back over a new connection"),
        "inspected": _("The card is inspected"),
        "change_pins": _("Setting the holder's PINs"),
        "handed_over": _("The card is handed over"),
        "keys_changed": _("The card has the newest keys"),
        "terminate": _("Making the card mute for good"),
        "terminated": _("The card is mute"),
        "reset_pin": _("Setting the new PIN"),
        "pin_reset": _("The PIN is set"),
    }
    return known.get(label, label)


def marks_of(operation: OperationView) -> list[Mark]:
    """Return the stages of the work with where it stands."""
    labels = COURSES[operation.kind]
    # Both where the work is and how far it came: a card that was put back is recognised from the first stage on.
    said = (str(operation.progress.get(key, "")) for key in ("label", "reached"))
    stages = (SAME_STAGE.get(one, one) for one in said)
    place = max((labels.index(one) for one in stages if one in labels), default=0)
    if operation.state is OperationState.DONE:
        place = len(labels)
    running = operation.state is OperationState.RUNNING
    return [
        Mark(words_of(label), done=number < place, now=running and number == place)
        for number, label in enumerate(labels)
    ]


@dataclass(frozen=True)
class Wait:
    """What running work stands still for, and what the clerk does about it."""

    headline: str
    advice: str


def wait_of(operation: OperationView) -> Wait | None:
    """Return what the work waits for: its card, its reader, its station's network; None while it goes on."""
    if operation.state is not OperationState.RUNNING:
        return None
    waits = {
        "put_card_back": Wait(
            _("Put the same card back into the reader"),
            _(
                "The reader has lost the card. Nothing is spoiled: put the same card in again within half a minute, "
                "and the work goes on by itself where it stopped."
            ),
        ),
        "plug_reader_in": Wait(
            _("The reader is gone"),
            _(
                "Look at its cable and plug it in again, and leave the card in it. Nothing is spoiled: the work goes "
                "on by itself where it stopped."
            ),
        ),
        "link_away": Wait(
            _("The station has lost its link to the office"),
            _("Leave the card in the reader. Nothing is spoiled: the work goes on by itself when the network is back."),
        ),
    }
    return waits.get(str(operation.progress.get("label", "")))


def headline_of(operation: OperationView) -> str:
    """Return what is going on in one line."""
    if (wait := wait_of(operation)) is not None:
        return wait.headline
    return {
        OperationState.REQUESTED: _("Waiting for the station"),
        OperationState.RUNNING: _("Working with the card"),
        OperationState.DONE: _("Done"),
        OperationState.FAILED: _("It did not work"),
        OperationState.CANCELLED: _("Called off"),
    }[operation.state]


def problem_of(operation: OperationView) -> tuple[str, str]:
    """Return what went wrong and what to do, in a clerk's words."""
    if isinstance(left := operation.result.get("tries_left"), int):
        return code_refused(left)
    problem, advice = problem_of_code(operation.error_code or "")
    if operation.error_code != FOREIGN or operation.kind is OperationKind.PERSONALISE:
        return problem, advice
    # Only what is to be written wants a blank; all other work is for one certain card, and a look for none.
    if operation.kind is OperationKind.READ:
        return problem, _("Take the card out.")
    return problem, _("Put in the card with this number and try again.")
