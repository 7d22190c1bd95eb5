"""Hides where a blank card may be and how it may move: the machine of a blank, of transfers, shifts and acts; serials.

A blank is known by its chip (CPLC: fabricator, type and batch are the lot, then the serial number), and serial numbers
of a lot run on. So stock is kept in *ranges*: "box 17, chips 1 to 500, central store" is one row, and so is each part
that it is split into. Against one row a blank: 1.4 million blanks delivered are 1.4 million rows and as many ledger
entries before a single card is made, every transfer of a pallet rewrites 20,000 of them, and "what is in the store" is
a count over all. As ranges the delivery is 2,800 rows; a transfer touches one row a box; a blank becomes a row of its
own only while it is an exception (in a reader, spoiled, missing) and melts into its neighbours again when they are
all in the same place. The price is that ranges must never overlap: the database sees to it (`uec.store.stock_guards`).

The ledger is double entry: each movement takes a range from one account and gives it to another, so the sum over all
accounts never changes, and a balance is what the ledger adds up to.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from uec.domain.errors import InvalidInput, UecError

LOT_DIGITS = 12
CHIP_DIGITS = 20
SERIAL_LIMIT = 0xFFFFFFFF


class Place(StrEnum):
    """What kind of account a blank is in."""

    OUTSIDE = "OUTSIDE"
    STORE = "STORE"
    TRANSIT = "TRANSIT"
    HAND = "HAND"
    WORK = "WORK"
    UNFINISHED = "UNFINISHED"
    GOOD = "GOOD"
    SPOILED = "SPOILED"
    HANDED_IN = "HANDED_IN"
    DOOMED = "DOOMED"
    DESTROYED = "DESTROYED"
    MISSING = "MISSING"


class Motion(StrEnum):
    """Why a blank goes from one account to another."""

    DELIVER = "DELIVER"
    RETURN_TO_MAKER = "RETURN_TO_MAKER"
    SEND = "SEND"
    RECEIVE = "RECEIVE"
    RECALL = "RECALL"
    ISSUE = "ISSUE"
    GIVE_BACK = "GIVE_BACK"
    CLAIM = "CLAIM"
    SET_ASIDE = "SET_ASIDE"
    MAKE = "MAKE"
    SPOIL = "SPOIL"
    HAND_IN = "HAND_IN"
    DOOM = "DOOM"
    SPARE = "SPARE"
    SPARE_CARD = "SPARE_CARD"
    DESTROY = "DESTROY"
    MISS = "MISS"
    FIND = "FIND"


_P, _M = Place, Motion

BLANK: Mapping[tuple[Place, Motion], Place] = {
    (_P.OUTSIDE, _M.DELIVER): _P.STORE,
    (_P.STORE, _M.RETURN_TO_MAKER): _P.OUTSIDE,
    (_P.STORE, _M.SEND): _P.TRANSIT,
    (_P.TRANSIT, _M.RECEIVE): _P.STORE,
    (_P.TRANSIT, _M.RECALL): _P.STORE,
    (_P.STORE, _M.ISSUE): _P.HAND,
    (_P.HAND, _M.GIVE_BACK): _P.STORE,
    (_P.HAND, _M.CLAIM): _P.WORK,
    # A card begun in one shift and finished in another one.
    (_P.WORK, _M.SET_ASIDE): _P.UNFINISHED,
    (_P.WORK, _M.MAKE): _P.GOOD,
    (_P.UNFINISHED, _M.MAKE): _P.GOOD,
    (_P.STORE, _M.SPOIL): _P.SPOILED,
    (_P.HAND, _M.SPOIL): _P.SPOILED,
    (_P.WORK, _M.SPOIL): _P.SPOILED,
    (_P.UNFINISHED, _M.SPOIL): _P.SPOILED,
    (_P.GOOD, _M.SPOIL): _P.SPOILED,
    (_P.GOOD, _M.HAND_IN): _P.HANDED_IN,
    # A card that was made where no stock was kept comes to light when it is handed in.
    (_P.OUTSIDE, _M.HAND_IN): _P.HANDED_IN,
    (_P.SPOILED, _M.DOOM): _P.DOOMED,
    (_P.HANDED_IN, _M.DOOM): _P.DOOMED,
    (_P.DOOMED, _M.SPARE): _P.SPOILED,
    (_P.DOOMED, _M.SPARE_CARD): _P.HANDED_IN,
    (_P.DOOMED, _M.DESTROY): _P.DESTROYED,
    (_P.STORE, _M.MISS): _P.MISSING,
    (_P.TRANSIT, _M.MISS): _P.MISSING,
    (_P.HAND, _M.MISS): _P.MISSING,
    (_P.WORK, _M.MISS): _P.MISSING,
    (_P.MISSING, _M.FIND): _P.STORE,
}


class StoreKind(StrEnum):
    """Where a store is."""

    CENTRAL = "CENTRAL"
    POINT = "POINT"
    LINE = "LINE"


class TransferState(StrEnum):
    """Where a consignment between two stores stands."""

    SENT = "SENT"
    RECEIVED = "RECEIVED"
    DISPUTED = "DISPUTED"
    SETTLED = "SETTLED"
    RECALLED = "RECALLED"


class TransferEvent(StrEnum):
    """What can happen to a consignment."""

    RECEIVE = "RECEIVE"
    DISPUTE = "DISPUTE"
    SETTLE = "SETTLE"
    RECALL = "RECALL"


class ShiftState(StrEnum):
    """Where one operator's time at a station stands."""

    OPEN = "OPEN"
    CLOSED = "CLOSED"


