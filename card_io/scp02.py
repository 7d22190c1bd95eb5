"""Secure Channel Protocol 02: session keys, cryptograms, wrapping of commands, unwrapping of answers. No I/O.

GlobalPlatform Card Specification 2.3.1 annex E, explicit initiation with three keys: i = 15, 55, and 35, 75 with R-MAC
(deprecated by GlobalPlatform, present on many cards in use). Hides ICV chaining, ICV encryption and the R-MAC chain.
"""

import hmac
from collections import deque
from dataclasses import dataclass
from enum import Enum

from card_io.apdu import CommandAPDU, channel_of, class_on_channel
from card_io.ciphers import (
    DES_BLOCK,
    des3_cbc_encrypt,
    des3_ecb_encrypt,
    des_encrypt,
    mac_des3,
    mac_des_des3,
    pad80,
)
from card_io.errors import InvalidApdu, SecureChannelError, UnexpectedAnswer, WrongCryptogram
from card_io.keyset import KeySet, SessionKeys
from card_io.scp03 import Level, r_mac_data
from card_io.secret import Secret

_C_MAC, _R_MAC, _S_ENC, _S_DEK = b"\x01\x01", b"\x01\x02", b"\x01\x82", b"\x01\x81"
_LEVELS = (0x00, 0x01, 0x03, 0x10, 0x11, 0x13)
_OPTIONS = (0x15, 0x35, 0x55, 0x75)
_I_R_MAC = 0x20
_SHORT_MAX = 255


@dataclass(frozen=True, slots=True)
class InitializeUpdateResponse:
    """What the card answers to INITIALIZE UPDATE under SCP02 (table E-9)."""

    kdd: bytes
    kvn: int
    scp: int
    sequence_counter: int
    card_challenge: bytes
    card_cryptogram: bytes


def parse_initialize_update(data: bytes) -> InitializeUpdateResponse:
    """Read the 28 bytes of answer data; `UnexpectedAnswer` for another protocol or length."""
    if len(data) != 28 or data[11] != 0x02:
        raise UnexpectedAnswer("this is no SCP02 answer to INITIALIZE UPDATE; choose the profile of this card")
    return InitializeUpdateResponse(
        kdd=data[:10],
        kvn=data[10],
        scp=data[11],
        sequence_counter=int.from_bytes(data[12:14], "big"),
        card_challenge=data[14:20],
        card_cryptogram=data[20:28],
    )


def _session_key(key: Secret, constant: bytes, counter: int) -> Secret:
    return Secret(des3_cbc_encrypt(key.reveal(), constant + counter.to_bytes(2, "big") + bytes(12)))


def derive_session_keys(keys: KeySet, sequence_counter: int) -> SessionKeys:
    """The four session keys for this value of the sequence counter (E.4.1); for the keeper of the static keys."""
    return SessionKeys(
        enc=_session_key(keys.enc, _S_ENC, sequence_counter),
        mac=_session_key(keys.mac, _C_MAC, sequence_counter),
        rmac=_session_key(keys.mac, _R_MAC, sequence_counter),
        dek=_session_key(keys.dek, _S_DEK, sequence_counter),
    )


def calculate_card_challenge(keys: SessionKeys, aid: bytes) -> bytes:
    """The six bytes that a card with the well-known pseudo-random algorithm (i = 55, 75) will answer (E.4.2.3)."""
    return mac_des_des3(keys.mac.reveal(), aid, bytes(DES_BLOCK))[:6]


def encrypt_sensitive(keys: SessionKeys, data: bytes) -> bytes:
    """Sensitive data (whole 8-byte blocks, such as a key for PUT KEY) under the session DEK (E.4.7)."""
    if keys.dek is None:
        raise SecureChannelError("these session keys have no DEK; ask the vault to encrypt the data instead")
    return des3_ecb_encrypt(keys.dek.reveal(), data)


def card_cryptogram(keys: SessionKeys, host_challenge: bytes, card: InitializeUpdateResponse) -> bytes:
    """What proves that the card has the keys (E.4.2.1)."""
    return mac_des3(keys.enc.reveal(), host_challenge + _counter(card) + card.card_challenge)


def host_cryptogram(keys: SessionKeys, host_challenge: bytes, card: InitializeUpdateResponse) -> bytes:
    """What proves to the card that the host has the keys (E.4.2.2)."""
    return mac_des3(keys.enc.reveal(), _counter(card) + card.card_challenge + host_challenge)


