"""The issuer security domain: opens secure channels and hands every command to the part that knows it.

GlobalPlatform Card Specification 2.3.1: chapter 7 (security domains), 10 (secure communication), 11.1 (general coding);
INITIALIZE UPDATE and EXTERNAL AUTHENTICATE: annex E.5 (SCP02), Amendment D 7.1 (SCP03).
"""

from collections.abc import Callable
from typing import Final

from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.virtual import scp02, scp03
from card_io.virtual.channel import C_DECRYPTION, C_MAC, SecureChannel
from card_io.virtual.content import Content
from card_io.virtual.dataobjects import DataObjects
from card_io.virtual.keyloading import delete_key, put_key
from card_io.virtual.keysets import KeySet
from card_io.virtual.lifecycle import LifeCycle
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import (
    BLOCKED,
    CLA_UNKNOWN,
    CONDITIONS,
    INS_UNKNOWN,
    REFERENCE_NOT_FOUND,
    SECURITY_STATUS,
    WRONG_LENGTH,
    WRONG_P1P2,
    Refused,
)
from card_io.virtual.registry import SECURED, TERMINATED

GET_DATA: Final = frozenset({0xCA, 0xCB})
_CLASSES: Final = frozenset({0x00, 0x04, 0x80, 0x84})
_SEGMENTED: Final = frozenset({0xE4, 0xE6, 0xD8})
_SEGMENTED_MAX: Final = 0x1000


