"""Secure channel protocol 02 on the card's side.

GlobalPlatform Card Specification 2.3.1, annex E: session keys E.4.1, cryptograms E.4.2, C-MAC E.4.4, R-MAC E.4.5,
encryption E.4.6, key data E.4.7, pseudo-random challenge E.4.2.3. Bits of `i`: 01 three keys, 02 C-MAC on the
unmodified command, 04 explicit initiation, 08 first vector is the MAC over the AID, 10 vector encrypted, 20 R-MAC, 40
pseudo-random challenge. This card speaks 15, 35, 55 and 75.
"""

import hmac
from typing import Final

from card_io.apdu import CommandAPDU
from card_io.virtual.channel import C_DECRYPTION, C_MAC, R_MAC, length, mac_header, plain
from card_io.virtual.keysets import KeySet
from card_io.virtual.primitives import (
    des3_cbc_decrypt,
    des3_cbc_encrypt,
    des3_ecb_decrypt,
    des_ecb_encrypt,
    full_mac,
    retail_mac,
    unpad,
)
from card_io.virtual.refusal import CONDITIONS, SECURITY_STATUS, WRONG_LENGTH, WRONG_P1P2, Refused

WITH_R_MAC: Final = 0x20
PSEUDO_RANDOM: Final = 0x40
_MAC_SIZE: Final = 8
_C_MAC_KEY, _R_MAC_KEY, _DEK, _ENC_KEY = 0x0101, 0x0102, 0x0181, 0x0182


def session_key(key: bytes, constant: int, counter: int) -> bytes:
    """A session key, 16 bytes: the constant, the counter and zeros encrypted under the static key."""
    return des3_cbc_encrypt(key, constant.to_bytes(2, "big") + counter.to_bytes(2, "big") + bytes(12))


def pseudo_random_challenge(keys: KeySet, counter: int, domain_aid: bytes) -> bytes:
    """Six bytes of the MAC over the domain's AID with the session's C-MAC key."""
    return retail_mac(session_key(keys.mac.reveal(), _C_MAC_KEY, counter), domain_aid)[:6]


class Scp02:
    """One session; `counter` is the key set's sequence counter, 2 bytes on the wire."""

    def __init__(self, keys: KeySet, i: int, host_challenge: bytes, card_challenge: bytes, counter: int) -> None:
        self._i = i
        self.counter = counter
        self._counter = counter.to_bytes(2, "big")
        self._host, self._challenge = host_challenge, card_challenge
        self._enc = session_key(keys.enc.reveal(), _ENC_KEY, counter)
        self._mac = session_key(keys.mac.reveal(), _C_MAC_KEY, counter)
        self._static_mac = keys.mac.reveal()
        self._rmac = session_key(self._static_mac, _R_MAC_KEY, counter)
        self._dek = session_key(keys.dek.reveal(), _DEK, counter)
        self._c_chaining = bytes(8)
        self._r_chaining = bytes(8)
        self._stripped = b""
        self._first_mac = bytes(8)
        self._in_r_mac_session = self._quiet = False
        self._next_level: int | None = None
        self.level = 0
        self.authenticated = False

    def initialize_answer(self) -> bytes:
        """Sequence counter, card challenge (6 bytes), card cryptogram."""
        data = self._host + self._counter + self._challenge
        return self._counter + self._challenge + full_mac(self._enc, data)

    def authenticate(self, command: CommandAPDU) -> None:
        """Host cryptogram and MAC of EXTERNAL AUTHENTICATE; P1 is the level from the next command on."""
        levels = {0, C_MAC, C_MAC | C_DECRYPTION}
        if self._i & WITH_R_MAC:
            levels |= {level | R_MAC for level in levels}
        if command.p1 not in levels or command.p2:
            raise Refused(WRONG_P1P2)
        if len(command.data) != 2 * _MAC_SIZE:
            raise Refused(WRONG_LENGTH)
        cryptogram, mac = command.data[:8], command.data[8:]
        expected = full_mac(self._enc, self._counter + self._challenge + self._host)
        if not hmac.compare_digest(cryptogram, expected):
            raise Refused(0x6300)
        self._check(command, cryptogram, mac)
        self._r_chaining = self._first_mac = mac
        self.level = command.p1
        self.authenticated = True

    def _check(self, command: CommandAPDU, data: bytes, mac: bytes) -> None:
        """The C-MAC over the command with the length it will have, before encryption."""
        first = not any(self._c_chaining) and not self.authenticated
        vector = self._c_chaining if first else des_ecb_encrypt(self._mac[:8], self._c_chaining)
        expected = retail_mac(self._mac, mac_header(command, length(len(data) + _MAC_SIZE)) + data, vector)
        if not command.cla & 0x04 or not hmac.compare_digest(mac, expected):
            raise Refused(SECURITY_STATUS)
        self._c_chaining = mac

    def unwrap(self, command: CommandAPDU) -> CommandAPDU:
        """Decrypt, then check the MAC over the plain command."""
        data = command.data
        if self.level & C_MAC:
            if len(data) < _MAC_SIZE:
                raise Refused(SECURITY_STATUS)
            data, mac = data[:-_MAC_SIZE], data[-_MAC_SIZE:]
            if self.level & C_DECRYPTION and data:
                data = self._decrypt(data)
            self._check(command, data, mac)
        command = plain(command, data)
        self._stripped = command.header + length(len(data)) + data
        return command

    def _decrypt(self, data: bytes) -> bytes:
        decrypted = None if len(data) % 8 else unpad(des3_cbc_decrypt(self._enc, data))
        if decrypted is None:
            raise Refused(SECURITY_STATUS)
        return decrypted

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Add the R-MAC over command and answer, chained to the one before."""
        level, self.level = self.level, self.level if self._next_level is None else self._next_level
        begins = self._next_level is not None and self.level & R_MAC
        quiet, self._quiet, self._next_level = self._quiet, False, None
        if quiet or not (level & R_MAC or begins):
            return data
        covered = self._stripped + bytes([len(data) & 0xFF]) + data + sw.to_bytes(2, "big")
        self._r_chaining = retail_mac(self._rmac, covered, self._r_chaining)
        return data if begins else data + self._r_chaining

    def refused(self, sw: int) -> None:
        """The R-MAC is computed over errors too; it is left out where a status word goes alone."""
        self.wrap(b"", sw)

    def begin_r_mac(self, counter: int) -> None:
        """BEGIN R-MAC SESSION, itself the first that the R-MAC covers; the key hangs on the counter of now (E.4.1).

        The vector is the C-MAC of EXTERNAL AUTHENTICATE (E.3.2); answers carry an R-MAC from the next command on.
        """
        if not self._i & WITH_R_MAC or self.level & R_MAC:
            raise Refused(CONDITIONS)
        self._rmac = session_key(self._static_mac, _R_MAC_KEY, counter)
        self._r_chaining = self._first_mac
        self._in_r_mac_session = True
        self._next_level = self.level | R_MAC

    def current_r_mac(self) -> bytes:
        """END R-MAC SESSION with P2 01: the R-MAC so far, and the session goes on; it covers not this command."""
        if not self._in_r_mac_session:
            raise Refused(CONDITIONS)
        self._quiet = True
        return self._r_chaining

    def end_r_mac(self) -> bytes:
        """END R-MAC SESSION with P2 03: the last R-MAC, and none from now on."""
        taken = self.current_r_mac()
        self._in_r_mac_session = False
        self._next_level = self.level & ~R_MAC
        return taken

    def decrypt_key(self, data: bytes) -> bytes:
        """Triple DES in ECB mode with the session DEK."""
        return des3_ecb_decrypt(self._dek, data)
