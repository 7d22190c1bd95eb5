"""The way in: recognising a PIV card, and authenticating both ways with its admin key (9B).

NIST SP 800-73-4 part 2, 3.2.4 and appendix A.2 (mutual authentication): the card sends a witness, the host answers it
deciphered with a challenge of its own, the card answers that. The key has no counter of tries, so that after a tear the
card's own answer says which of two keys it has.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from card_io import globalplatform as gp
from card_io.applets.piv import AdminAlgorithm, ObjectId
from card_io.secret import Secret
from issuance.production.asking import Talk, body, bundle, status
from issuance.production.bundle import SW_OK, Step
from issuance.production.errors import Counterfeit
from issuance.production.foreign import as_foreign
from issuance.production.job import Random
from issuance.production.piv import commands
from issuance.production.profile import CardProfile

SW_NO_KEY = (0x6982, 0x6A80, 0x6A86, 0x6A88, 0x6300, 0x6985)
"""How cards say that an algorithm is not their admin key's, or that an answer was wrong."""


@dataclass(frozen=True, slots=True)
class AdminKey:
    """A key that the card may have; `own` tells the card's own from the maker's."""

    algorithm: AdminAlgorithm
    key: Secret
    own: bool


@dataclass(frozen=True, slots=True)
class PivChip:
    """What the card answered: its number (from the CPLC), its CHUID if it has one, and a witness for the first key."""

    chip_id: str
    chuid: bytes
    witness: bytes


def recognise(profile: CardProfile, first: AdminAlgorithm) -> Talk[PivChip]:
    """Look at a freshly powered card and ask it for a witness; `ForeignCard` when it is no PIV card with a number."""
    steps = (
        Step(gp.select(profile.secure_channel.isd_aid).encode(), label="find_card"),
        Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
        commands.select(),
        commands.get_object(ObjectId.CHUID, "find_applet"),
        *ask_witness(first),
    )
    with as_foreign():
        _, cplc, _, chuid, witness = yield from bundle(steps, fresh=True)
        chip_id = gp.parse_cplc(body(cplc)).chip_id.hex()
    return PivChip(chip_id, body(chuid) if status(chuid) == SW_OK else b"", witness)


def ask_witness(algorithm: AdminAlgorithm) -> list[Step]:
    """The first half of a mutual authentication."""
    items = ((commands.WITNESS, b""),)
    return commands.general_authenticate(
        algorithm, commands.ADMIN_SLOT, items, "open_channel", expect=(SW_OK, *SW_NO_KEY)
    )


def enter(candidates: Sequence[AdminKey], witness: bytes, random: Random) -> Talk[AdminKey | None]:
    """Authenticate with the first of these keys that the card has; None when it has none of them.

    `witness` is the card's answer for the first one. Raises `Counterfeit` when the card lets anyone in.
    """
    for place, candidate in enumerate(candidates):
        if place:
            (witness,) = yield from bundle(ask_witness(candidate.algorithm))
        if status(witness) != SW_OK:
            continue
        challenge = random(candidate.algorithm.block_bytes)
        (answer,) = yield from bundle(reply(candidate, witness, challenge, expect=(SW_OK, *SW_NO_KEY)))
        if status(answer) == SW_OK:
            check(candidate, answer, challenge)
            return candidate
    return None


def reply(admin: AdminKey, witness: bytes, challenge: bytes, *, expect: tuple[int, ...] = (SW_OK,)) -> list[Step]:
    """The second half: the witness deciphered, and a challenge."""
    sealed = commands.authenticated(witness, commands.WITNESS)
    if len(sealed) != admin.algorithm.block_bytes:
        raise Counterfeit("admin key", "its witness is no block of the algorithm it claims")
    items = (
        (commands.WITNESS, admin.algorithm.decrypt(admin.key.reveal(), sealed)),
        (commands.CHALLENGE, challenge),
    )
    return commands.general_authenticate(admin.algorithm, commands.ADMIN_SLOT, items, "open_channel", expect=expect)


def check(admin: AdminKey, answer: bytes, challenge: bytes) -> None:
    """The card has the key too; raises `Counterfeit`."""
    proof = commands.authenticated(answer, commands.RESPONSE)
    if not hmac.compare_digest(proof, admin.algorithm.encrypt(admin.key.reveal(), challenge)):
        raise Counterfeit("admin key", "it let the host in without having the key itself")
