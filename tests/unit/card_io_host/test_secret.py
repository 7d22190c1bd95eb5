"""A secret prints nowhere, and status words say what the specifications say."""

import copy
import json
import pickle

import pytest

from card_io.secret import Secret
from card_io.status import meaning, tries_left


def test_no_way_of_printing_shows_the_value() -> None:
    secret = Secret(b"12345678")
    shown = [repr(secret), str(secret), f"{secret}", "%s %r" % (secret, secret), repr([secret]), f"{secret!r}"]  # noqa: UP031
    assert not any("1234" in text or "3132" in text for text in shown)
    assert f"{secret}" == "***"


def test_a_secret_is_not_formatted_pickled_copied_or_made_a_key() -> None:
    secret = Secret(b"12345678")
    with pytest.raises(TypeError):
        f"{secret:>20}"
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
    with pytest.raises(TypeError):
        hash(secret)
    with pytest.raises(TypeError):
        json.dumps(secret)
    assert not hasattr(secret, "__dict__")


def test_secrets_compare_by_value() -> None:
    assert Secret(b"1234") == Secret(bytes(bytearray(b"1234")))
    assert Secret(b"1234") != Secret(b"1235")
    assert Secret(b"1234") != b"1234"
    assert len(Secret(b"1234")) == 4
    assert not Secret(b"")
    assert Secret(b"1234").reveal() == b"1234"


@pytest.mark.parametrize(
    ("sw", "text"),
    [
        (0x9000, "success"),
        (0x6982, "security status"),
        (0x6A88, "referenced data"),
        (0x63C1, "1 tries left"),
        (0x6110, "16 more bytes"),
        (0x6100, "256 more bytes"),
        (0x6C05, "5 bytes are there"),
        (0x6205, "5 bytes to be read"),
        (0x6999, "selection failed"),
        (0x69FF, "command not allowed"),
        (0x9F10, "no specification"),
    ],
)
def test_status_words_have_their_meaning(sw: int, text: str) -> None:
    assert text in meaning(sw)


def test_every_status_word_has_some_meaning() -> None:
    assert all(meaning(sw) for sw in range(0x6000, 0x10000))


def test_tries_left_are_told_by_63cx_and_6983_only() -> None:
    assert tries_left(0x63C3) == 3
    assert tries_left(0x6983) == 0
    assert tries_left(0x6300) is None
    assert tries_left(0x9000) is None
