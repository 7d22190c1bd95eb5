"""Card content management: INSTALL in all its forms, LOAD, DELETE, and STORE DATA handed on to an applet.

GlobalPlatform Card Specification 2.3.1: 9.3 (loading, installation; 9.3.8: both in one process), 9.4.1 (extradition),
11.2 (DELETE), 11.5 (INSTALL), 11.6 (LOAD), 7.3.3 (personalisation support). The issuer security domain has authorised
management: no tokens are asked for.
"""

import hashlib
from dataclasses import replace
from typing import Final, NamedTuple

from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.errors import InvalidTlv
from card_io.virtual import capfile
from card_io.virtual.applet import Applet
from card_io.virtual.dap import check_daps
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import (
    CONDITIONS,
    NO_MEMORY,
    NOT_FOUND,
    REFERENCE_NOT_FOUND,
    WRONG_DATA,
    WRONG_P1P2,
    Refused,
)
from card_io.virtual.registry import (
    CARD_RESET,
    INSTALLED,
    PERSONALIZED,
    SECURITY_DOMAIN,
    SELECTABLE,
    Instance,
    LoadFile,
)

LOAD_FILE_MAX: Final = 0x18000
_DONE: Final = b"\x00"
_LAST: Final = 0x80
_WITH_RELATED: Final = 0x80
_COMBINED: Final = 0x0E


class _Load(NamedTuple):
    """A load file under way: its name, security domain and hash; whether it is part of the combined process."""

    aid: bytes
    domain: bytes
    digest: bytes
    combined: bool


