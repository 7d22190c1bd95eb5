"""The transcript of a card session: the evidence kept with the card, without any content.

One line a command: label, instruction, status word, lengths, milliseconds. The digest runs over the lines in canonical
JSON, so that a signature over it holds for exactly this session.
"""

import hashlib
import json
from collections.abc import Callable, Mapping

from issuance.production.asking import SW_BYTES, status
from issuance.production.bundle import Answers, Send

INS = 1


class Transcript:
    """Collects what went over one card's line."""

    def __init__(self, attest: Callable[[bytes], Mapping[str, object]] | None = None) -> None:
        """Begin empty; `attest` turns the digest into the facts that witness it (who signed, and the signature)."""
        self._attest = attest
        self._trips: list[dict[str, object]] = []
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

    def facts(self) -> dict[str, object]:
        """The transcript as JSON: `trips`, `digest` (SHA-256, hex) over them, and what the witness added."""
        found = digest(self._trips)
        witnessed = self._attest(found) if self._attest else {}
        return {"trips": self._trips, "digest": found.hex(), **witnessed}


def digest(trips: object) -> bytes:
    """SHA-256 over the trips in canonical JSON."""
    text = json.dumps(trips, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).digest()


def is_whole(facts: Mapping[str, object]) -> bool:
    """Whether a kept transcript still has the digest that it was kept with."""
    return facts.get("digest") == digest(facts.get("trips")).hex()
