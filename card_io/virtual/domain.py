"""The issuer security domain: hands every command of a session to the part that knows it.

GlobalPlatform Card Specification 2.3.1: chapter 7 (security domains), 11.1 (general coding).
"""

from collections.abc import Callable
from typing import Final

from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.virtual.channel import C_DECRYPTION, C_MAC, SecureChannel
from card_io.virtual.content import Content
from card_io.virtual.dataobjects import DataObjects
from card_io.virtual.keyloading import delete_key, put_key
from card_io.virtual.lifecycle import LifeCycle
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import CLA_UNKNOWN, CONDITIONS, INS_UNKNOWN, SECURITY_STATUS, Refused
from card_io.virtual.registry import SECURED, TERMINATED
from card_io.virtual.rmac import begin_r_mac, end_r_mac
from card_io.virtual.session import Session

GET_DATA: Final = frozenset({0xCA, 0xCB})


class SecurityDomain:
    """One logical channel's session with the issuer security domain."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._data = DataObjects(platform, platform.area, platform.keys)
        self._content = Content(platform)
        self._life_cycle = LifeCycle(platform)
        self._session = Session(platform, lambda: platform.domain_aid, keys=lambda: platform.keys, ended=self._forget)
        self._commands: dict[int, Callable[[CommandAPDU], bytes | ResponseAPDU]] = {
            0xF2: self._life_cycle.get_status,
            0xF0: self._life_cycle.set_status,
            0xE6: self._content.install,
            0xE8: self._content.load,
            0xE4: self._delete,
            0xE2: self._store_data,
            0xD8: self._put_key,
            0x7A: lambda command: begin_r_mac(self._session, platform.keys, command),
            0x78: lambda command: end_r_mac(self._session, command),
        }

    def _forget(self) -> None:
        self._content.forget()
        self._data.forget()

    def end_session(self) -> None:
        """Forget the session keys and any loading or personalisation that was under way."""
        self._session.end()

    def process(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer one command addressed to the domain, under the session's protection when there is one."""
        if command.ins == 0x50 and self._platform.life_cycle == TERMINATED:
            self._session.end()
            raise Refused(CONDITIONS)
        return self._session.process(command, self._execute)

    def _execute(self, command: CommandAPDU) -> ResponseAPDU:
        if command.ins in GET_DATA:
            return ResponseAPDU(self._data.get(command), 0x9000)
        if command.cla & 0x80 == 0:
            raise Refused(CLA_UNKNOWN if command.ins in self._commands else INS_UNKNOWN)
        handler = self._commands.get(command.ins)
        if handler is None:
            raise Refused(INS_UNKNOWN)
        self._require_authenticated()
        answer = handler(command)
        return answer if isinstance(answer, ResponseAPDU) else ResponseAPDU(answer, 0x9000)

    def _require_authenticated(self) -> SecureChannel:
        channel = self._session.require()
        state = self._platform.life_cycle
        if state >= SECURED and not channel.level & C_MAC:
            raise Refused(SECURITY_STATUS)
        if state == TERMINATED:
            raise Refused(CONDITIONS)
        return channel

    def _put_key(self, command: CommandAPDU) -> bytes:
        return put_key(command, self._platform.keys, self._require_authenticated().decrypt_key)

    def _delete(self, command: CommandAPDU) -> bytes:
        if command.data[:1] in {b"\xd0", b"\xd2"}:
            return delete_key(command, self._platform.keys)
        return self._content.delete(command)

    def _store_data(self, command: CommandAPDU) -> bytes:
        if self._content.personalising:
            encrypted = bool(self._require_authenticated().level & C_DECRYPTION)
            return self._content.forward(command, encrypted=encrypted)
        return self._data.store(command)
