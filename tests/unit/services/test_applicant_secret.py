"""The applicant's secret: its shape, that typing habits do not matter, and that only its holder opens the page."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.services.applicant_secret import ALPHABET, hash_secret, matches, new_secret


@given(st.binary(min_size=8, max_size=8))
def test_a_secret_is_three_groups_of_letters_nobody_confuses(randomness: bytes) -> None:
    secret = new_secret(lambda size: randomness[:size])
    assert re.fullmatch(rf"[{ALPHABET}]{{4}}(-[{ALPHABET}]{{4}}){{2}}", secret)
    assert not set(secret) & set("OILU")


def test_different_randomness_gives_different_secrets() -> None:
    made = {new_secret(lambda size, n=n: n.to_bytes(size, "big")) for n in range(500)}
    assert len(made) == 500


@pytest.mark.parametrize("typed", ["0123-4567-89AB", "o123456789ab", "OI23 4567 89ab", "0l23-4567-89AB"])
def test_typing_habits_do_not_matter(typed: str) -> None:
    assert matches("2026-0000001", typed, hash_secret("2026-0000001", "0123-4567-89AB"))


@pytest.mark.parametrize(
    ("number", "secret"), [("2026-0000002", "0123-4567-89AB"), ("2026-0000001", "0123-4567-89AC"), ("2026-0000001", "")]
)
def test_another_number_or_secret_does_not_fit(number: str, secret: str) -> None:
    assert not matches(number, secret, hash_secret("2026-0000001", "0123-4567-89AB"))
