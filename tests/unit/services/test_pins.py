"""What a holder may not choose as a PIN."""

import pytest

from uec.domain.policy import Policy
from uec.services.handover import pin_errors


@pytest.mark.parametrize(
    ("pin1", "pin2", "errors"),
    [
        ("4815", "162342", {}),
        ("481", "162342", {"pin1": "pin.length"}),
        ("481516234", "162342", {"pin1": "pin.length"}),
        ("4815", "16234", {"pin2": "pin.length"}),
        ("48a5", "１６２３４２", {"pin1": "pin.digits", "pin2": "pin.digits"}),
        ("1111", "345678", {"pin1": "pin.guessed", "pin2": "pin.guessed"}),
        ("9876", "162342", {"pin1": "pin.guessed"}),
        ("8901", "162342", {"pin1": "pin.guessed"}),
        ("162342", "162342", {"pin2": "pin.same"}),
        ("", "", {"pin1": "pin.digits", "pin2": "pin.digits"}),
    ],
)
def test_pins(pin1: str, pin2: str, errors: dict[str, str]) -> None:
    assert pin_errors({"pin1": pin1, "pin2": pin2}, policy=Policy()) == errors


def test_a_card_with_one_pin_asks_for_one() -> None:
    assert pin_errors({"pin1": "2846"}, policy=Policy()) == {}
    assert pin_errors({"pin1": "1111"}, policy=Policy()) == {"pin1": "pin.guessed"}