class Content:
    """Loading and personalisation under way belong to one session: `forget` ends them."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._registry = platform.registry
        self._loading: _Load | None = None
        self._waiting: LoadFile | None = None
        self._loaded = bytearray()
        self._block = 0
        self._target: Applet | None = None

    def forget(self) -> None:
        """The session ended."""
        self._loading = self._waiting = None
        self._loaded.clear()
        self._target = None

    @property
    def personalising(self) -> bool:
        """INSTALL [for personalization] named an applet and its last block has not come."""
        return self._target is not None

    def install(self, command: CommandAPDU) -> bytes:
        """INSTALL; P1 says which form."""
        self._target, waiting = None, self._waiting
        self.forget()
        if bool(command.p2) != (command.p1 == _COMBINED):
            raise Refused(WRONG_P1P2)
        fields = _fields(command.data)
        if fields[4 if command.p1 == 0x02 or command.p2 == 0x01 else 5]:
            raise Refused(CONDITIONS)  # a token where none is asked for (11.5.2.3.1 and following)
        match command.p1:
            case 0x02:
                self._for_load(fields, combined=False)
            case 0x0E:
                self._combined(command.p2, fields, waiting)
            case 0x04:
                self._for_install(fields, INSTALLED)
            case 0x0C:
                self._for_install(fields, SELECTABLE)
            case 0x08:
                self._for_make_selectable(fields)
            case 0x10:
                self._for_extradition(fields)
            case 0x20:
                self._for_personalization(fields)
            case 0x40:
                self._for_registry_update(fields)
            case _:
                raise Refused(WRONG_P1P2)
        return _DONE

    def _combined(self, p2: int, fields: list[bytes], waiting: LoadFile | None) -> None:
        """[for load, install and make selectable], 9.3.8: the end enters file and instance, or neither."""
        match p2:
            case 0x01:  # the beginning
                self._for_load(fields, combined=True)
            case 0x03:  # the end
                if waiting is None:
                    raise Refused(CONDITIONS)
                if fields[0] not in {b"", waiting.aid}:
                    raise Refused(WRONG_DATA)
                self._registry.put_load_file(waiting)
                self._for_install([waiting.aid, *fields[1:]], SELECTABLE)
            case _:
                raise Refused(WRONG_P1P2)

    def _for_load(self, fields: list[bytes], *, combined: bool) -> None:
        aid, domain, digest = fields[0], fields[1], fields[2]
        domain = domain or self._platform.domain_aid
        if not _is_aid(aid):
            raise Refused(WRONG_DATA)
        self._require_domain(domain)
        if self._registry.load_file(aid) is not None:
            raise Refused(CONDITIONS)
        self._loading, self._block = _Load(aid, domain, digest, combined), 0
        self._loaded.clear()

    def load(self, command: CommandAPDU) -> bytes:
        """One block of a load file; the last one checks it and enters it, or keeps it for the combined end."""
        if self._loading is None:
            raise Refused(CONDITIONS)
        if command.p2 != self._block & 0xFF or command.p1 & ~_LAST:
            self.forget()
            raise Refused(WRONG_P1P2)
        self._block += 1
        self._loaded += command.data
        if len(self._loaded) > LOAD_FILE_MAX:
            self.forget()
            raise Refused(NO_MEMORY)
        if not command.p1 & _LAST:
            return _DONE
        order, image = self._loading, bytes(self._loaded)
        self.forget()
        daps, block = capfile.parse_load_file(image)
        check_daps(self._platform, order.domain, order.digest, daps)
        if order.digest:
            capfile.check_hash(block, order.digest)
        load_file = self._checked(order, block)
        if order.combined:
            self._waiting = load_file
        else:
            self._registry.put_load_file(load_file)
        return _DONE

    def _checked(self, order: _Load, block: bytes) -> LoadFile:
        cap = capfile.read(block)
        if cap.package != order.aid:
            raise Refused(WRONG_DATA)
        known = {module for item in self._registry.load_files() for module in item.applets}
        if known & set(cap.applets):
            raise Refused(CONDITIONS)
        stored = hashlib.sha256(block).digest()
        return LoadFile(order.aid, cap.version, cap.applets, stored, len(block), order.domain)

    def _require_domain(self, aid: bytes) -> None:
        """A security domain of that name is on the card; a supplementary one has its keys (9.4.1, 9.3.5)."""
        if aid == self._platform.domain_aid:
            return
        found = self._registry.instance(aid)
        if found is None or not found.is_domain:
            raise Refused(REFERENCE_NOT_FOUND)
        if found.locked or found.life_cycle & PERSONALIZED != PERSONALIZED:
            raise Refused(CONDITIONS)

    def _for_install(self, fields: list[bytes], state: int) -> None:
        load_file, module, aid, privileges = fields[:4]
        aid = aid or module
        if not _is_aid(aid) or len(privileges) not in {1, 3}:
            raise Refused(WRONG_DATA)
        if self._registry.module_owner(load_file, module) is None:
            raise Refused(REFERENCE_NOT_FOUND)
        if self._registry.instance(aid) is not None or aid == self._platform.domain_aid:
            raise Refused(CONDITIONS)
        if privileges[0] & CARD_RESET and self._registry.with_privilege(CARD_RESET) is not None:
            raise Refused(CONDITIONS)
        if bool(privileges[0] & SECURITY_DOMAIN) != self._platform.is_domain_code(module):
            raise Refused(WRONG_DATA)
        self._platform.install(load_file, module, aid, privileges=privileges.ljust(3, b"\x00"), state=state)

    def _instance(self, aid: bytes) -> Instance:
        found = self._registry.instance(aid)
        if found is None:
            raise Refused(REFERENCE_NOT_FOUND)
        return found

    def _for_make_selectable(self, fields: list[bytes]) -> None:
        """Only Card Reset is taken of the privileges (11.5.2.3.3), also for an instance that is selectable already."""
        instance = self._instance(fields[2])
        resets = bool(fields[3] and fields[3][0] & CARD_RESET)
        if instance.life_cycle != INSTALLED and not resets:
            raise Refused(CONDITIONS)
        if resets:
            instance = replace(instance, privileges=self._with_card_reset(instance))
        state = SELECTABLE if instance.life_cycle == INSTALLED else instance.life_cycle
        self._registry.put_instance(replace(instance, life_cycle=state))

    def _with_card_reset(self, instance: Instance) -> bytes:
        holder = self._registry.with_privilege(CARD_RESET)
        if holder is not None and holder.aid != instance.aid:
            raise Refused(CONDITIONS)
        return bytes([instance.privileges[0] | CARD_RESET]) + instance.privileges[1:]

    def _for_extradition(self, fields: list[bytes]) -> None:
        """An instance or a load file goes over to another security domain (11.5.2.3.4)."""
        target, aid = fields[0], fields[2]
        self._require_domain(target)
        load_file = self._registry.load_file(aid)
        if load_file is not None:
            self._registry.put_load_file(replace(load_file, domain=target))
        else:
            instance = self._instance(aid)
            if instance.is_domain and target == aid:
                raise Refused(CONDITIONS)
            self._registry.put_instance(replace(instance, domain=target))

    def _for_registry_update(self, fields: list[bytes]) -> None:
        """Privileges, and another security domain, both or none (11.5.2.3.5)."""
        instance = self._instance(fields[2])
        if fields[0]:
            self._require_domain(fields[0])
            instance = replace(instance, domain=fields[0])
        if fields[3]:
            privileges = fields[3].ljust(3, b"\x00")
            if len(fields[3]) not in {1, 3} or bool(privileges[0] & SECURITY_DOMAIN) != instance.is_domain:
                raise Refused(WRONG_DATA)
            if privileges[0] & CARD_RESET:
                self._with_card_reset(instance)
            instance = replace(instance, privileges=privileges)
        self._registry.put_instance(instance)

    def _for_personalization(self, fields: list[bytes]) -> None:
        instance = self._instance(fields[2])
        if instance.locked:
            raise Refused(CONDITIONS)
        target = self._platform.applet(instance)
        target.check_personalisable()
        self._target, self._block = target, 0

    def forward(self, command: CommandAPDU, *, encrypted: bool) -> bytes:
        """STORE DATA for the applet that is being personalised."""
        if self._target is None:
            raise Refused(CONDITIONS)
        if command.p2 != self._block & 0xFF:
            raise Refused(WRONG_P1P2)
        answer = self._target.store(command.p1, command.data, encrypted=encrypted)
        self._block += 1
        if command.p1 & _LAST:
            self._target = None
        return answer

    def delete(self, command: CommandAPDU) -> bytes:
        """Delete an instance, or a load file (with P2 80 its instances too)."""
        if command.p1 or command.p2 & ~_WITH_RELATED:
            raise Refused(WRONG_P1P2)
        try:
            aid = tlv.find(command.data, 0x4F)
        except InvalidTlv as error:
            raise Refused(WRONG_DATA) from error
        if aid is None:
            raise Refused(WRONG_DATA)
        instance = self._registry.instance(aid)
        if instance is not None:
            self._remove(instance)
        elif self._registry.load_file(aid) is not None:
            self._remove_load_file(aid, related=bool(command.p2))
        else:
            raise Refused(NOT_FOUND if aid == self._platform.domain_aid else REFERENCE_NOT_FOUND)
        return _DONE

    def _remove_load_file(self, aid: bytes, *, related: bool) -> None:
        instances = [item for item in self._registry.instances() if item.load_file == aid]
        if instances and not related:
            raise Refused(CONDITIONS)
        for item in instances:
            self._remove(item)
        self._registry.delete_load_file(aid)

    def _owns_content(self, domain: bytes) -> bool:
        files, instances = self._registry.load_files(), self._registry.instances()
        return domain in {item.domain for item in files} | {item.domain for item in instances}

    def _remove(self, instance: Instance) -> None:
        if self._platform.is_selected(instance.aid) or (instance.is_domain and self._owns_content(instance.aid)):
            raise Refused(CONDITIONS)
        self._platform.applet_area(instance).clear()
        self._platform.stop(instance)
        self._registry.delete_instance(instance.aid)


def _is_aid(value: bytes) -> bool:
    return 5 <= len(value) <= 16


def _fields(data: bytes) -> list[bytes]:
    """Length-value fields of INSTALL: five for load, six otherwise; missing ones at the end are empty."""
    fields: list[bytes] = []
    offset = 0
    while offset < len(data):
        size, offset = _length(data, offset, long_form=len(fields) >= 3)
        if offset + size > len(data):
            raise Refused(WRONG_DATA)
        fields.append(data[offset : offset + size])
        offset += size
    if not 3 <= len(fields) <= 6:
        raise Refused(WRONG_DATA)
    return fields + [b""] * (6 - len(fields))


def _length(data: bytes, offset: int, *, long_form: bool) -> tuple[int, int]:
    """A length and where its field begins; parameters and tokens may be long (81 XX, 82 XX XX; 80 is 128 bytes)."""
    first, offset = data[offset], offset + 1
    if not long_form or first not in {0x81, 0x82}:
        return first, offset
    end = offset + first - 0x80
    if end > len(data):
        raise Refused(WRONG_DATA)
    return int.from_bytes(data[offset:end], "big"), end
