"""The look for secrets in texts that other tests rely on."""

import pytest

from card_io.secret import Secret
from tests.support.leaks import leaked


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("PIN 1937 is set", True),
        ('{"pin1": "1937"}', True),
        ("0020000104 31393337", True),
        ("data 0A3139333700FF", True),
        ("digest 9f1937ab", False),
        ("number 51937", False),
        ("nothing", False),
    ],
)
def test_a_secret_is_found_and_a_digest_is_none(text: str, told: bool) -> None:
    assert leaked(text, Secret(b"1937")) is told
