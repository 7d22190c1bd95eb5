"""Hides how a holder is led through typing at a reader's own keys: which PIN now, how long, and why once more."""

from dataclasses import dataclass
from datetime import datetime

from uec.domain.lifecycle import OperationState
from uec.services.views import OperationView
from uec.web.texts import _


@dataclass(frozen=True)
class Prompt:
    """What the holder does now: a headline for the clerk, the `steps` at the reader, why it is asked `again`.

    `seconds` are those that the reader still waits for a key; 0 when that may end any moment.
    """

    headline: str
    steps: tuple[str, ...]
    again: str
    seconds: int


def prompt_of(operation: OperationView, *, now: datetime) -> Prompt | None:
    """Return what the holder is asked for at the reader just now; None while nothing is."""
    told = operation.progress
    if operation.state is not OperationState.RUNNING or "pin" not in told:
        return None
    name = {"pin1": _("PIN1"), "pin2": _("PIN2")}.get(str(told["pin"]), str(told["pin"]))
    digits = told["digits"]
    low, high = digits if isinstance(digits, list) else ("", "")
    steps = (
        *((_("The code of the letter, then the confirming key"),) if told.get("code") else ()),
        _("The new %(name)s (%(low)s to %(high)s digits), then the confirming key", name=name, low=low, high=high),
        _("The same %(name)s once more, then the confirming key", name=name),
    )
    waits = int(str(told.get("seconds", 0))) - (now - datetime.fromisoformat(str(told["at"]))).total_seconds()
    headline = _("The holder enters %(name)s on the keys of the reader", name=name)
    return Prompt(headline, steps, _ended(str(told.get("ended", ""))), max(0, round(waits)))


def _ended(how: str) -> str:
    """Return why the holder is asked once more; empty for the first time."""
    words = {
        "timeout": _("The reader waited too long for a key. Let the holder begin again."),
        "cancelled": _("The entry was cancelled on the reader. Let the holder begin again."),
        "mismatch": _("The two entries differed. Let the holder enter the PIN anew, twice the same."),
        "length": _("The entry was too short or too long. Let the holder enter as many digits as the reader asks for."),
        "unfit": _("The card did not take this PIN. Let the holder choose another one."),
    }
    return words.get(how, "")
