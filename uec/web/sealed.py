"""Hides how the office gives a visitor something to keep that only the office can read: sealed, dated, for one use.

AES-256-GCM (NIST SP 800-38D) over compressed JSON; a key for each purpose comes from the key of the cookies (HKDF,
RFC 5869), so what was sealed for one purpose opens nothing elsewhere.
"""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NONCE_BYTES = 12


def derived(key: bytes, purpose: str, length: int = 32) -> bytes:
    """Return bytes for a purpose, the same ones each time; they tell nothing about the key."""
    return HKDF(hashes.SHA256(), length, salt=None, info=f"uec {purpose} 1".encode()).derive(key)


def seal(content: Any, *, purpose: str, key: bytes, now: datetime, random: Callable[[int], bytes]) -> str:
    """Return content (what JSON holds) as a text for a cookie or a hidden field."""
    plain = json.dumps({"at": int(now.timestamp()), "content": content}, ensure_ascii=False)
    nonce = random(NONCE_BYTES)
    sealed = nonce + AESGCM(derived(key, purpose)).encrypt(nonce, zlib.compress(plain.encode()), None)
    return urlsafe_b64encode(sealed).decode()


def unseal(value: str, *, purpose: str, key: bytes, now: datetime, life: timedelta) -> Any:
    """Return the content; None when it is older than `life`, damaged, not ours, or sealed for something else."""
    try:
        sealed = urlsafe_b64decode(value)
        plain = AESGCM(derived(key, purpose)).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        kept = json.loads(zlib.decompress(plain))
    except (ValueError, InvalidTag, zlib.error):
        return None
    return kept["content"] if now.timestamp() - kept["at"] <= life.total_seconds() else None
