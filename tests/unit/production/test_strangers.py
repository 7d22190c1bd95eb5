"""Every card that is not the one meant, in every kind of work, for every profile: refused by name, and none the worse.

Blanks of another make, finished cards of other profiles, counterfeits, cards of others that answer anything at all,
ended ones. The card that was meant stays what it was, no chip is bound, and no try is spent on anybody's PIN.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping

import pytest

from card_io import globalplatform as gp
from card_io.errors import CardError
from card_io.virtual.card import VirtualCard
from card_io.virtual.faults import FaultPlan
from issuance.production.errors import (
    CardAlreadyActive,
    CardLost,
    ChipTaken,
    ForeignCard,
    ProductionError,
    UnknownKeys,
    WrongCard,
)
from issuance.production.sighting import Sighting, sight
from tests.support.line import PASS_PROFILE, PIV_PROFILE, UEC_PROFILE, Line, blank_card, make_line, slot_of

PROFILES = {"uec": UEC_PROFILE, "piv": PIV_PROFILE, "pass": PASS_PROFILE}
OTHER = {"uec": "piv", "piv": "uec", "pass": "uec"}
ANY_COMMAND = range(1, 400)
Made = tuple[str, VirtualCard]
_serials = itertools.count(1)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Line]]:
    opened = {name: make_line(tmp_path_factory.mktemp(name), path) for name, path in PROFILES.items()}
    yield opened
    for line in opened.values():
        line.office.vault.close()


def blank(profile: str, **changes: bytes) -> VirtualCard:
    return blank_card(next(_serials), kind="piv" if profile == "piv" else "uec", **changes)


def made(lines: Mapping[str, Line], profile: str) -> Made:
    line, one = lines[profile], next(_serials)
    number, card = line.order(one), blank_card(one, kind="piv" if profile == "piv" else "uec")
    line.personalise(number, card)
    line.inspect(number, card)
    return number, card


def active(lines: Mapping[str, Line], profile: str) -> VirtualCard:
    number, card = made(lines, profile)
    lines[profile].hand_over(number, card)
    return card


def answering(sw: int) -> Callable[[Mapping[str, Line], str], VirtualCard]:
    """A card of somebody else's, which has this to say to everything."""

    def card(lines: Mapping[str, Line], profile: str) -> VirtualCard:
        stranger = blank(profile)
        stranger.faults = FaultPlan(status_at=dict.fromkeys(ANY_COMMAND, sw))
        return stranger

    return card


def ended(lines: Mapping[str, Line], profile: str) -> VirtualCard:
    """A good card of ours that was made mute for good."""
    _, card = made(lines, profile)
    card.platform.life_cycle = gp.CardLifeCycle.TERMINATED
    card._memory.commit()
    return card


STRANGERS: dict[str, tuple[Callable[[Mapping[str, Line], str], VirtualCard], tuple[type[ProductionError], ...]]] = {
    "handed over": (active, (CardAlreadyActive,)),
    "another finished one": (lambda lines, profile: made(lines, profile)[1], (ChipTaken,)),
    "a finished one of another profile": (
        lambda lines, profile: made(lines, OTHER[profile])[1],
        (ForeignCard, UnknownKeys),
    ),
    "a blank of another make": (lambda _, profile: blank("uec" if profile == "piv" else "piv"), (ForeignCard,)),
    "a counterfeit blank": (lambda _, profile: blank(profile, master=bytes(16)), (UnknownKeys,)),
    "knows no command": (answering(0x6D00), (ForeignCard,)),
    "knows no application": (answering(0x6A82), (ForeignCard,)),
    "agrees to everything": (answering(0x9000), (ForeignCard,)),
    "asks for more all the time": (answering(0x6100), (ForeignCard, CardLost)),
    "ended": (ended, (ForeignCard, ChipTaken)),
}
CASES = [
    (profile, name)
    for profile, name in itertools.product(PROFILES, STRANGERS)
    if (profile, name) != ("piv", "a counterfeit blank")  # base PIV blanks have no keys of their own
]


@pytest.mark.parametrize(("profile", "name"), CASES)
def test_no_stranger_becomes_a_card(lines: dict[str, Line], profile: str, name: str) -> None:
    make, errors = STRANGERS[name]
    line, card = lines[profile], make(lines, profile)
    for known in (None, seen(card)) if profile == "pass" else (None,):
        number = line.order(next(_serials))
        begin_anew(card)
        with pytest.raises(errors) as caught:
            line.personalise(number, card, seen=known)
        assert line.office.cards[number].chip_id == ""
        require_words(caught.value)


@pytest.mark.parametrize("work", ["inspect", "hand_over"])
@pytest.mark.parametrize(("profile", "name"), CASES)
def test_no_stranger_passes_for_the_card_that_is_meant(
    lines: dict[str, Line], profile: str, name: str, work: str
) -> None:
    line, card = lines[profile], STRANGERS[name][0](lines, profile)
    number, own = made(lines, profile)
    begin_anew(card)
    with pytest.raises((WrongCard, ForeignCard, CardLost)) as caught:
        getattr(line, work)(number, card)
    require_words(caught.value)
    assert line.office.cards[number].state == "PERSONALISED", "it is not spoiled for what another card does"
    assert line.inspect(number, own).genuine
    if name == "another finished one":
        theirs = next(kept.number for kept in line.office.cards.values() if kept.chip_id == chip_of(card))
        assert line.inspect(theirs, card).genuine, "no try of its PINs is gone"


def seen(card: VirtualCard) -> Sighting | None:
    begin_anew(card)
    return sight(slot_of(card))


def chip_of(card: VirtualCard) -> str:
    found = seen(card)
    assert found is not None
    return found.chip_id


def begin_anew(card: VirtualCard) -> None:
    """Faults count from the next command on."""
    card.faults = FaultPlan(status_at=card.faults.status_at)


def require_words(error: ProductionError) -> None:
    """A sentence for the operator that ends with what to do; no parser's words."""
    assert not isinstance(error, CardError)
    text = str(error)
    assert text.endswith(".") and "byte" not in text and "tag" not in text.split()