def _counter(card: InitializeUpdateResponse) -> bytes:
    return card.sequence_counter.to_bytes(2, "big")


def check_level(level: int, i: int) -> Level:
    """The level when SCP02 has it and a card with this "i" can do it; else `SecureChannelError`."""
    if i not in _OPTIONS:
        raise SecureChannelError(f"SCP02 with i={i:02X} is not spoken here; use a card with i=15, 35, 55 or 75")
    if level not in _LEVELS:
        raise SecureChannelError(f"SCP02 has no security level {level:02X}; use 00, 01, 03, 10, 11 or 13")
    if level & Level.R_MAC and not i & _I_R_MAC:
        raise SecureChannelError(f"a card with i={i:02X} returns no R-MAC; use level 01 or 03")
    return Level(level)


class _Turn(Enum):
    """What a command does to the protection of answers."""

    NONE = 0
    BEGIN = 1
    READ = 2
    END = 3


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the answer to one command is checked against."""

    command: bytes
    turn: _Turn


class Scp02Session:
    """One open session on the host side; made from session keys and the answer to INITIALIZE UPDATE.

    `i` is the option of the card, from its recognition data or its profile (the answer does not tell it).
    Raises `WrongCryptogram` when the card did not prove the same keys: nothing was sent yet, no try is spent.
    """

    def __init__(
        self,
        keys: SessionKeys,
        level: int,
        *,
        host_challenge: bytes,
        card: InitializeUpdateResponse,
        i: int = 0x15,
    ) -> None:
        if not hmac.compare_digest(card_cryptogram(keys, host_challenge, card), card.card_cryptogram):
            raise WrongCryptogram("the card has other keys than these; check its key version and diversification")
        self.level = check_level(level, i)
        self._keys = keys
        self._host_cryptogram = host_cryptogram(keys, host_challenge, card)
        self._icv = bytes(DES_BLOCK)
        self._first_mac = bytes(DES_BLOCK)
        self._ricv = bytes(DES_BLOCK)
        self._expected: deque[_Expected] = deque()
        self._i = i
        self._r_mac_key = keys.rmac
        self._answers_have_mac = self._tracks = bool(self.level & Level.R_MAC)
        self._broken = False

    @property
    def data_max(self) -> int:
        """How many bytes of data a short command can carry at this level."""
        room = _SHORT_MAX - (DES_BLOCK if self.level & Level.C_MAC else 0)
        return room // DES_BLOCK * DES_BLOCK - 1 if self.level & Level.C_DECRYPTION else room

    @property
    def pending(self) -> int:
        """Commands wrapped whose answers have not been unwrapped (counted once answers carry an R-MAC)."""
        return len(self._expected)

    def begin_r_mac(self, r_mac_key: Secret, data: bytes = b"") -> bytes:
        """BEGIN R-MAC SESSION (E.5.3), wrapped: the answers after it carry an R-MAC, which covers this command too.

        `r_mac_key` hangs on the sequence counter as it is now, one more than the channel's (E.4.1): ask its keeper for
        the R-MAC key of that counter. `data` are up to 24 bytes that go into the R-MAC. Unwrap every earlier answer
        first, and from here each answer.
        """
        check_level(self.level | Level.R_MAC, self._i)
        if self.level & Level.R_MAC:
            raise SecureChannelError("answers carry an R-MAC until this channel ends; no session of its own is needed")
        self._r_mac_key = r_mac_key
        self._ricv = self._first_mac
        self._tracks = True
        return self._wrap(CommandAPDU(0x80, 0x7A, 0x10, 0x01, r_mac_data(data)), _Turn.BEGIN)

    def read_r_mac(self) -> bytes:
        """END R-MAC SESSION that only asks for the R-MAC so far (P2 01), wrapped; `unwrap` compares it."""
        return self._wrap(CommandAPDU(0x80, 0x78, 0x00, 0x01, le=256), _Turn.READ)

    def end_r_mac(self) -> bytes:
        """END R-MAC SESSION (E.5.4), wrapped; `unwrap` of its answer compares the last R-MAC."""
        return self._wrap(CommandAPDU(0x80, 0x78, 0x00, 0x03, le=256), _Turn.END)

    def external_authenticate(self) -> bytes:
        """The EXTERNAL AUTHENTICATE command; its C-MAC opens both MAC chains."""
        command = CommandAPDU(0x80, 0x82, int(self.level), 0x00, self._host_cryptogram)
        raw = self._with_mac(command, command.data)
        self._ricv = self._first_mac = self._mac
        return raw

    def wrap(self, command: CommandAPDU | bytes) -> bytes:
        """The command as the card wants it at this level; errors as in SCP03."""
        return self._wrap(command, _Turn.NONE)

    def _wrap(self, command: CommandAPDU | bytes, turn: _Turn) -> bytes:
        if self._broken:
            raise SecureChannelError("an answer failed its check, so this channel is closed; open a new one")
        plain = CommandAPDU.decode(command) if isinstance(command, bytes) else command
        if len(plain.data) > self.data_max and not plain.extended:
            raise InvalidApdu(
                f"{len(plain.data)} bytes do not fit a short command at level {self.level:02X}; "
                f"send at most {self.data_max}, or an extended command to be cut into segments"
            )
        if self._tracks:
            self._expected.append(_Expected(_stripped(plain), turn))
        if not self.level & Level.C_MAC:
            return plain.encode()
        data = plain.data
        if self.level & Level.C_DECRYPTION and data:
            data = des3_cbc_encrypt(self._keys.enc.reveal(), pad80(data, DES_BLOCK))
        return self._with_mac(plain, data)

    def _with_mac(self, plain: CommandAPDU, data: bytes) -> bytes:
        """C-MAC over the modified header and the plain data (E.4.4); `data` is what is sent."""
        key = self._keys.mac.reveal()
        header = bytes([plain.cla & 0x90 | 0x04, plain.ins, plain.p1, plain.p2])
        self._mac = mac_des_des3(key, header + _length(len(plain.data) + DES_BLOCK) + plain.data, self._icv)
        # The first ICV is plain zeros, every later one the C-MAC before, enciphered (E.3.4).
        self._icv = des_encrypt(key[:DES_BLOCK], self._mac)
        sent = class_on_channel(header[0], channel_of(plain.cla))
        lc = _length(len(data) + DES_BLOCK)
        le = b"" if plain.le is None else bytes(2 if len(lc) > 1 else 1)
        return bytes([sent]) + header[1:] + lc + data + self._mac + le

    def unwrap(self, answer: bytes) -> bytes:
        """The answer (data and status word) in plain; answers come in the order of the commands.

        A refusal without R-MAC passes, but moves the R-MAC chain as the card moves it. Raises `WrongCryptogram`.
        """
        if not self._tracks:
            return answer
        if not self._expected:
            raise SecureChannelError("an answer without a command; unwrap each answer once and in order")
        expected = self._expected.popleft()
        sw = answer[-2:]
        failed = sw != b"\x90\x00" and sw[:1] not in (b"\x62", b"\x63")
        if expected.turn in (_Turn.READ, _Turn.END):
            return self._compare_chain(answer, expected.turn, failed=failed)
        if expected.turn is _Turn.BEGIN and failed:
            return answer
        if not self._answers_have_mac and expected.turn is _Turn.NONE:
            return answer
        bare = expected.turn is _Turn.BEGIN or (failed and len(answer) == 2)
        body, mac = (answer[:-2], b"") if bare else (answer[: -2 - DES_BLOCK], answer[-2 - DES_BLOCK : -2])
        block = expected.command + bytes([len(body) % 256]) + body + sw
        self._ricv = mac_des_des3(self._r_mac_key.reveal(), block, self._ricv)
        self._answers_have_mac = True
        if not bare and not hmac.compare_digest(self._ricv, mac):
            self._refuse()
        return body + sw

    def _compare_chain(self, answer: bytes, turn: _Turn, *, failed: bool) -> bytes:
        """The answer of END R-MAC SESSION is the R-MAC itself, and is in no chain (E.4.5)."""
        if failed:
            return answer
        if not hmac.compare_digest(self._ricv, answer[:-2]):
            self._refuse()
        if turn is _Turn.END:
            self._answers_have_mac = False
        return answer[-2:]

    def _refuse(self) -> None:
        self._broken = True
        raise WrongCryptogram("the R-MAC of the answer is wrong; open a new secure channel and read back")


def _length(size: int) -> bytes:
    """Lc on one byte, or on three for a command that will be cut into segments (§11.1.5.1)."""
    return b"\x00" + size.to_bytes(2, "big") if size > _SHORT_MAX else bytes([size])


def _stripped(plain: CommandAPDU) -> bytes:
    """The command as the R-MAC sees it: channel 0, no secure messaging, Lc always there (E.4.5)."""
    header = bytes([plain.cla & 0x90, plain.ins, plain.p1, plain.p2])
    return header + _length(len(plain.data)) + plain.data
