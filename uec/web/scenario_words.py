"""Words for scenarios: the chances that may differ, where one stands, and why something cannot be done with it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from issuance.planning.chances import Chances
from uec.domain.errors import InvalidInput, UecError
from uec.web import plan_words
from uec.web.texts import _, _l

USUAL = Chances()
PERCENT = 100


@dataclass(frozen=True)
class Chance:
    """A chance that the page asks for in percent: its name, its words, and what is usual."""

    name: str
    words: str

    @property
    def usual(self) -> str:
        """The usual percentage, as it would be typed."""
        return f"{getattr(USUAL, self.name) * PERCENT:g}"


def chances() -> tuple[Chance, ...]:
    """The chances that may be typed, in the order of the form."""
    return (
        Chance("intake_spread", _("Spread of the applications")),
        Chance("no_show", _("Invited people who do not come")),
        Chance("line_failure", _("Days on which a line fails")),
        Chance("chip_timing", _("Spread of the lines’ pace")),
        Chance("spoiled", _("Cards spoiled")),
        Chance("strike", _("Days on which couriers strike")),
        Chance("delivery_late", _("Deliveries of chips that come late")),
    )


def differing(table: Mapping[str, Any]) -> str:
    """What is more or less likely than usual, in a line; empty where nothing is."""
    words = {one.name: one.words for one in chances()} | _of_commands()
    return "; ".join(
        f"{words[one.name]}: {_amount(one.name, table[one.name])}" for one in fields(Chances) if one.name in table
    )


def _of_commands() -> dict[str, str]:
    """Chances that only a command asks for."""
    return {
        "failure_days": _("Days that a line stands still"),
        "strike_days": _("Days that a strike lasts"),
        "comes_again": _("Of those who missed their day, come on another"),
        "unclaimed": _("Of those who missed their day, never come"),
        "delivery_days": _("Days that chips are late at most"),
    }


def _amount(name: str, value: float) -> str:
    return f"{value:g}" if name.endswith("_days") else f"{value * PERCENT:g} %"


def wrong(error: InvalidInput) -> tuple[str, str]:
    """The field of a scenario that is wrong, and what to do about it."""
    field = str(error.facts.get("field", ""))
    if field in {one.name for one in chances()}:
        most = 300 if field in {"intake_spread", "chip_timing"} else 100
        return field, _("Write a share from 0 to %(most)s percent, like 2.5.", most=most)
    own = {
        "shifts": _("More shifts on a working day: a whole number from 0 to 10, on a line of the list."),
        "stopped": _("Choose a line of the list."),
        "chips": _("Chips more: a whole number up to a thousand million."),
    }
    return (field, own[field]) if field in own else plan_words.wrong(error)


DUTIES: Mapping[str, object] = {
    "put the scenario forward": _l("put the scenario forward"),
    "made the scenario": _l("made the scenario"),
}


def refused(error: UecError) -> str:
    """Why something cannot be done with a scenario, and what to do."""
    reasons: Mapping[str, Callable[[], str]] = {
        "under_way": lambda: _("The scenario is being lived through. Wait for its figures."),
        "in_force": lambda: _("The scenario has become the plan already. Try it anew under another name."),
        "not_lived": lambda: _("Nobody knows yet how this scenario goes. Let it be lived through first."),
        "facts_changed": lambda: _(
            "Lines, chips or couriers have changed since this scenario was lived through. Have that done again."
        ),
        "proposed": lambda: _("The scenario is put forward already."),
    }
    return reasons[error.reason]()
