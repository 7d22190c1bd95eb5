"""What the main job did: numbers, times, what does not hold, and what is left to try by hand."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Report:
    """What happened, with times; `problems` holds a sentence for everything that does not hold."""

    transport: str
    residents: dict[str, int] = field(default_factory=dict)
    applications: dict[str, int] = field(default_factory=dict)
    cards: dict[str, int] = field(default_factory=dict)
    audit: dict[str, int] = field(default_factory=dict)
    stages: dict[str, float] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    try_out: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """How long all stages took."""
        return round(sum(self.stages.values()), 2)

    def as_json(self) -> dict[str, Any]:
        """The report as one plain object."""
        return {
            "residents": self.residents,
            "applications": self.applications,
            "cards": self.cards,
            "audit": self.audit,
            "transport": self.transport,
            "seconds": self.seconds,
            "stages": {name: round(seconds, 2) for name, seconds in self.stages.items()},
            "problems": self.problems,
        }

    def expect(self, holds: object, sentence: str) -> None:
        """Note the sentence as a problem unless it holds."""
        if not holds:
            self.problems.append(sentence)

    def as_text(self) -> str:
        """The report as a person reads it."""
        lines = [
            "residents     " + _counts(self.residents),
            "applications  " + _counts(self.applications),
            "cards         " + _counts(self.cards),
            f"transport     {self.transport}",
            "seconds       " + _counts({name: round(seconds, 1) for name, seconds in self.stages.items()}),
            f"altogether    {self.seconds:.1f} s",
        ]
        lines += [f"PROBLEM       {problem}" for problem in self.problems]
        return "\n".join(lines)


def _counts(counts: Mapping[str, float]) -> str:
    return ", ".join(f"{name.lower().replace('_', ' ')} {count}" for name, count in counts.items()) or "none"
