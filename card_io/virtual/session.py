"""One session with a security domain: opened by INITIALIZE UPDATE and EXTERNAL AUTHENTICATE, over by the next one.

GlobalPlatform Card Specification 2.3.1: chapter 10 (secure communication), 11.1.5.1 (chaining by bit 8 of P1), annex
E.5 (SCP02), Amendment D 7.1 (SCP03). Hides which protocol is spoken, what protects a command, and the count of tries.
"""

from collections.abc import Callable
from typing import Final

from card_io.apdu import CommandAPDU, ResponseAPDU
from card_io.virtual import scp02, scp03
from card_io.virtual.channel import C_MAC, SecureChannel
from card_io.virtual.keysets import KeySet, KeyStore
from card_io.virtual.platform import Platform
from card_io.virtual.refusal import (
    BLOCKED,
    CLA_UNKNOWN,
    CONDITIONS,
    REFERENCE_NOT_FOUND,
    SECURITY_STATUS,
    WRONG_LENGTH,
    WRONG_P1P2,
    Refused,
)

_CLASSES: Final = frozenset({0x00, 0x04, 0x80, 0x84})
_SEGMENTED: Final = frozenset({0xE4, 0xE6, 0xD8})
_SEGMENTED_MAX: Final = 0x1000
_SCP02_LAST: Final = 0xFFFF
_SCP03_LAST: Final = 0xFFFFFF


class Session:
    """The session of one security domain on one logical channel.

    `keys` gives the key sets that open it (a domain without any uses those of the domain above it), `aid` tells the
    domain's name, `ended` is called whenever what was under way is over.
    """

    def __init__(
        self,
        platform: Platform,
        aid: Callable[[], bytes],
        *,
        keys: Callable[[], KeyStore],
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._platform = platform
        self._aid = aid
        self._keys = keys
        self._ended = ended
        self._begun: CommandAPDU | None = None
        self.key_version = 0
        self.channel: SecureChannel | None = None

    def end(self) -> None:
        """Forget the session keys and any loading or personalisation that was under way."""
        self.channel = self._begun = None
        self._ended()

    def process(self, command: CommandAPDU, execute: Callable[[CommandAPDU], ResponseAPDU]) -> ResponseAPDU:
        """Answer one command; `execute` gets it in plain, and its answer goes out under the session's protection."""
        if command.cla not in _CLASSES:
            raise Refused(CLA_UNKNOWN)
        if command.ins == 0x50:
            return ResponseAPDU(self._initialize_update(command), 0x9000)
        if command.ins == 0x82:
            self._external_authenticate(command)
            return ResponseAPDU(b"", 0x9000)
        channel = self.channel
        whole = self._join(command)
        if whole is None:
            return ResponseAPDU(b"", 0x9000)
        if channel is None or not channel.authenticated:
            if command.cla & 0x04:
                raise Refused(SECURITY_STATUS)
            return execute(whole)
        plain = self._unwrap(channel, whole)
        try:
            answer = execute(plain)
        except Refused as refused:
            channel.refused(refused.sw)
            raise
        return ResponseAPDU(channel.wrap(answer.data, answer.sw), answer.sw)

    def require(self) -> SecureChannel:
        """The open channel; `Refused` 6982 when there is none."""
        if self.channel is None or not self.channel.authenticated:
            raise Refused(SECURITY_STATUS)
        return self.channel

    def _join(self, command: CommandAPDU) -> CommandAPDU | None:
        """The whole of a long DELETE, INSTALL or PUT KEY; None while bit 8 of P1 says that there is more (11.1.5.1)."""
        begun, self._begun = self._begun, None
        if begun is not None and command.ins != begun.ins:
            raise Refused(CONDITIONS)
        if command.ins not in _SEGMENTED:
            return command
        head = (command.cla, command.ins, command.p1 & 0x7F, command.p2)
        if begun is not None:
            if begun.header != bytes(head):
                raise Refused(CONDITIONS)
            if len(begun.data) + len(command.data) > _SEGMENTED_MAX:
                raise Refused(WRONG_P1P2)
        data = (begun.data if begun is not None else b"") + command.data
        # The MAC covers a length on three bytes only where the data would not have gone into one command.
        joined = CommandAPDU(*head, data, command.le, command.extended)
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
            self.end()
            raise

    def _initialize_update(self, command: CommandAPDU) -> bytes:
        self.end()
        if command.cla & 0x84 != 0x80:
            raise Refused(CLA_UNKNOWN)
        if command.p2:
            raise Refused(WRONG_P1P2)
        keys = self._keys().get(command.p1)
        if keys is None:
            raise Refused(REFERENCE_NOT_FOUND)
        if self._keys().tries_left(keys.version) <= 0:
            raise Refused(BLOCKED)
        protocol = 0x03 if keys.aes else 0x02
        self.channel = (self._open_scp03 if keys.aes else self._open_scp02)(keys, command.data)
        self.key_version = keys.version
        return self._platform.diversification_data + bytes([keys.version, protocol]) + self.channel.initialize_answer()

    def _open_scp03(self, keys: KeySet, host_challenge: bytes) -> SecureChannel:
        i = self._platform.scp03_i
        size = self._platform.scp03_size or (16 if i & scp03.S16 else 8)
        if len(host_challenge) != size:
            raise Refused(WRONG_LENGTH)
        counter = None
        if i & scp03.PSEUDO_RANDOM:
            counter = self._keys().counter(keys.version) + 1
            if counter > _SCP03_LAST:
                raise Refused(CONDITIONS)  # a counter that began again would repeat sessions
            self._keys().set_counter(keys.version, counter)
            challenge = scp03.pseudo_random_challenge(keys, counter, self._aid(), size)
        else:
            challenge = self._platform.randomness.take(size)
        return scp03.Scp03(keys, i, host_challenge, self._platform.forced_challenge or challenge, counter)

    def _open_scp02(self, keys: KeySet, host_challenge: bytes) -> SecureChannel:
        i = self._platform.scp02_i
        if len(host_challenge) != 8:
            raise Refused(WRONG_LENGTH)
        counter = self._keys().counter(keys.version)
        if counter >= _SCP02_LAST:
            raise Refused(CONDITIONS)
        if i & scp02.PSEUDO_RANDOM:
            challenge = scp02.pseudo_random_challenge(keys, counter, self._aid())
        else:
            challenge = self._platform.randomness.take(6)
        return scp02.Scp02(keys, i, host_challenge, self._platform.forced_challenge or challenge, counter)

    def _external_authenticate(self, command: CommandAPDU) -> None:
        channel = self.channel
        if channel is None or channel.authenticated:
            self.end()
            raise Refused(CONDITIONS)
        keys = self._keys()
        # The try is spent before the cryptogram is looked at: pulling the card out gives no free guess.
        keys.count_try(self.key_version)
        try:
            channel.authenticate(command)
        except Refused:
            self.end()
            raise
        keys.forgive(self.key_version)
        if isinstance(channel, scp02.Scp02):
            keys.set_counter(self.key_version, channel.counter + 1)
