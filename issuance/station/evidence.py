"""Evidence given out for an auditor, and judged by him: four files a session, with no database and no secret.

    NNNN.json  the transcript as it was signed (`issuance.production.transcript`, canonical JSON)
    NNNN.tbs   the bytes that the station signed: words of the protocol, then the SHA-256 of the transcript
    NNNN.sig   the station's signature over them, ECDSA with SHA-256 in DER; empty when none came
    NNNN.pem   the station's public key

Any tool can judge them (`HOW`); `judge` does it for all of them and says what does not hold.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from issuance.production.signatures import signed_by
from issuance.production.transcript import canonical
from issuance.station.errors import StationError
from issuance.station.wire import to_sign

PURPOSE = "transcript"
TRANSCRIPT, SIGNED, SIGNATURE, KEY = ".json", ".tbs", ".sig", ".pem"
READ_ME = "README.txt"
HOW = """Sessions of one card, each as its station signed it. For every NNNN.json:

    openssl dgst -sha256 -verify NNNN.pem -signature NNNN.sig NNNN.tbs
    sha256sum NNNN.json
    tail -c 32 NNNN.tbs | od -An -v -tx1 | tr -d ' \\n'

The first says "Verified OK", and the other two the same 64 digits: then this very transcript was signed with that key.
Whose key it is stands in the office's audit: its SHA-256 (openssl pkey -pubin -in NNNN.pem -outform DER | sha256sum)
is the "key" of an entry station.enrol. `uec card evidence FOLDER --audit EXPORT` does all of this at once.
"""


class NoEvidence(StationError):
    """A folder that holds no evidence. Facts: `folder`."""

    code = "no-evidence"

    def __init__(self, folder: str) -> None:
        """Name the folder."""
        super().__init__(
            f"There is no evidence in {folder}: name a folder that `uec cards evidence --out` wrote.", folder=folder
        )


@dataclass(frozen=True, slots=True)
class Signed:
    """A session to be given out: its content, and who signed it; `signature` and `public_key` (DER) may be empty."""

    seq: int
    content: object
    signature: bytes
    public_key: bytes


@dataclass(frozen=True, slots=True)
class Judged:
    """A session of a folder: what it says of itself, whose key signed it (SHA-256, hex), and what is wrong with it.

    `signed` tells one whose signature holds; without a signature nothing is `wrong`, and nothing proven either.
    """

    name: str
    card: str
    work: str
    begun: str
    station: str
    commands: int
    key: str
    signed: bool
    wrong: str


def give_out(sessions: list[Signed], folder: Path) -> None:
    """Write sessions into a new or empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for one in sessions:
        stem, content = folder / f"{one.seq:04d}", canonical(one.content)
        stem.with_suffix(TRANSCRIPT).write_bytes(content)
        stem.with_suffix(SIGNED).write_bytes(to_sign(PURPOSE, hashlib.sha256(content).digest()))
        stem.with_suffix(SIGNATURE).write_bytes(one.signature)
        stem.with_suffix(KEY).write_bytes(_pem(one.public_key))
    (folder / READ_ME).write_text(HOW, encoding="utf-8")


def _pem(public_key: bytes) -> bytes:
    """A key as any tool reads it; nothing for what is no key."""
    try:
        key = serialization.load_der_public_key(public_key)
    except (ValueError, UnsupportedAlgorithm):
        return b""
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def judge(folder: Path) -> list[Judged]:
    """Every session of a folder, in order; raises `NoEvidence` when there is none."""
    files = sorted(folder.glob(f"*{TRANSCRIPT}"))
    if not files:
        raise NoEvidence(str(folder))
    judged = [_judged(file) for file in files]
    cards = {one.card for one in judged if one.card}
    if len(cards) > 1:
        return [_with(one, f"sessions of {len(cards)} cards lie in one folder") for one in judged]
    return judged


def _judged(file: Path) -> Judged:
    content, signature = file.read_bytes(), _read(file.with_suffix(SIGNATURE))
    facts = _facts(content)
    key = _key(file.with_suffix(KEY))
    wrong = "; ".join(_wrong(file, content, signature, key)) if signature else ""
    about = facts.get("about") if isinstance(facts.get("about"), dict) else {}
    return Judged(
        name=file.stem,
        **{name: str((about or {}).get(name) or "") for name in ("card", "work", "begun", "station")},
        commands=sum(len(trip.get("lines", ())) for trip in facts.get("trips", ()) if isinstance(trip, dict)),
        key=hashlib.sha256(key).hexdigest() if key else "",
        signed=bool(signature) and not wrong,
        wrong=wrong,
    )


def _wrong(file: Path, content: bytes, signature: bytes, key: bytes) -> Iterator[str]:
    signed = to_sign(PURPOSE, hashlib.sha256(content).digest())
    if _read(file.with_suffix(SIGNED)) != signed:
        yield "the transcript is not the one that was signed"
    if not key:
        yield "the station's key is not there"
    elif not signed_by(key, signed, signature):
        yield "the signature does not hold"


def _facts(content: bytes) -> dict[str, Any]:
    """The transcript as JSON; kept before there was an `about`, it is the list of its trips."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    if isinstance(found, list):
        return {"trips": found}
    return found if isinstance(found, dict) and isinstance(found.get("trips"), list) else {}


def _key(file: Path) -> bytes:
    """A public key in DER; empty when the file is none."""
    try:
        key = serialization.load_pem_public_key(_read(file))
    except (ValueError, UnsupportedAlgorithm):
        return b""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _read(file: Path) -> bytes:
    return file.read_bytes() if file.is_file() else b""


def _with(one: Judged, wrong: str) -> Judged:
    """The same with one more thing that is wrong."""
    return replace(one, wrong="; ".join(filter(None, (one.wrong, wrong))))
