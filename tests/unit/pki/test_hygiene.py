"""Every kind of unfit key, each made here, and fit ones beside them."""

import hashlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from issuance.errors import UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki import der
from issuance.pki.hygiene import WeakKeyList, check_public_key, is_roca, public_key_digest
from tests.support.pki import roca_modulus

P256 = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
RSA_OID = der.sequence(der.oid("1.2.840.113549.1.1.1"), der.tlv(der.NULL, b""))


def spki(key: object) -> bytes:
    public = key.public_key()  # type: ignore[attr-defined]
    return bytes(public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo))


def rsa_spki(modulus: int, exponent: int = 65537) -> bytes:
    """A public key as bytes, whatever its numbers are."""
    return der.sequence(RSA_OID, der.bits(der.sequence(der.integer(modulus), der.integer(exponent))))


def finding(key: bytes, **options: object) -> str:
    with pytest.raises(UnfitKey) as caught:
        check_public_key(key, **options)  # type: ignore[arg-type]
    assert "refused" in str(caught.value)
    return caught.value.finding


def next_prime(number: int) -> int:
    number |= 1
    while pow(2, number - 1, number) != 1:
        number += 2
    return number


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(P256, KeyAlgorithm.EC_P256), (ec.generate_private_key(ec.SECP384R1()), KeyAlgorithm.EC_P384),
     (RSA, KeyAlgorithm.RSA_2048)],
    ids=["p256", "p384", "rsa"],
)  # fmt: skip
def test_fit_keys_pass(key: object, algorithm: KeyAlgorithm) -> None:
    assert check_public_key(spki(key)) is algorithm


@pytest.mark.parametrize("curve", [ec.SECP521R1(), ec.SECP256K1(), ec.BrainpoolP256R1(), ec.SECP224R1()])
def test_foreign_curves_are_refused(curve: ec.EllipticCurve) -> None:
    assert finding(spki(ec.generate_private_key(curve))) == "foreign-curve"


def test_foreign_algorithms_are_refused() -> None:
    assert finding(spki(ed25519.Ed25519PrivateKey.generate())) == "foreign-algorithm"
    assert finding(spki(dsa.generate_private_key(2048))) == "foreign-algorithm"


def test_a_point_off_the_curve_is_refused() -> None:
    altered = bytearray(spki(P256))
    altered[-1] ^= 1
    assert finding(bytes(altered)) == "malformed"


def test_the_point_at_infinity_is_refused() -> None:
    algorithm = der.read(spki(P256)).children()[0].raw
    assert finding(der.sequence(algorithm, der.bits(b"\x00"))) == "malformed"


def test_a_second_spelling_of_a_key_is_refused() -> None:
    compressed = P256.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.CompressedPoint)
    algorithm = der.read(spki(P256)).children()[0].raw
    assert finding(der.sequence(algorithm, der.bits(compressed))) in {"not-canonical", "malformed"}


@pytest.mark.parametrize(
    "noise",
    [b"", b"\x30\x00", b"no key at all", spki(P256)[:-1], spki(P256) + b"\x00"],
    ids=["empty", "bare", "text", "cut", "trailing"],
)
def test_noise_is_refused(noise: bytes) -> None:
    assert finding(noise) == "malformed"


def test_a_key_outside_the_profile_is_refused() -> None:
    assert finding(spki(RSA), allowed=[KeyAlgorithm.EC_P256]) == "not-allowed"


def test_short_and_odd_sized_moduli_are_refused() -> None:
    assert finding(spki(rsa.generate_private_key(public_exponent=65537, key_size=1024))) == "size"
    assert finding(rsa_spki(RSA.public_key().public_numbers().n >> 3 | 1)) == "size"


@pytest.mark.parametrize("exponent", [3, 17, 65535, (1 << 256) + 1])
def test_bad_exponents_are_refused(exponent: int) -> None:
    assert finding(rsa_spki(RSA.public_key().public_numbers().n, exponent)) in {"exponent", "malformed"}


@pytest.mark.parametrize("factor", [3, 7919, 65521])
def test_small_factors_are_found(factor: int) -> None:
    modulus = (1 << 2047) // factor * factor + factor * 2
    modulus += 0 if modulus % 2 else factor
    assert modulus.bit_length() == 2048
    assert finding(rsa_spki(modulus)) == "small-factor"


@pytest.mark.slow
def test_primes_too_close_to_each_other_are_found() -> None:
    numbers = RSA.private_numbers()
    other = next_prime(numbers.p + 4)
    modulus = numbers.p * other
    if modulus.bit_length() != 2048:
        modulus = numbers.q * next_prime(numbers.q + 4)
    assert finding(rsa_spki(modulus)) == "close-factors"


def test_a_roca_modulus_is_found() -> None:
    modulus = roca_modulus()
    assert modulus.bit_length() == 2048 and is_roca(modulus)
    assert finding(rsa_spki(modulus)) == "roca"
    assert not is_roca(RSA.public_key().public_numbers().n)


def test_debian_weak_keys_are_found_by_their_list(tmp_path: Path) -> None:
    modulus = RSA.public_key().public_numbers().n
    fingerprint = hashlib.sha1(f"Modulus={modulus:X}\n".encode()).hexdigest()[20:]
    listed = tmp_path / "weak"
    listed.write_text(f"# RSA 2048\n{fingerprint.upper()}\n\n")
    weak_keys = WeakKeyList.load(listed)
    assert finding(spki(RSA), weak_keys=weak_keys) == "debian-weak"
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    assert check_public_key(spki(other), weak_keys=weak_keys) is KeyAlgorithm.RSA_2048


def test_the_digest_tells_keys_apart() -> None:
    assert public_key_digest(spki(P256)) == hashlib.sha256(spki(P256)).hexdigest()
    assert public_key_digest(spki(P256)) != public_key_digest(spki(RSA))
