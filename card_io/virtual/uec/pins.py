"""PINs and their counters.

ISO/IEC 7816-4:2020, 11.5 (VERIFY, CHANGE REFERENCE DATA, RESET RETRY COUNTER). A try is counted down durably before the
value is compared; what was verified is memory without power.
"""

import hmac
from dataclasses import dataclass, replace
from typing import Final

from card_io.applets.uec.layout import PinFlag, PinRef, Rule
from card_io.virtual.memory import Area
from card_io.virtual.refusal import (
    BLOCKED,
    REFERENCE_NOT_FOUND,
    REFERENCE_NOT_USABLE,
    WRONG_DATA,
    WRONG_P1P2,
    Refused,
)

TRIES_LEFT: Final = 0x63C0


@dataclass(frozen=True)
class Pin:
    """One PIN; lengths in digits, `unblocked_by` 0 when nothing unblocks it."""

    ref: int
    tries: int
    least: int
    greatest: int
    unblocked_by: int
    flags: int
    value: bytes

    def fits(self, value: bytes) -> bool:
        """The right number of ASCII digits."""
        return self.least <= len(value) <= self.greatest and value.isdigit()

    @property
    def transport(self) -> bool:
        """It can only be changed."""
        return bool(self.flags & PinFlag.TRANSPORT)


class Pins:
    """The PINs of the instance and what was verified since power-on."""

    def __init__(self, area: Area) -> None:
        self._area = area
        self._verified: set[int] = set()

    def set_up(self, pin: Pin) -> None:
        """Store a PIN anew, with all its tries (personalisation)."""
        if pin.ref not in set(PinRef) or not 1 <= pin.tries <= 15 or pin.flags & ~PinFlag.TRANSPORT:
            raise Refused(WRONG_DATA)
        if not 1 <= pin.least <= pin.greatest <= 16 or not pin.fits(pin.value) or pin.unblocked_by == pin.ref:
            raise Refused(WRONG_DATA)
        if pin.unblocked_by not in {0, *PinRef}:
            raise Refused(WRONG_DATA)
        self._store(pin)
        self._set_left(pin.ref, pin.tries)

    def _store(self, pin: Pin) -> None:
        row = (pin.tries, pin.least, pin.greatest, pin.unblocked_by, pin.flags, pin.value)
        self._area.put(f"pin/{pin.ref}", row)

    def get(self, ref: int) -> Pin:
        """A PIN; 6A88 when there is none of that reference."""
        match self._area.row(f"pin/{ref}"):
            case (int(tries), int(least), int(greatest), int(unblocked_by), int(flags), bytes(value)):
                return Pin(ref, tries, least, greatest, unblocked_by, flags, value)
            case _:
                raise Refused(REFERENCE_NOT_FOUND)

    def present(self) -> list[int]:
        """References that are set."""
        return [int(name.removeprefix("pin/")) for name in self._area.names("pin/")]

    def left(self, ref: int) -> int:
        """Tries left."""
        return self._area.integer(f"left/{ref}")

    def _set_left(self, ref: int, tries: int) -> None:
        self._area.put(f"left/{ref}", tries)

    def overview(self) -> bytes:
        """Four bytes a PIN: reference, tries left, tries, flags."""
        lines = b""
        for ref in self.present():
            pin, left = self.get(ref), self.left(ref)
            flags = pin.flags | (PinFlag.BLOCKED if left == 0 else 0)
            lines += bytes([ref, left, pin.tries, flags])
        return lines

    def forget(self, ref: int | None = None) -> None:
        """Nothing (or not this one) is verified any more."""
        self._verified = set() if ref is None else self._verified - {ref}

    def state(self, ref: int) -> int:
        """The status word of VERIFY without data."""
        pin = self.get(ref)
        if pin.transport:
            return REFERENCE_NOT_USABLE
        if self.left(ref) == 0:
            return BLOCKED
        return 0x9000 if ref in self._verified else TRIES_LEFT | self.left(ref)

    def verify(self, ref: int, value: bytes) -> None:
        """VERIFY; a transport PIN is not compared at all."""
        pin = self.get(ref)
        if pin.transport:
            raise Refused(REFERENCE_NOT_USABLE)
        self._compare(pin, value)
        self._verified.add(ref)

    def _compare(self, pin: Pin, value: bytes) -> None:
        self._verified.discard(pin.ref)
        left = self.left(pin.ref)
        if left == 0:
            raise Refused(BLOCKED)
        self._set_left(pin.ref, left - 1)
        self._area.checkpoint()
        if not hmac.compare_digest(pin.value, value):
            raise Refused(TRIES_LEFT | (left - 1) if left > 1 else BLOCKED)
        self._set_left(pin.ref, pin.tries)

    def change(self, ref: int, data: bytes) -> None:
        """CHANGE REFERENCE DATA: old || new. A transport PIN must really change."""
        pin = self.get(ref)
        old, new = data[: len(pin.value)], data[len(pin.value) :]
        self._compare(pin, old)
        # The old value was right: the try is given back for good, whatever becomes of the new one.
        self._area.checkpoint()
        if not pin.fits(new) or (pin.transport and new == old):
            raise Refused(WRONG_DATA)
        self._store(replace(pin, value=new, flags=pin.flags & ~PinFlag.TRANSPORT))

    def unblock(self, ref: int, p1: int, data: bytes) -> None:
        """RESET RETRY COUNTER: P1 00 unblocking code || new PIN, P1 01 unblocking code alone."""
        pin = self.get(ref)
        if p1 not in {0x00, 0x01} or not pin.unblocked_by:
            raise Refused(WRONG_P1P2)
        code = self.get(pin.unblocked_by)
        if code.transport:
            raise Refused(REFERENCE_NOT_USABLE)
        given, new = data[: len(code.value)], data[len(code.value) :]
        self._compare(code, given if p1 == 0x00 else data)
        self._area.checkpoint()
        if p1 == 0x00:
            if not pin.fits(new):
                raise Refused(WRONG_DATA)
            self._store(replace(pin, value=new, flags=pin.flags & ~PinFlag.TRANSPORT))
        self._set_left(ref, pin.tries)
        self._verified.discard(ref)

    def allows(self, rule: int) -> bool:
        """Whether a rule is met now; PIN2 counts for one operation, which uses it up."""
        if rule == Rule.ALWAYS:
            return True
        if rule == Rule.PIN2:
            met = PinRef.PIN2 in self._verified
            self._verified.discard(PinRef.PIN2)
            return met
        return rule == Rule.PIN1 and PinRef.PIN1 in self._verified
