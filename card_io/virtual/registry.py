"""The card's registry: load files with their modules, and instances with their life cycle and privileges.

GlobalPlatform 2.3.1: 5.3 (life cycles of load files and applications), 6.6 (privileges), 11.4.2 (GET STATUS).
"""

from dataclasses import dataclass, replace
from typing import Final

from card_io.virtual.memory import Area, Value

LOADED: Final = 0x01
INSTALLED: Final = 0x03
SELECTABLE: Final = 0x07
PERSONALIZED: Final = 0x0F
LOCKED: Final = 0x80

OP_READY, INITIALIZED, SECURED, CARD_LOCKED, TERMINATED = 0x01, 0x07, 0x0F, 0x7F, 0xFF
"""Life cycle of the card, kept as that of the issuer security domain (5.1)."""

CARD_RESET: Final = 0x04
"""Privilege, bit of the first byte: the application is selected after a reset."""
SECURITY_DOMAIN: Final = 0x80
DAP_VERIFICATION: Final = 0x40
MANDATED_DAP: Final = 0x01
"""Privileges, bits of the first byte (table 11-7): is a security domain; its DAP is wanted for its code, for all."""


@dataclass(frozen=True)
class LoadFile:
    """Code on the card; `applets` are the AIDs of its modules, `digest` SHA-256 over the load file."""

    aid: bytes
    version: bytes
    applets: tuple[bytes, ...]
    digest: bytes = b""
    size_bytes: int = 0
    domain: bytes = b""


@dataclass(frozen=True)
class Instance:
    """An installed application."""

    aid: bytes
    load_file: bytes
    module: bytes
    life_cycle: int
    privileges: bytes
    domain: bytes
    number: int

    @property
    def locked(self) -> bool:
        """Locked by the security domain: it cannot be selected."""
        return bool(self.life_cycle & LOCKED)

    @property
    def is_domain(self) -> bool:
        """It is a security domain."""
        return bool(self.privileges[0] & SECURITY_DOMAIN)

    @property
    def wants_every_dap(self) -> bool:
        """No code comes onto the card that this domain does not vouch for, once it has its keys."""
        mandated = SECURITY_DOMAIN | DAP_VERIFICATION | MANDATED_DAP
        personalised = self.life_cycle & PERSONALIZED == PERSONALIZED
        return self.privileges[0] & mandated == mandated and personalised

    @property
    def selectable(self) -> bool:
        """It has been made selectable and is not locked."""
        return self.life_cycle & SELECTABLE == SELECTABLE and not self.locked


class Registry:
    """Load files and instances in memory; an instance's number names its own area and is never given twice."""

    def __init__(self, area: Area) -> None:
        self._area = area

    def load_files(self) -> list[LoadFile]:
        """All load files, by AID."""
        found = (self.load_file(bytes.fromhex(name.removeprefix("file/"))) for name in self._area.names("file/"))
        return [item for item in found if item is not None]

    def load_file(self, aid: bytes) -> LoadFile | None:
        """A load file by its AID."""
        row = self._area.row(f"file/{aid.hex()}")
        if row is None:
            return None
        version, applets, digest, size, domain = row
        modules = tuple(item for item in applets if isinstance(item, bytes)) if isinstance(applets, tuple) else ()
        return LoadFile(aid, _octets(version), modules, _octets(digest), _number(size), _octets(domain))

    def put_load_file(self, item: LoadFile) -> None:
        """Store a load file."""
        row = (item.version, item.applets, item.digest, item.size_bytes, item.domain)
        self._area.put(f"file/{item.aid.hex()}", row)

    def delete_load_file(self, aid: bytes) -> None:
        """Forget a load file."""
        self._area.delete(f"file/{aid.hex()}")

    def module_owner(self, load_file: bytes, module: bytes) -> LoadFile | None:
        """The load file, when it holds that module."""
        item = self.load_file(load_file)
        return item if item is not None and module in item.applets else None

    def instances(self) -> list[Instance]:
        """All instances, by AID."""
        found = (self.instance(bytes.fromhex(name.removeprefix("app/"))) for name in self._area.names("app/"))
        return [item for item in found if item is not None]

    def instance(self, aid: bytes) -> Instance | None:
        """An instance by its AID."""
        row = self._area.row(f"app/{aid.hex()}")
        if row is None:
            return None
        load_file, module, life_cycle, privileges, domain, number = row
        return Instance(
            aid,
            _octets(load_file),
            _octets(module),
            _number(life_cycle),
            _octets(privileges),
            _octets(domain),
            _number(number),
        )

    def put_instance(self, item: Instance) -> None:
        """Store an instance."""
        row = (item.load_file, item.module, item.life_cycle, item.privileges, item.domain, item.number)
        self._area.put(f"app/{item.aid.hex()}", row)

    def delete_instance(self, aid: bytes) -> None:
        """Forget an instance."""
        self._area.delete(f"app/{aid.hex()}")

    def next_number(self) -> int:
        """A number no instance ever had."""
        number = self._area.integer("next") + 1
        self._area.put("next", number)
        return number

    def set_life_cycle(self, aid: bytes, life_cycle: int) -> None:
        """Write an instance's life cycle."""
        item = self.instance(aid)
        if item is not None:
            self.put_instance(replace(item, life_cycle=life_cycle))

    def hand_over(self, domain: bytes, to: bytes) -> None:
        """Everything that belongs to the security domain `domain` belongs to `to` from now on."""
        for load_file in self.load_files():
            if load_file.domain == domain:
                self.put_load_file(replace(load_file, domain=to))
        for instance in self.instances():
            if instance.domain == domain:
                self.put_instance(replace(instance, domain=to))

    def with_privilege(self, bit: int) -> Instance | None:
        """The selectable instance whose first privilege byte has `bit`."""
        return next((item for item in self.instances() if item.privileges[0] & bit and item.selectable), None)

    def by_partial_name(self, name: bytes) -> list[Instance]:
        """Instances whose AID begins with `name`, an exact one first."""
        found = [item for item in self.instances() if item.aid.startswith(name)]
        return sorted(found, key=lambda item: (item.aid != name, item.aid))


def _octets(value: Value) -> bytes:
    return value if isinstance(value, bytes) else b""


def _number(value: Value) -> int:
    return value if isinstance(value, int) else 0
