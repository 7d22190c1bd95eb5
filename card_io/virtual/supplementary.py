"""A supplementary security domain: keys of its own, sessions, its provider's data, the check of code it vouches for.

GlobalPlatform Card Specification 2.3.1: 7.1 to 7.3 (security domains), 5.3.2 (its life cycle), 9.2.1 and C.3 (DAP). It
has no privilege to manage content; until it has keys of its own, sessions are opened with the issuer's.
"""

from collections.abc import Callable
from typing import ClassVar, Final

from card_io import tlv
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.virtual.applet import Surroundings
from card_io.virtual.dataobjects import DataObjects
from card_io.virtual.keyloading import delete_key, put_key
from card_io.virtual.keysets import KeyStore
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import CLA_UNKNOWN, CONDITIONS, INS_UNKNOWN, WRONG_DATA, WRONG_P1P2, Refused
from card_io.virtual.registry import PERSONALIZED, SELECTABLE
from card_io.virtual.rmac import begin_r_mac, end_r_mac
from card_io.virtual.session import Session
from card_io.virtual.verification import VERSIONS, VerificationKeys

PACKAGE_AID: Final = bytes.fromhex("A0000001515350")
MODULE_AID: Final = bytes.fromhex("A000000151535041")
_CONTENT: Final = frozenset({0xE6, 0xE8})


class SupplementaryDomain:
    """One instance; it is PERSONALIZED once it has a key set of its own."""

    other_names: ClassVar[tuple[bytes, ...]] = ()

    def __init__(self, world: Surroundings, platform: Platform) -> None:
        self._world = world
        self._platform = platform
        self._keys = KeyStore(world.area)
        self._checks = VerificationKeys(world.area)
        self._data = DataObjects(platform, world.area, self._keys, self._checks)
        self._session = Session(platform, lambda: world.aid, keys=self._opening_keys, ended=self._data.forget)
        self._commands: dict[int, Callable[[CommandAPDU], bytes]] = {
            0xD8: self._put_key,
            0xE4: self._delete,
            0xE2: self._data.store,
            0x7A: lambda command: begin_r_mac(self._session, self._opening_keys(), command),
            0x78: lambda command: end_r_mac(self._session, command),
        }

    def install(self) -> None:
        """Nothing to lay out: keys come later."""

    def select(self, name: bytes, p2: int) -> ResponseAPDU:
        """File control information with the domain's name and the longest data field it takes."""
        del name
        self._session.end()
        proprietary = tlv.encode(0xA5, tlv.encode(0x9F65, b"\xff"))
        control = tlv.encode(0x6F, tlv.encode(0x84, self._world.aid) + proprietary)
        return ResponseAPDU(b"" if p2 & 0x0C == 0x0C else control, 0x9000)

    def deselect(self) -> None:
        """The session ends."""
        self._session.end()

    def process(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer one command, under the session's protection when there is one."""
        return self._session.process(command, self._execute)

    def check_personalisable(self) -> None:
        """It takes its own STORE DATA in its own session only."""
        raise Refused(CONDITIONS)

    def store(self, p1: int, data: bytes, *, encrypted: bool) -> bytes:
        """Never."""
        del p1, data, encrypted
        raise Refused(CONDITIONS)

    def accept(self, signature: bytes, digest: bytes) -> bool:
        """Whether it vouches for code: the signature of a DAP block over the load file data block hash."""
        return self._checks.accept(signature, digest)

    def _opening_keys(self) -> KeyStore:
        return self._keys if self._keys.versions() else self._platform.keys

    def _execute(self, command: CommandAPDU) -> ResponseAPDU:
        if command.ins in {0xCA, 0xCB}:
            return ResponseAPDU(self._data.get(command), 0x9000)
        if command.ins in _CONTENT and command.cla & 0x80:
            self._session.require()
            raise Refused(CONDITIONS)
        handler = self._commands.get(command.ins)
        if handler is None:
            raise Refused(INS_UNKNOWN)
        if not command.cla & 0x80:
            raise Refused(CLA_UNKNOWN)
        self._session.require()
        return ResponseAPDU(handler(command), 0x9000)

    def _put_key(self, command: CommandAPDU) -> bytes:
        decrypt = self._session.require().decrypt_key
        if not command.data:
            raise Refused(WRONG_DATA)
        if command.data[0] in VERSIONS:
            return self._checks.put(command, decrypt)
        answer = put_key(command, self._keys, decrypt)
        if self._world.life_cycle() == SELECTABLE:
            self._world.set_life_cycle(PERSONALIZED)
        return answer

    def _delete(self, command: CommandAPDU) -> bytes:
        if command.p1 or command.p2:
            raise Refused(WRONG_P1P2)
        if command.data[:2] == b"\xd2\x01" and len(command.data) == 3 and command.data[2] in VERSIONS:
            self._checks.delete(command.data[2])
            return b"\x00"
        return delete_key(command, self._keys)
