"""Secure Channel Protocol 03: session keys, cryptograms, wrapping of commands, unwrapping of answers. No I/O.

GlobalPlatform Card Specification Amendment D 1.1.1, and 1.2 for S16 mode (i bit 1) and longer MACs. Hides the MAC
chaining value, the encryption counter and the order in which answers are checked. Commands can be wrapped ahead:
`wrap` needs no earlier answer, and `unwrap` takes the answers in the order of the commands.
"""

import hmac
from collections import deque
from dataclasses import dataclass
from enum import IntFlag

from card_io.apdu import CommandAPDU, channel_of, class_on_channel
from card_io.ciphers import AES_BLOCK, AesChannelCipher, AesChannelMac, aes_cmac, pad80, unpad80
from card_io.errors import InvalidApdu, SecureChannelError, UnexpectedAnswer, WrongCryptogram
from card_io.keyset import KeySet, SessionKeys
from card_io.secret import Secret

__all__ = [
    "InitializeUpdateResponse",
    "KeySet",
    "Level",
    "Scp03Session",
    "SessionKeys",
    "calculate_card_challenge",
    "card_cryptogram",
    "derive_session_keys",
    "host_cryptogram",
    "parse_initialize_update",
]

S8 = 8
S16 = 16
_CARD_CRYPTOGRAM, _HOST_CRYPTOGRAM, _CARD_CHALLENGE = 0x00, 0x01, 0x02
_S_ENC, _S_MAC, _S_RMAC = 0x04, 0x06, 0x07
_I_R_MAC, _I_R_ENC, PSEUDO_RANDOM = 0x20, 0x40, 0x10
_SHORT_MAX = 255
_R_MAC_DATA_MAX = 24


class Level(IntFlag):
    """Security level: P1 of EXTERNAL AUTHENTICATE (table 7-3)."""

    NONE = 0x00
    C_MAC = 0x01
    C_DECRYPTION = 0x02
    R_MAC = 0x10
    R_ENCRYPTION = 0x20


_C_MAC, _C_DECRYPTION, _R_MAC, _R_ENCRYPTION = 0x01, 0x02, 0x10, 0x20
_LEVELS = (0x00, 0x01, 0x03, 0x11, 0x13, 0x33)


@dataclass(frozen=True, slots=True)
class InitializeUpdateResponse:
    """What the card answers to INITIALIZE UPDATE under SCP03 (table 7-2)."""

    kdd: bytes
    kvn: int
    scp: int
    i: int
    card_challenge: bytes
    card_cryptogram: bytes
    sequence_counter: int | None

    @property
    def s_mode(self) -> int:
        """Length in bytes of challenges, cryptograms and MACs: 8 or 16."""
        return len(self.card_challenge)

    @property
    def foretellable(self) -> bool:
        """Whether the card's next challenges follow from its keys and its counter (§6.2.2.1)."""
        return bool(self.i & PSEUDO_RANDOM) and self.sequence_counter is not None


def parse_initialize_update(data: bytes) -> InitializeUpdateResponse:
    """Read the answer data (without status word): 29 or 45 bytes, three more with a sequence counter.

    The challenge length follows from the total: chips in S16 mode exist that do not set bit 1 of "i".
    Raises `UnexpectedAnswer` for another protocol or length.
    """
    if len(data) < 13 or data[11] != 0x03:
        found = f"SCP{data[11]:02d}" if len(data) > 11 else "no protocol"
        raise UnexpectedAnswer(f"the card names {found}, not SCP03; choose the profile of this card")
    sizes = {29: (S8, 0), 32: (S8, 3), 45: (S16, 0), 48: (S16, 3)}
    if len(data) not in sizes:
        raise UnexpectedAnswer(f"an INITIALIZE UPDATE answer of {len(data)} bytes is not SCP03; check the card")
    size, counter_size = sizes[len(data)]
    cryptogram_at = 13 + size
    counter_at = cryptogram_at + size
    return InitializeUpdateResponse(
        kdd=data[:10],
        kvn=data[10],
        scp=data[11],
        i=data[12],
        card_challenge=data[13:cryptogram_at],
        card_cryptogram=data[cryptogram_at:counter_at],
        sequence_counter=int.from_bytes(data[counter_at:], "big") if counter_size else None,
    )


