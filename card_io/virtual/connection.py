"""A virtual card in this process as a `Connection`."""

from card_io.virtual.card import VirtualCard


class InProcessConnection:
    """Powers the card when made, takes the power away when closed."""

    def __init__(self, card: VirtualCard) -> None:
        self._card = card
        self._atr = card.power_on()

    @property
    def atr(self) -> bytes:
        """The answer to reset."""
        return self._atr

    def transmit(self, command: bytes) -> bytes:
        """One raw command, one raw answer; `CardLost` or `CardMute` when the card has gone."""
        return self._card.process(command)

    def close(self) -> None:
        """Take the power away."""
        self._card.power_off()
