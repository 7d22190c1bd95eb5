"""Reading a finished card as a terminal does: two round trips over a fresh connection, in clear, nothing written.

    1  chip, applet state, PIN states, the size of every file
    2  every file the reader may see, a challenge to every key it may use

Without PINs only public files are read and only the card-authentication key is challenged (INTERNAL AUTHENTICATE);
with them the private files and keys too. ISO/IEC 7816-4 (SELECT, READ BINARY, VERIFY), 7816-8 (MSE, PSO); the
commands are those of `card_io.applets.uec.layout`. What is observed is judged elsewhere.
"""

import hashlib
from collections.abc import Iterator, Mapping

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from card_io import globalplatform as gp
from card_io import tlv
from card_io.apdu import CommandAPDU
from card_io.applets.uec import layout
from card_io.errors import CardError
from card_io.secret import Secret
from issuance.pki.possession import CHALLENGE_BYTES, Proof
from issuance.production.asking import Talk, body, bundle, status
from issuance.production.bundle import SW_OK, Step
from issuance.production.chip import applet_data, life_cycle_of, require_chip
from issuance.production.errors import ForeignCard
from issuance.production.foreign import CARD_LOCK, as_foreign
from issuance.production.job import Random
from issuance.production.observation import Observation, PinState
from issuance.production.piv import observe as piv
from issuance.production.profile import Access, CardProfile, KeySlot, KeyUse

SW_NO_FILE = 0x6A82
SW_REFUSED_FOR_GOOD = (0x6985, 0x6D00, 0x6982)
READ_MAX = 256
PIN_ENTRY_BYTES = 4
CIA_FIDS = (
    layout.Fid.CIA_INFO,
    layout.Fid.OD,
    layout.Fid.AOD,
    layout.Fid.PRKD,
    layout.Fid.PUKD,
    layout.Fid.CD,
    layout.Fid.DOD,
)
CURVES = {"ec-p256": ec.SECP256R1(), "ec-p384": ec.SECP384R1()}


def observe(
    profile: CardProfile, *, random: Random, pins: Mapping[str, Secret] | None = None, chip_id: str = ""
) -> Talk[Observation]:
    """Read the card in the reader; `pins` (by name) open what they guard.

    With a `chip_id` it must be this chip: another one is told by `WrongCard` before any PIN goes to it, which would
    cost somebody's card a try. Raises `ForeignCard` when it has no such applet, `CardRefused` when it refuses a PIN or
    a key.
    """
    known_pins = dict(pins or {})
    if profile.piv is not None:
        return (yield from piv.observe(profile, random=random, pins=known_pins, wanted=chip_id))
    paths, wanted = _paths(profile), chip_id
    chip_id, life_cycle, states, sizes = yield from _survey(profile, paths)
    require_chip(wanted, chip_id)
    plan = _Plan(profile, random, known_pins, {fid: size for fid, size in sizes.items() if size})
    steps = plan.steps()
    responses = yield from bundle([step for step, _ in steps])
    files, proofs, closed = plan.read(responses)
    return Observation(chip_id, life_cycle, closed, sizes, files, states, proofs)


def _paths(profile: CardProfile) -> dict[int, bytes]:
    """Path from the MF of every file by identifier."""
    cia, data = layout.Fid.CIA.to_bytes(2, "big"), layout.Fid.UEC.to_bytes(2, "big")
    paths = {int(layout.Fid.DIR): b""} | {int(fid): cia for fid in CIA_FIDS}
    paths |= {key.certificate_fid: cia for key in profile.keys}
    paths |= {group.fid: data for group in profile.data_groups} | {profile.security_object_fid: data}
    return {fid: above + fid.to_bytes(2, "big") for fid, above in paths.items()}


def _select_path(path: bytes) -> bytes:
    return CommandAPDU(0x00, 0xA4, 0x08, 0x04, path, 256).encode()


def _survey(
    profile: CardProfile, paths: Mapping[int, bytes]
) -> Talk[tuple[str, int | None, dict[int, PinState], dict[int, int]]]:
    """The first trip."""
    head = [
        Step(gp.select(profile.secure_channel.isd_aid).encode(), label=CARD_LOCK),
        Step(gp.get_data(gp.TAG_CPLC).encode(), label="find_card"),
        Step(gp.select(profile.applet.aid).encode(), label="find_applet"),
        Step(applet_data(layout.TAG_STATE), label="find_applet"),
        Step(applet_data(layout.TAG_PINS), label="find_applet"),
    ]
    tail = [Step(_select_path(path), (SW_OK, SW_NO_FILE), "read_files") for path in paths.values()]
    with as_foreign():
        responses = yield from bundle([*head, *tail], fresh=True)
        chip_id = gp.parse_cplc(body(responses[1])).chip_id.hex()
    sizes = {fid: _size(response) for fid, response in zip(paths, responses[len(head) :], strict=True)}
    return chip_id, life_cycle_of(responses[3]), _pin_states(body(responses[4])), sizes


def _size(response: bytes) -> int:
    """The file size out of a control parameter template; 0 for a file that is not there."""
    if status(response) != SW_OK:
        return 0
    try:
        return int.from_bytes(tlv.require(body(response), 0x62, 0x80), "big")
    except CardError as error:
        raise ForeignCard("it describes its files in a way that cannot be read") from error


