"""Faults on demand: what a card, a reader or a hand does at the wrong moment.

Commands are counted from 1, since the plan was given to the card. Each fault happens once.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from card_io.errors import CardError


class CardLost(CardError):
    """The card lost power or was taken out while a command was under way."""

    code = "card.lost"


class CardElsewhere(CardLost):
    """Another program uses the card in the same file: going on would undo what it did."""

    code = "card.elsewhere"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} was changed by another program; use the card in one place and load it again here")


class UnknownProfile(CardError):
    """No blank of that make is known."""

    code = "card.virtual.profile"

    def __init__(self, name: str, known: tuple[str, ...]) -> None:
        super().__init__(f"there is no virtual card of make {name!r}; choose one of {', '.join(known)}")
        self.name = name


class CardMute(CardError):
    """The card does not answer any more; it has to be taken out and put back."""

    code = "card.mute"


@dataclass
class FaultPlan:
    """What goes wrong.

    tear_before: power is lost before the k-th command does anything. tear_after: after it did all it does, the answer
    lost.
    tear_at_write: power is lost as the memory is about to make its n-th change durable. mute_at: no answer to the k-th
    command, nor to any later one until a reset. status_at: the k-th command is answered with that status word and not
    executed. corrupt_at: a bit of its answer's data (or status) flips. remove_at: the card is gone, and stays away
    until `put_back`.
    """

    tear_before: int | None = None
    tear_after: int | None = None
    tear_at_write: int | None = None
    mute_at: int | None = None
    status_at: Mapping[int, int] = field(default_factory=dict)
    corrupt_at: int | None = None
    remove_at: int | None = None
    commands: int = 0
    writes: int = 0

    def next_command(self) -> int:
        """Count one command; its number."""
        self.commands += 1
        return self.commands

    def about_to_write(self) -> None:
        """Called before the memory makes a change durable; raises `CardLost` when the plan says so."""
        self.writes += 1
        if self.writes == self.tear_at_write:
            raise lost()


def lost() -> CardLost:
    """Power gone in the middle of a command."""
    return CardLost("the card lost power in the middle of a command; put it back and look at what it answers")


def removed() -> CardLost:
    """No card there."""
    return CardLost("the card was taken out; put it back")


def mute() -> CardMute:
    """No answer."""
    return CardMute("the card does not answer; take it out and put it back")


def flip(answer: bytes) -> bytes:
    """The answer with its first bit wrong."""
    return bytes([answer[0] ^ 0x80]) + answer[1:]
