"""Tables into dataclasses: every kind of value, every kind of mistake by its dotted name."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum

import pytest

from issuance.production.typed_toml import MisshapenTable, read_table


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@dataclass(frozen=True)
class Wheel:
    name: str
    spokes: int
    colour: Colour = Colour.RED


@dataclass(frozen=True)
class Cart:
    label: str
    wheels: tuple[Wheel, ...]
    horse: Wheel
    serial: bytes = b""
    brakes: bool = False
    gears: tuple[int, ...] = ()


GOOD = """
label = "Воз"
serial = "00FF"
brakes = true
gears = [1, 2, 3]
[horse]
name = "shoe"
spokes = 0
[[wheels]]
name = "left"
spokes = 12
[[wheels]]
name = "right"
spokes = 14
colour = "green"
"""


@dataclass(frozen=True)
class Strange:
    anything: dict[str, int]


def read(text: str) -> Cart:
    return read_table(Cart, tomllib.loads(text))


def test_every_kind_of_value_is_read() -> None:
    assert read(GOOD) == Cart(
        label="Воз",
        wheels=(Wheel("left", 12), Wheel("right", 14, Colour.GREEN)),
        horse=Wheel("shoe", 0),
        serial=b"\x00\xff",
        brakes=True,
        gears=(1, 2, 3),
    )


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("spokes = 12", "spoke = 12", "wheels[left].spoke", "did you mean spokes?"),
        ("spokes = 12", "zebra = 12", "wheels[left].zebra", "known are name, spokes, colour"),
        ("spokes = 12", "", "wheels[left].spokes", "is missing"),
        ("spokes = 12", "spokes = 1.5", "wheels[left].spokes", "must be int, not float"),
        ("spokes = 12", "spokes = true", "wheels[left].spokes", "must be int, not bool"),
        ('colour = "green"', 'colour = "blue"', "wheels[right].colour", "must be one of red, green"),
        ('serial = "00FF"', 'serial = "0F0"', "serial", "must be bytes in hex"),
        ('serial = "00FF"', "serial = 255", "serial", "must be bytes in hex"),
        ("brakes = true", "brakes = 1", "brakes", "must be bool, not int"),
        ("gears = [1, 2, 3]", "gears = 1", "gears", "must be a list"),
        ("gears = [1, 2, 3]", 'gears = [1, "2"]', "gears[1]", "must be int, not str"),
        ("[horse]", "[[horse]]", "horse", "must be a table"),
        ('label = "Воз"', "", "label", "is missing"),
    ],
)
def test_every_mistake_is_named(old: str, new: str, place: str, words: str) -> None:
    assert old in GOOD
    with pytest.raises(MisshapenTable) as caught:
        read(GOOD.replace(old, new, 1))
    assert caught.value.place == place
    assert words in caught.value.reason


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(MisshapenTable, match="Cart: must be a table"):
        read_table(Cart, ["label"])


def test_an_annotation_that_is_not_understood_is_a_programming_error() -> None:
    with pytest.raises(TypeError, match="anything"):
        read_table(Strange, {"anything": {"a": 1}})
