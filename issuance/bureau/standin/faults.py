"""Errors on demand: each is something a bureau has done wrong, and that the office must refuse and record.

Hides how a wrong result is made out of a right one. Files stay well signed unless the fault is the signature itself, so
that every check of the office is met alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from issuance.bureau.records import Header
from issuance.bureau.reply import Made, MadeKey, NotMade, Spoiled, proof_challenge
from issuance.bureau.signing import OwnKey
from issuance.errors import UnfitKey
from issuance.pki.hygiene import check_public_key, is_roca

Random = Callable[[int], bytes]
ROCA_BITS = 2048
_ROCA_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103,
                107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167)  # fmt: skip


class Fault(StrEnum):
    """What goes wrong."""

    DECLINE = "decline"
    LATE = "late"
    DUPLICATE_KEY = "duplicate-key"
    WEAK_KEY = "weak-key"
    NO_PROOF = "no-proof"
    WRONG_CHECK_VALUES = "wrong-check-values"
    FOREIGN_CHIP = "foreign-chip"
    SAME_CHIP = "same-chip"
    UNKNOWN_CARD = "unknown-card"
    WRONG_BATCH = "wrong-batch"
    WRONG_ORDER = "wrong-order"
    WRONG_BUREAU = "wrong-bureau"
    WRONG_SIGNATURE = "wrong-signature"
    CUT_OFF = "cut-off"
    ALTERED_COUNT = "altered-count"
    TWICE = "twice"
    NO_CARD = "no-card"


HELP = {
    Fault.DECLINE: "Decline orders instead of working on them.",
    Fault.LATE: "Report half of the cards now and the rest at the next run.",
    Fault.DUPLICATE_KEY: "Put the same key pair, made off the chip, into the first two cards.",
    Fault.WEAK_KEY: "Report a public key with the ROCA fingerprint for the first card.",
    Fault.NO_PROOF: "Give a proof of possession by another key for the first card.",
    Fault.WRONG_CHECK_VALUES: "Report other check values than those of the first card's keys.",
    Fault.FOREIGN_CHIP: "Report a chip that was never sent for the first card.",
    Fault.SAME_CHIP: "Report the first two cards on one chip.",
    Fault.UNKNOWN_CARD: "Report a card number that nobody ordered.",
    Fault.WRONG_BATCH: "Send results of another batch.",
    Fault.WRONG_ORDER: "Speak of another order file than the one that came.",
    Fault.WRONG_BUREAU: "Sign rightly, in another bureau's name.",
    Fault.WRONG_SIGNATURE: "Sign with a key that the office does not know.",
    Fault.CUT_OFF: "Cut the results file off.",
    Fault.ALTERED_COUNT: "Promise more cards at the end than there are.",
    Fault.TWICE: "Send the results twice, under two names.",
    Fault.NO_CARD: "Give the last card up instead of making it.",
}


@dataclass
class Results:
    """What a results file is going to say."""

    header: Header
    made: list[Made]
    spoiled: list[Spoiled] = field(default_factory=list)
    not_made: list[NotMade] = field(default_factory=list)


def spoil(results: Results, fault: Fault, *, order_digest: bytes) -> None:
    """Put one fault into results, where it is one of what they say; others are the file's or the bureau's."""
    change = _CHANGES.get(fault)
    if change is not None:
        change(results, order_digest)


def strange_signer(signer: OwnKey) -> OwnKey:
    """A signer with the same certificate and another key."""
    return replace(signer, key=ec.generate_private_key(ec.SECP256R1()))


def _first_key(results: Results, change: Callable[[str, MadeKey, Made], MadeKey]) -> None:
    if results.made:
        card = results.made[0]
        slot, key = next(iter(card.keys.items()))
        results.made[0] = replace(card, keys={**card.keys, slot: change(slot, key, card)})


def _duplicate_key(results: Results, order_digest: bytes) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    for place, card in enumerate(results.made[:2]):
        slot = next(iter(card.keys))
        results.made[place] = replace(card, keys={**card.keys, slot: _proven(key, order_digest, card, slot)})


def _proven(key: ec.EllipticCurvePrivateKey, order_digest: bytes, card: Made, slot: str) -> MadeKey:
    proof = OwnKey(key, b"").sign(proof_challenge(order_digest, card.number, slot))
    return MadeKey(_spki(key.public_key()), proof)


def _no_proof(results: Results, order_digest: bytes) -> None:
    other = ec.generate_private_key(ec.SECP256R1())
    _first_key(
        results,
        lambda slot, key, card: replace(key, proof=_proven(other, order_digest, card, slot).proof),
    )


def _weak_key(results: Results, _order_digest: bytes) -> None:
    _first_key(results, lambda _slot, key, _card: replace(key, public_key=_roca_key()))


def _roca_key() -> bytes:
    """A modulus that is a power of 65537 modulo each small prime; nobody knows its factors."""
    product = 1
    for prime in _ROCA_PRIMES:
        product *= prime
    modulus = (1 << (ROCA_BITS - 1)) // product * product + pow(65537, 7, product)
    while True:
        modulus += 2 * product if modulus % 2 else product
        public = _spki(rsa.RSAPublicNumbers(65537, modulus).public_key())
        try:
            check_public_key(public)
        except UnfitKey as error:
            if error.finding == "roca" and is_roca(modulus):
                return public


def _spki(key: ec.EllipticCurvePublicKey | rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _wrong_check_values(results: Results, _order_digest: bytes) -> None:
    if results.made:
        results.made[0] = replace(results.made[0], check_values=(b"\x00\x01\x02", b"\x03\x04\x05", b"\x06\x07\x08"))


def _foreign_chip(results: Results, _order_digest: bytes) -> None:
    if results.made:
        card = results.made[0]
        results.made[0] = replace(card, chip_id=card.chip_id[:6] + b"\xff\xff\xff\xfe")


def _same_chip(results: Results, _order_digest: bytes) -> None:
    if len(results.made) > 1:
        results.made[1] = replace(results.made[1], chip_id=results.made[0].chip_id)


def _unknown_card(results: Results, _order_digest: bytes) -> None:
    if results.made:
        results.made[0] = replace(results.made[0], number="9643609999999997")


def _wrong_batch(results: Results, _order_digest: bytes) -> None:
    results.header = replace(results.header, batch="B-999999")


def _wrong_order(results: Results, _order_digest: bytes) -> None:
    results.header = replace(results.header, answers=bytes(32))


def _wrong_bureau(results: Results, _order_digest: bytes) -> None:
    results.header = replace(results.header, bureau="SOMEBODY-ELSE")


_CHANGES: dict[Fault, Callable[[Results, bytes], None]] = {
    Fault.DUPLICATE_KEY: _duplicate_key,
    Fault.NO_PROOF: _no_proof,
    Fault.WEAK_KEY: _weak_key,
    Fault.WRONG_CHECK_VALUES: _wrong_check_values,
    Fault.FOREIGN_CHIP: _foreign_chip,
    Fault.SAME_CHIP: _same_chip,
    Fault.UNKNOWN_CARD: _unknown_card,
    Fault.WRONG_BATCH: _wrong_batch,
    Fault.WRONG_ORDER: _wrong_order,
    Fault.WRONG_BUREAU: _wrong_bureau,
}
