"""The commands of the `uec` applet in clear.

ISO/IEC 7816-4:2020 (SELECT 11.2, READ BINARY 11.3, VERIFY and its kin 11.5, INTERNAL AUTHENTICATE 11.5.2, GET CHALLENGE
11.5.3), 7816-8:2019 (MSE SET, PSO, GENERATE ASYMMETRIC KEY PAIR); what they do here is in `card_io.applets.uec.layout`.
"""

from collections.abc import Callable
from typing import ClassVar, Final

from card_io import tlv
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.applets.uec import layout
from card_io.applets.uec.layout import AlgorithmRef, AppletState, KeyUse
from card_io.errors import InvalidTlv
from card_io.virtual import asymmetric
from card_io.virtual.applet import Surroundings
from card_io.virtual.refusal import (
    CLA_UNKNOWN,
    CONDITIONS,
    INS_UNKNOWN,
    REFERENCE_NOT_FOUND,
    SECURITY_STATUS,
    WRONG_DATA,
    WRONG_LENGTH,
    WRONG_OFFSET,
    WRONG_P1P2,
    Refused,
)
from card_io.virtual.uec.environment import SecurityEnvironment
from card_io.virtual.uec.files import FileSystem
from card_io.virtual.uec.keys import Key, Keys
from card_io.virtual.uec.navigation import Navigation
from card_io.virtual.uec.pins import Pins
from card_io.virtual.uec.writing import Writing

_OK: Final = ResponseAPDU(b"", 0x9000)
_END_OF_FILE: Final = 0x6282
CHALLENGE_SIZES: Final = range(16, 65)


