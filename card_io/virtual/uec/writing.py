"""Personalisation of the applet: the data groupings of STORE DATA, a block at a time.

Follows `card_io.applets.uec.personalisation`, read on its own: nothing of the writer's code is used here.
"""

from collections.abc import Callable

from card_io import tlv
from card_io.applets.uec.layout import LAYOUT_VERSION, AppletState, Fid, PinRef
from card_io.errors import InvalidTlv
from card_io.virtual.applet import Surroundings
from card_io.virtual.asymmetric import sign_message
from card_io.virtual.refusal import CONDITIONS, SECURITY_STATUS, WRONG_DATA, WRONG_P1P2, Refused
from card_io.virtual.uec.files import File, FileSystem
from card_io.virtual.uec.keys import Keys
from card_io.virtual.uec.pins import Pin, Pins

_GENERATE = 0x0E03
_SET_PIN = 0x0E04
_PROVE = 0x0E06
_ANSWERED = {_GENERATE: 4, _PROVE: 33}


class Writing:
    """What the applet's DGIs do."""

    def __init__(self, world: Surroundings, files: FileSystem, pins: Pins, keys: Keys) -> None:
        self._world = world
        self._files = files
        self._pins = pins
        self._keys = keys
        self._steps: dict[int, Callable[[bytes], None]] = {
            0x0E01: self._create_file,
            0x0E02: self._write_file,
            _SET_PIN: self._set_pin,
            0x0E05: self._finish,
        }

    def check_open(self) -> None:
        """6985 once the content is closed."""
        if self._world.life_cycle() != AppletState.SELECTABLE:
            raise Refused(CONDITIONS)

    def store(self, p1: int, data: bytes, *, encrypted: bool) -> bytes:
        """One block: whole DGIs, all of them or (by the command's transaction) none."""
        self.check_open()
        if p1 & 0x7E != 0x08:
            raise Refused(WRONG_P1P2)
        try:
            items = tlv.parse_dgis(data)
        except InvalidTlv as error:
            raise Refused(WRONG_DATA) from error
        if p1 & 0x01 or any(number in _ANSWERED for number, _ in items):
            return self._answered(p1, items)
        for number, value in items:
            if number not in self._steps:
                raise Refused(WRONG_DATA)
            if number == _SET_PIN and not encrypted:
                raise Refused(SECURITY_STATUS)
            self._steps[number](value)
        return b""

    def _answered(self, p1: int, items: list[tuple[int, bytes]]) -> bytes:
        """A grouping that has an answer stands alone in its block."""
        if not p1 & 0x01 or len(items) != 1 or _ANSWERED.get(items[0][0]) != len(items[0][1]):
            raise Refused(WRONG_DATA)
        number, value = items[0]
        return self._prove(value) if number == _PROVE else self._generate(value)

    def _prove(self, value: bytes) -> bytes:
        key = self._keys.get(value[0])
        self._world.spend(f"sign/{key.algorithm}")
        return sign_message(key.private, value[1:])

    def _generate(self, value: bytes) -> bytes:
        slot, algorithm, rule, use = value
        public = self._keys.generate(slot, algorithm, rule, use)
        self._world.spend(f"generate/{algorithm}")
        return public

    def _create_file(self, value: bytes) -> None:
        if len(value) < 9:
            raise Refused(WRONG_DATA)
        parent, fid, size = (int.from_bytes(value[at : at + 2], "big") for at in (0, 2, 5))
        self._files.create(File(fid, parent, value[4], size, value[7], value[8], value[9:]))

    def _write_file(self, value: bytes) -> None:
        if len(value) < 5:
            raise Refused(WRONG_DATA)
        self._files.write(int.from_bytes(value[:2], "big"), int.from_bytes(value[2:4], "big"), value[4:])

    def _set_pin(self, value: bytes) -> None:
        if len(value) < 7:
            raise Refused(WRONG_DATA)
        ref, tries, least, greatest, unblocked_by, flags = value[:6]
        self._pins.set_up(Pin(ref, tries, least, greatest, unblocked_by, flags, value[6:]))

    def _finish(self, value: bytes) -> None:
        if value != LAYOUT_VERSION.to_bytes(2, "big"):
            raise Refused(WRONG_DATA)
        if self._files.get(Fid.OD) is None or not self._named() <= set(self._pins.present()):
            raise Refused(CONDITIONS)
        self._world.set_life_cycle(AppletState.PERSONALISED)

    def _named(self) -> set[int]:
        """The PINs that a file, a key or another PIN asks for: without one of them it could never be used."""
        rules = self._files.rules() | self._keys.rules()
        unblocking = {self._pins.get(ref).unblocked_by for ref in self._pins.present()}
        return (rules | unblocking) & set(PinRef)
