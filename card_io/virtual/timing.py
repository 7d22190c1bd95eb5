"""How long a real chip takes: the link, the memory, the slow arithmetic.

Figures: medians of public measurements (RSA-2048 key 12 s, P-256 key 0.16 s) and data sheets; one card talks at 10 to
40 KB/s."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

_WORK_S: Final = MappingProxyType(
    {
        "generate/1": 0.16,
        "generate/2": 0.32,
        "generate/3": 12.0,
        "sign/1": 0.09,
        "sign/2": 0.18,
        "sign/3": 0.45,
    }
)


@dataclass
class Timing:
    """Adds up seconds; `pass_time` is called with them after each command (`time.sleep`, or a simulated clock)."""

    pass_time: Callable[[float], None]
    link_bytes_per_s: float = 20_000.0
    command_s: float = 0.002
    write_s_per_byte: float = 0.000_03
    commit_s: float = 0.003
    work_s: Mapping[str, float] = field(default_factory=lambda: _WORK_S)
    total_s: float = 0.0
    _work: float = 0.0

    def spend(self, kind: str) -> None:
        """Slow arithmetic of a kind was done by the command under way."""
        self._work += self.work_s.get(kind, 0.0)

    def finish(self, link_bytes: int, written_bytes: int, commits: int) -> None:
        """The command is over: `link_bytes` went over the link both ways, and so much was written."""
        seconds = (
            self.command_s
            + link_bytes / self.link_bytes_per_s
            + written_bytes * self.write_s_per_byte
            + commits * self.commit_s
            + self._work
        )
        self._work = 0.0
        self.total_s += seconds
        self.pass_time(seconds)