class ShiftEvent(StrEnum):
    """What can happen to a shift."""

    CLOSE = "CLOSE"


class DestructionState(StrEnum):
    """Where an act of destruction stands."""

    PROPOSED = "PROPOSED"
    DONE = "DONE"
    WITHDRAWN = "WITHDRAWN"


class DestructionEvent(StrEnum):
    """What can happen to an act of destruction."""

    CONFIRM = "CONFIRM"
    WITHDRAW = "WITHDRAW"


class QuarantineState(StrEnum):
    """Whether a reader, station, lot or operator is kept from work."""

    IMPOSED = "IMPOSED"
    RELEASED = "RELEASED"


class QuarantineEvent(StrEnum):
    """What can happen to a quarantine."""

    RELEASE = "RELEASE"


class SubjectKind(StrEnum):
    """Whose failures are counted."""

    READER = "READER"
    STATION = "STATION"
    LOT = "LOT"
    OPERATOR = "OPERATOR"


TRANSFER = {
    (TransferState.SENT, TransferEvent.RECEIVE): TransferState.RECEIVED,
    (TransferState.SENT, TransferEvent.DISPUTE): TransferState.DISPUTED,
    (TransferState.SENT, TransferEvent.RECALL): TransferState.RECALLED,
    (TransferState.DISPUTED, TransferEvent.SETTLE): TransferState.SETTLED,
}
SHIFT = {(ShiftState.OPEN, ShiftEvent.CLOSE): ShiftState.CLOSED}
DESTRUCTION = {
    (DestructionState.PROPOSED, DestructionEvent.CONFIRM): DestructionState.DONE,
    (DestructionState.PROPOSED, DestructionEvent.WITHDRAW): DestructionState.WITHDRAWN,
}
QUARANTINE = {(QuarantineState.IMPOSED, QuarantineEvent.RELEASE): QuarantineState.RELEASED}


class StockRefused(UecError):
    """The stock does not allow this. Facts: what stands against it, by name."""

    code = "uec.stock_refused"


class NotInStock(StockRefused):
    """A blank or range is not where it should be taken from. Facts: `chips`, `place`."""

    code = "uec.not_in_stock"


class OverlappingSerials(StockRefused):
    """A delivered range holds chips that are in the stock already. Facts: `chips`, `box`."""

    code = "uec.overlapping_serials"


class SealBroken(StockRefused):
    """The seal found is not the seal put on. Facts: `transfer`, `found`."""

    code = "uec.seal_broken"


class SealUsed(StockRefused):
    """A seal of this number was put on a consignment before. Facts: `seal`, `transfer`."""

    code = "uec.seal_used"


class CountDiffers(StockRefused):
    """Not as many blanks were counted as were sent. Facts: `transfer`, `sent`, `counted`."""

    code = "uec.count_differs"


class MovedMeanwhile(StockRefused):
    """A box holds another number of blanks than whoever decides has seen. Facts: `box`, `seen`, `there`."""

    code = "uec.moved_meanwhile"


