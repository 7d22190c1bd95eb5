"""What a holder may not choose as a PIN."""

import pytest

from card_io.secret import Secret
from issuance.production.pins import check_chosen_pin
from issuance.production.profile import load_profile
from tests.support.line import PIV_PROFILE, UEC_PROFILE
from uec.domain.policy import Policy
from uec.services.handover import narrowed, pin_errors

CHOSEN = [narrowed(pin, Policy()) for pin in load_profile(UEC_PROFILE).chosen_pins]


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
    assert pin_errors({"pin1": pin1, "pin2": pin2}, CHOSEN) == errors


def test_a_card_with_one_pin_asks_for_one() -> None:
    assert pin_errors({"pin1": "2846"}, CHOSEN[:1]) == {}
    assert pin_errors({"pin1": "1111"}, CHOSEN[:1]) == {"pin1": "pin.guessed"}


@pytest.mark.parametrize(
    ("policy", "wanted"),
    [
        (Policy(), (6, 8)),  # the card wants more than the policy
        (Policy(pin1_digits=(7, 12)), (7, 8)),  # each wants more than the other at one end
        (Policy(pin1_digits=(9, 12)), (6, 8)),  # the card cannot do what the policy wants
    ],
)
def test_a_pin_has_as_many_digits_as_its_card_takes(policy: Policy, wanted: tuple[int, int]) -> None:
    """What the window takes, the hub takes too: it judges by the card's profile alone."""
    (pin,) = load_profile(PIV_PROFILE).chosen_pins
    narrow = narrowed(pin, policy)
    assert (narrow.min_digits, narrow.max_digits) == wanted
    for count in range(3, 14):
        value = "2846193750264"[:count]
        if not pin_errors({"pin1": value}, [narrow]):
            assert check_chosen_pin(load_profile(PIV_PROFILE), "pin1", Secret(value.encode())) == pin
