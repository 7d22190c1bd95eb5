"""Counts of cards by state, moved by the office's own tables of moves: the twin can do nothing the office could not."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from issuance.planning.errors import PlanningError

# Keys are the office's own string enums, which the planner does not know.
Moves = Mapping[tuple[Any, Any], str]


class IllegalCount(PlanningError):
    """The twin wanted a move that the office's table does not have, or moved more cards than there were."""

    code = "planning.illegal_count"


@dataclass
class Ledger:
    """How many are in each state of one machine; `moves` is the office's table {(state, event): state}."""

    moves: Moves
    counts: Counter[str] = field(default_factory=Counter)

    def enter(self, state: str, count: int) -> None:
        """So many new ones begin in a state."""
        self.counts[state] += count

    def move(self, state: str, event: str, count: int) -> None:
        """Move so many on; raises `IllegalCount`."""
        target = self.moves.get((state, event))
        if target is None:
            raise IllegalCount(f"The office has no move {event} from {state}: correct its table or the twin.")
        if count > self.counts[state]:
            raise IllegalCount(f"{count} were to leave {state} by {event} and only {self.counts[state]} are there.")
        self.counts[state] -= count
        self.counts[str(target)] += count

    def chain(self, state: str, events: tuple[str, ...], count: int) -> None:
        """Move so many along several events in a row."""
        for event in events:
            self.move(state, event, count)
            state = str(self.moves[state, event])

    @property
    def total(self) -> int:
        """All of them: moves lose nobody."""
        return self.counts.total()
