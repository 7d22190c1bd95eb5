"""Is this public key fit to be certified? Checked before anything is signed.

Hides the tests: canonical SubjectPublicKeyInfo (RFC 5480, RFC 8017), point on its curve, size, exponent, small factors
and close ones, the fingerprint of RSALib moduli (CVE-2017-15361), Debian's weak keys (CVE-2008-0166) by a list file.
"""

import hashlib
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from issuance.errors import BadSettings, UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki.curves import curve_of

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_CURVES = {"secp256r1": KeyAlgorithm.EC_P256, "secp384r1": KeyAlgorithm.EC_P384}
_RSA_SIZES = {2048: KeyAlgorithm.RSA_2048, 3072: KeyAlgorithm.RSA_3072, 4096: KeyAlgorithm.RSA_4096}
_HEX_DIGITS = frozenset("0123456789abcdef")
_SMALL_FACTOR_LIMIT = 1 << 16
_FERMAT_STEPS = 100
# The primes whose residues show a modulus of RSALib: N is there a power of 65537.
_ROCA_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
                107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167)  # fmt: skip


@dataclass(frozen=True)
class WeakKeyList:
    """Debian's weak keys: the last 10 bytes of SHA-1 over `Modulus=<hex>\\n`, as the published blacklists have them."""

    fingerprints: frozenset[str] = field(default_factory=frozenset)

    @classmethod
    def load(cls, *paths: Path) -> "WeakKeyList":
        """Read list files: one fingerprint of 20 hex digits a line, `#` for remarks.

        Raises `BadSettings` for a file that cannot be read or is none of that kind.
        """
        found: set[str] = set()
        for path in paths:
            try:
                lines = (line.split("#")[0].strip().lower() for line in path.read_text("ascii").splitlines())
                found.update(_require_fingerprint(line, path) for line in lines if line)
            except (OSError, UnicodeDecodeError) as error:
                raise BadSettings(f"the list of weak keys {path} cannot be read: {error}") from error
        return cls(frozenset(found))

    def holds(self, modulus: int) -> bool:
        """Tell whether a modulus is on the list."""
        digest = hashlib.sha1(f"Modulus={modulus:X}\n".encode(), usedforsecurity=False).hexdigest()
        return digest[20:] in self.fingerprints


def _require_fingerprint(line: str, path: Path) -> str:
    if len(line) != 20 or not set(line) <= _HEX_DIGITS:
        raise BadSettings(f"{path} is no list of weak keys: a line of it is not 20 hexadecimal digits")
    return line


def check_public_key(
    spki: bytes,
    allowed: Collection[KeyAlgorithm] = frozenset(KeyAlgorithm),
    *,
    weak_keys: WeakKeyList = WeakKeyList(),
) -> KeyAlgorithm:
    """Return a key's algorithm when it is fit; raises `UnfitKey`, whose `finding` names the failed check.

    Findings: `malformed`, `foreign-algorithm`, `foreign-curve`, `not-canonical`, `size`, `not-allowed`, `exponent`,
    `small-factor`, `close-factors`, `roca`, `debian-weak`.
    """
    algorithm: KeyAlgorithm | None = curve_of(spki)
    if algorithm is not None:
        return _require_allowed(algorithm, allowed)
    key = load_public_key(spki)
    if isinstance(key, ec.EllipticCurvePublicKey):
        algorithm = _CURVES.get(key.curve.name)
        if algorithm is None:
            raise _unfit("foreign-curve", f"the key is on the curve {key.curve.name}; P-256 or P-384 is needed")
    else:
        algorithm = _RSA_SIZES.get(key.key_size)
        if algorithm is None:
            raise _unfit("size", f"the RSA modulus has {key.key_size} bits; 2048, 3072 or 4096 are needed")
        _check_rsa(key.public_numbers(), weak_keys)
    return _require_allowed(algorithm, allowed)


def _require_allowed(algorithm: KeyAlgorithm, allowed: Collection[KeyAlgorithm]) -> KeyAlgorithm:
    if algorithm not in allowed:
        raise _unfit("not-allowed", f"keys of {algorithm} are not allowed in this profile")
    return algorithm


def public_key_digest(spki: bytes) -> str:
    """Return the SHA-256 of a SubjectPublicKeyInfo in hex: the same key in two cards shows as the same digest."""
    return hashlib.sha256(spki).hexdigest()


def load_public_key(spki: bytes) -> PublicKey:
    """Read a key of a kind that is certified here; raises `UnfitKey`."""
    try:
        key = serialization.load_der_public_key(spki)
    except UnsupportedAlgorithm as error:
        raise _unfit("foreign-curve", f"the key's algorithm or curve is not supported: {error}") from error
    except ValueError as error:
        raise _unfit("malformed", f"this is no valid public key: {error}") from error
    if not isinstance(key, PublicKey):
        raise _unfit("foreign-algorithm", f"{type(key).__name__} is certified by no profile; bring an EC or RSA key")
    canonical = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    if canonical != spki:
        raise _unfit("not-canonical", "the key is encoded in an unusual way: a second spelling could hide a known key")
    return key


def _check_rsa(numbers: rsa.RSAPublicNumbers, weak_keys: WeakKeyList) -> None:
    modulus, exponent = numbers.n, numbers.e
    # FIPS 186-5 section 5.1: odd, above 2^16 and below 2^256.
    if exponent % 2 == 0 or not 1 << 16 < exponent < 1 << 256:
        raise _unfit("exponent", f"the public exponent {exponent} is not an odd number between 2^16 and 2^256")
    if math.gcd(modulus, _small_primes_product()) != 1:
        raise _unfit("small-factor", "the modulus has a small factor")
    if is_roca(modulus):
        raise _unfit(
            "roca", "the modulus has the fingerprint of a library whose keys can be factored: replace the chip"
        )
    if weak_keys.holds(modulus):
        raise _unfit("debian-weak", "the modulus is on the list of keys made by a broken generator")
    if _has_close_factors(modulus):
        raise _unfit("close-factors", "the modulus is the product of two primes too close to each other")


def is_roca(modulus: int) -> bool:
    """Tell whether a modulus has RSALib's fingerprint: a power of 65537 modulo each small prime."""
    return all(modulus % prime in powers for prime, powers in _roca_powers())


@cache
def _roca_powers() -> tuple[tuple[int, frozenset[int]], ...]:
    return tuple((prime, frozenset(pow(65537, n, prime) for n in range(prime))) for prime in _ROCA_PRIMES)


@cache
def _small_primes_product() -> int:
    sieve = bytearray([1]) * _SMALL_FACTOR_LIMIT
    for number in range(2, math.isqrt(_SMALL_FACTOR_LIMIT) + 1):
        if sieve[number]:
            sieve[number * number :: number] = bytes(len(range(number * number, _SMALL_FACTOR_LIMIT, number)))
    return math.prod(number for number in range(2, _SMALL_FACTOR_LIMIT) if sieve[number])


def _has_close_factors(modulus: int) -> bool:
    """Try Fermat's method for a few steps: it succeeds at once when the primes share their upper half."""
    root = math.isqrt(modulus)
    if root * root < modulus:
        root += 1
    for step in range(_FERMAT_STEPS):
        difference = (root + step) ** 2 - modulus
        if math.isqrt(difference) ** 2 == difference:
            return True
    return False


def _unfit(finding: str, sentence: str) -> UnfitKey:
    return UnfitKey(f"{sentence}; the certificate is refused", finding=finding)


Hygiene = Callable[[bytes, Collection[KeyAlgorithm]], KeyAlgorithm]
"""A check like `check_public_key`, with its list of weak keys bound to it."""
