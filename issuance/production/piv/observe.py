"""Reading a finished PIV card as a terminal does: two round trips over a fresh connection, in clear.

    1  chip, tries of the PIN, every public object, a challenge to the card-authentication key
    2  whether an object can be written without authority; behind the PIN: its objects, a challenge to every key

What is observed takes the form of any card's (`issuance.production.observe`).
"""

from collections.abc import Iterator, Mapping

from card_io import globalplatform as gp
from card_io.applets.piv import ObjectId
from card_io.applets.uec.layout import AppletState
from card_io.secret import Secret
from issuance.pki.possession import Proof
from issuance.production.asking import Talk, body, bundle, status
from issuance.production.bundle import SW_OK, Step
from issuance.production.chip import require_chip
from issuance.production.foreign import CARD_LOCK, as_foreign
from issuance.production.job import Random
from issuance.production.observation import Observation, PinState
from issuance.production.piv import commands, objects
from issuance.production.piv.proving import ALWAYS_SLOT, answered, challenge
from issuance.production.profile import Access, CardProfile, KeySlot

SW_REFUSED = (0x6982, 0x6985, 0x6D00, 0x6A81)


def observe(profile: CardProfile, *, random: Random, pins: Mapping[str, Secret], wanted: str = "") -> Talk[Observation]:
    """Read the card; `pins` (by name) open what they guard. Raises `ForeignCard`, `CardRefused`.

    With a `wanted` chip another one is told by `WrongCard` before any PIN goes to it.
    """
    read = _Reading(profile, random)
    chip_id = yield from read.public()
    require_chip(wanted, chip_id)
    yield from read.private(pins)
    return read.observation(chip_id)


class _Reading:
    """What is gathered over both trips."""

    def __init__(self, profile: CardProfile, random: Random) -> None:
        self._profile = profile
        self._random = random
        self._files: dict[int, bytes] = {}
        self._proofs: dict[str, Proof] = {}
        self._pins: dict[int, PinState] = {}
        self._closed = False
        self._chuid = b""

    def observation(self, chip_id: str) -> Observation:
        """All of it; a PIV card that has a CHUID and lets nobody write counts as finished."""
        groups = [group.fid for group in self._profile.data_groups]
        hidden = {fid: 1 for fid in groups if fid not in self._files and self._is_private(fid)}
        sizes = hidden | {fid: len(content) for fid, content in self._files.items()}
        state = AppletState.PERSONALISED if self._chuid else None
        return Observation(chip_id, state, self._closed, sizes, self._files, self._pins, self._proofs)

    def public(self) -> Talk[str]:
        """The first trip; the chip's number."""
        asked = [pin for pin in self._profile.pins if pin.tries_told]
        tags = [tag for tag in self._tags() if not self._is_private(tag)]
        card_key = self._profile.card_key
        asking, proof = challenge(card_key, self._random)
        head = [
            Step(gp.select(self._profile.secure_channel.isd_aid).encode(), label=CARD_LOCK),
            Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
            commands.select(),
            *(commands.ask_tries(pin.reference) for pin in asked),
        ]
        steps = [*head, *(commands.get_object(tag) for tag in tags), *asking]
        with as_foreign():
            responses = yield from bundle(steps, fresh=True)
            chip_id = gp.parse_cplc(body(responses[1])).chip_id.hex()
        for pin, response in zip(asked, responses[3:], strict=False):
            left = status(response) & 0x0F if status(response) in commands.TRIES_LEFT else 0
            self._pins[pin.reference] = PinState(left, max(left, pin.tries), transport=False, blocked=not left)
        for tag, response in zip(tags, responses[len(head) :], strict=False):
            self._keep(tag, response)
        self._proofs[card_key.name] = answered(proof, responses[-1])
        self._chuid = self._files.get(ObjectId.CHUID, b"")
        return chip_id

    def private(self, pins: Mapping[str, Secret]) -> Talk[None]:
        """The second trip."""
        steps: list[Step] = []
        readers: list[tuple[int, str, KeySlot | int, Proof | None]] = []
        for kind, what, found, proof in self._behind(pins):
            steps += found
            readers.append((len(steps) - 1, kind, what, proof))
        probe = commands.put_object(ObjectId.CHUID, self._chuid, "check_closed", expect=(SW_OK, *SW_REFUSED))
        responses = yield from bundle([*probe, *steps])
        # The CHUID that is there already: a card that lets anyone write it is none the worse for it.
        self._closed = status(responses[len(probe) - 1]) != SW_OK
        for place, kind, what, proof in readers:
            response = responses[len(probe) + place]
            if kind == "file" and isinstance(what, int):
                self._keep(what, response)
            elif isinstance(what, KeySlot) and proof is not None:
                self._proofs[what.name] = answered(proof, response)

    def _behind(self, pins: Mapping[str, Secret]) -> Iterator[tuple[str, KeySlot | int, list[Step], Proof | None]]:
        """What each PIN opens: kind, what it is, its steps, the proof begun."""
        for name, value in pins.items():
            verify = commands.verify(self._profile.pin(name).reference, value)
            yield "pin", 0, [verify], None
            for group in self._profile.data_groups:
                if group.read.value == name:
                    yield "file", group.fid, [commands.get_object(group.fid)], None
            for key in self._profile.keys:
                if key.pin == name:
                    steps, proof = challenge(key, self._random)
                    yield "key", key, [verify, *steps] if key.reference == ALWAYS_SLOT else steps, proof

    def _tags(self) -> list[int]:
        tags = [int(ObjectId.CHUID), int(ObjectId.CARD_CAPABILITY_CONTAINER), int(ObjectId.DISCOVERY)]
        tags += [int(ObjectId.KEY_HISTORY)] if objects.has_history(self._profile) else []
        tags += [key.certificate_fid for key in self._profile.keys] + [self._profile.security_object_fid]
        return tags + [group.fid for group in self._profile.data_groups]

    def _is_private(self, tag: int) -> bool:
        return any(group.fid == tag and group.read is not Access.ALWAYS for group in self._profile.data_groups)

    def _keep(self, tag: int, response: bytes) -> None:
        if status(response) == SW_OK:
            content = objects.read_file(self._profile, tag, body(response))
            if tag == self._profile.security_object_fid:  # read after the CHUID
                content = objects.whole_security_object(content, self._files.get(ObjectId.CHUID, b""))
            self._files[tag] = content
