"""Hides where an unfinished application lives: encrypted in the applicant's own cookie; the office stores nothing.

AES-256-GCM (NIST SP 800-38D) over compressed JSON; the key is derived from the key of the cookies (HKDF, RFC 5869). The
cookie goes only to the pages of the application, no script reads it, and it is worth nothing after two hours.
"""

import json
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from flask import Response

from uec.domain.errors import InvalidInput

COOKIE = "uec_draft"
PATH = "/apply"
LIFE = timedelta(hours=2)
NONCE_BYTES = 12
# Browsers promise 4096 bytes for name, value and attributes (RFC 6265, 6.1).
LARGEST = 3900


class DraftTooLong(InvalidInput):
    """The answers do not fit into the draft."""

    code = "web.draft_too_long"


def _cipher(key: bytes) -> AESGCM:
    return AESGCM(HKDF(hashes.SHA256(), 32, salt=None, info=b"uec draft 1").derive(key))


def seal(answers: Mapping[str, str], *, key: bytes, now: datetime, random: Callable[[int], bytes]) -> str:
    """Return the draft as a cookie value; raise `DraftTooLong` when it would not fit."""
    content = json.dumps({"at": int(now.timestamp()), "answers": dict(answers)}, ensure_ascii=False)
    nonce = random(NONCE_BYTES)
    sealed = nonce + _cipher(key).encrypt(nonce, zlib.compress(content.encode()), None)
    value = urlsafe_b64encode(sealed).decode()
    if len(value) > LARGEST:
        raise DraftTooLong("The answers are too long to be kept; shorten the address and the place of birth.")
    return value


def unseal(value: str, *, key: bytes, now: datetime) -> dict[str, str]:
    """Return the answers of a draft; empty when it is too old, damaged or not ours."""
    try:
        sealed = urlsafe_b64decode(value)
        content = json.loads(zlib.decompress(_cipher(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)))
    except (ValueError, InvalidTag, zlib.error):
        return {}
    if now.timestamp() - content["at"] > LIFE.total_seconds():
        return {}
    return {str(name): str(answer) for name, answer in content["answers"].items()}


def keep(response: Response, value: str, *, secure: bool) -> None:
    """Put the draft with the applicant, for the pages of the application only."""
    response.set_cookie(
        COOKIE, value, max_age=int(LIFE.total_seconds()), path=PATH, httponly=True, samesite="Strict", secure=secure
    )


def discard(response: Response) -> None:
    """Take the draft away."""
    response.delete_cookie(COOKIE, path=PATH)
