"""GET STATUS and SET STATUS.

GlobalPlatform Card Specification 2.3.1: 5.1.1 (card life cycle), 5.3.2 (application life cycle), 11.4 (GET STATUS),
11.10 (SET STATUS).
"""

from dataclasses import dataclass
from typing import Final

from card_io import tlv
from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.errors import InvalidTlv
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import CONDITIONS, REFERENCE_NOT_FOUND, WRONG_DATA, WRONG_P1P2, Refused
from card_io.virtual.registry import CARD_LOCKED, INITIALIZED, LOADED, LOCKED, OP_READY, SECURED, TERMINATED, Instance

ANSWER_MAX: Final = 216
"""So that an answer still fits 256 bytes once it is encrypted and has its MAC."""
ISD_PRIVILEGES: Final = bytes.fromhex("9EFE80")
_MORE: Final = 0x6310
_CARD_MOVES: Final = {
    (OP_READY, INITIALIZED),
    (INITIALIZED, SECURED),
    (SECURED, CARD_LOCKED),
    (CARD_LOCKED, SECURED),
    (OP_READY, TERMINATED),
    (INITIALIZED, TERMINATED),
    (SECURED, TERMINATED),
    (CARD_LOCKED, TERMINATED),
}


@dataclass(frozen=True)
class _Entry:
    """One line of the registry as GET STATUS tells it."""

    aid: bytes
    life_cycle: int
    privileges: bytes = b""
    load_file: bytes = b""
    version: bytes = b""
    modules: tuple[bytes, ...] = ()
    domain: bytes = b""

    def tagged(self, *, with_modules: bool, wanted: frozenset[bytes]) -> bytes:
        """The line as E3."""
        parts = [
            (0x4F, self.aid),
            (0x9F70, bytes([self.life_cycle])),
            (0xC5, self.privileges),
            (0xC4, self.load_file),
            (0xCE, self.version),
            *[(0x84, module) for module in self.modules if with_modules],
            (0xCC, self.domain),
        ]
        kept = [(tag, value) for tag, value in parts if value and (not wanted or tlv.tag_bytes(tag) in wanted)]
        return tlv.encode(0xE3, b"".join(tlv.encode(tag, value) for tag, value in kept))

    def untagged(self, *, with_modules: bool) -> bytes:
        """The line in the older form: length, AID, life cycle, privileges (one byte), and the modules if asked for."""
        line = bytes([len(self.aid)]) + self.aid + bytes([self.life_cycle, (self.privileges or b"\x00")[0]])
        if with_modules:
            line += bytes([len(self.modules)]) + b"".join(bytes([len(item)]) + item for item in self.modules)
        return line


class LifeCycle:
    """The registry as the domain tells it, and the states it sets."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._pending: list[bytes] = []

    def get_status(self, command: CommandAPDU) -> ResponseAPDU:
        """The lines that match; 6310 while there are more, and P2 bit 1 asks for them."""
        if command.p2 & ~0x03 or command.p1 not in {0x80, 0x40, 0x20, 0x10}:
            raise Refused(WRONG_P1P2)
        if command.p2 & 0x01:
            if not self._pending:
                raise Refused(CONDITIONS)
        else:
            self._pending = self._lines(command)
            if not self._pending:
                raise Refused(REFERENCE_NOT_FOUND)
        data = b""
        while self._pending and (not data or len(data) + len(self._pending[0]) <= ANSWER_MAX):
            data += self._pending.pop(0)
        return ResponseAPDU(data, _MORE if self._pending else 0x9000)

    def _lines(self, command: CommandAPDU) -> list[bytes]:
        try:
            objects = {item.tag: item.value for item in tlv.parse(command.data)}
        except InvalidTlv as error:
            raise Refused(WRONG_DATA) from error
        if 0x4F not in objects:
            raise Refused(WRONG_DATA)
        found = [item for item in self._entries(command.p1) if item.aid.startswith(objects[0x4F])]
        with_modules = command.p1 == 0x10
        if command.p2 & 0x02:
            wanted = _tag_list(objects.get(0x5C, b""))
            return [item.tagged(with_modules=with_modules, wanted=wanted) for item in found]
        return [item.untagged(with_modules=with_modules) for item in found]

    def _entries(self, kind: int) -> list[_Entry]:
        platform = self._platform
        if kind == 0x80:
            return [_Entry(platform.domain_aid, platform.life_cycle, ISD_PRIVILEGES, domain=platform.domain_aid)]
        if kind == 0x40:
            return [
                _Entry(item.aid, item.life_cycle, item.privileges, item.load_file, domain=item.domain)
                for item in platform.registry.instances()
            ]
        return [
            _Entry(item.aid, LOADED, version=item.version, modules=item.applets, domain=item.domain)
            for item in platform.registry.load_files()
        ]

    def set_status(self, command: CommandAPDU) -> bytes:
        """Change the state of the card (P1 80), or lock and unlock an application (P1 40)."""
        if command.p1 == 0x80:
            if command.data not in {b"", self._platform.domain_aid}:
                raise Refused(REFERENCE_NOT_FOUND)
            if (self._platform.life_cycle, command.p2) not in _CARD_MOVES:
                raise Refused(CONDITIONS)
            self._platform.life_cycle = command.p2
        elif command.p1 in {0x40, 0x60}:
            instance = self._platform.registry.instance(command.data)
            if instance is None:
                raise Refused(REFERENCE_NOT_FOUND)
            self._set_lock(instance, command.p2)
        else:
            raise Refused(WRONG_P1P2)
        return b""

    def _set_lock(self, instance: Instance, state: int) -> None:
        """The domain only locks and unlocks; every other state is the application's own affair."""
        unlocked = instance.life_cycle & ~LOCKED
        if not state & LOCKED and not instance.locked:
            raise Refused(CONDITIONS)
        self._platform.registry.set_life_cycle(instance.aid, unlocked | (state & LOCKED))


def _tag_list(data: bytes) -> frozenset[bytes]:
    """Tags of a tag list (5C), as they are encoded."""
    tags: set[bytes] = set()
    offset = 0
    while offset < len(data):
        size = 1
        if data[offset] & 0x1F == 0x1F:
            while offset + size < len(data) and data[offset + size] & 0x80:
                size += 1
            size += 1
        tags.add(data[offset : offset + size])
        offset += size
    return frozenset(tags)
