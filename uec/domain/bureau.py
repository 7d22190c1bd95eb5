"""Hides where an order to an outside personalisation bureau may stand, and where each of its cards.

What a bureau says moves nothing by itself: a file is believed when it is signed, whole, of this order, and every number
in it was ordered. Then cards are MADE; only our own inspection makes them *personalised* (`uec.domain.lifecycle`).
"""

import re
from enum import StrEnum

from uec.domain.errors import InvalidInput, UecError

CODE_LIMIT = 20
SERIAL_PLACES = "S" * 8


class PartnerState(StrEnum):
    """Where a bureau, or a certificate of it, stands; it takes two people to let it in."""

    PROPOSED = "PROPOSED"
    APPROVED = "APPROVED"
    ENDED = "ENDED"


class PartnerEvent(StrEnum):
    """What can happen to a bureau or its certificate."""

    APPROVE = "APPROVE"
    END = "END"


class CertificateUse(StrEnum):
    """What a bureau's certificate is for: we encrypt to one, it signs with the other."""

    ENCRYPTION = "ENCRYPTION"
    SIGNATURE = "SIGNATURE"


class OrderState(StrEnum):
    """Where an order to a bureau stands."""

    DRAWN = "DRAWN"
    APPROVED = "APPROVED"
    SENT = "SENT"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    COMPLETE = "COMPLETE"
    CLOSED = "CLOSED"
    CANCELLED = "CANCELLED"


class OrderEvent(StrEnum):
    """What can happen to an order to a bureau."""

    APPROVE = "APPROVE"
    SEND = "SEND"
    ACCEPT = "ACCEPT"
    DECLINE = "DECLINE"
    COMPLETE = "COMPLETE"
    CLOSE = "CLOSE"
    CANCEL = "CANCEL"


class OrderedState(StrEnum):
    """Where a card of an order stands: at the bureau, made, answered with certificates, finished, rejected or back."""

    ORDERED = "ORDERED"
    MADE = "MADE"
    ANSWERED = "ANSWERED"
    FINISHED = "FINISHED"
    REJECTED = "REJECTED"
    RECALLED = "RECALLED"


class OrderedEvent(StrEnum):
    """What can happen to a card of an order."""

    MAKE = "MAKE"
    ANSWER = "ANSWER"
    FINISH = "FINISH"
    REJECT = "REJECT"
    RECALL = "RECALL"


class ConsignmentState(StrEnum):
    """Where a consignment from a bureau stands."""

    ANNOUNCED = "ANNOUNCED"
    RECEIVED = "RECEIVED"


class ConsignmentEvent(StrEnum):
    """What can happen to a consignment from a bureau."""

    RECEIVE = "RECEIVE"


class FileOutcome(StrEnum):
    """What became of a file."""

    SENT = "SENT"
    TAKEN = "TAKEN"
    REFUSED = "REFUSED"


class Certificates(StrEnum):
    """When the certificates get onto the cards of an order."""

    HAND_OVER = "hand-over"
    ANSWER = "answer"


_P, _PE = PartnerState, PartnerEvent
PARTNER = {
    (_P.PROPOSED, _PE.APPROVE): _P.APPROVED,
    (_P.PROPOSED, _PE.END): _P.ENDED,
    (_P.APPROVED, _PE.END): _P.ENDED,
}

_O, _OE = OrderState, OrderEvent
ORDER = {
    (_O.DRAWN, _OE.APPROVE): _O.APPROVED,
    (_O.DRAWN, _OE.CANCEL): _O.CANCELLED,
    (_O.APPROVED, _OE.CANCEL): _O.CANCELLED,
    (_O.APPROVED, _OE.SEND): _O.SENT,
    (_O.SENT, _OE.ACCEPT): _O.ACCEPTED,
    (_O.SENT, _OE.DECLINE): _O.DECLINED,
    (_O.ACCEPTED, _OE.COMPLETE): _O.COMPLETE,
    (_O.COMPLETE, _OE.CLOSE): _O.CLOSED,
}

_C, _CE = OrderedState, OrderedEvent
ORDERED = {
    (_C.ORDERED, _CE.MAKE): _C.MADE,
    (_C.ORDERED, _CE.REJECT): _C.REJECTED,
    (_C.ORDERED, _CE.RECALL): _C.RECALLED,
    (_C.MADE, _CE.ANSWER): _C.ANSWERED,
    (_C.MADE, _CE.REJECT): _C.REJECTED,
    (_C.ANSWERED, _CE.FINISH): _C.FINISHED,
    (_C.ANSWERED, _CE.REJECT): _C.REJECTED,
}

CONSIGNMENT = {(ConsignmentState.ANNOUNCED, ConsignmentEvent.RECEIVE): ConsignmentState.RECEIVED}

# An order in one of these holds its batch: nobody else may make the cards.
STANDING = "state NOT IN ('DECLINED', 'CANCELLED')"


class BureauRefused(UecError):
    """A bureau, an order or a file does not allow this. Facts: `finding`, and what it is about."""

    code = "uec.bureau_refused"
    finding: str


class BureauNotReady(BureauRefused):
    """The bureau cannot work for us now: not approved, no valid certificate, no transport key. Facts: `finding`."""

    code = "uec.bureau_not_ready"


class FileRefused(BureauRefused):
    """A file was refused and recorded; nothing moved. Facts: `finding`, `file`."""

    code = "uec.bureau_file_refused"


def checked_code(code: str) -> str:
    """A bureau's code as it stands in files; raises `InvalidInput`."""
    plain = code.strip().upper()
    if not re.fullmatch(rf"[A-Z0-9-]{{2,{CODE_LIMIT}}}", plain):
        raise InvalidInput(
            f"A bureau's code has 2 to {CODE_LIMIT} Latin letters, digits and hyphens: choose another.", field="code"
        )
    return plain


def checked_kdd(pattern: str) -> str:
    """How the chips of a lot diversify: 20 places of hex, 8 of them `S` for the serial; raises `InvalidInput`."""
    plain = pattern.strip().replace(" ", "").upper()
    if not re.fullmatch(r"[0-9A-F]*S{8}[0-9A-F]*", plain) or len(plain) != 20:
        raise InvalidInput(
            "Diversification data are 20 hexadecimal digits with SSSSSSSS in the place of the serial number, like "
            "47906035SSSSSSSSBBBB filled in: see the maker's letter.",
            field="kdd",
        )
    return plain


def kdd_of(pattern: str, serial: int) -> bytes:
    """The key diversification data of one chip of a lot; 10 bytes."""
    return bytes.fromhex(pattern.replace(SERIAL_PLACES, f"{serial:08X}"))
