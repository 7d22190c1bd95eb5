"""The block ciphers and MACs that GlobalPlatform names, over plain bytes.

GlobalPlatform Card Specification 2.3.1 annex B.1 (3DES, single DES plus final triple DES MAC, padding method 2 of
ISO/IEC 9797-1) and annex B.6 (key check values); Amendment D 1.1.1 §4.1 (AES, CMAC). Hides the crypto library.
"""

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.cmac import CMAC

from card_io.errors import CardError, SecureChannelError

AES_BLOCK = 16
DES_BLOCK = 8
AES_KEY_SIZES = (16, 24, 32)
DES_KEY_SIZES = (16, 24)


class WrongKeySize(CardError, ValueError):
    """A key that the algorithm cannot take."""

    code = "card.key-size"

    def __init__(self, algorithm: str, size_bytes: int) -> None:
        super().__init__(f"a key of {size_bytes} bytes is no {algorithm} key; check which key set is meant")
        self.size_bytes = size_bytes


def pad80(data: bytes, block: int) -> bytes:
    """Append 80 and zeros up to a multiple of `block` bytes; at least one byte is added."""
    return data + b"\x80" + bytes(-(len(data) + 1) % block)


def unpad80(data: bytes) -> bytes:
    """Take 80 and the zeros behind it off; `SecureChannelError` when no such padding is there."""
    stripped = data.rstrip(b"\x00")
    if not stripped or stripped[-1] != 0x80:
        raise SecureChannelError("the deciphered data have no padding; open a new secure channel")
    return stripped[:-1]


def _aes(key: bytes) -> AES:
    if len(key) not in AES_KEY_SIZES:
        raise WrongKeySize("AES", len(key))
    return AES(key)


def _des3(key: bytes) -> TripleDES:
    """Two-key 3DES is three-key 3DES with the first key used twice."""
    if len(key) not in DES_KEY_SIZES:
        raise WrongKeySize("3DES", len(key))
    return TripleDES(key if len(key) == 24 else key + key[:DES_BLOCK])


def aes_ecb_encrypt(key: bytes, data: bytes | memoryview) -> bytes:
    """AES over whole blocks, each on its own."""
    encryptor = Cipher(_aes(key), ECB()).encryptor()  # noqa: S305 - the specification asks for it
    return encryptor.update(data) + encryptor.finalize()


def aes_ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """The reverse of `aes_ecb_encrypt`."""
    decryptor = Cipher(_aes(key), ECB()).decryptor()  # noqa: S305 - the specification asks for it
    return decryptor.update(data) + decryptor.finalize()


def aes_cbc_encrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """AES CBC over whole blocks."""
    encryptor = Cipher(_aes(key), CBC(iv)).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def aes_cbc_decrypt(key: bytes, iv: bytes, data: bytes) -> bytes:
    """The reverse of `aes_cbc_encrypt`."""
    decryptor = Cipher(_aes(key), CBC(iv)).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def aes_cmac(key: bytes, data: bytes) -> bytes:
    """The full 16-byte CMAC (NIST SP 800-38B)."""
    mac = CMAC(_aes(key))
    mac.update(data)
    return mac.finalize()


class AesChannelCipher:
    """AES under one key for many short messages: the key schedule is made once, which is most of the cost.

    Keeps one CBC stream running in each direction and undoes its chaining by hand, because a new cipher object for
    every message takes ten times as long as the message. Belongs to one thread.
    """

    def __init__(self, key: bytes) -> None:
        algorithm = _aes(key)
        zero = CBC(bytes(AES_BLOCK))
        self._block = Cipher(algorithm, ECB()).encryptor()  # noqa: S305 - single blocks: ICVs
        self._encryptor = Cipher(algorithm, zero).encryptor()
        self._decryptor = Cipher(algorithm, zero).decryptor()
        self._last_sent = bytes(AES_BLOCK)
        self._last_read = bytes(AES_BLOCK)

    def encrypt_block(self, block: bytes) -> bytes:
        """One block on its own."""
        return self._block.update(block)

    def cbc_encrypt(self, iv: bytes, data: bytes) -> bytes:
        """CBC over whole blocks with `iv`: the running stream would chain its last block, so that is taken out."""
        first = xor(xor(data[:AES_BLOCK], iv), self._last_sent)
        result = self._encryptor.update(first + data[AES_BLOCK:])
        self._last_sent = result[-AES_BLOCK:]
        return result

    def cbc_decrypt(self, iv: bytes, data: bytes) -> bytes:
        """The reverse of `cbc_encrypt`."""
        plain = self._decryptor.update(data)
        first = xor(xor(plain[:AES_BLOCK], iv), self._last_read)
        self._last_read = data[-AES_BLOCK:]
        return first + plain[AES_BLOCK:]