class ShiftUnbalanced(StockRefused):
    """A shift cannot close: blanks are unaccounted for. Facts: `lines`, one sentence a box; `unaccounted`."""

    code = "uec.shift_unbalanced"


class NoShift(StockRefused):
    """The point keeps stock and nobody has a shift open there. Facts: `store`."""

    code = "uec.no_shift"


class ChipNotInStock(StockRefused):
    """The chip in the reader is not among the blanks of the shift. Facts: `chip_id`, `place`."""

    code = "uec.chip_not_in_stock"


@dataclass(frozen=True, order=True)
class SerialRange:
    """Chips of one lot from `first` to `last`, both included. `lot` is 12 hex digits, a serial 0 to FFFFFFFF."""

    lot: str
    first: int
    last: int

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[0-9a-f]{12}", self.lot):
            raise InvalidInput("A chip's lot is 12 hexadecimal digits: fabricator, type, batch.", field="chips")
        if not 0 <= self.first <= self.last <= SERIAL_LIMIT:
            raise InvalidInput(
                "A range of chips runs from a smaller to a larger serial number of 8 hexadecimal digits.",
                field="chips",
                wrong="order",
            )

    @classmethod
    def of_chip(cls, chip_id: str) -> "SerialRange":
        """The range of one chip; `chip_id` is 20 hex digits."""
        return cls.between(chip_id, chip_id)

    @classmethod
    def between(cls, first: str, last: str) -> "SerialRange":
        """The range between two chips of one lot, each 20 hex digits; raises `InvalidInput`."""
        start, end = _chip(first), _chip(last)
        if start[:LOT_DIGITS] != end[:LOT_DIGITS]:
            raise InvalidInput(
                f"{first} and {last} are of different lots: write a range for each lot.", field="chips", wrong="lots"
            )
        return cls(start[:LOT_DIGITS], int(start[LOT_DIGITS:], 16), int(end[LOT_DIGITS:], 16))

    @property
    def blanks(self) -> int:
        """How many chips it holds."""
        return self.last - self.first + 1

    def overlaps(self, other: "SerialRange") -> bool:
        """Whether a chip is in both."""
        return self.lot == other.lot and self.first <= other.last and other.first <= self.last

    def chip(self, serial: int) -> str:
        """The chip id of a serial number of this lot."""
        return f"{self.lot}{serial:08x}"

    def __str__(self) -> str:
        first, last = self.chip(self.first), self.chip(self.last)
        return first if self.first == self.last else f"{first}-{last}"


def _chip(text: str) -> str:
    plain = text.strip().lower()
    if not re.fullmatch(rf"[0-9a-f]{{{CHIP_DIGITS}}}", plain):
        shown = text.strip()[:40]
        raise InvalidInput(
            f"“{shown}” is no chip serial: write its 20 hexadecimal digits.", field="chips", wrong="digits", typed=shown
        )
    return plain


def parse_ranges(text: str) -> list[SerialRange]:
    """Ranges written as `FIRST-LAST` or `CHIP`, parted by commas, spaces or lines; raises `InvalidInput`."""
    parts = [part for part in re.split(r"[\s,;]+", re.sub(r"\s*[-–—]\s*", "-", text)) if part]
    found = [SerialRange.between(*part.split("-", 1)) if "-" in part else SerialRange.of_chip(part) for part in parts]
    refuse_overlap(found)
    return sorted(found)


def refuse_overlap(ranges: list[SerialRange]) -> None:
    """Raise `OverlappingSerials` when a chip is in two of the ranges."""
    ordered = sorted(ranges)
    for one, other in pairwise(ordered):
        if one.overlaps(other):
            raise OverlappingSerials(
                f"The ranges {one} and {other} share chips: correct one of them.", chips=str(other), box=None
            )


def take_first(ranges: list[SerialRange], count: int) -> list[SerialRange]:
    """The first `count` chips of the ranges in order; raises `InvalidInput` for fewer than 1, `NotInStock` for more."""
    if count < 1:
        raise InvalidInput("Give the number of blanks: 1 or more.", field="count")
    taken: list[SerialRange] = []
    left = count
    for one in sorted(ranges):
        part = min(left, one.blanks)
        taken.append(SerialRange(one.lot, one.first, one.first + part - 1))
        left -= part
        if not left:
            return taken
    raise NotInStock(
        f"{count} blanks are asked for and {count - left} are there: ask for fewer.", chips="", place="", left=left
    )
