"""Points of P-256 and P-384 as cards answer them: which curve does a public key name, and does its point lie on it?

FIPS 186-5 and SP 800-186 section 3.2.1 (y^2 = x^3 - 3x + b, cofactor 1), RFC 5480 section 2 (uncompressed points). A
card's key comes in this one spelling; whatever is spelt otherwise, or lies elsewhere, is judged and refused by the
library's parser. The equation costs a microsecond, the parser fifteen.
"""

from typing import NamedTuple

from issuance.keys.port import KeyAlgorithm


class _Curve(NamedTuple):
    algorithm: KeyAlgorithm
    prime: int
    b: int
    half: int


# By what stands before the two coordinates: SEQUENCE, AlgorithmIdentifier, BIT STRING, 04.
_CURVES = {
    bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d03010703420004"): _Curve(
        KeyAlgorithm.EC_P256,
        2**256 - 2**224 + 2**192 + 2**96 - 1,
        0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B,
        32,
    ),
    bytes.fromhex("3076301006072a8648ce3d020106052b8104002203620004"): _Curve(
        KeyAlgorithm.EC_P384,
        2**384 - 2**128 - 2**96 + 2**32 - 1,
        0xB3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC2AEF,
        48,
    ),
}
_BY_SIZE = {len(head) + 2 * curve.half: (head, curve) for head, curve in _CURVES.items()}


def curve_of(spki: bytes) -> KeyAlgorithm | None:
    """Return the curve of a public key whose point lies on it; None for any other key, or another spelling."""
    head, curve = _BY_SIZE.get(len(spki), (b"", None))
    if curve is None or not spki.startswith(head):
        return None
    x = int.from_bytes(spki[len(head) : -curve.half], "big")
    y = int.from_bytes(spki[-curve.half :], "big")
    prime = curve.prime
    if x >= prime or y >= prime or (y * y - (x * x - 3) * x - curve.b) % prime:
        return None
    return curve.algorithm
