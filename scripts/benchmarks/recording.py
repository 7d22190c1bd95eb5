"""A card whose commands are written down, so that the same bytes can be sent once more with nothing around them."""

from __future__ import annotations

from dataclasses import dataclass, field

from card_io.virtual.card import VirtualCard
from card_io.virtual.connection import InProcessConnection


@dataclass
class Recorded:
    """What went to one card: `None` stands for a reset."""

    seed: bytes
    commands: list[bytes | None] = field(default_factory=list)


class RecordingConnection(InProcessConnection):
    """A card in this process whose commands are written down."""

    def __init__(self, card: VirtualCard, recorded: Recorded) -> None:
        super().__init__(card)
        self._recorded = recorded
        recorded.commands.append(None)

    def transmit(self, command: bytes) -> bytes:
        """Pass on and write down."""
        self._recorded.commands.append(command)
        return super().transmit(command)