def _pin_states(data: bytes) -> dict[int, PinState]:
    entries = [data[at : at + PIN_ENTRY_BYTES] for at in range(0, len(data), PIN_ENTRY_BYTES)]
    return {
        entry[0]: PinState(
            tries_left=entry[1],
            tries=entry[2],
            transport=bool(entry[3] & layout.PinFlag.TRANSPORT),
            blocked=bool(entry[3] & layout.PinFlag.BLOCKED),
        )
        for entry in entries
        if len(entry) == PIN_ENTRY_BYTES
    }


class _Plan:
    """The second trip: its steps, each with what its answer is for, and the reading of the answers."""

    def __init__(
        self, profile: CardProfile, random: Random, pins: Mapping[str, Secret], sizes: Mapping[int, int]
    ) -> None:
        self._profile = profile
        self._random = random
        self._pins = pins
        self._sizes = sizes
        self._paths = _paths(profile)
        self._asked: dict[str, tuple[bytes, ec.EllipticCurvePrivateKey | None]] = {}

    def steps(self) -> list[tuple[Step, str]]:
        """Steps with a purpose each: `file:FID`, `key:slot`, `closed`, or nothing."""
        self._steps = [*self._public(), *(step for name in self._pins for step in self._behind(name))]
        return self._steps

    def read(self, responses: tuple[bytes, ...]) -> tuple[dict[int, bytes], dict[str, Proof], bool]:
        """Files, proofs, and whether the card refuses to make keys."""
        files: dict[int, bytes] = {}
        proofs: dict[str, Proof] = {}
        closed = False
        for (_, purpose), response in zip(self._steps, responses, strict=True):
            kind, _, name = purpose.partition(":")
            if kind == "file":
                files[int(name)] = files.get(int(name), b"") + body(response)
            elif kind == "key":
                asked, ephemeral = self._asked[name]
                proofs[name] = Proof(asked, body(response), ephemeral)
            elif kind == "closed":
                closed = status(response) != SW_OK
        return files, proofs, closed

    def _public(self) -> Iterator[tuple[Step, str]]:
        rules = {group.fid: group.read for group in self._profile.data_groups}
        for fid in self._sizes:
            if rules.get(fid, Access.ALWAYS) is Access.ALWAYS:
                yield from self._file(fid)
        slot = int(layout.KeySlot.CARD)
        if self._profile.keys:
            key = self._profile.card_key
            slot, challenge = key.reference, self._random(CHALLENGE_BYTES)
            self._asked[key.name] = challenge, None
            ask = CommandAPDU(0x00, 0x88, 0x00, key.reference, challenge, 256)
            yield _step(ask, "challenge_card"), f"key:{key.name}"
        # A finished card makes no keys in clear; the command is refused and changes nothing.
        generate = CommandAPDU(0x00, 0x47, 0x80, 0x00, bytes([0xB6, 3, 0x83, 1, slot]), 256)
        yield _step(generate, "check_closed", SW_OK, *SW_REFUSED_FOR_GOOD), "closed"

    def _behind(self, name: str) -> Iterator[tuple[Step, str]]:
        """What this PIN opens: its files, its keys."""
        pin = self._profile.pin(name)
        verify = CommandAPDU(0x00, 0x20, 0x00, pin.reference, self._pins[name].reveal())
        if not pin.each_use:
            yield _step(verify, "verify_pin"), ""
        for group in self._profile.data_groups:
            if group.read.value == name and group.fid in self._sizes:
                yield from self._file(group.fid)
        for key in self._profile.keys:
            if key.pin == name:
                if pin.each_use:
                    yield _step(verify, "verify_pin"), ""
                yield from self._challenge(key)

    def _file(self, fid: int) -> Iterator[tuple[Step, str]]:
        yield Step(_select_path(self._paths[fid]), label="read_files"), ""
        for offset in range(0, self._sizes[fid], READ_MAX):
            wanted = min(READ_MAX, self._sizes[fid] - offset)
            yield _step(CommandAPDU(0x00, 0xB0, offset >> 8, offset & 0xFF, le=wanted), "read_files"), f"file:{fid}"

    def _challenge(self, key: KeySlot) -> Iterator[tuple[Step, str]]:
        curve = CURVES[key.algorithm.value]
        if key.use is KeyUse.AGREE:
            ephemeral = ec.derive_private_key(int.from_bytes(self._random(curve.key_size // 8), "big") >> 1 | 1, curve)
            point = ephemeral.public_key().public_bytes(
                serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
            )
            self._asked[key.name] = b"", ephemeral
            yield _step(_environment(0xB8, key), "challenge_keys"), ""
            yield _step(CommandAPDU(0x00, 0x2A, 0x80, 0x86, point, 256), "challenge_keys"), f"key:{key.name}"
        else:
            message = self._random(CHALLENGE_BYTES)
            self._asked[key.name] = message, None
            digest = hashlib.sha256(message).digest()
            yield _step(_environment(0xB6, key), "challenge_keys"), ""
            yield _step(CommandAPDU(0x00, 0x2A, 0x9E, 0x9A, digest, 256), "challenge_keys"), f"key:{key.name}"


def _environment(template: int, key: KeySlot) -> CommandAPDU:
    """MSE SET: key reference and algorithm."""
    data = bytes([0x80, 1, layout.AlgorithmRef.ECDSA, 0x84, 1, key.reference])
    return CommandAPDU(0x00, 0x22, 0x41, template, data)


def _step(command: CommandAPDU, label: str, *expect: int) -> Step:
    return Step(command.encode(), expect or (SW_OK,), label)
