"""Hides how a failed work at a card is told to a clerk: what went wrong and what to do, by the error's code.

Codes of one family (a reader's, a vault's) share their words; a code nobody foresaw is told as such, with the code for
whoever is called. Nothing an office raises reaches the page in a programmer's words.
"""

from collections.abc import Mapping

from uec.web.texts import _


def problem_of_code(code: str) -> tuple[str, str]:
    """Return what went wrong and what to do."""
    for known in (_of_cards(), _of_office()):
        if code in known:
            return known[code]
    for family, words in _families().items():
        if code.startswith(family):
            return words
    return _("The work with the card has failed (%(code)s).", code=code or "?"), _(
        "Take the card out, put it back and try again. If it fails twice, set it aside and call production."
    )


def code_refused(tries_left: int) -> tuple[str, str]:
    """Return the words for an unblock code that the card did not take."""
    if not tries_left:
        return _("The code that unblocks this card is blocked itself."), _(
            "Its PINs cannot be set any more: take an application for another card in its place."
        )
    return _("The code does not fit this card; tries left: %(count)s.", count=tries_left), _(
        "Let the holder type the code again, from the letter that came with this card."
    )


def _of_cards() -> Mapping[str, tuple[str, str]]:
    """What the card in the reader is, or did."""
    put_back = _("Put the same card back into the reader and try again; nothing is lost.")
    set_aside = _("Set the card aside and report it to security; nothing was changed on it.")
    blank = _("Take it out and put a blank card in.")
    spoiled = _("Put it aside as spoiled; a new card is planned by itself.")
    again = _("Put it in again; if it refuses once more, scrap it.")
    return {
        "card-lost": (_("The card was taken out, or the reader lost it."), put_back),
        "card-refused": (_("The card refused a step."), again),
        "unforeseen-answer": (_("The card refused a step."), again),
        "wrong-card": (_("Another card lies in the reader."), _("Put in the card with this number and try again.")),
        "chip-taken": (_("This chip already belongs to another card."), blank),
        "card-active": (_("This card has been handed over already."), _("Take it out and give it to its holder.")),
        "foreign-card": (_("This is not a card that can be used here."), blank),
        "unknown-keys": (_("The card holds keys that this office does not know."), set_aside),
        "wrong-card-keys": (_("The card answers with other keys than its own."), set_aside),
        "counterfeit": (_("The card cannot prove that it is genuine."), set_aside),
        "card-locked": (_("The card is locked, or was ended."), set_aside),
        "card-scrapped": (_("The card is spoiled."), spoiled),
        "unfit-key": (_("The card made a key that is not fit for use."), spoiled),
        "inspection-failed": (_("The card did not pass the inspection."), spoiled),
        "pin-refused": (
            _("The card refused its PIN."),
            _("Check that it is the right card and try again. If it refuses once more, set it aside."),
        ),
        "unblock-refused": (
            _("The code does not fit this card."),
            _("Let the holder type the code again, from the letter that came with this card."),
        ),
        "pad-unfit": (
            _("The keys of this reader cannot be used for this card."),
            _("Try again: the holder types on the computer this time. Nothing is lost."),
        ),
        "pad-given-up": (
            _("The holder did not finish at the reader."),
            _("Begin again when the holder is ready. Nothing is lost."),
        ),
        "unfit-pin": (_("This PIN cannot be chosen."), _("Let the holder choose another one.")),
    }


def _of_office() -> Mapping[str, tuple[str, str]]:
    """What stands against the work outside the card."""
    pins_again = _("The card service was restarted."), _("Let the holder enter the PINs again.")
    put_back = _("Put the same card back into the reader and try again; nothing is lost.")
    moved_on = _("The card was taken off this work meanwhile."), _("Take it out and set it aside.")
    tell = _("Tell the administrator, then try again.")
    return {
        "uec.hub_restarted": pins_again,
        "seal-broken": pins_again,
        "uec.card_not_ready": moved_on,
        "uec.card_moved_on": moved_on,
        "uec.card_taken_over": (_("The card service was restarted."), put_back),
        "uec.hub_internal": (_("The card service made a mistake of its own."), tell),
        "uec.station_away": (
            _("The station has lost its link to the office."),
            _("See to the network of the station, leave the card in the reader and try again; nothing is lost."),
        ),
        "uec.station_not_trusted": (
            _("This station is not trusted with the keys of this card."),
            _("Take the card to a trusted station."),
        ),
        "uec.not_for_this_card": (_("Cards of this kind are not treated so."), _("Take the card out.")),
        "uec.card_barred": (
            _("The person has died or refused to receive a card."),
            _("Take the card out and set it aside."),
        ),
        "uec.print_not_matched": (
            _("The number on the plastic was not compared with the chip yet."),
            _("Compare it on the page of the batch’s printing, then start the work again."),
        ),
        "uec.chip_not_in_stock": (
            _("This chip is not among the blanks of the shift."),
            _("Put it aside for the store keeper and take a blank of your shift."),
        ),
        "uec.no_shift": (
            _("Nobody has a shift open here."),
            _("Open one, have blanks issued to it and try again."),
        ),
        "uec.quarantined": (
            _("The reader, the station, the chip or its operator is in quarantine."),
            _("Take another one until quality releases it."),
        ),
        "uec.no_authority": (_("The certification authority is not set up yet."), tell),
        "invalid-card-data": (_("The data of the card do not fit its kind."), tell),
        "invalid-profile": (_("The data of the card do not fit its kind."), tell),
    }


def _families() -> Mapping[str, tuple[str, str]]:
    """Codes by their beginning."""
    certificates = (
        _("The certificates could not be issued."),
        _("Tell the administrator, then try again; the card is not lost."),
    )
    vault = _("The key service does not answer."), _("Tell the administrator, then try again.")
    return {
        "reader": (
            _("The reader does not work with the card."),
            _("Look at its cable and at the contacts of the card, put the card in again and try again."),
        ),
        "card.": (
            _("The card gave an answer that makes no sense."),
            _("Put it in again; if it happens once more, set it aside."),
        ),
        "vault": vault,
        "pki": certificates,
        "certificate-refused": certificates,
        "issuer-expired": certificates,
        "key-period-over": certificates,
        "station-protocol": (
            _("Station and office do not understand each other."),
            _("Have the administrator install the same version on both."),
        ),
    }
