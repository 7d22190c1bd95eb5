"""Hides how places, motions and refusals of the stock are said to people."""

from collections.abc import Callable, Mapping
from enum import StrEnum

from uec.domain.errors import UecError
from uec.domain.sampling import Defect, LookState
from uec.domain.stock import (
    DestructionState,
    Motion,
    Place,
    QuarantineState,
    ShiftState,
    StoreKind,
    SubjectKind,
    TransferState,
)
from uec.web.texts import _, _l, ngettext

Text = object  # a lazy string of flask-babel

TAGS: tuple[tuple[StrEnum, Text, str], ...] = (
    (TransferState.SENT, _l("On the way"), "blue"),
    (TransferState.RECEIVED, _l("Received whole"), "green"),
    (TransferState.DISPUTED, _l("Does not agree"), "red"),
    (TransferState.SETTLED, _l("Settled"), "grey"),
    (TransferState.RECALLED, _l("Recalled"), "grey"),
    (ShiftState.OPEN, _l("Shift open"), "purple"),
    (ShiftState.CLOSED, _l("Shift closed"), "grey"),
    (DestructionState.PROPOSED, _l("Awaits a second person"), "yellow"),
    (DestructionState.DONE, _l("Destroyed by act"), "grey"),
    (DestructionState.WITHDRAWN, _l("Act withdrawn"), "grey"),
    (QuarantineState.IMPOSED, _l("In quarantine"), "red"),
    (QuarantineState.RELEASED, _l("Released from quarantine"), "green"),
    (LookState.WANTED, _l("To be looked at"), "yellow"),
    (LookState.GOOD, _l("Nothing wrong"), "green"),
    (LookState.BAD, _l("Bad"), "red"),
)
WORDS: tuple[tuple[StrEnum, Text], ...] = (
    (Defect.PRINT, _l("Print: smeared, faint or out of place")),
    (Defect.PHOTO, _l("Photo: not this person, or spoiled")),
    (Defect.TEXT, _l("Text: name, number or date is wrong")),
    (Defect.SURFACE, _l("Plastic: scratched, bent or dirty")),
    (Defect.CHIP, _l("Chip or contacts: damaged")),
    (Place.OUTSIDE, _l("Outside")),
    (Place.STORE, _l("In store")),
    (Place.TRANSIT, _l("Between stores")),
    (Place.HAND, _l("In the operator’s hand")),
    (Place.WORK, _l("In work")),
    (Place.UNFINISHED, _l("Set aside unfinished")),
    (Place.GOOD, _l("Made into a card")),
    (Place.SPOILED, _l("Spoiled, awaits destruction")),
    (Place.HANDED_IN, _l("Handed in, awaits destruction")),
    (Place.DOOMED, _l("Listed in an act")),
    (Place.DESTROYED, _l("Destroyed")),
    (Place.MISSING, _l("Missing")),
    (Motion.DELIVER, _l("Delivered")),
    (Motion.RETURN_TO_MAKER, _l("Sent back to the maker")),
    (Motion.SEND, _l("Sent under seal")),
    (Motion.RECEIVE, _l("Received")),
    (Motion.RECALL, _l("Recalled")),
    (Motion.ISSUE, _l("Issued to a shift")),
    (Motion.GIVE_BACK, _l("Given back")),
    (Motion.CLAIM, _l("Taken for a card")),
    (Motion.SET_ASIDE, _l("Set aside unfinished")),
    (Motion.MAKE, _l("Made into a card")),
    (Motion.SPOIL, _l("Spoiled")),
    (Motion.HAND_IN, _l("Handed in")),
    (Motion.DOOM, _l("Listed for destruction")),
    (Motion.SPARE, _l("Taken off the act")),
    (Motion.SPARE_CARD, _l("Taken off the act")),
    (Motion.DESTROY, _l("Destroyed")),
    (Motion.MISS, _l("Recorded as missing")),
    (Motion.FIND, _l("Found again")),
    (StoreKind.CENTRAL, _l("Central store")),
    (StoreKind.POINT, _l("Store of a point")),
    (StoreKind.LINE, _l("Store of a line")),
    (SubjectKind.READER, _l("Reader")),
    (SubjectKind.STATION, _l("Station")),
    (SubjectKind.LOT, _l("Chip lot")),
    (SubjectKind.OPERATOR, _l("Operator")),
)
ACTIONS: Mapping[str, Text] = {
    "stock.add_store": _l("Store entered"),
    "stock.keep": _l("Checking of chips set"),
    "stock.deliver": _l("Delivery of blanks taken in"),
    "stock.return_to_maker": _l("Blanks sent back to the maker"),
    "stock.send": _l("Blanks sent under seal"),
    "stock.receive": _l("Consignment received"),
    "stock.dispute": _l("Consignment does not agree"),
    "stock.settle": _l("Consignment settled"),
    "stock.recall": _l("Consignment recalled"),
    "stock.open_shift": _l("Shift opened"),
    "stock.close_shift": _l("Shift was closed"),
    "stock.issue": _l("Blanks issued to a shift"),
    "stock.give_back": _l("Blanks given back"),
    "stock.set_aside": _l("Begun cards locked away"),
    "stock.spoil": _l("Blanks spoiled"),
    "stock.miss": _l("Blanks recorded as missing"),
    "stock.find": _l("Missing blanks found"),
    "stock.hand_in": _l("Card handed in"),
    "stock.propose_destruction": _l("Act of destruction proposed"),
    "stock.withdraw_destruction": _l("Act of destruction withdrawn"),
    "stock.destroy": _l("Cards destroyed by act"),
    "quarantine.impose": _l("Quarantine imposed"),
    "quarantine.release": _l("Quarantine lifted"),
    "look.draw": _l("Cards drawn for a look"),
    "look.good": _l("Card looked at: nothing wrong"),
    "look.bad": _l("Card looked at: bad"),
}
KINDS: Mapping[str, Text] = {
    "stock_store": _l("Store"),
    "stock_delivery": _l("Delivery"),
    "stock_box": _l("Box"),
    "stock_transfer": _l("Consignment"),
    "stock_shift": _l("Shift"),
    "stock_destruction": _l("Act of destruction"),
    "quarantine": _l("Quarantine"),
}
DUTIES: Mapping[str, Text] = {
    "sent the consignment": _l("sent the consignment"),
    "has the shift": _l("have the shift"),
    "had the shift": _l("had the shift"),
    "proposed the act": _l("proposed the act"),
    "is in quarantine": _l("are in quarantine yourself"),
    "produced the card": _l("produced the card"),
}


