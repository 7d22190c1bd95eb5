"""Secure channel protocol 03 on the card's side.

GlobalPlatform Card Specification 2.3.1 Amendment D 1.2: session keys 6.2.1 (SP 800-108 counter mode with CMAC, 4.1.5),
challenges 6.2.2.1, cryptograms 6.2.2.2, C-MAC 6.2.4, R-MAC 6.2.5, encryption 6.2.6 and 6.2.7.
Bits of `i`: 01 sixteen-byte challenges and MACs (S16), 10 pseudo-random card challenge, 20 R-MAC, 60 R-MAC and
R-ENCRYPTION."""

import hmac
from typing import Final

from card_io.apdu import CommandAPDU
from card_io.virtual.channel import C_DECRYPTION, C_MAC, R_ENCRYPTION, R_MAC, is_success, length, mac_header, plain
from card_io.virtual.keysets import KeySet
from card_io.virtual.primitives import aes_cbc_decrypt, aes_cbc_encrypt, aes_ecb_encrypt, cmac, pad, unpad
from card_io.virtual.refusal import CONDITIONS, SECURITY_STATUS, WRONG_LENGTH, WRONG_P1P2, Refused

S16: Final = 0x01
PSEUDO_RANDOM: Final = 0x10
WITH_R_MAC: Final = 0x20
WITH_R_ENCRYPTION: Final = 0x40

_CARD_CRYPTOGRAM, _HOST_CRYPTOGRAM, _CHALLENGE = 0x00, 0x01, 0x02
_S_ENC, _S_MAC, _S_RMAC = 0x04, 0x06, 0x07


