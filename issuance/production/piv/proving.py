"""Challenges to a PIV card's keys (NIST SP 800-73-4 part 2, 3.2.4): the card holds what it shows, or has just made.

A key that signs is given the digest of a message, one that only agrees the point of a key made for this once. The
card-authentication key (9E) answers anybody; the others want the PIN, the signature key (9C) before each use, whatever
the profile says (SP 800-73-4 part 1, table 4).
"""

import hashlib
from collections.abc import Mapping, Sequence

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_io.secret import Secret
from issuance.pki.possession import CHALLENGE_BYTES, Proof
from issuance.production.bundle import Step
from issuance.production.job import Random
from issuance.production.piv import commands
from issuance.production.profile import CardProfile, KeyAlgorithm, KeySlot, KeyUse, PivProfile
from issuance.production.signatures import pkcs1_block

ALWAYS_SLOT = 0x9C
CURVES: dict[KeyAlgorithm, ec.EllipticCurve] = {
    KeyAlgorithm.EC_P256: ec.SECP256R1(),
    KeyAlgorithm.EC_P384: ec.SECP384R1(),
}


def challenge(key: KeySlot, random: Random) -> tuple[list[Step], Proof]:
    """The steps of a challenge to a key, and the proof as far as it is known before the answer."""
    algorithm = commands.ALGORITHMS[key.algorithm]
    if key.use is KeyUse.AGREE and key.algorithm is not KeyAlgorithm.RSA_2048:
        curve = CURVES[key.algorithm]
        ephemeral = ec.derive_private_key(int.from_bytes(random(curve.key_size // 8), "big") >> 1 | 1, curve)
        point = ephemeral.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        items = ((commands.RESPONSE, b""), (commands.EXPONENTIATION, point))
        begun = Proof(b"", b"", ephemeral)
    else:
        message = random(CHALLENGE_BYTES)
        hashed = hashlib.sha256(message).digest()
        block = pkcs1_block(hashed, algorithm.block_bytes) if key.algorithm is KeyAlgorithm.RSA_2048 else hashed
        items = ((commands.RESPONSE, b""), (commands.CHALLENGE, block))
        begun = Proof(message, b"")
    return commands.general_authenticate(algorithm, key.reference, items, "challenge_keys"), begun


def answered(begun: Proof, response: bytes) -> Proof:
    """The proof with the card's answer in it; raises `Counterfeit` for an answer that is no template."""
    return Proof(begun.challenge, commands.authenticated(response, commands.RESPONSE), begun.ephemeral)


class Proving:
    """Has every key of a card that is being written prove itself, in the trip that makes it."""

    def __init__(self, profile: CardProfile, pins: Mapping[str, Secret], random: Random) -> None:
        """`pins` are the card's transport PINs by name, which `set_pins` gives it."""
        self._profile, self._pins, self._random = profile, pins, random
        self._begun: list[tuple[str, int, Proof]] = []

    def set_pins(self, piv: PivProfile) -> list[Step]:
        """The maker's unblocking code sets the PINs that keys want, whatever they are now; it is changed later."""
        wanted = {key.pin for key in self._profile.keys}
        puk = Secret(piv.factory_puk.encode("ascii"))
        return [
            commands.reset_retry_counter(pin.reference, puk, self._pins[pin.name], "make_keys")
            for pin in self._profile.pins
            if pin.name in wanted and pin.unblocked_by
        ]

    def steps(self) -> list[Step]:
        """A challenge to each key; PINs are verified on the way."""
        steps: list[Step] = []
        opened = ""
        # The keys of one PIN follow each other: another PIN's VERIFY does not come between.
        for key in sorted(self._profile.keys, key=lambda one: one.pin):
            if key.pin and (key.pin != opened or key.reference == ALWAYS_SLOT):
                steps.append(commands.verify(self._profile.pin(key.pin).reference, self._pins[key.pin]))
                opened = key.pin
            asked, begun = challenge(key, self._random)
            steps += asked
            self._begun.append((key.name, len(steps) - 1, begun))
        return steps

    def proofs(self, responses: Sequence[bytes]) -> dict[str, Proof]:
        """Proofs by slot from the answers to `steps`; raises `Counterfeit`."""
        return {name: answered(begun, responses[place]) for name, place, begun in self._begun}
