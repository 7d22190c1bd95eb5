"""Hides how an operation at a card is told to a clerk: its steps in plain words, and what to do when it fails."""

from collections.abc import Mapping
from dataclasses import dataclass

from uec.domain.lifecycle import OperationKind, OperationState
from uec.services.views import OperationView
from uec.web.texts import _


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
    """Return what went wrong and what to do, in a clerk's words, by the error's code."""
    put_back = _("Put the same card back into the reader and try again; nothing is lost.")
    set_aside = _("Set the card aside and report it to security; nothing was changed on it.")
    blank = _("Take it out and put a blank card in.")
    spoiled = _("Put it aside as spoiled; a new card is planned by itself.")
    known = {
        "uec.hub_restarted": (_("The card service was restarted."), _("Let the holder enter the PINs again.")),
        "seal-broken": (_("The card service was restarted."), _("Let the holder enter the PINs again.")),
        "card-lost": (_("The card was taken out, or the reader lost it."), put_back),
        "card-refused": (_("The card refused a step."), _("Put it in again; if it refuses once more, scrap it.")),
        "wrong-card": (_("Another card lies in the reader."), _("Put in the card with this number and try again.")),
        "chip-taken": (_("This chip already belongs to another card."), blank),
        "card-active": (_("This card has been handed over already."), _("Take it out and give it to its holder.")),
        "foreign-card": (_("This is not a card that can be used here."), blank),
        "unknown-keys": (_("The card holds keys that this office does not know."), set_aside),
        "counterfeit": (_("The card cannot prove that it is genuine."), set_aside),
        "card-locked": (_("The card is locked, or was ended."), set_aside),
        "card-scrapped": (_("The card is spoiled."), spoiled),
        "uec.print_not_matched": (
            _("The number on the plastic was not compared with the chip yet."),
            _("Compare it on the page of the batch’s printing, then start the work again."),
        ),
        "inspection-failed": (_("The card did not pass the inspection."), spoiled),
        "uec.card_not_ready": (_("The card was taken off this work meanwhile."), _("Take it out and set it aside.")),
        "uec.card_moved_on": (_("The card was taken off this work meanwhile."), _("Take it out and set it aside.")),
        "uec.card_taken_over": (_("The card service was restarted."), put_back),
        "uec.station_away": (
            _("The station has lost its link to the office."),
            _("See to the network of the station, leave the card in the reader and try again; nothing is lost."),
        ),
        "uec.station_not_trusted": (
            _("This station is not trusted with the keys of this card."),
            _("Take the card to a trusted station."),
        ),
        "uec.not_for_this_card": (_("Cards of this kind are not treated so."), _("Take the card out.")),
        "vault-unavailable": (_("The key service does not answer."), _("Tell the administrator, then try again.")),
    }
    if operation.error_code in known:
        return known[operation.error_code]
    return operation.error_text or _("The work with the card has failed."), _(
        "Take the card out, put it back and try again. If it fails twice, set it aside and call production."
    )