def derive(key: bytes, constant: int, context: bytes, size: int) -> bytes:
    """`size` bytes: CMAC over eleven zeros, constant, 00, length in bits, the block's number and the context."""
    blocks = range(1, (size + 15) // 16 + 1)
    label = bytes(11) + bytes([constant, 0]) + (size * 8).to_bytes(2, "big")
    return b"".join(cmac(key, label + bytes([number]) + context) for number in blocks)[:size]


def pseudo_random_challenge(keys: KeySet, counter: int, domain_aid: bytes, size: int) -> bytes:
    """The card challenge that a host can compute beforehand: from the sequence counter and the domain's AID."""
    return derive(keys.enc.reveal(), _CHALLENGE, counter.to_bytes(3, "big") + domain_aid, size)


class Scp03:
    """One session. `counter` is the key set's sequence counter, told when the challenge is pseudo-random."""

    def __init__(self, keys: KeySet, i: int, host_challenge: bytes, card_challenge: bytes, counter: int | None) -> None:
        self._i = i
        self._size = len(card_challenge)
        self._counter = counter
        self._context = host_challenge + card_challenge
        self._challenge = card_challenge
        self._dek = keys.dek.reveal()
        length = len(keys.enc)
        self._s_enc = derive(keys.enc.reveal(), _S_ENC, self._context, length)
        self._s_mac = derive(keys.mac.reveal(), _S_MAC, self._context, length)
        self._s_rmac = derive(keys.mac.reveal(), _S_RMAC, self._context, length)
        self._chaining = bytes(16)
        self._commands = 0
        self.level = 0
        self._opened_at = 0
        self._next_level: int | None = None
        self.authenticated = False

    def initialize_answer(self) -> bytes:
        """i, card challenge, card cryptogram and, with a pseudo-random challenge, the sequence counter (3 bytes)."""
        cryptogram = derive(self._s_mac, _CARD_CRYPTOGRAM, self._context, self._size)
        counter = b"" if self._counter is None else self._counter.to_bytes(3, "big")
        return bytes([self._i]) + self._challenge + cryptogram + counter

    def authenticate(self, command: CommandAPDU) -> None:
        """Host cryptogram and MAC of EXTERNAL AUTHENTICATE; P1 is the level from the next command on."""
        level = command.p1
        if level not in self._levels() or command.p2:
            raise Refused(WRONG_P1P2)
        if len(command.data) != 2 * self._size:
            raise Refused(WRONG_LENGTH)
        cryptogram = self._verify(command)
        if not hmac.compare_digest(cryptogram, derive(self._s_mac, _HOST_CRYPTOGRAM, self._context, self._size)):
            raise Refused(0x6300)
        self.level = self._opened_at = level
        self.authenticated = True

    def _levels(self) -> set[int]:
        levels = {0, C_MAC, C_MAC | C_DECRYPTION}
        if self._i & WITH_R_MAC:
            levels |= {C_MAC | R_MAC, C_MAC | C_DECRYPTION | R_MAC}
            if self._i & WITH_R_ENCRYPTION:
                levels |= {C_MAC | C_DECRYPTION | R_MAC | R_ENCRYPTION}
        return levels

    def _verify(self, command: CommandAPDU) -> bytes:
        """The data field without its MAC, which is checked."""
        if len(command.data) < self._size or not command.cla & 0x04:
            raise Refused(SECURITY_STATUS)
        data, mac = command.data[: -self._size], command.data[-self._size :]
        header = mac_header(command, length(len(command.data), wide=command.extended))
        full = cmac(self._s_mac, self._chaining + header + data)
        if not hmac.compare_digest(full[: self._size], mac):
            raise Refused(SECURITY_STATUS)
        self._chaining = full
        return data

    def unwrap(self, command: CommandAPDU) -> CommandAPDU:
        """Check the MAC, decrypt; every command counts for the initial vectors, also one without data."""
        self._commands += 1
        if not self.level & C_MAC:
            return plain(command, command.data)
        data = self._verify(command)
        if self.level & C_DECRYPTION and data:
            data = self._decrypt(data)
        return plain(command, data)

    def _decrypt(self, data: bytes) -> bytes:
        if len(data) % 16:
            raise Refused(SECURITY_STATUS)
        vector = aes_ecb_encrypt(self._s_enc, self._commands.to_bytes(16, "big"))
        decrypted = unpad(aes_cbc_decrypt(self._s_enc, data, vector))
        if decrypted is None:
            raise Refused(SECURITY_STATUS)
        return decrypted

    def wrap(self, data: bytes, sw: int) -> bytes:
        """Encrypt and add the MAC; an error goes out bare. The level that an R-MAC session changes holds afterwards."""
        level, self.level = self.level, self.level if self._next_level is None else self._next_level
        self._next_level = None
        if not level & R_MAC or not is_success(sw):
            return data
        if level & R_ENCRYPTION and data:
            vector = aes_ecb_encrypt(self._s_enc, b"\x80" + self._commands.to_bytes(15, "big"))
            data = aes_cbc_encrypt(self._s_enc, pad(data, 16), vector)
        return data + cmac(self._s_rmac, self._chaining + data + sw.to_bytes(2, "big"))[: self._size]

    def begin_r_mac(self, added: int) -> None:
        """BEGIN R-MAC SESSION: 10 adds R-MAC, 30 R-ENCRYPTION too; never more than the commands have (7.1.3.7)."""
        opened = self._opened_at
        able = self._i & (WITH_R_ENCRYPTION if added & R_ENCRYPTION else WITH_R_MAC)
        needed = C_MAC | C_DECRYPTION if added & R_ENCRYPTION else C_MAC
        if not able or self.level != opened or opened & needed != needed or opened & added == added:
            raise Refused(CONDITIONS)
        self._next_level = opened | added

    def end_r_mac(self) -> None:
        """END R-MAC SESSION: back to the level of EXTERNAL AUTHENTICATE."""
        if self.level == self._opened_at:
            raise Refused(CONDITIONS)
        self._next_level = self._opened_at

    def refused(self, sw: int) -> None:
        """Nothing: an error carries no R-MAC and is in no chain (6.2.5)."""
        del sw

    def decrypt_key(self, data: bytes) -> bytes:
        """AES-CBC with the static DEK and a zero vector (Amendment D 7.2)."""
        return aes_cbc_decrypt(self._dek, data)
