"""A file's content sealed under two passphrases, both needed.

scrypt (RFC 7914) turns each custodian's passphrase into a half; HKDF (RFC 5869) joins the halves into the key that
wraps a random data key; AES-256-GCM (NIST SP 800-38D) seals the content under the data key. Layout: magic, 4-byte
header length, header (JSON: cost, salts, wrapped key, nonces), ciphertext, SHA-256 over all before. The last digest
tells damage from a wrong passphrase, without any passphrase.
"""

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from card_io.secret import Secret
from issuance.errors import VaultUnlockError, WeakPassphrase

MAGIC = b"UEC VAULT 1\n"
MIN_PASSPHRASE_BYTES = 8
_MAX_LOG_N = 20
_DIGEST_BYTES = 32


class Damaged(Exception):
    """The bytes are not a sealed file as it was written."""


@dataclass(frozen=True)
class ScryptCost:
    """Cost of one guess at a passphrase: 2**log_n * r * 128 bytes of memory."""

    log_n: int = 16
    r: int = 8
    p: int = 1


@dataclass(frozen=True)
class Seal:
    """An opened seal: the data key, and the header part that wraps it, so that saving needs no passphrase."""

    data_key: Secret
    wrapping: dict[str, Any]


def new_seal(passphrases: tuple[Secret, Secret], cost: ScryptCost) -> Seal:
    """Make a data key and wrap it under both passphrases; raises `WeakPassphrase`."""
    first, second = passphrases
    if min(len(first), len(second)) < MIN_PASSPHRASE_BYTES:
        raise WeakPassphrase(f"each custodian's passphrase needs at least {MIN_PASSPHRASE_BYTES} characters")
    if first == second:
        raise WeakPassphrase("the two custodians must choose different passphrases")
    salts = (secrets.token_bytes(16), secrets.token_bytes(16))
    nonce, data_key = secrets.token_bytes(12), secrets.token_bytes(32)
    wrapped = AESGCM(_wrapping_key(passphrases, salts, cost)).encrypt(nonce, data_key, MAGIC)
    wrapping: dict[str, Any] = {
        "kdf": "scrypt",
        "log_n": cost.log_n,
        "r": cost.r,
        "p": cost.p,
        "salts": [salt.hex() for salt in salts],
        "nonce": nonce.hex(),
        "wrapped_key": wrapped.hex(),
    }
    return Seal(Secret(data_key), wrapping)


def seal(opened: Seal, content: bytes) -> bytes:
    """Seal content into the bytes of a file."""
    nonce = secrets.token_bytes(12)
    header = json.dumps({"wrapping": opened.wrapping, "nonce": nonce.hex()}, sort_keys=True).encode()
    start = MAGIC + len(header).to_bytes(4, "big") + header
    body = start + AESGCM(opened.data_key.reveal()).encrypt(nonce, content, start)
    return body + hashlib.sha256(body).digest()


def check(sealed: bytes) -> None:
    """Raise `Damaged` unless the bytes are whole; needs no passphrase."""
    _split(sealed)


def unseal(sealed: bytes, passphrases: tuple[Secret, Secret]) -> tuple[Seal, bytes]:
    """Open sealed bytes; returns the seal for saving again and the content.

    Raises `Damaged` for bytes that were altered or cut, `VaultUnlockError` for a wrong passphrase.
    """
    start, header, ciphertext = _split(sealed)
    try:
        wrapping = header["wrapping"]
        cost = ScryptCost(int(wrapping["log_n"]), int(wrapping["r"]), int(wrapping["p"]))
        salts = (bytes.fromhex(wrapping["salts"][0]), bytes.fromhex(wrapping["salts"][1]))
        wrapped, key_nonce = bytes.fromhex(wrapping["wrapped_key"]), bytes.fromhex(wrapping["nonce"])
        nonce = bytes.fromhex(header["nonce"])
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise Damaged("the header is incomplete") from error
    if not (10 <= cost.log_n <= _MAX_LOG_N and 1 <= cost.r <= 32 and 1 <= cost.p <= 16):
        raise Damaged("the header asks for an impossible scrypt cost")
    try:
        data_key = AESGCM(_wrapping_key(passphrases, salts, cost)).decrypt(key_nonce, wrapped, MAGIC)
    except InvalidTag:
        raise VaultUnlockError(
            "the two passphrases do not open this vault: check who is first and second custodian, and type both again"
        ) from None
    try:
        content = AESGCM(data_key).decrypt(nonce, ciphertext, start)
    except InvalidTag:
        raise Damaged("the content does not fit its seal") from None
    return Seal(Secret(data_key), wrapping), content


def _split(sealed: bytes) -> tuple[bytes, dict[str, Any], bytes]:  # start, header, ciphertext
    body, digest = sealed[:-_DIGEST_BYTES], sealed[-_DIGEST_BYTES:]
    if not body.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise Damaged("the file was altered or cut short")
    header_at = len(MAGIC) + 4
    header_end = header_at + int.from_bytes(body[len(MAGIC) : header_at], "big")
    try:
        header = json.loads(body[header_at:header_end])
    except ValueError as error:
        raise Damaged("the header is not JSON") from error
    return body[:header_end], header, body[header_end:]


def _wrapping_key(passphrases: tuple[Secret, Secret], salts: tuple[bytes, bytes], cost: ScryptCost) -> bytes:
    halves = [
        Scrypt(salt=salt, length=32, n=1 << cost.log_n, r=cost.r, p=cost.p).derive(passphrase.reveal())
        for salt, passphrase in zip(salts, passphrases, strict=True)
    ]
    return HKDF(hashes.SHA256(), 32, salt=None, info=b"uec vault, two custodians").derive(halves[0] + halves[1])
