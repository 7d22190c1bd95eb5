"""How many cards of a line's batch somebody looks at, and how such a look moves: wanted, then good or bad.

Spec: single sampling by attributes with acceptance number 0 from a finite batch, planned by limiting quality (as ISO
2859-2 does): the sample is the smallest that meets a bad card with the certainty asked for when a share `limit` of the
batch, or more, is bad. The chance is the hypergeometric one, exact for every size of batch. One bad card in the sample,
and every card of the batch is looked at: then nothing is left to chance.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from uec.domain.errors import InvalidInput

ROUNDING = 1e-12


class LookState(StrEnum):
    """Where the look at a card stands."""

    WANTED = "WANTED"
    GOOD = "GOOD"
    BAD = "BAD"


class LookEvent(StrEnum):
    """What a look can find."""

    ACCEPT = "ACCEPT"
    REJECT = "REJECT"


class Defect(StrEnum):
    """What can be wrong with a card that the chip does not tell."""

    PRINT = "PRINT"
    PHOTO = "PHOTO"
    TEXT = "TEXT"
    SURFACE = "SURFACE"
    CHIP = "CHIP"


LOOK: Mapping[tuple[LookState, LookEvent], LookState] = {
    (LookState.WANTED, LookEvent.ACCEPT): LookState.GOOD,
    (LookState.WANTED, LookEvent.REJECT): LookState.BAD,
}


@dataclass(frozen=True)
class SamplingPlan:
    """A batch of which a share `limit` is bad is to be noticed with `certainty`; both are fractions."""

    limit: float = 0.05
    certainty: float = 0.90

    def __post_init__(self) -> None:
        if not 0 < self.limit < 1 or not 0 < self.certainty < 1:
            raise InvalidInput("A sampling plan needs a share and a certainty between 0 and 1.", field="sampling")

    def sample_size(self, cards: int) -> int:
        """How many of a batch of so many cards are looked at; 0 for none, never more than there are."""
        bad, sample, escape = math.ceil(cards * self.limit), 0, 1.0
        while sample < cards and escape - (1 - self.certainty) > ROUNDING:
            # One more card is drawn out of those left, and is a good one once more.
            escape *= max(0, cards - bad - sample) / (cards - sample)
            sample += 1
        return sample
