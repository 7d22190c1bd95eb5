"""The transcript of a card session: the evidence kept with the card, without any content.

One line a command: label, instruction, status word, lengths, milliseconds. Beside the lines stand which card, work and
reader it was (`about`) and what the session proved (`records`: key versions, check values, digests of data groups),
where long values such as public keys are told by their SHA-256. The digest runs over all three in canonical JSON, so
that a signature over it holds for exactly this session with exactly this card. Transcripts kept before there was an
`about` have a digest over their lines alone.
"""

import hashlib
import json
import re
from collections.abc import Callable, Mapping

from issuance.production.asking import SW_BYTES, status
from issuance.production.bundle import Answers, Record, Send

INS = 1
SIGNED = ("about", "records", "trips")
LONG_HEX = re.compile(r"(?:[0-9a-fA-F]{2}){33,}")
"""Longer than a SHA-256, so never one itself."""


class Transcript:
    """Collects what went over one card's line."""

    def __init__(
        self,
        attest: Callable[[bytes], Mapping[str, object]] | None = None,
        *,
        about: Mapping[str, object] | None = None,
    ) -> None:
        """Begin empty; `attest` turns the digest into the facts that witness it (who signed, and the signature)."""
        self._attest = attest
        self._about = dict(about or {})
        self._trips: list[dict[str, object]] = []
        self._records: list[dict[str, object]] = []
        self._commands = 0

    @property
    def round_trips(self) -> int:
        """How many bundles have gone out."""
        return len(self._trips)

    @property
    def commands(self) -> int:
        """How many commands were answered."""
        return self._commands

    def add(self, bundle: Send, answers: Answers) -> None:
        """Note one bundle and its answers."""
        elapsed = answers.elapsed_ms or (0,) * len(answers.responses)
        lines = [
            {
                "label": step.label,
                "ins": f"{step.command[INS]:02X}",
                "sw": f"{status(response):04X}",
                "sent": len(step.command),
                "received": max(0, len(response) - SW_BYTES),
                "ms": ms,
            }
            for step, response, ms in zip(bundle.steps, answers.responses, elapsed, strict=False)
        ]
        self._commands += len(lines)
        self._trips.append(
            {
                "commands": len(bundle.steps),
                "fresh": bundle.fresh,
                "fault": answers.fault.value if answers.fault else "",
                "lines": lines,
            }
        )

    def note(self, record: Record) -> None:
        """Note what the session has just had recorded."""
        self._records.append({"kind": record.kind.value, "facts": told(record.facts)})

    def facts(self) -> dict[str, object]:
        """The transcript as JSON: what is signed, its `digest` (SHA-256, hex), and what the witness added."""
        kept: dict[str, object] = {"about": self._about, "records": self._records, "trips": self._trips}
        found = digest(kept)
        witnessed = self._attest(found) if self._attest else {}
        return {**kept, "digest": found.hex(), **witnessed}


def told(facts: Mapping[str, object]) -> dict[str, object]:
    """Facts of a record as a transcript tells them: long values by their SHA-256."""
    return {name: _told(value) for name, value in facts.items()}


def _told(value: object) -> object:
    match value:
        case Mapping():
            return {str(name): _told(one) for name, one in value.items()}
        case list() | tuple():
            return [_told(one) for one in value]
        case str() if LONG_HEX.fullmatch(value):
            return f"sha256:{hashlib.sha256(bytes.fromhex(value)).hexdigest()}"
    return value


def canonical(content: object) -> bytes:
    """The one way to write it as JSON: names in order, no blanks, UTF-8."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def digest(content: object) -> bytes:
    """SHA-256 over canonical JSON."""
    return hashlib.sha256(canonical(content)).digest()


def content_of(facts: Mapping[str, object]) -> object:
    """What the digest of a kept transcript runs over."""
    return {name: facts.get(name) for name in SIGNED} if "about" in facts else facts.get("trips")


def is_whole(facts: Mapping[str, object]) -> bool:
    """Whether a kept transcript still has the digest that it was kept with."""
    return facts.get("digest") == digest(content_of(facts)).hex()
