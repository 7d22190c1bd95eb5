"""The quick look at a point says what the library's parser says."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given
from hypothesis import strategies as st

from issuance.errors import UnfitKey
from issuance.keys.port import KeyAlgorithm
from issuance.pki.curves import curve_of
from issuance.pki.hygiene import check_public_key

CURVES = {KeyAlgorithm.EC_P256: ec.SECP256R1(), KeyAlgorithm.EC_P384: ec.SECP384R1()}
PRIMES = {
    KeyAlgorithm.EC_P256: 2**256 - 2**224 + 2**192 + 2**96 - 1,
    KeyAlgorithm.EC_P384: 2**384 - 2**128 - 2**96 + 2**32 - 1,
}


def spki(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


KEYS = {algorithm: spki(ec.generate_private_key(curve).public_key()) for algorithm, curve in CURVES.items()}


@pytest.mark.parametrize("algorithm", CURVES)
@given(number=st.integers(1, 2**250))
def test_every_key_of_the_curve_is_known(algorithm: KeyAlgorithm, number: int) -> None:
    assert curve_of(spki(ec.derive_private_key(number, CURVES[algorithm]).public_key())) is algorithm


@pytest.mark.parametrize("algorithm", CURVES)
@given(data=st.data())
def test_what_it_takes_the_parser_takes_too(algorithm: KeyAlgorithm, data: st.DataObject) -> None:
    altered = bytearray(KEYS[algorithm])
    altered[data.draw(st.integers(0, len(altered) - 1))] ^= data.draw(st.integers(1, 255))
    if curve_of(bytes(altered)) is not None:
        assert spki(load_der_public_key(bytes(altered))) == bytes(altered)  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", CURVES)
def test_a_point_elsewhere_and_one_beyond_the_prime_are_not_taken(algorithm: KeyAlgorithm) -> None:
    key, half = KEYS[algorithm], (len(KEYS[algorithm]) - 20) // 2
    size = {KeyAlgorithm.EC_P256: 32, KeyAlgorithm.EC_P384: 48}[algorithm]
    assert half > 0
    head, x, y = key[: -2 * size], key[-2 * size : -size], key[-size:]
    prime = PRIMES[algorithm]
    moved = (int.from_bytes(y, "big") ^ 1).to_bytes(size, "big")
    negative = (prime - int.from_bytes(y, "big")).to_bytes(size, "big")
    assert curve_of(head + x + negative) is algorithm  # the other point over the same x
    for point in (x + moved, y + x, bytes(2 * size), prime.to_bytes(size, "big") + y, b"\xff" * 2 * size):
        assert curve_of(head + point) is None
        with pytest.raises(UnfitKey):
            check_public_key(head + point)


def test_other_keys_are_left_to_the_parser() -> None:
    foreign = [
        spki(ec.generate_private_key(ec.SECP256K1()).public_key()),
        spki(ec.generate_private_key(ec.BrainpoolP256R1()).public_key()),
        spki(ed25519.Ed25519PrivateKey.generate().public_key()),
        spki(rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()),
        b"",
        bytes(91),
        KEYS[KeyAlgorithm.EC_P256][:-1],
        KEYS[KeyAlgorithm.EC_P256] + b"\x00",
    ]
    assert [curve_of(key) for key in foreign] == [None] * len(foreign)