class UecApplet:
    """One instance."""

    other_names: ClassVar[tuple[bytes, ...]] = (layout.ISOAPPLET_AID, layout.CIA_AID)

    def __init__(self, world: Surroundings) -> None:
        self._world = world
        self._files = FileSystem(world.area)
        self._pins = Pins(world.area)
        self._keys = Keys(world.area, world.randomness)
        self._writing = Writing(world, self._files, self._pins, self._keys)
        self._navigation = Navigation(self._files)
        self._environment = SecurityEnvironment()
        self._hash_on_card = False
        self._version_asked = False
        self._commands: dict[int, Callable[[CommandAPDU], ResponseAPDU]] = {
            0xA4: self._select_file,
            0xB0: self._read_binary,
            0xD6: self._update_binary,
            0x20: self._verify,
            0x24: self._change_pin,
            0x2C: self._unblock_pin,
            0x22: self._set_environment,
            0x2A: self._perform_operation,
            0x88: self._internal_authenticate,
            0x84: self._get_challenge,
            0x46: self._public_key,
            0x47: self._public_key,
            0xCA: self._get_data,
        }

    def install(self) -> None:
        """Only the MF is there."""
        self._files.format(self._world.aid)

    def select(self, name: bytes, p2: int) -> ResponseAPDU:
        """Everything verified is forgotten; the MF is the current directory, or DF.CIA when that was named."""
        self.deselect()
        self._navigation.enter(name)
        self._hash_on_card = name == layout.ISOAPPLET_AID and p2 == 0x00 and not self._version_asked
        if name == layout.ISOAPPLET_AID and p2 == 0x00:
            return ResponseAPDU(layout.ISOAPPLET_SELECT_ANSWER, 0x9000)
        return ResponseAPDU(self._navigation.describe(p2, self._file_state()), 0x9000)

    def deselect(self) -> None:
        """Forget PINs, current file and security environment."""
        self._pins.forget()
        self._navigation.reset()
        self._environment.clear()
        self._hash_on_card = False

    def check_personalisable(self) -> None:
        """6985 once the instance is PERSONALISED."""
        self._writing.check_open()

    def store(self, p1: int, data: bytes, *, encrypted: bool) -> bytes:
        """One block of personalisation."""
        return self._writing.store(p1, data, encrypted=encrypted)

    def process(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer a command of class 00."""
        handler = self._commands.get(command.ins)
        if command.cla & 0xFC:
            raise Refused(CLA_UNKNOWN)
        if handler is None:
            raise Refused(INS_UNKNOWN)
        return handler(command)

    def _personalised(self) -> None:
        if self._world.life_cycle() != AppletState.PERSONALISED:
            raise Refused(CONDITIONS)

    def _file_state(self) -> int:
        """Life cycle status byte of the files: 03 initialisation, 05 operational (activated)."""
        return 0x05 if self._world.life_cycle() == AppletState.PERSONALISED else 0x03

    def _select_file(self, command: CommandAPDU) -> ResponseAPDU:
        self._navigation.select(command.p1, command.data)
        return ResponseAPDU(self._navigation.describe(command.p2, self._file_state()), 0x9000)

    def _read_binary(self, command: CommandAPDU) -> ResponseAPDU:
        file = self._navigation.current_file(command.p1)
        offset = (command.p1 & 0x7F) << 8 | command.p2
        if not self._pins.allows(file.read):
            raise Refused(SECURITY_STATUS)
        if command.data or command.le is None:
            raise Refused(WRONG_LENGTH)
        if offset > file.size or (offset == file.size and file.size):
            raise Refused(WRONG_OFFSET)
        data = self._files.content(file.fid)[offset : offset + command.le]
        # Le 00 means "all there is": only a number that is really asked for can be missed.
        short = len(data) < command.le and command.le not in {0x100, 0x10000}
        return ResponseAPDU(data, _END_OF_FILE if short else 0x9000)

    def _update_binary(self, command: CommandAPDU) -> ResponseAPDU:
        self._personalised()
        file = self._navigation.current_file(command.p1)
        if not self._pins.allows(file.update):
            raise Refused(SECURITY_STATUS)
        self._files.write(file.fid, (command.p1 & 0x7F) << 8 | command.p2, command.data)
        return _OK

    def _verify(self, command: CommandAPDU) -> ResponseAPDU:
        self._personalised()
        if command.p1 == 0xFF and not command.data:
            self._pins.get(command.p2)
            self._pins.forget(command.p2)
            return _OK
        if command.p1:
            raise Refused(WRONG_P1P2)
        if not command.data:
            return ResponseAPDU(b"", self._pins.state(command.p2))
        self._pins.verify(command.p2, command.data)
        return _OK

    def _change_pin(self, command: CommandAPDU) -> ResponseAPDU:
        self._personalised()
        if command.p1:
            raise Refused(WRONG_P1P2)
        self._pins.change(command.p2, command.data)
        return _OK

    def _unblock_pin(self, command: CommandAPDU) -> ResponseAPDU:
        self._personalised()
        self._pins.unblock(command.p2, command.p1, command.data)
        return _OK

    def _set_environment(self, command: CommandAPDU) -> ResponseAPDU:
        self._environment.set(command.p1, command.p2, command.data)
        return _OK

    def _key(self, slot: int | None, use: KeyUse) -> Key:
        """The key for an operation, its rule met: a PIN that counts once is used up here."""
        self._personalised()
        if slot is None:
            raise Refused(CONDITIONS)
        key = self._keys.get(slot)
        if not key.may(use):
            raise Refused(CONDITIONS)
        if not self._pins.allows(key.rule):
            raise Refused(SECURITY_STATUS)
        return key

    def _perform_operation(self, command: CommandAPDU) -> ResponseAPDU:
        match (command.p1, command.p2):
            case (0x9E, 0x9A):
                return ResponseAPDU(self._sign(command.data), 0x9000)
            case (0x80, 0x86):
                key = self._key(self._environment.agreement_key, KeyUse.AGREE)
                return ResponseAPDU(asymmetric.agree(key.private, _peer_point(command.data)), 0x9000)
            case _:
                raise Refused(WRONG_P1P2)

    def _sign(self, data: bytes) -> bytes:
        key = self._key(self._environment.signature_key, KeyUse.SIGN)
        if self._hash_on_card and self._environment.signature_algorithm == AlgorithmRef.ECDSA_ISOAPPLET:
            data = asymmetric.sha1(data)
        self._world.spend(f"sign/{key.algorithm}")
        return asymmetric.sign_hash(key.private, data)

    def _internal_authenticate(self, command: CommandAPDU) -> ResponseAPDU:
        if command.p1:
            raise Refused(WRONG_P1P2)
        if len(command.data) not in CHALLENGE_SIZES:
            raise Refused(WRONG_LENGTH)
        slot = command.p2 or self._environment.authentication_key
        key = self._key(slot, KeyUse.INTERNAL_AUTHENTICATE)
        self._world.spend(f"sign/{key.algorithm}")
        return ResponseAPDU(asymmetric.sign_message(key.private, command.data), 0x9000)

    def _get_challenge(self, command: CommandAPDU) -> ResponseAPDU:
        if command.p1 or command.p2 or command.data or command.le is None:
            raise Refused(WRONG_P1P2)
        return ResponseAPDU(self._world.randomness.take(min(command.le, 0x100)), 0x9000)

    def _public_key(self, command: CommandAPDU) -> ResponseAPDU:
        if command.p1 != 0x81:
            raise Refused(CONDITIONS)
        slot = self._environment.signature_key
        if command.data:
            template = next(iter(self._environment.template(command.data)), None)
            reference = None if template is None or template.tag != 0xB6 else tlv.find(template.value, 0x83)
            if reference is None or len(reference) != 1:
                raise Refused(WRONG_DATA)
            slot = reference[0]
        if slot is None:
            raise Refused(REFERENCE_NOT_FOUND)
        return ResponseAPDU(asymmetric.public_key(self._keys.get(slot).private), 0x9000)

    def _get_data(self, command: CommandAPDU) -> ResponseAPDU:
        match command.p1 << 8 | command.p2:
            case layout.TAG_ISOAPPLET:
                self._hash_on_card, self._version_asked = False, True
                data = layout.ISOAPPLET_VERSION
            case layout.TAG_STATE:
                data = layout.LAYOUT_VERSION.to_bytes(2, "big") + bytes([self._world.life_cycle()])
            case layout.TAG_PINS:
                data = self._pins.overview()
            case layout.TAG_KEYS:
                data = self._keys.overview()
            case _:
                raise Refused(REFERENCE_NOT_FOUND)
        return ResponseAPDU(data, 0x9000)


def _peer_point(data: bytes) -> bytes:
    """The peer's point, bare or in A6 { 7F49 { 86 } }."""
    if data[:1] == b"\x04":
        return data
    try:
        return tlv.require(data, 0xA6, 0x7F49, 0x86)
    except InvalidTlv as error:
        raise Refused(WRONG_DATA) from error
