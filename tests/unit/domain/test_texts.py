"""Typed texts: what people type stays, what no keyboard sends goes."""

from unicodedata import category

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uec.domain.texts import typed


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("  д. 5, кв. 7 ", "д. 5, кв. 7"),
        ("first\nsecond", "first\nsecond"),
        ("a\x00b", "a b"),
        ("\x1b[2Jx", "[2Jx"),
        ("ab\u202ecd\u2066", "abcd"),
        ("\ud800", ""),
        ("№ 5 — «Заря» 王 😀", "№ 5 — «Заря» 王 😀"),
    ],
)
def test_what_is_kept(text: str, kept: str) -> None:
    assert typed(text) == kept


@given(st.text(st.characters(exclude_categories=())))
def test_the_rest_can_be_stored_and_cleaning_again_changes_nothing(text: str) -> None:
    clean = typed(text)
    assert "\x00" not in clean and clean.encode() is not None
    assert not any(category(sign) in {"Cs", "Cf"} or (category(sign) == "Cc" and sign != "\n") for sign in clean)
    assert typed(clean) == clean
