"""Hides how a password is kept: scrypt (RFC 7914) with its cost and salt in the stored text.

The cost is OWASP's for interactive sign-in (N = 2^15, r = 8, p = 3: 32 MiB); a stored hash keeps its own.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass

from uec.domain.errors import InvalidInput

MINIMUM_LENGTH = 10
MAXIMUM_LENGTH = 200
_SALT_BYTES = 16
_KEY_BYTES = 32


class WeakPassword(InvalidInput):
    """A password nobody should have. Facts: `reason` (`short`, `long`, `login`, `monotone`)."""

    code = "uec.weak_password"


@dataclass(frozen=True)
class ScryptCost:
    """Cost of one check: memory is 128 * n * r bytes, time grows with n * r * p."""

    n: int = 1 << 15
    r: int = 8
    p: int = 3


def hash_password(password: str, *, random: Callable[[int], bytes], cost: ScryptCost | None = None) -> str:
    """Return the text to store; `random(n)` gives n fresh bytes."""
    chosen = cost or ScryptCost()
    salt = random(_SALT_BYTES)
    key = _derive(password, salt, chosen)
    return f"scrypt${chosen.n}${chosen.r}${chosen.p}${_encode(salt)}${_encode(key)}"


def password_fits(password: str, stored: str) -> bool:
    """Tell in constant time whether the password is the stored one."""
    kind, n, r, p, salt, key = stored.split("$")
    if kind != "scrypt":
        raise ValueError(f"an unknown kind of password hash: {kind}")
    derived = _derive(password, base64.b64decode(salt), ScryptCost(int(n), int(r), int(p)))
    return hmac.compare_digest(derived, base64.b64decode(key))


def require_strong(password: str, login: str) -> None:
    """Raise `WeakPassword` for a password that is short, endless, one repeated sign, or the login itself."""
    if len(password) < MINIMUM_LENGTH:
        raise WeakPassword(f"The password needs at least {MINIMUM_LENGTH} signs; choose a longer one.", reason="short")
    if len(password) > MAXIMUM_LENGTH:
        raise WeakPassword(f"The password may have {MAXIMUM_LENGTH} signs; choose a shorter one.", reason="long")
    if login.casefold() in password.casefold():
        raise WeakPassword("The password contains the login; choose another one.", reason="login")
    if len(set(password)) < 4:
        raise WeakPassword("The password repeats the same signs; choose another one.", reason="monotone")


def _derive(password: str, salt: bytes, cost: ScryptCost) -> bytes:
    room = 128 * cost.n * cost.r + (1 << 20)
    return hashlib.scrypt(password.encode(), salt=salt, n=cost.n, r=cost.r, p=cost.p, maxmem=2 * room, dklen=_KEY_BYTES)


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
