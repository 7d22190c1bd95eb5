"""Hides how an applicant's secret is made and kept: 12 letters and digits nobody confuses, stored as a hash only.

60 random bits (Crockford's base 32), hashed with scrypt salted by the receipt's number: reading the database opens no
status page. Crockford: https://www.crockford.com/base32.html
"""

import hashlib
import hmac
from collections.abc import Callable

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 12
RandomBytes = Callable[[int], bytes]
_TYPED_WRONG = str.maketrans({"O": "0", "I": "1", "L": "1", "-": "", " ": ""})


def new_secret(random: RandomBytes) -> str:
    """A fresh secret as printed: `XXXX-XXXX-XXXX`. `random(n)` gives n bytes."""
    number = int.from_bytes(random(8), "big")
    letters = "".join(ALPHABET[number >> 5 * place & 31] for place in range(LENGTH))
    return f"{letters[:4]}-{letters[4:8]}-{letters[8:]}"


def hash_secret(number: str, secret: str) -> str:
    """What is stored (hex), for the secret as typed: case, dashes and the letters O, I, L do not matter."""
    typed = secret.upper().translate(_TYPED_WRONG)
    return hashlib.scrypt(typed.encode(errors="replace"), salt=number.encode(), n=1024, r=8, p=1, dklen=32).hex()


def matches(number: str, secret: str, stored: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(hash_secret(number, secret).encode(), stored.encode())