class AesChannelMac:
    """CMAC under one key for many messages."""

    def __init__(self, key: bytes) -> None:
        self._keyed = CMAC(_aes(key))

    def mac(self, data: bytes) -> bytes:
        """The full 16-byte CMAC."""
        mac = self._keyed.copy()
        mac.update(data)
        return mac.finalize()


def xor(a: bytes, b: bytes) -> bytes:
    """Two byte strings of the same length, bit by bit."""
    return (int.from_bytes(a, "big") ^ int.from_bytes(b, "big")).to_bytes(len(a), "big")


def des3_ecb_encrypt(key: bytes, data: bytes) -> bytes:
    """3DES over whole blocks, each on its own."""
    encryptor = Cipher(_des3(key), ECB()).encryptor()  # noqa: S305 - the specification asks for it
    return encryptor.update(data) + encryptor.finalize()


def des3_ecb_decrypt(key: bytes, data: bytes) -> bytes:
    """The reverse of `des3_ecb_encrypt`."""
    decryptor = Cipher(_des3(key), ECB()).decryptor()  # noqa: S305 - the specification asks for it
    return decryptor.update(data) + decryptor.finalize()


def des3_cbc_encrypt(key: bytes, data: bytes) -> bytes:
    """3DES CBC over whole blocks with a zero IV."""
    encryptor = Cipher(_des3(key), CBC(bytes(DES_BLOCK))).encryptor()
    return encryptor.update(data) + encryptor.finalize()


def des3_cbc_decrypt(key: bytes, data: bytes) -> bytes:
    """The reverse of `des3_cbc_encrypt`."""
    decryptor = Cipher(_des3(key), CBC(bytes(DES_BLOCK))).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def des_encrypt(key: bytes, block: bytes) -> bytes:
    """Single DES over one block: 3DES with the same key three times."""
    return des3_ecb_encrypt(key * 3, block)


def mac_des3(key: bytes, data: bytes) -> bytes:
    """Full triple DES MAC (B.1.2.1) with a zero IV over `data`, which is padded here."""
    return des3_cbc_encrypt(key, pad80(data, DES_BLOCK))[-DES_BLOCK:]


def mac_des_des3(key: bytes, data: bytes, icv: bytes) -> bytes:
    """Single DES plus final triple DES MAC (B.1.2.2) over `data`, which is padded here."""
    padded = pad80(data, DES_BLOCK)
    value = icv
    if len(padded) > DES_BLOCK:
        encryptor = Cipher(TripleDES(key[:DES_BLOCK] * 3), CBC(icv)).encryptor()
        value = (encryptor.update(padded[:-DES_BLOCK]) + encryptor.finalize())[-DES_BLOCK:]
    return des3_ecb_encrypt(key, xor(value, padded[-DES_BLOCK:]))


def kcv_aes(key: bytes) -> bytes:
    """Key check value of an AES key: three bytes of one block of 01 enciphered (Amendment D §7.2.2)."""
    return aes_ecb_encrypt(key, b"\x01" * AES_BLOCK)[:3]


def kcv_des3(key: bytes) -> bytes:
    """Key check value of a 3DES key: three bytes of one block of 00 enciphered (B.6)."""
    return des3_ecb_encrypt(key, bytes(DES_BLOCK))[:3]