def _seal(error: UecError) -> str:
    return _("The seal found is not the one put on. Leave the consignment shut and record what does not agree.")


def _unbalanced(error: UecError) -> str:
    count = int(error.facts.get("unaccounted", 0))
    return ngettext(
        "The shift does not balance: %(num)d blank is unaccounted for. Its box and serials stand below.",
        "The shift does not balance: %(num)d blanks are unaccounted for. Their boxes and serials stand below.",
        count,
    )


def _chips(error: UecError) -> str:
    shown = str(error.facts.get("chips") or "")
    if not shown:
        return _("There are not so many blanks there. Look at what lies there and ask for fewer.")
    return _("Not all of these chips are there: %(chips)s. Look at where they lie.", chips=shown)


def _typed(error: UecError) -> str:
    """What is wrong with chips that somebody typed."""
    wrong = error.facts.get("wrong")
    if wrong == "digits":
        shown = str(error.facts.get("typed", ""))
        return _("%(typed)s is no chip serial: write its 20 hexadecimal digits.", typed=f"«{shown}»")
    if wrong == "order":
        return _("A range runs from the smaller serial to the larger one: write it as FIRST-LAST.")
    if wrong == "lots":
        return _("First and last chip of a range are of different lots: write a range for each lot.")
    return _("Name the chips: their serials stand on the blanks, 20 hexadecimal digits each.")


FIELDS: Mapping[str, Callable[[UecError], str]] = {
    "box": lambda _e: _("Choose at least one box."),
    "numbers": lambda _e: _("There is no box of one of these numbers: read them off the boxes."),
    "count": lambda _e: _("Give counts in figures."),
    "chips": _typed,
    "seal": lambda _e: _("Read the number off the seal."),
    "reason": lambda _e: _("Write the reason."),
    "begun": lambda _e: _("No card of this shift is begun and unfinished: nothing is to be locked away."),
}
SENTENCES: Mapping[str, Callable[[UecError], str]] = {
    "uec.stock_refused": lambda _e: _("The stock does not allow this. Look at the present state of the card."),
    "uec.not_in_stock": _chips,
    "uec.overlapping_serials": lambda e: _(
        "Chips stand twice, or are in the stock already: %(chips)s. Compare the list with the boxes.",
        chips=str(e.facts.get("chips", "")),
    ),
    "uec.seal_broken": _seal,
    "uec.seal_used": lambda e: _(
        "Seal %(seal)s was put on consignment %(number)s already. Read the number off the seal, or take a new one.",
        seal=str(e.facts.get("seal", "")),
        number=str(e.facts.get("transfer", "")),
    ),
    "uec.count_differs": lambda e: _(
        "You counted %(counted)s, and %(sent)s were sent. Count again, or record what does not agree.",
        counted=e.facts.get("counted", 0),
        sent=e.facts.get("sent", 0),
    ),
    "uec.moved_meanwhile": lambda e: _(
        "Of box %(box)s %(there)s blanks lie there by now, and not %(seen)s. It may be done already: look again.",
        box=str(e.facts.get("box", "")),
        there=e.facts.get("there", 0),
        seen=e.facts.get("seen", 0),
    ),
    "uec.shift_unbalanced": _unbalanced,
    "uec.shift_open_already": lambda _e: _(
        "You, this station or this place have a shift open already. Close it first."
    ),
    "uec.no_shift": lambda _e: _("Nobody has a shift open here. Open one and have blanks issued to it."),
    "uec.chip_not_in_stock": lambda _e: _("This chip is not among the blanks of the shift. Put it aside."),
    "uec.unknown_key_set": lambda _e: _(
        "No such key set is in the vault. Compare version and check value with the maker’s letter; "
        "custodians enter a new key."
    ),
    "uec.card_still_serves": lambda e: _(
        "Cards in the act have not ended: %(cards)s. Annul them first.", cards=", ".join(e.facts.get("cards", [])[:10])
    ),
    "uec.destroy_by_act": lambda _e: _("This card is in the stock: two people destroy it by an act."),
    "uec.not_looked_at": lambda e: _(
        "Cards of batch %(batch)s wait to be looked at by quality. Hand its cards over afterwards.",
        batch=str(e.facts.get("batch", "")),
    ),
    "uec.quarantined": lambda e: _(
        "%(label)s is in quarantine. Take another one until quality releases it.", label=str(e.facts.get("label", ""))
    ),
}


def told(error: UecError) -> str:
    """A refusal in the visitor's language, beside its field or as a notice."""
    say = SENTENCES.get(error.code) or FIELDS.get(str(error.facts.get("field")))
    if say is not None:
        return say(error)
    return _("Check this field")
