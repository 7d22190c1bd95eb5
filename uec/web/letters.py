"""Hides what a letter with an unblock code is kept under until it is printed, and what it says to its reader."""

from collections.abc import Callable

from issuance.production.pin_profile import Keeping
from uec.services.confirmations import Paper
from uec.services.unblock_letters import Letter, LetterBox
from uec.web.confirmations import issuer
from uec.web.context import office, today
from uec.web.filters import card_number
from uec.web.language import day
from uec.web.sealed import derived
from uec.web.texts import _

SHOWN = 4
"""Last digits of a card's number that its letter shows: one left lying tells nobody whose card it is for."""


def box() -> LetterBox:
    """What this process keeps letters with."""
    return box_of(office().key, office().random)


def box_of(key: bytes, random: Callable[[int], bytes]) -> LetterBox:
    """The same for an office whose web process has this key (that of its cookies)."""
    return LetterBox(derived(key, "unblock letter"), random)


def paper_of(one: Letter) -> Paper:
    """The letter in the language of the page; what the file is called tells nothing of the code."""
    digits = one.digits.reveal().decode("ascii")
    heading = _("The code that unblocks your card")
    keep = _("Keep this letter at home, never together with the card. Whoever has both can choose new PINs.")
    alone = _(
        "The code is known to nobody but you: the office keeps no copy, and this letter cannot be printed again. "
        "If you lose it, the card goes on working; only a blocked PIN can then not be set any more."
    )
    use = _(
        "When you have forgotten a PIN, or it is blocked after wrong tries, come to any window with card, document and "
        "this letter: you type the code and choose a new PIN."
    )
    if one.kept is Keeping.SPLIT:
        heading = _("Your share of the code that unblocks your card")
        alone = _(
            "These digits are one half of the code. The office has the other half; neither half says anything without "
            "the other, and this letter cannot be printed again."
        )
    wrong = _(
        "After %(tries)s wrong codes in a row the code itself is blocked, and the card has to be replaced.",
        tries=one.tries,
    )
    masked = "•" * (len(one.card_number) - SHOWN) + one.card_number[-SHOWN:]
    return Paper(
        heading=heading,
        number=card_number(digits),
        office=issuer(),
        facts=[(_("Card"), card_number(masked)), (_("Printed on"), day(today()))],
        sentences=[use, keep, alone, wrong],
        title=heading,
    )