def _derive(key: bytes, constant: int, context: bytes, size_bytes: int) -> bytes:
    """Data derivation (§4.1.5): label, separator, L in bits, counter, context."""
    head = bytes(11) + bytes([constant, 0]) + (size_bytes * 8).to_bytes(2, "big")
    blocks = -(-size_bytes // AES_BLOCK)
    stream = b"".join(aes_cmac(key, head + bytes([counter]) + context) for counter in range(1, blocks + 1))
    return stream[:size_bytes]


def derive_session_keys(keys: KeySet, host_challenge: bytes, card_challenge: bytes, s_mode: int = S8) -> SessionKeys:
    """S-ENC, S-MAC and S-RMAC of one session (§6.2.1); for the keeper of the static keys only.

    Both challenges are `s_mode` bytes. The static Key-DEK is not handed on.
    """
    if s_mode not in (S8, S16) or len(host_challenge) != s_mode or len(card_challenge) != s_mode:
        raise SecureChannelError("challenges of 8 (S8) or 16 (S16) bytes make session keys; ask the card again")
    context = host_challenge + card_challenge
    enc, mac = keys.enc.reveal(), keys.mac.reveal()
    return SessionKeys(
        enc=Secret(_derive(enc, _S_ENC, context, len(enc))),
        mac=Secret(_derive(mac, _S_MAC, context, len(mac))),
        rmac=Secret(_derive(mac, _S_RMAC, context, len(mac))),
    )


def calculate_card_challenge(enc: Secret, sequence_counter: int, aid: bytes, s_mode: int = S8) -> bytes:
    """The pseudo-random card challenge (§6.2.2.1): what the card will answer when its counter reaches this value.

    `enc` is the static Key-ENC and `aid` the security domain's AID. With it a whole session can be computed before
    the card is there; only the keeper of the static keys can.
    """
    context = sequence_counter.to_bytes(3, "big") + aid
    return _derive(enc.reveal(), _CARD_CHALLENGE, context, s_mode)


def card_cryptogram(keys: SessionKeys, host_challenge: bytes, card_challenge: bytes) -> bytes:
    """What proves that the card has the keys (§6.2.2.2), as long as the challenge."""
    return _derive(keys.mac.reveal(), _CARD_CRYPTOGRAM, host_challenge + card_challenge, len(card_challenge))


def host_cryptogram(keys: SessionKeys, host_challenge: bytes, card_challenge: bytes) -> bytes:
    """What proves to the card that the host has the keys (§6.2.2.3)."""
    return _derive(keys.mac.reveal(), _HOST_CRYPTOGRAM, host_challenge + card_challenge, len(card_challenge))


def check_level(level: int, i: int) -> Level:
    """The level when the protocol has it and a card with this "i" can do it; else `SecureChannelError`."""
    if level not in _LEVELS:
        raise SecureChannelError(f"SCP03 has no security level {level:02X}; use 00, 01, 03, 11, 13 or 33")
    if level & Level.R_MAC and not i & _I_R_MAC:
        raise SecureChannelError(f"a card with i={i:02X} returns no R-MAC; use level 01 or 03")
    if level & Level.R_ENCRYPTION and not i & _I_R_ENC:
        raise SecureChannelError(f"a card with i={i:02X} does not encrypt answers; use level 13")
    return Level(level)


def r_mac_data(data: bytes) -> bytes:
    """The data field of BEGIN R-MAC SESSION under either protocol: a length and up to 24 bytes."""
    if len(data) > _R_MAC_DATA_MAX:
        raise InvalidApdu(f"{len(data)} bytes for BEGIN R-MAC SESSION; give at most {_R_MAC_DATA_MAX}")
    return bytes([len(data)]) + data


def _data_max(level: Level, s_mode: int) -> int:
    room = _SHORT_MAX - (s_mode if level & Level.C_MAC else 0)
    return room // AES_BLOCK * AES_BLOCK - 1 if level & Level.C_DECRYPTION else room


@dataclass(frozen=True, slots=True)
class _Expected:
    """What the answer to one command is checked against; `then` is how answers are protected once it succeeded."""

    chaining: bytes
    counter: int
    then: int | None = None


class Scp03Session:
    """One open session on the host side; made from session keys and the answer to INITIALIZE UPDATE.

    Raises `WrongCryptogram` when the card did not prove the same keys: nothing was sent yet, no try is spent.
    """

    def __init__(self, keys: SessionKeys, level: int, *, host_challenge: bytes, card: InitializeUpdateResponse) -> None:
        expected = card_cryptogram(keys, host_challenge, card.card_challenge)
        if not hmac.compare_digest(expected, card.card_cryptogram):
            raise WrongCryptogram("the card has other keys than these; check its key version and diversification")
        self.level = check_level(level, card.i)
        self.s_mode = card.s_mode
        self._data_max = _data_max(self.level, self.s_mode)
        self._bits = int(self.level)  # flags of an enum take longer to test than the command to encipher
        self._i = card.i
        self._answer_bits = self._bits
        self._tracks = bool(self._bits & _R_MAC)
        self._cipher = AesChannelCipher(keys.enc.reveal())
        self._c_mac = AesChannelMac(keys.mac.reveal())
        self._r_mac = AesChannelMac(keys.rmac.reveal())
        self._host_cryptogram = host_cryptogram(keys, host_challenge, card.card_challenge)
        self._chaining = bytes(AES_BLOCK)
        self._counter = 0
        self._expected: deque[_Expected] = deque()
        self._broken = False

    @property
    def data_max(self) -> int:
        """How many bytes of data a short command can carry at this level."""
        return self._data_max

    @property
    def pending(self) -> int:
        """Commands wrapped whose answers have not been unwrapped (counted once answers carry an R-MAC)."""
        return len(self._expected)

    @property
    def answer_level(self) -> Level:
        """How the next answer to be unwrapped is protected: more than `level` says within an R-MAC session."""
        return Level(self._answer_bits)

    def begin_r_mac(self, added: int, data: bytes = b"") -> bytes:
        """BEGIN R-MAC SESSION (§7.1.3), wrapped: `added` 10 asks for R-MAC, 30 for R-ENCRYPTION too, from then on.

        `data` are up to 24 bytes that go into the MACs. Unwrap every earlier answer first, and from here each answer.
        Raises `SecureChannelError` where the card or the level of the commands does not allow it.
        """
        check_level(self._bits | added, self._i)
        if added not in (_R_MAC, _R_MAC | _R_ENCRYPTION) or self._bits | added == self._bits:
            raise SecureChannelError(f"{added:02X} adds nothing to the answers of level {self._bits:02X}; use 10 or 30")
        return self._wrap_turn(CommandAPDU(0x80, 0x7A, added, 0x01, r_mac_data(data)), self._bits | added)

    def end_r_mac(self) -> bytes:
        """END R-MAC SESSION (§7.1.4), wrapped; its own answer is the last that is protected so."""
        return self._wrap_turn(CommandAPDU(0x80, 0x78, 0x00, 0x03, le=256), self._bits)

    def _wrap_turn(self, command: CommandAPDU, then: int) -> bytes:
        self._tracks = True
        wrapped = self.wrap(command)
        last = self._expected.pop()
        self._expected.append(_Expected(last.chaining, last.counter, then))
        return wrapped

    def external_authenticate(self) -> bytes:
        """The EXTERNAL AUTHENTICATE command: always with a C-MAC, never enciphered; its answer is plain."""
        command = CommandAPDU(0x80, 0x82, int(self.level), 0x00, self._host_cryptogram)
        return self._with_mac(command, command.data)

    def wrap(self, command: CommandAPDU | bytes) -> bytes:
        """The command as the card wants it at this level.

        Raises `InvalidApdu` when a short command grows beyond 255 bytes of data (see `data_max`), and
        `SecureChannelError` after an answer failed its check.
        """
        if self._broken:
            raise SecureChannelError("an answer failed its check, so this channel is closed; open a new one")
        plain = CommandAPDU.decode(command) if isinstance(command, bytes) else command
        if not self._bits & _C_MAC:
            return plain.encode()
        self._check_room(plain)
        self._counter += 1
        data = plain.data
        if self._bits & _C_DECRYPTION and data:
            data = self._cipher.cbc_encrypt(self._icv(0x00, self._counter), pad80(data, AES_BLOCK))
        wrapped = self._with_mac(plain, data)
        if self._tracks:
            self._expected.append(_Expected(self._chaining, self._counter))
        return wrapped

    def _check_room(self, plain: CommandAPDU) -> None:
        if not plain.extended and len(plain.data) > self._data_max:
            raise InvalidApdu(
                f"{len(plain.data)} bytes do not fit a short command at level {self.level:02X}; "
                f"send at most {self.data_max}, or an extended command"
            )

    def _with_mac(self, plain: CommandAPDU, data: bytes) -> bytes:
        """MAC over chaining value, header on channel 0 with bit 3 set, new Lc and data (§6.2.4); Le is left out."""
        size = len(data) + self.s_mode
        header = bytes([plain.cla & 0x80 | plain.cla & 0x10 | 0x04, plain.ins, plain.p1, plain.p2])
        lc = b"\x00" + size.to_bytes(2, "big") if plain.extended else bytes([size])
        self._chaining = self._c_mac.mac(self._chaining + header + lc + data)
        le = b"" if plain.le is None else bytes(2 if plain.extended else 1)
        sent = class_on_channel(header[0], channel_of(plain.cla))
        return bytes([sent]) + header[1:] + lc + data + self._chaining[: self.s_mode] + le

    def _icv(self, marker: int, counter: int) -> bytes:
        """The counter block under S-ENC; `marker` 80 for answers (§6.2.6, §6.2.7)."""
        return self._cipher.encrypt_block(bytes([marker]) + counter.to_bytes(15, "big"))

    def unwrap(self, answer: bytes) -> bytes:
        """The answer (data and status word) in plain; answers come in the order of the commands.

        Answers with an error status word are not protected (§6.2.5) and pass as they are. Raises `WrongCryptogram`
        for a wrong R-MAC; the channel is closed by that.
        """
        if not self._tracks:
            return answer
        if not self._expected:
            raise SecureChannelError("an answer without a command; unwrap each answer once and in order")
        expected = self._expected.popleft()
        bits = self._answer_bits
        data, sw = answer[:-2], answer[-2:]
        failed = sw != b"\x90\x00" and sw[:1] not in (b"\x62", b"\x63")
        if expected.then is not None and not failed:
            self._answer_bits = expected.then
        if not bits & _R_MAC:
            return answer
        if failed:
            if data:
                self._refuse("the card sent data with an error status word, which carry no R-MAC")
            return answer
        body, mac = data[: -self.s_mode], data[-self.s_mode :]
        full = self._r_mac.mac(expected.chaining + body + sw)
        if not hmac.compare_digest(full[: self.s_mode], mac):
            self._refuse("the R-MAC of the answer is wrong")
        if body and bits & _R_ENCRYPTION:
            body = self._decipher(body, expected.counter)
        return body + sw

    def _decipher(self, body: bytes, counter: int) -> bytes:
        if len(body) % AES_BLOCK:
            self._refuse("the enciphered answer is not made of whole blocks")
        return unpad80(self._cipher.cbc_decrypt(self._icv(0x80, counter), body))

    def _refuse(self, reason: str) -> None:
        self._broken = True
        raise WrongCryptogram(f"{reason}; open a new secure channel and read back what was done")