class SecurityDomain:
    """One logical channel's session with the issuer security domain."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._channel: SecureChannel | None = None
        self._begun: CommandAPDU | None = None
        self._data = DataObjects(platform)
        self._content = Content(platform)
        self._life_cycle = LifeCycle(platform)
        self._commands: dict[int, Callable[[CommandAPDU], bytes | ResponseAPDU]] = {
            0xF2: self._life_cycle.get_status,
            0xF0: self._life_cycle.set_status,
            0xE6: self._content.install,
            0xE8: self._content.load,
            0xE4: self._delete,
            0xE2: self._store_data,
            0xD8: self._put_key,
            0x7A: self._begin_r_mac,
            0x78: self._end_r_mac,
        }

    def end_session(self) -> None:
        """Forget the session keys and any loading or personalisation that was under way."""
        self._channel = self._begun = None
        self._content.forget()

    def process(self, command: CommandAPDU) -> ResponseAPDU:
        """Answer one command addressed to the domain, under the session's protection when there is one."""
        if command.cla not in _CLASSES:
            raise Refused(CLA_UNKNOWN)
        if command.ins == 0x50:
            return ResponseAPDU(self._initialize_update(command), 0x9000)
        if command.ins == 0x82:
            self._external_authenticate(command)
            return ResponseAPDU(b"", 0x9000)
        channel = self._channel
        whole = self._join(command)
        if whole is None:
            return ResponseAPDU(b"", 0x9000)
        if channel is None or not channel.authenticated:
            if command.cla & 0x04:
                raise Refused(SECURITY_STATUS)
            return self._execute(whole)
        plain = self._unwrap(channel, whole)
        try:
            answer = self._execute(plain)
        except Refused as refused:
            channel.refused(refused.sw)
            raise
        return ResponseAPDU(channel.wrap(answer.data, answer.sw), answer.sw)

    def _join(self, command: CommandAPDU) -> CommandAPDU | None:
        """The whole of a long DELETE, INSTALL or PUT KEY; None while bit 8 of P1 says that there is more (11.1.5.1)."""
        begun, self._begun = self._begun, None
        if command.ins not in _SEGMENTED:
            return command
        head = (command.cla, command.ins, command.p1 & 0x7F, command.p2)
        if begun is not None:
            if begun.header != bytes(head):
                raise Refused(CONDITIONS)
            if len(begun.data) + len(command.data) > _SEGMENTED_MAX:
                raise Refused(WRONG_LENGTH)
        data = (begun.data if begun is not None else b"") + command.data
        joined = CommandAPDU(*head, data, command.le, begun is not None or command.extended)
        if command.p1 & 0x80:
            self._begun = joined
            return None
        return joined

    def _unwrap(self, channel: SecureChannel, command: CommandAPDU) -> CommandAPDU:
        try:
            if channel.level & C_MAC and not command.cla & 0x04:
                raise Refused(SECURITY_STATUS)
            return channel.unwrap(command)
        except Refused:
            self.end_session()
            raise

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
        channel = self._channel
        state = self._platform.life_cycle
        if channel is None or not channel.authenticated:
            raise Refused(SECURITY_STATUS)
        if state >= SECURED and not channel.level & C_MAC:
            raise Refused(SECURITY_STATUS)
        if state == TERMINATED:
            raise Refused(CONDITIONS)
        return channel

    def _initialize_update(self, command: CommandAPDU) -> bytes:
        self.end_session()
        if command.cla & 0x84 != 0x80:
            raise Refused(CLA_UNKNOWN)
        if command.p2:
            raise Refused(WRONG_P1P2)
        if self._platform.life_cycle == TERMINATED:
            raise Refused(CONDITIONS)
        keys = self._platform.keys.get(command.p1)
        if keys is None:
            raise Refused(REFERENCE_NOT_FOUND)
        if self._platform.keys.tries_left(keys.version) <= 0:
            raise Refused(BLOCKED)
        protocol = 0x03 if keys.aes else 0x02
        self._channel = (self._open_scp03 if keys.aes else self._open_scp02)(keys, command.data)
        self._key_version = keys.version
        return self._platform.diversification_data + bytes([keys.version, protocol]) + self._channel.initialize_answer()

    def _open_scp03(self, keys: KeySet, host_challenge: bytes) -> SecureChannel:
        i = self._platform.scp03_i
        size = self._platform.scp03_size or (16 if i & scp03.S16 else 8)
        if len(host_challenge) != size:
            raise Refused(WRONG_LENGTH)
        counter = None
        if i & scp03.PSEUDO_RANDOM:
            counter = (self._platform.keys.counter(keys.version) + 1) & 0xFFFFFF
            self._platform.keys.set_counter(keys.version, counter)
            challenge = scp03.pseudo_random_challenge(keys, counter, self._platform.domain_aid, size)
        else:
            challenge = self._platform.randomness.take(size)
        return scp03.Scp03(keys, i, host_challenge, self._platform.forced_challenge or challenge, counter)

    def _open_scp02(self, keys: KeySet, host_challenge: bytes) -> SecureChannel:
        i = self._platform.scp02_i
        if len(host_challenge) != 8:
            raise Refused(WRONG_LENGTH)
        counter = self._platform.keys.counter(keys.version)
        if i & scp02.PSEUDO_RANDOM:
            challenge = scp02.pseudo_random_challenge(keys, counter, self._platform.domain_aid)
        else:
            challenge = self._platform.randomness.take(6)
        return scp02.Scp02(keys, i, host_challenge, self._platform.forced_challenge or challenge, counter)

    def _external_authenticate(self, command: CommandAPDU) -> None:
        channel = self._channel
        if channel is None or channel.authenticated:
            self.end_session()
            raise Refused(CONDITIONS)
        # The try is spent before the cryptogram is looked at: pulling the card out gives no free guess.
        self._platform.keys.count_try(self._key_version)
        try:
            channel.authenticate(command)
        except Refused:
            self.end_session()
            raise
        self._platform.keys.forgive(self._key_version)
        if isinstance(channel, scp02.Scp02):
            self._platform.keys.set_counter(self._key_version, (channel.counter + 1) & 0xFFFF)

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

    def _begin_r_mac(self, command: CommandAPDU) -> bytes:
        channel = self._channel
        if not isinstance(channel, scp02.Scp02) or command.p1 != 0x10:
            raise Refused(WRONG_P1P2 if isinstance(channel, scp02.Scp02) else INS_UNKNOWN)
        channel.begin_r_mac()
        return b""

    def _end_r_mac(self, command: CommandAPDU) -> bytes:
        channel = self._channel
        if not isinstance(channel, scp02.Scp02) or command.p2 not in {0x01, 0x03}:
            raise Refused(WRONG_P1P2 if isinstance(channel, scp02.Scp02) else INS_UNKNOWN)
        return channel.end_r_mac() if command.p2 == 0x03 else channel.current_r_mac()
